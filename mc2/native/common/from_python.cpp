// Texts, buffers and paths of Python, by the C API of CPython.
#include "common/from_python.hpp"

namespace py = pybind11;

namespace mc2 {
namespace {

// The most bytes that UTF-8 needs for a string; the true number is known only once it is made.
size_t most_bytes(PyObject* text) {
    const size_t n = static_cast<size_t>(PyUnicode_GET_LENGTH(text));
    const int width = PyUnicode_KIND(text);         // bytes of a character as Python holds it: 1, 2 or 4
    return PyUnicode_IS_ASCII(text) ? n : n * (width == 4 ? 4 : static_cast<size_t>(width) + 1);
}

// A bytes object with the UTF-8 of a string that is not ASCII.
py::object encoded(PyObject* text, LoneSurrogates surrogates) {
    PyObject* bytes = PyUnicode_AsUTF8String(text);
    if (bytes == nullptr && surrogates == LoneSurrogates::as_three_bytes &&
        PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    }
    if (bytes == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(bytes);
}

}  // namespace

Texts read_texts(const py::list& list, LoneSurrogates surrogates, bool may_be_bytes, size_t padding) {
    const py::tuple items(list);                    // code that runs meanwhile may change the list, not this copy
    size_t most = padding;
    for (const py::handle item : items) {
        PyObject* text = item.ptr();
        if (PyUnicode_Check(text)) most += most_bytes(text);
        else if (may_be_bytes && PyBytes_Check(text)) most += static_cast<size_t>(PyBytes_GET_SIZE(text));
        else throw py::type_error(std::string(may_be_bytes ? "expected str or bytes, not " : "expected str, not ") +
                                  Py_TYPE(text)->tp_name);
    }
    Texts texts;
    texts.bytes.reserve(most);                      // memory that is never written to is never taken
    texts.offsets.reserve(items.size() + 1);
    const auto append = [&](const void* data, Py_ssize_t size) {
        const uint8_t* bytes = static_cast<const uint8_t*>(data);
        texts.bytes.insert(texts.bytes.end(), bytes, bytes + size);
        texts.offsets.push_back(static_cast<int64_t>(texts.bytes.size()));
    };
    for (const py::handle item : items) {
        PyObject* text = item.ptr();
        if (PyBytes_Check(text)) {
            append(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
        } else if (PyUnicode_IS_ASCII(text)) {
            append(PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text));
        } else {
            const py::object bytes = encoded(text, surrogates);
            append(PyBytes_AS_STRING(bytes.ptr()), PyBytes_GET_SIZE(bytes.ptr()));
        }
    }
    texts.bytes.resize(texts.bytes.size() + padding);
    return texts;
}

BytesView::BytesView(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
}

std::string bytes_of_path(const py::object& path) {
    return py::cast<std::string>(py::module_::import("os").attr("fsencode")(path));
}

}  // namespace mc2
