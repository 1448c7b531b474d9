// One line of JSON: whether it is an object, and where the values of the wanted keys lie.
//
// Sound, not complete: what is accepted here means to orjson, the parser of the Python definition, just what it means
// here. Everything else is "odd", and left to Python: errors, a wanted key twice or of another type, keys with escapes,
// exponents above 99, very long numbers, deep nesting. UTF-8 is the caller's matter.
//
// Most bytes of a line are inside of strings. So where strings can end is found beforehand, for a whole block of lines:
// a "stop" is a quote, a backslash or a control character, and has a bit of its own. From a quote to the next one is
// then one look at a word of 64 bits.
//
// Nothing is read behind the first newline or, without one, behind the zero that follows the block (as one follows all
// `bytes` of CPython): both are control characters, and neither is white space here, so all that reads on ends there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/cpu.hpp"
#include "pairs/numbers.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::pairs {

// ---------------------------------------------------------------- stops

constexpr size_t STOP_BYTES = 64;       // bytes that one word of stops describes

// The top bit of each of eight bytes, as eight bits in the order of the bytes.
inline uint64_t top_bits(uint64_t bytes) { return ((bytes >> 7) & 0x0101010101010101) * 0x0102040810204080 >> 56; }

inline uint64_t stops_scalar(const char* bytes) {
    constexpr uint64_t ones = 0x0101010101010101, low = 0x7F * ones;
    const auto not_zero = [](uint64_t v) { return ((v & low) + low) | v; };             // in the top bit of each byte
    uint64_t stops = 0;
    for (size_t i = 0; i < STOP_BYTES; i += 8) {
        uint64_t v;
        std::memcpy(&v, bytes + i, sizeof v);
        const uint64_t not_control = ((v & low) + (0x80 - 0x20) * ones) | v;
        stops |= top_bits(~(not_zero(v ^ ('"' * ones)) & not_zero(v ^ ('\\' * ones)) & not_control)) << i;
    }
    return stops;
}

inline void find_stops_scalar(const char* bytes, size_t n_words, uint64_t* stops) {
    for (size_t i = 0; i < n_words; i++) stops[i] = stops_scalar(bytes + i * STOP_BYTES);
}

#if MC2_X86_64
MC2_AVX2 inline uint32_t stops_of_half_avx2(const char* bytes) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    const __m256i quotes = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
    const __m256i backslashes = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
    const __m256i controls = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1F)), v);
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quotes, backslashes), controls)));
}

MC2_AVX2 inline void find_stops_avx2(const char* bytes, size_t n_words, uint64_t* stops) {
    for (size_t i = 0; i < n_words; i++, bytes += STOP_BYTES)
        stops[i] = stops_of_half_avx2(bytes) | static_cast<uint64_t>(stops_of_half_avx2(bytes + 32)) << 32;
}
#endif

// The stops of a block; behind its end there is always one.
inline std::vector<uint64_t> find_stops(std::string_view block) {
    const auto find = [](const char* bytes, size_t n_words, uint64_t* stops) {
#if MC2_X86_64
        if (has_avx2()) return find_stops_avx2(bytes, n_words, stops);
#endif
        find_stops_scalar(bytes, n_words, stops);
    };
    const size_t n_whole = block.size() / STOP_BYTES;
    std::vector<uint64_t> stops(n_whole + 1);
    find(block.data(), n_whole, stops.data());
    char rest[STOP_BYTES] = {};
    block.copy(rest, STOP_BYTES, n_whole * STOP_BYTES);
    find(rest, 1, stops.data() + n_whole);
    return stops;
}

// ---------------------------------------------------------------- a line

// What is wanted of a key: its value, which must be there and a string, or an ascending list of entry ids; or a string
// where it is there; or only whether it is there.
enum class Form : uint8_t { string, entry_ids, optional_string, presence };

struct WantedKey {
    std::string name;           // in UTF-8
    Form form;
};

constexpr size_t MOST_KEYS = 32;

// A string of the line, without its quotes.
struct Span {
    const char* begin;
    const char* end;
    bool escaped;               // whether it has escapes
};

struct Line {
    uint32_t present;                           // bit k: wanted key k is there
    std::array<Span, MOST_KEYS> strings;        // of the wanted keys that are strings
};

inline const char* skip_white_space(const char* p) {
    while (*p == ' ' || *p == '\t' || *p == '\r') ++p;
    return p;
}

class LineParser {
public:
    // The block and the keys must outlive the parser; ids of lines are added to the end of entry_ids.
    LineParser(std::string_view block, const std::vector<WantedKey>& keys, std::vector<uint32_t>& entry_ids)
        : block_(block.data()), end_(block.data() + block.size()), stops_(find_stops(block)), keys_(keys),
          entry_ids_(entry_ids) {}

