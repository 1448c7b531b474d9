// Texts, buffers and paths of Python, by the C API of CPython.
#include "common/from_python.hpp"

#include <algorithm>

namespace py = pybind11;

namespace mc2 {
namespace {

// The most bytes that the UTF-8 of a string can have; the true number is known only once it is made.
size_t most_bytes(PyObject* text) {
    const size_t n = static_cast<size_t>(PyUnicode_GET_LENGTH(text));
    const int width = PyUnicode_KIND(text);         // bytes of a character as Python holds it: 1, 2 or 4
    return PyUnicode_IS_ASCII(text) ? n : n * (width == 4 ? 4 : static_cast<size_t>(width) + 1);
}

uint8_t* copy(const void* bytes, Py_ssize_t size, uint8_t* out) {
    return std::copy_n(static_cast<const uint8_t*>(bytes), size, out);
}

// Write the UTF-8 of a str, or bytes as they are; returns the end.
uint8_t* put(PyObject* text, uint8_t* out) {
    if (PyBytes_Check(text)) return copy(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), out);
    if (PyUnicode_IS_ASCII(text)) return copy(PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), out);
    PyObject* encoded = PyUnicode_AsEncodedString(text, nullptr, "surrogatepass");      // nullptr: in UTF-8
    if (encoded == nullptr) throw py::error_already_set();
    out = copy(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), out);
    Py_DECREF(encoded);
    return out;
}

}  // namespace

Texts read_texts(const py::list& list, bool may_be_bytes, size_t padding) {
    const size_t n = list.size();                   // no Python code runs meanwhile that could change the list
    size_t most = padding;
    for (size_t i = 0; i < n; i++) {
        PyObject* text = PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i));
        if (PyUnicode_Check(text)) most += most_bytes(text);
        else if (may_be_bytes && PyBytes_Check(text)) most += static_cast<size_t>(PyBytes_GET_SIZE(text));
        else throw py::type_error(std::string(may_be_bytes ? "expected str or bytes, not " : "expected str, not ") +
                                  Py_TYPE(text)->tp_name);
    }
    Texts texts;
    texts.bytes.reset(new uint8_t[most]);           // not set to zero: memory that is never written is never taken
    texts.offsets.reserve(n + 1);
    uint8_t* out = texts.bytes.get();
    for (size_t i = 0; i < n; i++) {
        out = put(PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i)), out);
        texts.offsets.push_back(out - texts.bytes.get());
    }
    std::fill_n(out, padding, uint8_t{0});
    return texts;
}

Strings strings_of(const StringData& data, const StringOffsets& offsets) {
    if (data.ndim() != 1 || offsets.ndim() != 1 || offsets.size() == 0)
        throw py::value_error("a column needs an array of bytes, and offsets: one more than it has strings");
    const size_t n = static_cast<size_t>(offsets.size()) - 1;
    if (!are_offsets(offsets.data(), n, static_cast<size_t>(data.size())))
        throw py::value_error("offsets must ascend from 0 or more, and end within the data");
    return {data.data(), offsets.data(), n};
}

BytesView::BytesView(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
}

std::string bytes_of_path(const py::object& path) {
    return py::cast<std::string>(py::module_::import("os").attr("fsencode")(path));
}

}  // namespace mc2
