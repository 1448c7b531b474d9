// Texts as bytes: stripping white space, finding where words end, and the spaced form.
//
// A text is matched in its spaced form: stripped, with a space before it and after it, spaces around each of the
// punctuation characters , . ; : ? ! ` and a space for each tab, line feed and carriage return. Seen as words, the
// spaced form is " " + " ".join(words) + " ": a word ends at every break (a space of any of the four kinds, or
// punctuation), and a punctuation character is a word of its own. "a,b." has the words "a" "," "b" "." and "": a
// text that ends in punctuation has two spaces after it, and the empty word between them.
//
// All texts are UTF-8 (a lone surrogate in three bytes, as Python's "surrogatepass" encodes it). Breaks are ASCII,
// and an ASCII byte is never part of another character, so nothing is decoded here. Bytes that are not UTF-8 give
// some result, and do no harm.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/cpu.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2 {

using Byte = unsigned char;

// The caller makes sure that so many bytes can be read past the end of the texts: blocks are read whole.
constexpr size_t PADDING = 64;

constexpr bool is_punctuation(Byte byte) {
    return byte == ',' || byte == '.' || byte == ';' || byte == ':' || byte == '?' || byte == '!' || byte == '`';
}

constexpr bool is_space(Byte byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

constexpr bool is_break(Byte byte) { return is_space(byte) || is_punctuation(byte); }

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

// A set of byte values, as the instruction pshufb (which looks up 16 or 32 bytes at once in a table of 16) needs
// it: the low half of a byte chooses a row of the table, the high half a bit in that row. There are two tables, one
// for bytes below 0x80 and one for bytes from 0x80 on.
struct ByteSet {
    std::array<Byte, 16> rows_below{};
    std::array<Byte, 16> rows_from{};

    void add(Byte byte) {
        auto& rows = byte < 0x80 ? rows_below : rows_from;
        rows[byte & 15] = static_cast<Byte>(rows[byte & 15] | 1 << ((byte >> 4) & 7));
    }

    bool has(Byte byte) const {
        const auto& rows = byte < 0x80 ? rows_below : rows_from;
        return rows[byte & 15] >> ((byte >> 4) & 7) & 1;
    }
};

inline ByteSet byte_set_of(bool (*belongs)(Byte)) {
    ByteSet set;
    for (int byte = 0; byte < 256; byte++)
        if (belongs(static_cast<Byte>(byte))) set.add(static_cast<Byte>(byte));
    return set;
}

// What 64 consecutive bytes are, one bit per byte, the first byte lowest.
struct Block {
    uint64_t breaks;        // a word ends at this byte
    uint64_t punctuation;   // ... and this byte is a word of its own
    uint64_t wanted;        // the byte is in the set that was asked for
};

constexpr size_t BLOCK_BYTES = 64;

// Describe `n_blocks` blocks of 64 bytes each.
inline void describe_scalar(const Byte* bytes, size_t n_blocks, const ByteSet& wanted, Block* blocks) {
    std::array<Byte, 256> kinds;
    for (size_t byte = 0; byte < 256; byte++) {
        const Byte value = static_cast<Byte>(byte);
        kinds[byte] = static_cast<Byte>(is_break(value) | is_punctuation(value) << 1 | wanted.has(value) << 2);
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

#if MC2_X86_64
MC2_AVX2 inline __m256i twice(const std::array<Byte, 16>& rows) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows.data())));
}

MC2_AVX2 inline uint64_t nonzero_bytes(__m256i bytes) {
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
}

