// The Python module mc2._native: lines of pairs, language identification, matching, counting, sampling, signatures.
#include <pybind11/pybind11.h>

#include <cerrno>
#include <exception>

#include "common/files.hpp"

namespace py = pybind11;

void bind_matcher(py::module_& module);
void bind_lid(py::module_& module);
void bind_text(py::module_& module);
void bind_pairs(py::module_& module);
void bind_balance(py::module_& module);
void bind_dedup(py::module_& module);

namespace {

void raise_os_error(std::exception_ptr thrown) {
    try {
        if (thrown) std::rethrow_exception(thrown);
    } catch (const mc2::FileError& error) {
        const py::object path = py::module_::import("os").attr("fsdecode")(py::bytes(error.path));
        errno = error.code().value();
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
    }
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "The native core of mc2: Matcher and build_matcher, LidModel, scan_lines and splice_lines.";
    py::register_exception_translator(&raise_os_error);
    bind_matcher(module);
    bind_lid(module);
    bind_text(module);
    bind_pairs(module);
    bind_balance(module);
    bind_dedup(module);
}
