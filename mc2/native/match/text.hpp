// Texts as bytes: stripping white space, finding where words end, and the spaced form.
//
// A text is matched in its spaced form: stripped, with a space before it and after it, spaces around each punctuation
// character (punctuation.hpp), and a space for each tab, line feed and carriage return. Seen as words, the spaced form
// is " " + " ".join(words) + " ": a word ends at every break (a space of any of the four kinds, or punctuation), and a
// punctuation character is a word of its own. "a,b." has the words "a" "," "b" "." and "": a text that ends in
// punctuation has two spaces after it, and the empty word between them.
//
// All texts are UTF-8 (a lone surrogate in three bytes, as Python's "surrogatepass" encodes it). Spaces are ASCII, and
// an ASCII byte is never part of another character. So nothing is decoded here, except characters of which the
// first byte says that they may be punctuation. Bytes that are not UTF-8 give some result, and do no harm.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/cpu.hpp"
#include "match/punctuation.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2 {

// The caller makes sure that so many bytes can be read past the end of the texts: blocks are read whole.
constexpr size_t PADDING = 64;

// ---------------------------------------------------------------- stripping, as str.strip() does

// Whether a three-byte character is white space to Python.
inline bool is_white_3(const Byte* p) {
    switch (p[0]) {
        case 0xE1: return p[1] == 0x9A && p[2] == 0x80;                                 // U+1680
        case 0xE2: return (p[1] == 0x80 && (p[2] <= 0x8A || p[2] == 0xA8 ||             // U+2000-200A, 2028,
                                            p[2] == 0xA9 || p[2] == 0xAF)) ||           // 2029, 202F
                          (p[1] == 0x81 && p[2] == 0x9F);                               // U+205F
        case 0xE3: return p[1] == 0x80 && p[2] == 0x80;                                 // U+3000
        default: return false;
    }
}

// Whether a two-byte character is white space to Python: U+0085 and U+00A0.
inline bool is_white_2(const Byte* p) { return p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0); }

inline bool is_white_1(Byte byte) {
    return byte == ' ' || (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x1F);
}

// Bytes of the white-space character that begins at `p`; 0 when there is none.
inline size_t white_space_at(const Byte* p, const Byte* end) {
    if (p == end) return 0;
    if (p[0] < 0x80) return is_white_1(p[0]) ? 1 : 0;
    if (end - p >= 2 && is_white_2(p)) return 2;
    if (end - p >= 3 && is_white_3(p)) return 3;
    return 0;
}

// Bytes of the white-space character that ends before `end`; 0 when there is none.
inline size_t white_space_before(const Byte* begin, const Byte* end) {
    if (begin == end) return 0;
    if (end[-1] < 0x80) return is_white_1(end[-1]) ? 1 : 0;
    if (end - begin >= 2 && is_white_2(end - 2)) return 2;
    if (end - begin >= 3 && is_white_3(end - 3)) return 3;
    return 0;
}

inline void strip(const Byte*& begin, const Byte*& end) {
    while (size_t width = white_space_at(begin, end)) begin += width;
    while (size_t width = white_space_before(begin, end)) end -= width;
}

// ---------------------------------------------------------------- where the breaks are

// What 64 consecutive bytes are, one bit per byte, the first byte lowest.
struct Block {
    uint64_t breaks;        // a word ends at this byte
    uint64_t punctuation;   // ... and here begins a character that is a word of its own
    uint64_t wanted;        // the byte is in the set that was asked for
};

constexpr size_t BLOCK_BYTES = 64;

// Describe `n_blocks` blocks of 64 bytes each; of punctuation that of one byte.
inline void describe_scalar(const Byte* bytes, size_t n_blocks, const Punctuation& punctuation, const ByteSet& wanted,
                            Block* blocks) {
    std::array<Byte, 256> kinds;
    for (size_t byte = 0; byte < 256; byte++) {
        const Byte value = static_cast<Byte>(byte);
        kinds[byte] = static_cast<Byte>(punctuation.breaks().has(value) | punctuation.ascii().has(value) << 1 |
                                        wanted.has(value) << 2);
    }
    for (size_t i = 0; i < n_blocks; i++) {
        Block block{0, 0, 0};
        for (size_t bit = 0; bit < BLOCK_BYTES; bit++) {
            const uint64_t kind = kinds[bytes[i * BLOCK_BYTES + bit]];
            block.breaks |= (kind & 1) << bit;
            block.punctuation |= (kind >> 1 & 1) << bit;
            block.wanted |= (kind >> 2) << bit;
        }
        blocks[i] = block;
    }
}

