// Which texts may not be in Unicode's normal form NFC: the quick check of Unicode Standard Annex 15. What it cannot
// tell is left to Python's unicodedata; nearly all texts of the world pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mc2 {

// What the quick check needs of every character below `size`; see mc2/metadata/normal_form.py, which makes it.
struct NormalFormTable {
    static constexpr uint8_t NOT_ALLOWED = 255;     // not in NFC, or perhaps not: it depends on what precedes it

    const uint8_t* classes;     // canonical combining classes, or NOT_ALLOWED
    size_t size;

    uint8_t operator[](size_t character) const { return character < size ? classes[character] : NOT_ALLOWED; }
};

// text: valid UTF-8
inline bool is_surely_nfc(std::string_view text, const NormalFormTable& table) {
    uint8_t previous = 0;                           // combining class of the character before
    for (size_t i = 0; i < text.size();) {
        const auto byte = [&](size_t k) { return static_cast<uint8_t>(i + k < text.size() ? text[i + k] : 0); };
        const uint8_t first = byte(0);
        if (first < 0xCC) {                         // below U+0300 all is in NFC, and nothing combines
            i += first < 0x80 ? 1 : 2;
            previous = 0;
            continue;
        }
        size_t character = first & 0x1F;
        const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (length > 2) character = first & (length == 3 ? 0x0F : 0x07);
        for (size_t k = 1; k < length; k++) character = character << 6 | (byte(k) & 0x3F);
        const uint8_t its_class = table[character];
        if (its_class == NormalFormTable::NOT_ALLOWED || (its_class != 0 && its_class < previous)) return false;
        previous = its_class;
        i += length;
    }
    return true;
}

}  // namespace mc2