    // Read the object of the line that begins at p. Returns the position behind its closing brace; nullptr: odd.
    const char* parse(const char* p, Line& line) {
        line.present = 0;
        p = skip_white_space(p);
        if (*p++ != '{') return nullptr;
        do {
            p = member(skip_white_space(p), line);
            if (p == nullptr) return nullptr;
            p = skip_white_space(p);
        } while (*p++ == ',');
        return p[-1] == '}' && has_all_values(line) ? p : nullptr;
    }

private:
    const char* const block_;
    const char* const end_;
    const std::vector<uint64_t> stops_;
    const std::vector<WantedKey>& keys_;
    std::vector<uint32_t>& entry_ids_;

    static constexpr int deepest = 64;                  // orjson: 1,024
    static constexpr int longest_number = 200;          // so that none is infinite, also with an exponent up to 99

    bool has_all_values(const Line& line) const {
        for (size_t k = 0; k < keys_.size(); k++)
            if (keys_[k].form < Form::optional_string && !(line.present >> k & 1)) return false;
        return true;
    }

    // The functions below begin at p, and return the position behind what they have read; nullptr: odd.

    const char* member(const char* p, Line& line) {
        Span name;
        if (*p != '"' || !(p = string(p + 1, name)) || name.escaped) return nullptr;
        p = skip_white_space(p);
        if (*p++ != ':') return nullptr;
        p = skip_white_space(p);
        const size_t key = number_of_key({name.begin, static_cast<size_t>(name.end - name.begin)});
        if (key == keys_.size()) return value(p, 0);
        if (line.present >> key & 1) return nullptr;
        line.present |= 1u << key;
        switch (keys_[key].form) {
            case Form::string:
            case Form::optional_string: return *p == '"' ? string(p + 1, line.strings[key]) : nullptr;
            case Form::entry_ids: return *p == '[' ? entry_ids(p + 1) : nullptr;
            case Form::presence: return value(p, 0);
        }
        return nullptr;
    }

    size_t number_of_key(std::string_view name) const {
        size_t key = 0;
        while (key < keys_.size() && keys_[key].name != name) key++;
        return key;
    }

    // The first stop at p or behind it.
    const char* next_stop(const char* p) const {
        const size_t position = static_cast<size_t>(p - block_);
        size_t word = position / STOP_BYTES;
        const uint64_t here = stops_[word] >> position % STOP_BYTES;
        if (here != 0) return p + __builtin_ctzll(here);
        do word++;
        while (stops_[word] == 0);
        return block_ + word * STOP_BYTES + __builtin_ctzll(stops_[word]);
    }

    const char* string(const char* p, Span& span) const {       // p: behind the opening quote
        span = {p, p, false};
        for (;;) {
            p = next_stop(p);
            if (*p == '"') {
                span.end = p;
                return p + 1;
            }
            if (*p != '\\' || !(p = escape(p + 1))) return nullptr;
            span.escaped = true;
        }
    }

    static const char* escape(const char* p) {                  // p: behind the backslash
        switch (*p++) {
            case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': return p;
            case 'u': break;
            default: return nullptr;
        }
        const int unit = four_hex_digits(p);
        if (unit < 0 || (unit >= 0xDC00 && unit < 0xE000)) return nullptr;
        p += 4;
        if (unit < 0xD800 || unit >= 0xE000) return p;
        if (p[0] != '\\' || p[1] != 'u') return nullptr;        // a character is two units: both, or none
        const int second = four_hex_digits(p + 2);
        return second >= 0xDC00 && second < 0xE000 ? p + 6 : nullptr;
    }

    static int four_hex_digits(const char* p) {                 // -1: not so
        int value = 0;
        for (int i = 0; i < 4; i++) {
            const int digit = hex_digit(p[i]);
            if (digit < 0) return -1;
            value = value << 4 | digit;
        }
        return value;
    }

    static int hex_digit(char byte) {
        if (is_digit(byte)) return byte - '0';
        const int letter = (byte | 0x20) - 'a';
        return letter >= 0 && letter < 6 ? letter + 10 : -1;
    }

    const char* entry_ids(const char* p) {                      // p: behind the bracket
        p = skip_white_space(p);
        if (*p == ']') return p + 1;
        int64_t before = -1;
        for (;;) {
            uint32_t id;
            p = read_number(p, end_, id);
            if (p == nullptr || id <= before) return nullptr;
            before = id;
            entry_ids_.push_back(id);
            p = skip_white_space(p);
            if (*p == ']') return p + 1;
            if (*p++ != ',') return nullptr;
            p = skip_white_space(p);
        }
    }