// The bytes of a block that are in the set.
inline uint64_t members_scalar(const Byte* bytes, const ByteSet& set) {
    uint64_t members = 0;
    for (size_t bit = 0; bit < BLOCK_BYTES; bit++) members |= uint64_t{set.has(bytes[bit])} << bit;
    return members;
}

#if MC2_X86_64
MC2_AVX2 inline __m256i twice(const std::array<Byte, 16>& rows) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows.data())));
}

MC2_AVX2 inline uint64_t nonzero_bytes(__m256i bytes) {
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
}

// For 32 bytes, as ByteSet needs them: the row of each byte below 0x80 (pshufb gives 0 for the others), and the bit.
struct Halves {
    __m256i row, bit;
};

MC2_AVX2 inline Halves halves_of(const Byte* bytes) {
    const __m256i bit_of_high_half = twice({1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128});
    const __m256i low_half = _mm256_set1_epi8(0x0F), top_bit = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    return {_mm256_and_si256(v, _mm256_or_si256(low_half, top_bit)),
            _mm256_shuffle_epi8(bit_of_high_half, _mm256_and_si256(_mm256_srli_epi16(v, 4), low_half))};
}

// The row of each byte from 0x80 on, from that of the bytes below.
MC2_AVX2 inline __m256i row_from(__m256i row) {
    return _mm256_xor_si256(row, _mm256_set1_epi8(static_cast<char>(0x80)));
}

MC2_AVX2 inline void describe_avx2(const Byte* bytes, size_t n_blocks, const Punctuation& punctuation,
                                   const ByteSet& wanted, Block* blocks) {
    const __m256i breaks = twice(punctuation.breaks().rows_below), ascii = twice(punctuation.ascii().rows_below);
    const __m256i wanted_below = twice(wanted.rows_below), wanted_from = twice(wanted.rows_from);
    for (size_t i = 0; i < n_blocks; i++) {
        Block block{0, 0, 0};
        for (size_t half = 0; half < BLOCK_BYTES; half += 32) {
            const auto [row, bit] = halves_of(bytes + i * BLOCK_BYTES + half);
            const __m256i wanted_row = _mm256_or_si256(_mm256_shuffle_epi8(wanted_below, row),
                                                       _mm256_shuffle_epi8(wanted_from, row_from(row)));
            block.breaks |= nonzero_bytes(_mm256_and_si256(_mm256_shuffle_epi8(breaks, row), bit)) << half;
            block.punctuation |= nonzero_bytes(_mm256_and_si256(_mm256_shuffle_epi8(ascii, row), bit)) << half;
            block.wanted |= nonzero_bytes(_mm256_and_si256(wanted_row, bit)) << half;
        }
        blocks[i] = block;
    }
}

// The bytes of a block that are in the set, which has none below 0x80.
MC2_AVX2 inline uint64_t members_avx2(const Byte* bytes, const ByteSet& set) {
    const __m256i rows = twice(set.rows_from);
    uint64_t members = 0;
    for (size_t half = 0; half < BLOCK_BYTES; half += 32) {
        const auto [row, bit] = halves_of(bytes + half);
        members |= nonzero_bytes(_mm256_and_si256(_mm256_shuffle_epi8(rows, row_from(row)), bit)) << half;
    }
    return members;
}
#endif

// Mark the punctuation of more than one byte: look up every character whose first byte begins some of it.
inline void mark_beyond_ascii(const Byte* bytes, size_t size, const Punctuation& punctuation, Block* blocks) {
    auto* members = members_scalar;
#if MC2_X86_64
    if (has_avx2()) members = members_avx2;
#endif
    for (size_t first = 0; first < size; first += BLOCK_BYTES) {
        uint64_t found = 0, candidates = members(bytes + first, punctuation.first_bytes());
        for (; candidates != 0; candidates &= candidates - 1) {
            const size_t position = first + static_cast<size_t>(__builtin_ctzll(candidates));
            if (position < size && punctuation.at(bytes + position, bytes + size) != 0)
                found |= candidates & -candidates;
        }
        blocks[first / BLOCK_BYTES].breaks |= found;
        blocks[first / BLOCK_BYTES].punctuation |= found;
    }
}

