// The Python module mc2._native: matching and language identification.
#include <pybind11/pybind11.h>

void bind_matcher(pybind11::module_& module);
void bind_fasttext(pybind11::module_& module);

PYBIND11_MODULE(_native, module) {
    module.doc() = "The native core of mc2: Matcher and build_matcher, LidModel.";
    bind_matcher(module);
    bind_fasttext(module);
}
