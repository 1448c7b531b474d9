// Whether bytes are UTF-8 as Python and JSON want it: no overlong form, no surrogate, nothing above U+10FFFF.
//
// With AVX2, 32 bytes are looked at in one step. What can be wrong with two bytes in a row shows in three half bytes:
// both halves of the first, and the upper half of the second. For each of them a table of 16 says, one bit per fault,
// whether it can be part of that fault; a fault is there where all three tables say so. (J. Keiser and D. Lemire,
// "Validating UTF-8 In Less Than One Instruction Per Byte", 2021.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/cpu.hpp"
#include "common/strings.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2 {

// ---------------------------------------------------------------- character by character

// The bytes of the character that begins at p, of at most `left` bytes; 0 where there is none.
inline size_t utf8_character(const uint8_t* p, size_t left) {
    const auto continues = [&](size_t i) { return i < left && (p[i] & 0xC0) == 0x80; };
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2) return 0;                              // a byte that continues, or an overlong form
    if (p[0] < 0xE0) return continues(1) ? 2 : 0;
    if (p[0] < 0xF0) {
        if (!continues(1) || !continues(2)) return 0;
        if (p[0] == 0xE0 && p[1] < 0xA0) return 0;          // overlong
        if (p[0] == 0xED && p[1] >= 0xA0) return 0;         // a surrogate
        return 3;
    }
    if (p[0] > 0xF4 || !continues(1) || !continues(2) || !continues(3)) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;              // overlong
    if (p[0] == 0xF4 && p[1] >= 0x90) return 0;             // above U+10FFFF
    return 4;
}

inline bool is_utf8_scalar(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size;) {
        uint64_t eight;
        if (size - i >= sizeof eight) {
            std::memcpy(&eight, bytes + i, sizeof eight);
            if ((eight & 0x8080808080808080) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        const size_t width = utf8_character(bytes + i, size - i);
        if (width == 0) return false;
        i += width;
    }
    return true;
}

// ---------------------------------------------------------------- 32 bytes at a time

#if MC2_X86_64
namespace utf8 {

// Sets of half bytes, one bit per value.
constexpr unsigned ascii = 0x00FF, continuing = 0x0F00, leading = 0xF000, any = 0xFFFF;

// A fault of two bytes in a row.
struct Fault {
    unsigned upper, lower;      // halves of the first byte
    unsigned next;              // the upper half of the second
};

constexpr Fault faults[8] = {
    {leading, any, ascii | leading},            // a character that ends too early
    {ascii, any, continuing},                   // a byte that continues nothing
    {1 << 0xC, 0x0003, continuing},             // C0, C1: overlong forms of ASCII
    {1 << 0xE, 0x0001, 0x0300},                 // E0 80-9F: overlong
    {1 << 0xE, 1 << 0xD, 0x0C00},               // ED A0-BF: surrogates
    {1 << 0xF, 0xFFE1, 0x0100},                 // F0 80-8F: overlong; F5-FF 80-8F: above U+10FFFF
    {1 << 0xF, 0xFFF0, 0x0E00},                 // F4-FF 90-BF: above U+10FFFF
    {continuing, any, continuing},              // a fault unless it is the third or fourth byte of a character
};
constexpr char two_continuing = static_cast<char>(0x80);        // the bit of the last fault

struct Tables {
    alignas(16) uint8_t upper[16]{}, lower[16]{}, next[16]{};
};

constexpr Tables make_tables() {
    Tables tables;
    for (unsigned fault = 0; fault < 8; fault++)
        for (unsigned half = 0; half < 16; half++) {
            const unsigned bit = 1u << fault;
            if (faults[fault].upper >> half & 1) tables.upper[half] = static_cast<uint8_t>(tables.upper[half] | bit);
            if (faults[fault].lower >> half & 1) tables.lower[half] = static_cast<uint8_t>(tables.lower[half] | bit);
            if (faults[fault].next >> half & 1) tables.next[half] = static_cast<uint8_t>(tables.next[half] | bit);
        }
    return tables;
}

inline constexpr Tables tables = make_tables();

MC2_AVX2 inline __m256i look_up(const uint8_t (&table)[16], __m256i halves) {
    const __m256i both = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    return _mm256_shuffle_epi8(both, halves);
}

// The bytes that lie `distance` before those of `block`; `before`: the 32 bytes before it.
template <int distance>
MC2_AVX2 inline __m256i shifted(__m256i block, __m256i before) {
    return _mm256_alignr_epi8(block, _mm256_permute2x128_si256(before, block, 0x21), 16 - distance);
}

MC2_AVX2 inline __m256i lower_halves(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F)); }
MC2_AVX2 inline __m256i upper_halves(__m256i bytes) { return lower_halves(_mm256_srli_epi16(bytes, 4)); }

// Not zero where a byte of `block` makes a fault with the bytes before it.
MC2_AVX2 inline __m256i faults_of(__m256i block, __m256i before) {
    const __m256i one = shifted<1>(block, before), two = shifted<2>(block, before), three = shifted<3>(block, before);
    const __m256i first = _mm256_and_si256(look_up(tables.upper, upper_halves(one)),
                                           look_up(tables.lower, lower_halves(one)));
    const __m256i found = _mm256_and_si256(first, look_up(tables.next, upper_halves(block)));
    // The top bit: the byte has to be the third or fourth of a character that began with E0 or more, F0 or more.
    const __m256i third = _mm256_subs_epu8(two, _mm256_set1_epi8(0xE0 - 0x80));
    const __m256i fourth = _mm256_subs_epu8(three, _mm256_set1_epi8(0xF0 - 0x80));
    const __m256i expected = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(two_continuing));
    return _mm256_xor_si256(found, expected);
}

// Look at the next 32 bytes. wrong: not zero once there was a fault.
MC2_AVX2 inline void check(const uint8_t* bytes, __m256i& before, __m256i& wrong) {
    const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    if (_mm256_movemask_epi8(_mm256_or_si256(block, before)) != 0)              // ASCII after ASCII needs no look
        wrong = _mm256_or_si256(wrong, faults_of(block, before));
    before = block;
}

}  // namespace utf8

MC2_AVX2 inline bool is_utf8_avx2(const uint8_t* bytes, size_t size) {
    __m256i before = _mm256_setzero_si256(), wrong = _mm256_setzero_si256();
    size_t i = 0;
    for (; size - i >= 32; i += 32) utf8::check(bytes + i, before, wrong);
    uint8_t rest[64] = {};                      // zeros follow, so that a character that is cut off is noticed
    if (size > i) std::memcpy(rest, bytes + i, size - i);
    utf8::check(rest, before, wrong);
    utf8::check(rest + 32, before, wrong);
    return _mm256_testz_si256(wrong, wrong) != 0;
}
#endif

inline bool is_utf8(const char* text, size_t size) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(text);
#if MC2_X86_64
    if (has_avx2()) return is_utf8_avx2(bytes, size);
#endif
    return is_utf8_scalar(bytes, size);
}

// Whether each string of a column is UTF-8: all bytes together are, and no string begins within a character.
inline bool are_utf8(const Strings& strings) {
    const int64_t first = strings.offsets[0], last = strings.offsets[strings.n];
    if (!is_utf8(reinterpret_cast<const char*>(strings.bytes) + first, static_cast<size_t>(last - first))) return false;
    bool good = true;
    for (size_t k = 1; k < strings.n; k++)
        good &= strings.offsets[k] == last || (strings.bytes[strings.offsets[k]] & 0xC0) != 0x80;
    return good;
}

}  // namespace mc2
