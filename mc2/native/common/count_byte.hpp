// How often a byte occurs, 16 bytes at a time in the vectors of GCC and Clang, which every architecture has some form of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mc2 {

inline size_t count_byte(const char* bytes, size_t size, char wanted) {
    typedef uint8_t Vector __attribute__((vector_size(16)));
    size_t count = 0, i = 0;
    while (size - i >= sizeof(Vector)) {
        const size_t vectors = std::min<size_t>((size - i) / sizeof(Vector), 255);     // what a byte can count
        Vector counts{};
        for (size_t v = 0; v < vectors; v++, i += sizeof(Vector)) {
            Vector vector;
            std::memcpy(&vector, bytes + i, sizeof vector);
            counts -= reinterpret_cast<Vector>(vector == static_cast<uint8_t>(wanted));      // -1 where it is the byte
        }
        for (size_t lane = 0; lane < sizeof(Vector); lane++) count += counts[lane];
    }
    return count + static_cast<size_t>(std::count(bytes + i, bytes + size, wanted));
}

}  // namespace mc2
