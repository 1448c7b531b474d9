// Looks strings up in ordered rows of bytes of one width, filled up with zeros, as NumPy has them in arrays of bytes.
//
// Binary search waits for memory at almost every step. So several strings are searched for side by side: what one of
// them waits for arrives while the steps of the others are taken.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/strings.hpp"

namespace mc2::pairs {

struct OrderedRows {
    const uint8_t* bytes = nullptr;
    size_t n = 0, width = 0;

    const uint8_t* row(size_t number) const { return bytes + number * width; }
};

// found[k]: whether string k is a row. A string that ends in zero is none, since a row does not tell it from a shorter one.
inline void find_in_rows(const OrderedRows& rows, const mc2::Strings& strings, bool* found) {
    constexpr size_t most = 16;                                     // strings that are searched for side by side
    std::vector<uint8_t> keys(most * rows.width);
    std::array<size_t, most> string_of{}, first{};
    size_t group = 0;

    const auto search = [&] {
        for (size_t left = rows.n; left > 1;) {
            const size_t half = left / 2;
            for (size_t i = 0; i < group; i++) {
                const uint8_t* row = rows.row(first[i] + half - 1);
                const bool is_before = std::memcmp(row, &keys[i * rows.width], rows.width) < 0;
                first[i] += is_before ? half : 0;
                __builtin_prefetch(rows.row(first[i] + (left - half) / 2));
            }
            left -= half;
        }
        for (size_t i = 0; i < group; i++)
            found[string_of[i]] = std::memcmp(rows.row(first[i]), &keys[i * rows.width], rows.width) == 0;
        group = 0;
    };

    for (size_t k = 0; k < strings.n; k++) {
        const std::string_view string = strings[k];
        found[k] = false;
        if (rows.n == 0 || string.size() > rows.width || string.empty() || string.back() == '\0') continue;
        uint8_t* key = &keys[group * rows.width];
        std::fill(std::copy(string.begin(), string.end(), key), key + rows.width, uint8_t{0});
        string_of[group] = k;
        first[group++] = 0;
        if (group == most) search();
    }
    if (group > 0) search();
}

}  // namespace mc2::pairs
