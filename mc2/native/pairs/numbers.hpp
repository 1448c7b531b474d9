// Decimal numbers: reading entry ids of a few digits, and writing them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mc2::pairs {

inline bool is_digit(char byte) { return static_cast<unsigned char>(byte - '0') < 10; }

// ---------------------------------------------------------------- reading

// How many of these eight bytes, of which the first is the lowest, are digits before the first other one.
inline int leading_digits(uint64_t bytes) {
    const uint64_t values = bytes ^ 0x3030303030303030;                     // digits become 0 to 9
    const uint64_t others = ((values & 0x7F7F7F7F7F7F7F7F) + 0x7676767676767676) | values;      // top bit: 10 or more
    const uint64_t tops = others & 0x8080808080808080;
    return tops == 0 ? 8 : __builtin_ctzll(tops) / 8;
}

// The number of the first n digits (1 to 8) of eight bytes. Neighbours are joined: to numbers of two digits, then of
// four, then of eight, each time in all of the word at once.
inline uint32_t number_of(uint64_t bytes, int n) {
    uint64_t v = (bytes ^ 0x3030303030303030) << (64 - 8 * n);              // zeros go before the first digit
    v = (v * 10 + (v >> 8)) & 0x00FF00FF00FF00FF;
    v = (v * 100 + (v >> 16)) & 0x0000FFFF0000FFFF;
    return static_cast<uint32_t>(v * 10000 + (v >> 32));
}

// Read a whole number of at most eight digits, as JSON writes it. Returns its end; nullptr where there is none.
inline const char* read_number(const char* p, const char* end, uint32_t& number) {
    uint64_t bytes = 0;
    const size_t left = static_cast<size_t>(end - p);
    if (left >= sizeof bytes) std::memcpy(&bytes, p, sizeof bytes);
    else std::memcpy(&bytes, p, left);
    const int n = leading_digits(bytes);
    if (n == 0 || (n > 1 && *p == '0') || (n == 8 && left > 8 && is_digit(p[8]))) return nullptr;
    number = number_of(bytes, n);
    return p + n;
}

// ---------------------------------------------------------------- writing

constexpr size_t MOST_DIGITS = 10;          // of a uint32
constexpr size_t WRITING_ROOM = 12;         // bytes that write_number may touch

// The four digits of every number below 10,000, and how many of them it needs.
struct FourDigits {
    std::array<std::array<char, 4>, 10'000> digits;
    std::array<uint8_t, 10'000> lengths;
};

inline const FourDigits& four_digits() {
    static const FourDigits made = [] {
        FourDigits table;
        for (unsigned n = 0; n < 10'000; n++) {
            table.digits[n] = {static_cast<char>('0' + n / 1000), static_cast<char>('0' + n / 100 % 10),
                               static_cast<char>('0' + n / 10 % 10), static_cast<char>('0' + n % 10)};
            table.lengths[n] = static_cast<uint8_t>(n < 10 ? 1 : n < 100 ? 2 : n < 1000 ? 3 : 4);
        }
        return table;
    }();
    return made;
}

inline size_t digits_of(uint32_t number) {
    size_t digits = 1;
    for (; number >= 10; number /= 10) digits++;
    return digits;
}

// Write a number; returns its end.
inline char* write_number(const FourDigits& table, uint32_t number, char* out) {
    const auto first = [&](uint32_t part) {             // without zeros before it
        const size_t length = table.lengths[part];
        uint32_t digits;
        std::memcpy(&digits, table.digits[part].data(), 4);
        digits >>= 8 * (4 - length);                    // its first byte is the lowest
        std::memcpy(out, &digits, 4);
        out += length;
    };
    const auto further = [&](uint32_t part) {
        std::memcpy(out, table.digits[part].data(), 4);
        out += 4;
    };
    if (number < 10'000) {
        first(number);
    } else if (number < 100'000'000) {
        first(number / 10'000);
        further(number % 10'000);
    } else {
        first(number / 100'000'000);
        further(number / 10'000 % 10'000);
        further(number % 10'000);
    }
    return out;
}

}  // namespace mc2::pairs
