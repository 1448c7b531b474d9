// The compression function of BLAKE2b (RFC 7693) for digests of 8 bytes: of one message, and of four side by side.
//
// BLAKE2b takes a message in blocks of 128 bytes, which are 16 words of 64 bits. For each block it mixes a matrix of
// 4 x 4 words (the state, constants, the words of the block) in 12 rounds. A word of the matrix is never mixed with
// itself, so four messages fit into vectors of four words without any exchange between them: lane k of every vector
// is message k. The messages must have nothing in common, not even their length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/cpu.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::blake2b {

constexpr size_t BLOCK_BYTES = 128;

constexpr uint64_t INITIAL[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                 0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
// What the first word of the state is mixed with: digests of 8 bytes, no key, no tree.
constexpr uint64_t PARAMETERS = 0x01010008;

// The order in which each round takes the words of the block.
constexpr uint8_t ORDER[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

// The next block of LANES messages, and the state of each so far.
template <size_t LANES>
struct Lanes {
    alignas(32) uint64_t state[8][LANES];
    alignas(32) uint64_t bytes_so_far[LANES];   // of the message, with those of this block
    alignas(32) uint64_t is_last[LANES];        // all bits set where this block is the last one
    const uint8_t* block[LANES];

    void begin(size_t lane) {
        for (size_t i = 0; i < 8; i++) state[i][lane] = INITIAL[i];
        state[0][lane] ^= PARAMETERS;
    }

    // The digest as a big-endian number.
    uint64_t digest(size_t lane) const { return __builtin_bswap64(state[0][lane]); }
};

// ---------------------------------------------------------------- one message

inline uint64_t rotated_right(uint64_t word, int bits) { return word >> bits | word << (64 - bits); }

inline void mix(uint64_t* v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = rotated_right(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotated_right(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotated_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotated_right(v[b] ^ v[c], 63);
}

inline void compress(Lanes<1>& lanes) {
    uint64_t v[16], words[16];
    std::memcpy(words, lanes.block[0], BLOCK_BYTES);
    for (size_t i = 0; i < 8; i++) {
        v[i] = lanes.state[i][0];
        v[i + 8] = INITIAL[i];
    }
    v[12] ^= lanes.bytes_so_far[0];
    v[14] ^= lanes.is_last[0];
    for (const uint8_t* order : ORDER) {
        for (int k = 0; k < 4; k++)             // the columns of the matrix
            mix(v, k, k + 4, k + 8, k + 12, words[order[2 * k]], words[order[2 * k + 1]]);
        for (int k = 0; k < 4; k++)             // its diagonals
            mix(v, k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4, words[order[2 * k + 8]],
                words[order[2 * k + 9]]);
    }
    for (size_t i = 0; i < 8; i++) lanes.state[i][0] ^= v[i] ^ v[i + 8];
}

// ---------------------------------------------------------------- four messages

#if MC2_X86_64
#define MC2_AVX2_INLINE MC2_AVX2 __attribute__((always_inline)) inline

// Rotations by whole bytes are shuffles of bytes. The masks repeat for the upper half of the vector.
MC2_AVX2_INLINE __m256i rotated_right_32(__m256i words) { return _mm256_shuffle_epi32(words, 0xB1); }

MC2_AVX2_INLINE __m256i rotated_right_24(__m256i words) {
    return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(
                                          _mm_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10)));
}

MC2_AVX2_INLINE __m256i rotated_right_16(__m256i words) {
    return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(
                                          _mm_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9)));
}

MC2_AVX2_INLINE __m256i rotated_right_63(__m256i words) {
    return _mm256_or_si256(_mm256_srli_epi64(words, 63), _mm256_add_epi64(words, words));
}

MC2_AVX2_INLINE void mix(__m256i* v, int a, int b, int c, int d, __m256i x, __m256i y) {
    v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), x);
    v[d] = rotated_right_32(_mm256_xor_si256(v[d], v[a]));
    v[c] = _mm256_add_epi64(v[c], v[d]);
    v[b] = rotated_right_24(_mm256_xor_si256(v[b], v[c]));
    v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), y);
    v[d] = rotated_right_16(_mm256_xor_si256(v[d], v[a]));
    v[c] = _mm256_add_epi64(v[c], v[d]);
    v[b] = rotated_right_63(_mm256_xor_si256(v[b], v[c]));
}

MC2_AVX2_INLINE __m256i load_four(const void* words) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(words));
}

// Words [first, first + 4) of the four blocks: from one vector per message to one vector per word.
MC2_AVX2_INLINE void load_transposed(const uint8_t* const block[4], size_t first, __m256i* words) {
    const __m256i a = load_four(block[0] + 8 * first), b = load_four(block[1] + 8 * first);
    const __m256i c = load_four(block[2] + 8 * first), d = load_four(block[3] + 8 * first);
    const __m256i even_ab = _mm256_unpacklo_epi64(a, b), odd_ab = _mm256_unpackhi_epi64(a, b);
    const __m256i even_cd = _mm256_unpacklo_epi64(c, d), odd_cd = _mm256_unpackhi_epi64(c, d);
    words[first] = _mm256_permute2x128_si256(even_ab, even_cd, 0x20);
    words[first + 1] = _mm256_permute2x128_si256(odd_ab, odd_cd, 0x20);
    words[first + 2] = _mm256_permute2x128_si256(even_ab, even_cd, 0x31);
    words[first + 3] = _mm256_permute2x128_si256(odd_ab, odd_cd, 0x31);
}

MC2_AVX2 inline void compress(Lanes<4>& lanes) {
    __m256i v[16], words[16];
    for (size_t first = 0; first < 16; first += 4) load_transposed(lanes.block, first, words);
    for (size_t i = 0; i < 8; i++) {
        v[i] = load_four(lanes.state[i]);
        v[i + 8] = _mm256_set1_epi64x(static_cast<long long>(INITIAL[i]));
    }
    v[12] = _mm256_xor_si256(v[12], load_four(lanes.bytes_so_far));
    v[14] = _mm256_xor_si256(v[14], load_four(lanes.is_last));
#pragma GCC unroll 12
    for (size_t round = 0; round < 12; round++) {       // unrolled, the order is known when this is compiled
        const uint8_t* order = ORDER[round];
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            mix(v, k, k + 4, k + 8, k + 12, words[order[2 * k]], words[order[2 * k + 1]]);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            mix(v, k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4, words[order[2 * k + 8]],
                words[order[2 * k + 9]]);
    }
    for (size_t i = 0; i < 8; i++) {
        const __m256i mixed = _mm256_xor_si256(_mm256_xor_si256(v[i], v[i + 8]), load_four(lanes.state[i]));
        _mm256_store_si256(reinterpret_cast<__m256i*>(lanes.state[i]), mixed);
    }
}
#endif

}  // namespace mc2::blake2b
