// The matcher as Python sees it: build_matcher and the class Matcher.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/from_python.hpp"
#include "common/strings.hpp"
#include "common/to_python.hpp"
#include "match/build.hpp"
#include "match/languages.hpp"
#include "match/matcher.hpp"
#include "match/normal_form.hpp"

namespace py = pybind11;

using namespace mc2;

namespace {

// ---------------------------------------------------------------- results for Python

py::tuple arrays_of(Results&& results) {
    return py::make_tuple(array_of(std::move(results.offsets)), array_of(std::move(results.ids)));
}

uint64_t* counts_of(const py::object& counts, uint32_t n_entries) {
    if (counts.is_none()) return nullptr;
    if (!py::isinstance<py::array>(counts)) throw py::type_error("counts must be a NumPy array");
    auto array = py::reinterpret_borrow<py::array>(counts);
    if (!py::isinstance<py::array_t<uint64_t, py::array::c_style>>(array) || array.ndim() != 1 ||
        static_cast<size_t>(array.shape(0)) != n_entries || !array.writeable() ||
        reinterpret_cast<uintptr_t>(array.data()) % alignof(uint64_t) != 0)
        throw py::value_error("counts must be a writable, contiguous uint64 array of " + std::to_string(n_entries) +
                              " numbers");
    return static_cast<uint64_t*>(array.mutable_data());
}

// ---------------------------------------------------------------- the functions

py::tuple match(const Matcher& matcher, const py::list& texts, const py::object& counts) {
    uint64_t* count = counts_of(counts, matcher.n_entries());
    const Texts read = read_texts(texts, false, PADDING);
    Results results;
    {
        py::gil_scoped_release unlocked;
        matcher.match(read.bytes.get(), read.offsets.data(), read.size(), results, count);
    }
    return arrays_of(std::move(results));
}

std::vector<int64_t> checked_offsets(const py::array& given, size_t size) {
    if (!py::isinstance<py::array_t<int64_t>>(given) || given.ndim() != 1 || given.shape(0) == 0)
        throw py::value_error("offsets must be an int64 array of one number or more");
    auto array = py::array_t<int64_t>(py::reinterpret_borrow<py::object>(given));
    std::vector<int64_t> offsets(array.data(), array.data() + array.size());    // nobody changes the copy
    int64_t before = 0;
    for (int64_t offset : offsets) {
        if (offset < before) throw py::value_error("offsets must ascend from 0 or more");
        before = offset;
    }
    if (static_cast<uint64_t>(before) > size) throw py::value_error("offsets reach past the end of the data");
    return offsets;
}

// The data is not copied, except texts so near its end that whole blocks of them would reach past it.
py::tuple match_buffer(const Matcher& matcher, const py::buffer& data, const py::array& given,
                       const py::object& counts) {
    uint64_t* count = counts_of(counts, matcher.n_entries());
    const BytesView view(data);
    const Byte* bytes = view.data();
    const size_t size = view.size();
    std::vector<int64_t> offsets = checked_offsets(given, size);
    Results results;
    {
        py::gil_scoped_release unlocked;
        const size_t n = offsets.size() - 1;
        size_t n_safe = n;
        while (n_safe > 0 && static_cast<size_t>(offsets[n_safe]) + PADDING > size) n_safe--;
        if (n_safe > 0) matcher.match(bytes, offsets.data(), n_safe, results, count);
        if (n_safe < n) {
            const int64_t begin = offsets[n_safe];
            std::vector<Byte> tail(bytes + begin, bytes + offsets[n]);
            tail.resize(tail.size() + PADDING);
            for (size_t i = n_safe; i <= n; i++) offsets[i] -= begin;
            matcher.match(tail.data(), offsets.data() + n_safe, n - n_safe, results, count);
        }
    }
    return arrays_of(std::move(results));
}

// ---------------------------------------------------------------- over columns of texts

py::tuple match_of_languages(const std::vector<const Matcher*>& matchers, const StringOffsets& which, const StringData& data,
                             const StringOffsets& offsets) {
    const Strings texts = strings_of(data, offsets);
    if (which.ndim() != 1 || static_cast<size_t>(which.size()) != texts.n)
        throw py::value_error("there must be a number of a matcher for each text");
    Results results;
    {
        py::gil_scoped_release unlocked;
        results = match_languages(matchers, which.data(), texts);
    }
    return arrays_of(std::move(results));
}

py::array_t<bool> may_not_be_nfc(const StringData& data, const StringOffsets& offsets, const StringData& classes) {
    const Strings texts = strings_of(data, offsets);
    const NormalFormTable table{classes.data(), static_cast<size_t>(classes.size())};
    py::array_t<bool> found(static_cast<py::ssize_t>(texts.n));
    bool* out = found.mutable_data();
    {
        py::gil_scoped_release unlocked;
        for (size_t k = 0; k < texts.n; k++) out[k] = !is_surely_nfc(texts[k], table);
    }
    return found;
}

// ---------------------------------------------------------------- building

// None: as published; else a bitmap, which the caller keeps in memory.
Punctuation punctuation_of(const py::object& bitmap) {
    if (bitmap.is_none()) return {};
    if (!py::isinstance<py::bytes>(bitmap) || py::len(bitmap) != Punctuation::BITMAP_BYTES)
        throw py::value_error("punctuation must be None, or bytes of one bit per code point: " +
                              std::to_string(Punctuation::BITMAP_BYTES));
    return Punctuation(reinterpret_cast<const Byte*>(PyBytes_AS_STRING(bitmap.ptr())));
}

void build(const py::list& spaced, const py::object& path, const py::bytes& key, const py::object& ids,
           const py::object& punctuation) {
    const std::string name = bytes_of_path(path);
    const std::string key_bytes = key;
    if (key_bytes.size() > KEY_SIZE) throw py::value_error("key must have at most 64 bytes");
    std::vector<uint32_t> id_of;
    if (!ids.is_none()) {
        for (py::handle id : ids) id_of.push_back(py::cast<uint32_t>(id));
        if (id_of.size() != spaced.size()) throw py::value_error("ids and forms differ in number");
    }
    const Texts forms = read_texts(spaced, true);
    std::vector<Entry> entries(forms.size());
    uint64_t n_entries = 0;
    for (size_t i = 0; i < entries.size(); i++) {
        entries[i] = {forms[i], id_of.empty() ? static_cast<uint32_t>(i) : id_of[i]};
        n_entries = std::max(n_entries, entries[i].id + uint64_t{1});
        if (forms[i].size() >= NONE) throw py::value_error("an entry of 4 GB or more");
        if (forms[i].find('\xFF') != std::string_view::npos)    // the byte that fills up short words in the tables
            throw py::value_error("entry " + std::to_string(i) + " is not UTF-8");
    }
    if (n_entries > MOST_ENTRIES) throw py::value_error("too many entries");
    const Punctuation set_apart = punctuation_of(punctuation);
    py::gil_scoped_release unlocked;
    write_matcher(entries, static_cast<uint32_t>(n_entries), key_bytes, name, set_apart);
}

}  // namespace

