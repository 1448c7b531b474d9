// What Python calls to compare the signatures of images.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "common/to_python.hpp"
#include "dedup/nearest.hpp"

namespace py = pybind11;

using namespace mc2;

namespace {

using Signatures = py::array_t<uint64_t, py::array::c_style>;

py::tuple nearest_signatures(const Signatures& queries, const Signatures& searched, uint32_t k) {
    if (queries.ndim() != 1 || searched.ndim() != 1) throw py::value_error("signatures are arrays of one dimension");
    if (k > NearestSignatures::most_bits) throw py::value_error("k is 15 at most");
    if (static_cast<uint64_t>(searched.size()) > UINT32_MAX) throw py::value_error("too many signatures to search");
    const auto n = static_cast<size_t>(queries.size());
    std::vector<uint8_t> distances(n);
    std::vector<uint32_t> rows(n);
    {
        const py::gil_scoped_release unlocked;
        NearestSignatures::find(queries.data(), n, searched.data(), static_cast<size_t>(searched.size()), k,
                                distances.data(), rows.data());
    }
    return py::make_tuple(array_of(std::move(distances)), array_of(std::move(rows)));
}

}  // namespace

void bind_dedup(py::module_& module);

void bind_dedup(py::module_& module) {
    module.def("nearest_signatures", &nearest_signatures, py::arg("queries"), py::arg("searched"), py::arg("k"), R"(
(distances uint8 (n,), rows uint32 (n,)): for each query the smallest number of bits in which one of the searched signatures
differs from it, and the first that has it; 255 and 0 where all differ in more than k bits. uint64 (n,) and (m,).)");
}
