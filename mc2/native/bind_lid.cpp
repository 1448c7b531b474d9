// The Python class LidModel: language identification with a fastText model.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/from_python.hpp"
#include "lid/model.hpp"
#include "lid/predictor.hpp"

namespace py = pybind11;

namespace {

using mc2::fasttext::Loss;
using mc2::fasttext::Model;
using mc2::fasttext::Prediction;
using mc2::fasttext::Predictor;

using Offsets = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;

const char* name_of(Loss loss) {
    switch (loss) {
        case Loss::hierarchical_softmax: return "hs";
        case Loss::negative_sampling: return "ns";
        case Loss::softmax: return "softmax";
        case Loss::one_versus_all: return "ova";
    }
    return "";
}

py::list decoded_labels(const Model& model, const std::string& path) {
    using mc2::fasttext::label_prefix;
    py::list labels;
    for (std::string_view label : model.labels) {
        if (label.substr(0, label_prefix.size()) == label_prefix) label.remove_prefix(label_prefix.size());
        PyObject* text = PyUnicode_DecodeUTF8(label.data(), static_cast<Py_ssize_t>(label.size()), nullptr);
        if (text == nullptr) {
            PyErr_Clear();
            throw py::value_error(path + ": damaged fastText model (a label that is not UTF-8).");
        }
        labels.append(py::reinterpret_steal<py::str>(text));
    }
    return labels;
}

class LidModel {
public:
    explicit LidModel(const std::string& path)
        : model_(path), labels_(decoded_labels(model_, path)), predictor_(model_) {}

    const py::list& labels() const { return labels_; }
    int32_t dim() const { return model_.dim; }
    std::string loss() const { return name_of(model_.loss); }
    bool quantized() const { return model_.quantized; }

    py::tuple predict(const py::list& texts) const {
        const mc2::Texts read = checked(texts);
        return predict_views(views_of(read));
    }

    py::array_t<float> predict_all_labels(const py::list& texts) const {
        const mc2::Texts read = checked(texts);
        const std::vector<std::string_view> views = views_of(read);
        py::array_t<float> probabilities({views.size(), model_.labels.size()});
        float* data = probabilities.mutable_data();
        {
            const py::gil_scoped_release release;
            predictor_.predict_all_labels(views.data(), views.size(), data);
        }
        return probabilities;
    }

    py::tuple predict_buffer(const py::object& data, const Offsets& offsets) const {
        const mc2::BytesView view(data);
        return predict_views(cut({reinterpret_cast<const char*>(view.data()), view.size()}, offsets));
    }

private:
    static mc2::Texts checked(const py::list& texts) {
        for (const py::handle text : texts)
            if (!PyUnicode_Check(text.ptr())) throw py::type_error("texts must be a list of str.");
        return mc2::read_texts(texts);
    }

    static std::vector<std::string_view> views_of(const mc2::Texts& texts) {
        std::vector<std::string_view> views;
        views.reserve(texts.size());
        for (size_t i = 0; i < texts.size(); ++i) views.push_back(texts[i]);
        return views;
    }

    // The texts of a buffer. They are checked and kept here, so that later changes to `offsets` do no harm.
    static std::vector<std::string_view> cut(std::string_view bytes, const Offsets& offsets) {
        if (offsets.ndim() != 1 || offsets.size() == 0)
            throw py::value_error("offsets must be one-dimensional, with one number more than there are texts.");
        const size_t count = static_cast<size_t>(offsets.size()) - 1;
        std::vector<std::string_view> texts;
        texts.reserve(count);
        int64_t begin = *offsets.data(0);
        if (begin < 0) throw py::value_error("offsets must not be negative.");
        for (size_t i = 0; i < count; ++i) {
            const int64_t end = *offsets.data(static_cast<py::ssize_t>(i) + 1);
            if (end < begin || static_cast<uint64_t>(end) > bytes.size())
                throw py::value_error("offsets must not fall, and must stay within the data.");
            texts.push_back(bytes.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
            begin = end;
        }
        return texts;
    }

    py::tuple predict_views(const std::vector<std::string_view>& texts) const {
        std::vector<Prediction> predictions(texts.size());
        {
            const py::gil_scoped_release release;
            predictor_.predict(texts.data(), texts.size(), predictions.data());
        }
        const py::ssize_t count = static_cast<py::ssize_t>(texts.size());
        py::array_t<int32_t> label_ids(count), known(count);
        py::array_t<float> probabilities(count);
        for (py::ssize_t i = 0; i < count; ++i) {
            const Prediction& prediction = predictions[static_cast<size_t>(i)];
            label_ids.mutable_data()[i] = prediction.label;
            probabilities.mutable_data()[i] = prediction.probability;
            known.mutable_data()[i] = prediction.known;
        }
        return py::make_tuple(label_ids, probabilities, known);
    }

    Model model_;
    py::list labels_;
    Predictor predictor_;
};

}  // namespace

void bind_lid(py::module_& module);

void bind_lid(py::module_& module) {
    py::class_<LidModel>(module, "LidModel", R"(
A fastText model for language identification (.bin or .ftz), memory-mapped read-only.

Raises ValueError where the file is damaged or no classifier. Threads may share a model.)")
        .def(py::init([](const py::object& path) { return std::make_unique<LidModel>(mc2::bytes_of_path(path)); }),
             py::arg("path"))
        .def_property_readonly("labels", &LidModel::labels, "Labels by id, without the prefix __label__.")
        .def_property_readonly("dim", &LidModel::dim, "Length of the hidden vector.")
        .def_property_readonly("loss", &LidModel::loss, "\"hs\", \"softmax\", \"ova\" or \"ns\".")
        .def_property_readonly("quantized", &LidModel::quantized, "Whether the input matrix is quantised.")
        .def("predict", &LidModel::predict, py::arg("texts"), R"(
The most likely label of every text: (label_ids int32, probabilities float32, known int32).

A text is one line (it ends at a line break); each answer is fastText's for text + "\n", bit for bit.
label_id -1 with probability 0: fastText gives none. known: the words and n-grams of the text that the model
knows; with 0 the answer is that of the empty line.)")
        .def("predict_all_labels", &LidModel::predict_all_labels, py::arg("texts"), R"(
The probabilities of all labels of every text: float32 (n, labels). Each is the one that fastText gives when it is asked
for all labels of text + "\n"; zeros where it gives none.)")
        .def("predict_buffer", &LidModel::predict_buffer, py::arg("data"), py::arg("offsets"), R"(
As predict, for UTF-8 texts in one bytes-like object: text i is data[offsets[i]:offsets[i + 1]].)");
}
