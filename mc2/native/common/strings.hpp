// A column of strings in UTF-8, as Python's mc2.pairs.batch.Strings holds it: all bytes one after the other, and the
// offsets at which each string begins and ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mc2 {

// A view: string k is bytes [offsets[k], offsets[k + 1]).
struct Strings {
    const uint8_t* bytes = nullptr;
    const int64_t* offsets = nullptr;
    size_t n = 0;

    std::string_view operator[](size_t k) const {
        return {reinterpret_cast<const char*>(bytes) + offsets[k], static_cast<size_t>(offsets[k + 1] - offsets[k])};
    }
};

// Whether n + 1 offsets ascend from 0 or more, and end within `size`.
inline bool are_offsets(const int64_t* offsets, size_t n, size_t size) {
    bool ascend = offsets[0] >= 0;
    for (size_t k = 0; k < n; k++) ascend &= offsets[k] <= offsets[k + 1];
    return ascend && static_cast<uint64_t>(offsets[n]) <= size;
}

}  // namespace mc2
