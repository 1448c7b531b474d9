// Characters of texts that are known to be UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mc2 {

// Bytes of a character, by its first byte.
inline size_t width_of(unsigned char first) { return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4; }

// The code point that begins at p, which goes on to the next character.
inline uint32_t decode(const unsigned char*& p) {
    const uint32_t first = *p;
    const auto low = [p](int i) { return p[i] & 0x3Fu; };
    uint32_t c;
    switch (width_of(*p)) {
        case 1: c = first; p += 1; break;
        case 2: c = (first & 0x1Fu) << 6 | low(1); p += 2; break;
        case 3: c = (first & 0x0Fu) << 12 | low(1) << 6 | low(2); p += 3; break;
        default: c = (first & 0x07u) << 18 | low(1) << 12 | low(2) << 6 | low(3); p += 4; break;
    }
    return c;
}

}  // namespace mc2