MC2_AVX2 inline void describe_avx2(const Byte* bytes, size_t n_blocks, const ByteSet& wanted, Block* blocks) {
    static const ByteSet break_set = byte_set_of(is_break), punctuation_set = byte_set_of(is_punctuation);
    const __m256i breaks = twice(break_set.rows_below), punctuation = twice(punctuation_set.rows_below);
    const __m256i wanted_below = twice(wanted.rows_below), wanted_from = twice(wanted.rows_from);
    const __m256i bit_of_high_half = twice({1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128});
    const __m256i low_half = _mm256_set1_epi8(0x0F), top_bit = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i row_index = _mm256_or_si256(low_half, top_bit);   // pshufb gives 0 where the top bit is set
    for (size_t i = 0; i < n_blocks; i++) {
        Block block{0, 0, 0};
        for (size_t half = 0; half < BLOCK_BYTES; half += 32) {
            const __m256i v = _mm256_loadu_si256(
                reinterpret_cast<const __m256i*>(bytes + i * BLOCK_BYTES + half));
            const __m256i row = _mm256_and_si256(v, row_index);
            const __m256i bit = _mm256_shuffle_epi8(bit_of_high_half,
                                                    _mm256_and_si256(_mm256_srli_epi16(v, 4), low_half));
            const __m256i wanted_row = _mm256_or_si256(
                _mm256_shuffle_epi8(wanted_below, row),
                _mm256_shuffle_epi8(wanted_from, _mm256_xor_si256(row, top_bit)));
            block.breaks |= nonzero_bytes(_mm256_and_si256(_mm256_shuffle_epi8(breaks, row), bit)) << half;
            block.punctuation |= nonzero_bytes(_mm256_and_si256(_mm256_shuffle_epi8(punctuation, row), bit)) << half;
            block.wanted |= nonzero_bytes(_mm256_and_si256(wanted_row, bit)) << half;
        }
        blocks[i] = block;
    }
}
#endif

// Describe all bytes of [bytes, bytes + size) in ceil(size / 64) blocks; reads at most PADDING bytes too many.
inline void describe(const Byte* bytes, size_t size, const ByteSet& wanted, Block* blocks) {
    const size_t n_blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
#if MC2_X86_64
    if (has_avx2()) return describe_avx2(bytes, n_blocks, wanted, blocks);
#endif
    describe_scalar(bytes, n_blocks, wanted, blocks);
}

// The bits of block number `block` that belong to positions [from, to).
inline uint64_t bits_within(size_t block, size_t from, size_t to) {
    const size_t first = block * BLOCK_BYTES;
    uint64_t bits = ~uint64_t{0};
    if (from > first) bits &= ~uint64_t{0} << (from - first);               // from lies in this block
    if (to - first < BLOCK_BYTES) bits &= ~(~uint64_t{0} << (to - first));
    return bits;
}

// Call on_break(position, is_punctuation) for every break of [from, to), in order.
template <class OnBreak>
inline void for_each_break(const Block* blocks, size_t from, size_t to, OnBreak on_break) {
    for (size_t block = from / BLOCK_BYTES; block * BLOCK_BYTES < to; block++) {
        uint64_t breaks = blocks[block].breaks & bits_within(block, from, to);
        while (breaks != 0) {
            const int bit = __builtin_ctzll(breaks);
            on_break(block * BLOCK_BYTES + static_cast<size_t>(bit), (blocks[block].punctuation >> bit & 1) != 0);
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
inline Byte* write_spaced(const Byte* bytes, const Block* blocks, size_t from, size_t to, Byte* out) {
    auto copy = [&](size_t begin, size_t end) {
        const size_t size = end - begin;
        if (size <= PADDING / 2) std::memcpy(out, bytes + begin, PADDING / 2);  // a fixed size is much faster
        else std::memcpy(out, bytes + begin, size);
        out += size;
    };
    size_t start = from;
    *out++ = ' ';
    for_each_break(blocks, from, to, [&](size_t position, bool punctuation) {
        copy(start, position);
        *out++ = ' ';
        out[0] = bytes[position];
        out[1] = ' ';
        out += punctuation ? 2 : 0;
        start = position + 1;
    });
    copy(start, to);
    *out++ = ' ';
    return out;
}

}  // namespace mc2