void bind_matcher(py::module_& module);

void bind_matcher(py::module_& module) {
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const Damaged& error) {
            PyErr_SetString(PyExc_ValueError, error.what());
        }
    });

    module.def("build_matcher", &build, py::arg("spaced"), py::arg("path"), py::arg("key") = py::bytes(),
               py::arg("ids") = py::none(), py::arg("punctuation") = py::none(),
               "Write the compiled matcher of entries, given in their spaced form (str, or UTF-8 bytes).\n\n"
               "`key` (at most 64 bytes) is kept in the file. `ids` are 0, 1, 2 ... unless given. `punctuation`: the\n"
               "characters that texts are set apart at, as bytes of one bit per code point; None: as published. The\n"
               "file does not say which, so the key should.");

    py::class_<Matcher>(module, "Matcher", "A compiled matcher, opened read-only; for any number of threads.")
        .def(py::init([](const py::object& path, const py::object& punctuation) {
                 return std::make_unique<Matcher>(bytes_of_path(path), punctuation_of(punctuation));
             }),
             py::arg("path"), py::arg("punctuation") = py::none(), py::keep_alive<1, 3>(),
             "punctuation: that with which the file was written.")
        .def_property_readonly("n_entries", &Matcher::n_entries, "Ids are below this number.")
        .def_property_readonly(
            "key", [](const Matcher& matcher) { return py::bytes(matcher.key().data(), matcher.key().size()); },
            "What the builder of the file gave as its key.")
        .def("verify", &Matcher::verify, py::call_guard<py::gil_scoped_release>(),
             "Read the whole file; raises ValueError where it is damaged.")
        .def("match", &match, py::arg("texts"), py::arg("counts") = py::none(),
             "(offsets int64 (n+1,), ids uint32): the entries in each of n texts, ascending and unique per text.\n\n"
             "Texts are raw: spacing is done here. Each number of `counts` (uint64, one per entry) grows by the\n"
             "number of texts that hold the entry.")
        .def("match_buffer", &match_buffer, py::arg("data"), py::arg("offsets"), py::arg("counts") = py::none(),
             "match() for UTF-8 texts in one buffer: text i is data[offsets[i]:offsets[i + 1]].");

    module.def("match_languages", &match_of_languages, py::arg("matchers"), py::arg("which"), py::arg("data"),
               py::arg("offsets"),
               "match_buffer() for texts of several languages: text i goes to matchers[which[i]].\n\n"
               "A matcher that no text goes to may be None.");
    module.def("may_not_be_nfc", &may_not_be_nfc, py::arg("data"), py::arg("offsets"), py::arg("classes"),
               "bool (n,): which UTF-8 texts may not be in NFC; see mc2.metadata.normal_form.");
}
