// What Python calls for whole columns of texts before they are identified: cleaning, and the scripts of their letters.
//
// A column is UTF-8 in one buffer: text i is data[offsets[i]:offsets[i + 1]]. Neither reads past the last text.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "common/from_python.hpp"
#include "common/to_python.hpp"
#include "text/clean.hpp"
#include "text/scripts.hpp"

namespace py = pybind11;

using namespace mc2;

namespace {

// `definition` is called for what the Cleaner leaves to Python.
py::tuple clean(const StringData& data, const StringOffsets& offsets, const py::object& definition) {
    const Strings column = strings_of(data, offsets);
    std::vector<char> cleaned;
    cleaned.reserve(static_cast<size_t>(data.size()));
    std::vector<int64_t> ends{0};
    ends.reserve(column.n + 1);
    Cleaner cleaner;
    size_t left_to_python = 0;
    {
        const py::gil_scoped_release unlocked;
        for (size_t i = 0; i < column.n; i++) {
            if (!cleaner.clean(column[i], cleaned)) {
                const py::gil_scoped_acquire locked;
                const py::object text = py::reinterpret_steal<py::object>(
                    PyUnicode_DecodeUTF8(column[i].data(), static_cast<Py_ssize_t>(column[i].size()), nullptr));
                if (!text) throw py::error_already_set();
                const py::object answer = definition(text);
                const auto bytes = py::cast<std::string_view>(answer);
                cleaned.insert(cleaned.end(), bytes.begin(), bytes.end());
                left_to_python++;
            }
            ends.push_back(static_cast<int64_t>(cleaned.size()));
        }
    }
    return py::make_tuple(array_of(std::move(cleaned)).attr("view")("uint8"), array_of(std::move(ends)), left_to_python);
}

class Scripts {
public:
    explicit Scripts(const std::vector<std::tuple<uint32_t, uint32_t, uint8_t>>& ranges, uint8_t latin) : latin_(latin) {
        for (const auto& [first, last, script] : ranges) {
            if (first > last || last >= ScriptTable::code_points) throw py::value_error("no range of code points");
            table_.add(first, last, script);
        }
    }

    py::tuple of_texts(const StringData& data, const StringOffsets& offsets) const {
        const Strings column = strings_of(data, offsets);
        ScriptSets sets(table_, latin_);
        std::vector<int32_t> numbers(column.n);
        {
            const py::gil_scoped_release unlocked;
            for (size_t i = 0; i < column.n; i++) numbers[i] = sets.number_of(column[i]);
        }
        py::list found;
        for (const std::vector<uint8_t>& set : sets.sets()) {
            py::list scripts;
            for (uint8_t script : set) scripts.append(script);
            found.append(scripts);
        }
        return py::make_tuple(array_of(std::move(numbers)), found);
    }

private:
    ScriptTable table_;
    uint8_t latin_;
};

}  // namespace

void bind_text(py::module_& module);

void bind_text(py::module_& module) {
    module.def("clean", &clean, py::arg("data"), py::arg("offsets"), py::arg("definition"), R"(
Texts as mc2.stages.cleaning.clean gives them with all its steps: (data uint8, offsets int64 (n+1,), how many were left to
`definition`, the function itself).)");
    py::class_<Scripts>(module, "Scripts", "Which scripts the letters of texts are of.")
        .def(py::init<const std::vector<std::tuple<uint32_t, uint32_t, uint8_t>>&, uint8_t>(), py::arg("ranges"),
             py::arg("latin"), "ranges: (first, last, script) of code points, scripts being numbers from 1.")
        .def("of_texts", &Scripts::of_texts, py::arg("data"), py::arg("offsets"), R"(
(number of a set of scripts per text, int32; the sets from 1 on, lists of scripts). 0: no letter, or a Latin one.)");
}
