// Numbers of 64 bits: counting bits, and a product that mixes them.
#pragma once

#include <cstdint>

#include "common/cpu.hpp"

namespace mc2 {

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 uint128;
#endif

constexpr uint64_t MIX = 0xE7037ED1A0B428DB;            // an odd number without pattern
constexpr uint64_t STEP = 0x9E3779B97F4A7C15;

// The 128-bit product folded to 64 bits: every bit of the result depends on every bit of both factors.
inline uint64_t folded_product(uint64_t a, uint64_t b) {
    const uint128 product = static_cast<uint128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// How many bits are set. Compilers know this formula, and make it one instruction (popcnt) inside a function that may
// use it. Of __builtin_popcountll they make a call of their library inside all others, which takes longer.
MC2_INLINE uint32_t count_ones(uint64_t bits) {
    bits -= bits >> 1 & 0x5555555555555555;                                         // in each pair of bits
    bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);          // in each four
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F;                               // in each byte
    return static_cast<uint32_t>(bits * 0x0101010101010101 >> 56);                  // their sum
}

}  // namespace mc2