    const char* value(const char* p, int depth) const {
        Span passed;
        switch (*p) {
            case '"': return string(p + 1, passed);
            case '[': return depth < deepest ? array(p + 1, depth + 1) : nullptr;
            case '{': return depth < deepest ? object(p + 1, depth + 1) : nullptr;
            case 't': return word(p, "true");
            case 'f': return word(p, "false");
            case 'n': return word(p, "null");
            default: return number(p);
        }
    }

    const char* array(const char* p, int depth) const {         // p: behind the bracket
        p = skip_white_space(p);
        if (*p == ']') return p + 1;
        for (;;) {
            if (!(p = value(p, depth))) return nullptr;
            p = skip_white_space(p);
            if (*p == ']') return p + 1;
            if (*p++ != ',') return nullptr;
            p = skip_white_space(p);
        }
    }

    const char* object(const char* p, int depth) const {        // p: behind the brace
        p = skip_white_space(p);
        if (*p == '}') return p + 1;
        for (;;) {
            Span name;
            if (*p != '"' || !(p = string(p + 1, name))) return nullptr;
            p = skip_white_space(p);
            if (*p++ != ':') return nullptr;
            if (!(p = value(skip_white_space(p), depth))) return nullptr;
            p = skip_white_space(p);
            if (*p == '}') return p + 1;
            if (*p++ != ',') return nullptr;
            p = skip_white_space(p);
        }
    }

    static const char* word(const char* p, const char* expected) {
        for (; *expected != '\0'; ++p, ++expected)
            if (*p != *expected) return nullptr;
        return p;
    }

    static const char* number(const char* p) {
        const char* const begin = p;
        p += *p == '-';
        if (*p == '0') ++p;
        else if (!(p = digits(p))) return nullptr;
        if (*p == '.' && !(p = digits(p + 1))) return nullptr;
        if (*p == 'e' || *p == 'E') {
            p += p[1] == '+' || p[1] == '-' ? 2 : 1;
            if (!is_digit(*p)) return nullptr;
            p += is_digit(p[1]) ? 2 : 1;
            if (is_digit(*p)) return nullptr;
        }
        return p - begin > longest_number ? nullptr : p;
    }

    static const char* digits(const char* p) {                  // one or more
        if (!is_digit(*p)) return nullptr;
        while (is_digit(*p)) ++p;
        return p;
    }
};

// ---------------------------------------------------------------- what a string says

inline uint8_t* write_utf8(uint32_t character, uint8_t* out) {
    const auto six_bits = [&](int shift) { return static_cast<uint8_t>(0x80 | (character >> shift & 0x3F)); };
    if (character < 0x80) {
        *out++ = static_cast<uint8_t>(character);
    } else if (character < 0x800) {
        *out++ = static_cast<uint8_t>(0xC0 | character >> 6);
        *out++ = six_bits(0);
    } else if (character < 0x10000) {
        *out++ = static_cast<uint8_t>(0xE0 | character >> 12);
        *out++ = six_bits(6);
        *out++ = six_bits(0);
    } else {
        *out++ = static_cast<uint8_t>(0xF0 | character >> 18);
        *out++ = six_bits(12);
        *out++ = six_bits(6);
        *out++ = six_bits(0);
    }
    return out;
}

// The 16 bits of four hexadecimal digits, which they are known to be.
inline uint32_t unit_of(const char* p) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | static_cast<uint32_t>(is_digit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return unit;
}

// Write the characters of a string that the parser accepted, in UTF-8; returns the end. They are never more bytes than
// the string has in the line.
inline uint8_t* write_string(const Span& span, uint8_t* out) {
    for (const char* p = span.begin;;) {
        const size_t left = static_cast<size_t>(span.end - p);
        const auto* backslash = span.escaped ? static_cast<const char*>(std::memchr(p, '\\', left)) : nullptr;
        const size_t plain = backslash == nullptr ? left : static_cast<size_t>(backslash - p);
        std::memcpy(out, p, plain);
        out += plain;
        if (backslash == nullptr) return out;
        p = backslash + 2;
        switch (backslash[1]) {
            case 'b': *out++ = '\b'; break;
            case 'f': *out++ = '\f'; break;
            case 'n': *out++ = '\n'; break;
            case 'r': *out++ = '\r'; break;
            case 't': *out++ = '\t'; break;
            case 'u': {
                uint32_t character = unit_of(p);
                p += 4;
                if (character >= 0xD800 && character < 0xDC00) {
                    character = 0x10000 + ((character - 0xD800) << 10) + (unit_of(p + 2) - 0xDC00);
                    p += 6;
                }
                out = write_utf8(character, out);
                break;
            }
            default: *out++ = static_cast<uint8_t>(backslash[1]);
        }
    }
}

}  // namespace mc2::pairs
