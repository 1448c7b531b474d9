// Results for Python, without copying them.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <utility>
#include <vector>

namespace mc2 {

// An array that owns the vector's memory.
template <class Element>
pybind11::array_t<Element> array_of(std::vector<Element>&& elements) {
    auto owned = std::make_unique<std::vector<Element>>(std::move(elements));
    auto* vector = owned.get();
    pybind11::capsule owner(vector, [](void* p) { delete static_cast<std::vector<Element>*>(p); });
    (void)owned.release();
    return pybind11::array_t<Element>(static_cast<pybind11::ssize_t>(vector->size()), vector->data(), owner);
}

}  // namespace mc2
