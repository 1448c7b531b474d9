// Which characters are punctuation: each is a word of its own, with a space on both sides in the spaced form.
//
// As published, these are seven ASCII characters. Under wide spacing they are all characters of Unicode's categories
// P and S. Which ones these are depends on the version of Unicode, so Python, whose engine must find the same, hands
// them over: a bitmap with one bit per code point.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mc2 {

using Byte = unsigned char;

// As published.
constexpr bool is_published_punctuation(Byte byte) {
    return byte == ',' || byte == '.' || byte == ';' || byte == ':' || byte == '?' || byte == '!' || byte == '`';
}

constexpr bool is_space(Byte byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

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

// ---------------------------------------------------------------- UTF-8

// Bytes of the character that begins with this byte; 0 where none does.
constexpr size_t width_of_character(Byte first) {
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

constexpr bool is_continuation(Byte byte) { return (byte & 0xC0) == 0x80; }

// ---------------------------------------------------------------- the characters

class Punctuation {
public:
    static constexpr uint32_t CODE_POINTS = 0x110000;
    static constexpr size_t BITMAP_BYTES = CODE_POINTS / 8;

    // As published.
    Punctuation() {
        for (Byte byte = 0; byte < 0x80; byte++)
            if (is_published_punctuation(byte)) ascii_.add(byte);
        add_breaks();
    }

    // Of BITMAP_BYTES bytes, the lowest bit of the first being U+0000. It stays in memory as long as this is used.
    explicit Punctuation(const Byte* bitmap) : bitmap_(bitmap) {
        for (uint32_t code = 0; code < CODE_POINTS; code++) {
            if (code % 8 == 0 && bitmap[code / 8] == 0) code += 7;
            else if (!has(code)) continue;
            else if (code < 0x80) ascii_.add(static_cast<Byte>(code));
            else first_bytes_.add(first_byte(code));
        }
        add_breaks();
    }

    bool is_beyond_ascii() const { return bitmap_ != nullptr; }

    const ByteSet& ascii() const { return ascii_; }                 // the punctuation of one byte
    const ByteSet& breaks() const { return breaks_; }               // ... and the spaces
    const ByteSet& first_bytes() const { return first_bytes_; }     // which begin all other punctuation

    // Bytes of the punctuation character that begins at `p`; 0 where none does.
    size_t at(const Byte* p, const Byte* end) const {
        if (p == end) return 0;
        if (*p < 0x80) return ascii_.has(*p) ? 1 : 0;
        if (bitmap_ == nullptr) return 0;
        const size_t width = width_of_character(*p);
        if (width == 0 || static_cast<size_t>(end - p) < width) return 0;
        uint32_t code = *p & (0x7Fu >> width);
        for (size_t i = 1; i < width; i++) {
            if (!is_continuation(p[i])) return 0;
            code = code << 6 | (p[i] & 0x3F);
        }
        return code < CODE_POINTS && has(code) ? width : 0;
    }

    // Bytes of the punctuation character that ends before `end`; 0 where none does.
    size_t before(const Byte* begin, const Byte* end) const {
        if (begin == end) return 0;
        const Byte* p = end - 1;
        while (p != begin && end - p < 4 && is_continuation(*p)) p--;
        const size_t width = at(p, end);
        return p + width == end ? width : 0;
    }

private:
    const Byte* bitmap_ = nullptr;
    ByteSet ascii_, breaks_, first_bytes_;

    bool has(uint32_t code) const { return bitmap_[code / 8] >> (code % 8) & 1; }

    static Byte first_byte(uint32_t code) {
        if (code < 0x800) return static_cast<Byte>(0xC0 | code >> 6);
        return static_cast<Byte>(code < 0x10000 ? 0xE0 | code >> 12 : 0xF0 | code >> 18);
    }

    void add_breaks() {
        breaks_ = ascii_;
        for (Byte byte = 0; byte < 0x80; byte++)
            if (is_space(byte)) breaks_.add(byte);
    }
};

}  // namespace mc2
