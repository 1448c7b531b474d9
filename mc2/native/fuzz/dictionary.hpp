// Small dictionaries, and texts that are made of the same pieces, so that they match often.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "input.hpp"
#include "match/build.hpp"
#include "match/matcher.hpp"

namespace mc2::fuzz {

struct Piece {
    std::string bytes;
    bool is_open;           // an entry that begins or ends with it may do so inside a word
};

// Words of every length that is special (8 bytes, 16), punctuation, all kinds of spaces, scripts without spaces, parts
// of characters that agree in some of their bytes with others, a lone surrogate.
inline const Piece& piece(Input& input) {
    static const Piece pieces[] = {
        {" ", false}, {" ", false}, {" ", false}, {" ", false}, {"a", false}, {"b", false}, {"ab", false},
        {"ba", false}, {"the", false}, {"abcdefg", false}, {"abcdefgh", false}, {"abcdefghi", false},
        {"abcdefghijklmnop", false}, {"abcdefghijklmnopq", false}, {"aaaaaaaa", false}, {"  ", false},
        {" , ", false}, {" the ", false}, {"\t", false}, {"\n", false}, {"\r", false}, {"\v", false},
        {"\x1f", false}, {"\x7f", false}, {std::string(1, '\0'), false}, {"\u0085", false}, {"\u00a0", false},
        {"\u00c5", false}, {"\u00e9", false}, {"\u1680", false}, {"\u2000", false}, {"\u200a", false},
        {"\u200b", false}, {"\u2028", false}, {"\u205f", false}, {"\u3000", false}, {"😀", false},
        {"\xED\xA0\x80", false}, {",", true}, {".", true}, {";", true}, {":", true}, {"?", true}, {"!", true},
        {"`", true}, {"'", true}, {"-", true}, {"(", true}, {"猫", true}, {"黑", true}, {"カ", false},
        {"\u30fc", false}, {"แ", true}, {"ཀ", true}, {"က", true}, {"。", true}, {"\u00ab", true}, {"\u2019", true},
        {"\U00010100", true}, {"\u00aa", false}, {"\u2e80", true}};
    return input.one_of(pieces);
}

inline std::vector<Piece> pieces(Input& input, size_t at_most) {
    std::vector<Piece> chosen;
    for (size_t n = input.below(at_most + 1); n > 0 && !input.is_used_up(); n--) {
        const Piece& next = piece(input);
        // now and then a piece repeated, to cross the blocks and groups that texts are read in
        chosen.insert(chosen.end(), input.byte() == 255 ? input.below(200) : 1, next);
    }
    return chosen;
}

inline std::string joined(const std::vector<Piece>& pieces) {
    std::string bytes;
    for (const Piece& piece : pieces) bytes += piece.bytes;
    return bytes;
}

inline void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (size_t i = 0; (i = text.find(from, i)) != text.npos; i += to.size()) text.replace(i, from.size(), to);
}

enum class Spacing { PUBLISHED, WIDE, ANY };

// The pieces that are punctuation, under wide spacing; of 😀 and U+2E80 too, as they are symbols.
inline const std::vector<std::string>& all_punctuation() {
    static const std::vector<std::string> all = {",", ".", ";", ":", "?", "!", "`", "'", "-", "(", "。", "\u00ab",
                                                 "\u2019", "\U00010100", "😀", "\u2e80"};
    return all;
}

inline std::vector<std::string> punctuation_of(Spacing spacing) {
    const std::vector<std::string>& all = all_punctuation();
    return spacing == Spacing::WIDE ? all : std::vector<std::string>(all.begin(), all.begin() + 7);
}

// For the matcher.
inline Punctuation native_punctuation(Spacing spacing) {
    static const std::vector<Byte> bitmap = [] {
        std::vector<Byte> bits(Punctuation::BITMAP_BYTES);
        for (const uint32_t code : {0x2Cu, 0x2Eu, 0x3Bu, 0x3Au, 0x3Fu, 0x21u, 0x60u, 0x27u, 0x2Du, 0x28u, 0x3002u,
                                    0xABu, 0x2019u, 0x10100u, 0x1F600u, 0x2E80u})
            bits[code / 8] = static_cast<Byte>(bits[code / 8] | 1 << code % 8);
        return bits;
    }();
    return spacing == Spacing::WIDE ? Punctuation(bitmap.data()) : Punctuation();
}

// Spaces around punctuation, and a space for each tab and line break.
inline std::string set_apart(std::string text, Spacing spacing) {
    for (const std::string& character : punctuation_of(spacing)) replace_all(text, character, " " + character + " ");
    for (const char* space : {"\t", "\n", "\r"}) replace_all(text, space, " ");
    return text;
}

// The form of an entry, as space_entry() in spacing.py; or one with spaces at its ends or not, as the input has it.
inline std::string spaced_entry(const std::vector<Piece>& entry, Spacing spacing, Input& input) {
    const bool opens = spacing == Spacing::ANY ? input.flag() : entry.front().is_open;
    const bool closes = spacing == Spacing::ANY ? input.flag() : entry.back().is_open;
    const std::string inside = spacing == Spacing::WIDE ? set_apart(joined(entry), spacing) : joined(entry);
    return (opens ? "" : " ") + inside + (closes ? "" : " ");
}

struct Dictionary {
    std::vector<std::string> forms;
    std::vector<uint32_t> ids;
    uint32_t n_entries = 0;
    Spacing spacing;                    // of the texts; WIDE also with forms of any kind

    explicit Dictionary(Input& input) {
        const Spacing forms_spacing = static_cast<Spacing>(input.below(3));
        spacing = forms_spacing != Spacing::ANY ? forms_spacing : input.flag() ? Spacing::WIDE : Spacing::PUBLISHED;
        for (size_t n = input.below(64); n > 0 && !input.is_used_up(); n--) {
            const std::vector<Piece> entry = pieces(input, 6);
            if (entry.empty()) continue;
            forms.push_back(!forms.empty() && input.byte() == 255 ? forms.back()
                                                                     : spaced_entry(entry, forms_spacing, input));
            ids.push_back(n_entries++);
        }
    }
};

inline std::vector<std::string> make_texts(Input& input) {
    std::vector<std::string> texts;
    for (size_t n = input.below(120); n > 0 && !input.is_used_up(); n--) texts.push_back(joined(pieces(input, 24)));
    return texts;
}

inline void write_dictionary(const Dictionary& dictionary, const File& file) {
    std::vector<Entry> entries;
    for (size_t i = 0; i < dictionary.forms.size(); i++)
        entries.push_back({dictionary.forms[i], dictionary.ids[i]});
    write_matcher(entries, dictionary.n_entries, "fuzz", file.path(),
                  native_punctuation(dictionary.spacing));
}

inline Results match(const Matcher& matcher, const std::vector<std::string>& texts, std::vector<uint64_t>& counts) {
    std::string all;
    std::vector<int64_t> offsets{0};
    for (const std::string& text : texts) {
        all += text;
        offsets.push_back(static_cast<int64_t>(all.size()));
    }
    std::vector<Byte> bytes(all.size() + PADDING);          // no more than match() may read
    std::copy(all.begin(), all.end(), bytes.begin());
    Results results;
    matcher.match(bytes.data(), offsets.data(), texts.size(), results, counts.data());
    return results;
}

}  // namespace mc2::fuzz