// Describe all bytes of [bytes, bytes + size) in ceil(size / 64) blocks; reads at most PADDING bytes too many.
inline void describe(const Byte* bytes, size_t size, const Punctuation& punctuation, const ByteSet& wanted,
                     Block* blocks) {
    const size_t n_blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
#if MC2_X86_64
    if (has_avx2()) describe_avx2(bytes, n_blocks, punctuation, wanted, blocks);
    else
#endif
    describe_scalar(bytes, n_blocks, punctuation, wanted, blocks);
    if (punctuation.is_beyond_ascii()) mark_beyond_ascii(bytes, size, punctuation, blocks);
}

// The bits of block number `block` that belong to positions [from, to).
inline uint64_t bits_within(size_t block, size_t from, size_t to) {
    const size_t first = block * BLOCK_BYTES;
    uint64_t bits = ~uint64_t{0};
    if (from > first) bits &= ~uint64_t{0} << (from - first);               // from lies in this block
    if (to - first < BLOCK_BYTES) bits &= ~(~uint64_t{0} << (to - first));
    return bits;
}

// Call on_break(position, size, is_punctuation) for every break of [from, to), in order; size: its bytes.
// BEYOND_ASCII: whether there may be punctuation of more than one byte.
template <bool BEYOND_ASCII, class OnBreak>
inline void for_each_break(const Byte* bytes, const Block* blocks, size_t from, size_t to, OnBreak on_break) {
    for (size_t block = from / BLOCK_BYTES; block * BLOCK_BYTES < to; block++) {
        uint64_t breaks = blocks[block].breaks & bits_within(block, from, to);
        while (breaks != 0) {
            const int bit = __builtin_ctzll(breaks);
            const size_t position = block * BLOCK_BYTES + static_cast<size_t>(bit);
            size_t size = 1;        // not past the end, where bytes that are no UTF-8 might lead
            if constexpr (BEYOND_ASCII) size = std::min(width_of_character(bytes[position]), to - position);
            on_break(position, size, (blocks[block].punctuation >> bit & 1) != 0);
            breaks &= breaks - 1;
        }
    }
}

// Whether holds(position) for any wanted byte of [from, to).
template <class Holds>
inline bool any_wanted(const Block* blocks, size_t from, size_t to, Holds holds) {
    for (size_t block = from / BLOCK_BYTES; block * BLOCK_BYTES < to; block++) {
        uint64_t wanted = blocks[block].wanted & bits_within(block, from, to);
        for (; wanted != 0; wanted &= wanted - 1)
            if (holds(block * BLOCK_BYTES + static_cast<size_t>(__builtin_ctzll(wanted)))) return true;
    }
    return false;
}

// ---------------------------------------------------------------- the spaced form

// Bytes of memory that write_spaced needs for a text of `size` bytes: each may become three, and pieces are copied
// in whole blocks.
inline size_t spaced_capacity(size_t size) { return 3 * size + 2 + PADDING; }

// Write the spaced form of the stripped text at positions [from, to) of `bytes`; returns its end.
template <bool BEYOND_ASCII>
inline Byte* write_spaced(const Byte* bytes, const Block* blocks, size_t from, size_t to, Byte* out) {
    auto copy = [&](size_t begin, size_t end) {
        const size_t size = end - begin;
        if (size <= PADDING / 2) std::memcpy(out, bytes + begin, PADDING / 2);  // a fixed size is much faster
        else std::memcpy(out, bytes + begin, size);
        out += size;
    };
    size_t start = from;
    *out++ = ' ';
    for_each_break<BEYOND_ASCII>(bytes, blocks, from, to, [&](size_t position, size_t size, bool punctuation) {
        copy(start, position);
        *out++ = ' ';
        std::memcpy(out, bytes + position, BEYOND_ASCII ? 4 : 1);       // written in any case, kept if punctuation
        out[size] = ' ';
        out += punctuation ? size + 1 : 0;
        start = position + size;
    });
    copy(start, to);
    *out++ = ' ';
    return out;
}

}  // namespace mc2
