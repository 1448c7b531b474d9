// Texts are cleaned as mc2.stages.cleaning.clean cleans them, without a read or write outside of them. Python runs in the
// process of the target, and is the oracle.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "text/clean.hpp"

namespace {

// What URLs, names of files, capitals and Han characters are made of: an input byte stands for one of these.
const std::vector<std::string_view> pieces = {
    "http://", "HTTPS://", "http\u017F://", "ftp://", "www.", "WWW.", "w", ".", "..", ".jpg", ".JPEG", ".tiff", ".tif",
    ".htm", "html", ".mp4", "x", ")", "(", "%", "-", "_", " ", "  ", "\t", "\n", "\u0085", "\u2028", "\u3000", "\u00A0",
    "\u1680", "\x1C", "A", "B", "NASA", "VOX", "z", "\u00E9", "\u00C9", "\u00DF", "\u0130", "\u0131", "\u017F", "\u212A",
    "\u732B", "\U00020000", "\uF900", "\u30AB", "\u0436", "\u0416", "\u13A0", "\uAB70", "\u01C5", "\u2167", "\u24B6",
    "\u00AA", "7", "20x30cm", ":", ":/", "&", "\u10D0", "\u1C90", "\uD55C", "\U0001F389", "\u0301", ","};

PyObject* definition() {
    Py_Initialize();
    PyObject* module = PyImport_ImportModule("mc2.stages.cleaning");
    PyObject* clean = module == nullptr ? nullptr : PyObject_GetAttrString(module, "clean");
    if (clean == nullptr) {
        PyErr_Print();
        std::abort();
    }
    return clean;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static PyObject* const clean = definition();
    std::string joined;
    for (size_t i = 0; i < size && i < 200; i++) joined += pieces[bytes[i] % pieces.size()];
    const std::vector<char> text(joined.begin(), joined.end());         // its memory ends with it
    mc2::Cleaner cleaner;
    std::vector<char> cleaned;
    if (!cleaner.clean({text.data(), text.size()}, cleaned)) return 0;   // left to Python
    PyObject* answer = PyObject_CallFunction(clean, "s#", joined.data(), static_cast<Py_ssize_t>(joined.size()));
    Py_ssize_t length = 0;
    const char* expected = answer == nullptr ? nullptr : PyUnicode_AsUTF8AndSize(answer, &length);
    if (expected == nullptr) PyErr_Print();
    if (expected == nullptr || std::string_view(expected, static_cast<size_t>(length)) !=
                                   std::string_view(cleaned.data(), cleaned.size())) {
        std::fprintf(stderr, "cleaned otherwise: %.*s\n", static_cast<int>(joined.size()), joined.data());
        std::abort();
    }
    Py_DECREF(answer);
    return 0;
}
