#include "text/clean.hpp"

#include <Python.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "common/characters.hpp"
#include "match/text.hpp"

namespace mc2 {
namespace {

bool is_upper(Byte byte) { return static_cast<Byte>(byte - 'A') < 26; }
bool is_lower(Byte byte) { return static_cast<Byte>(byte - 'a') < 26; }
char lowered(char c) { return is_upper(static_cast<Byte>(c)) ? static_cast<char>(c | 0x20) : c; }

const Byte* bytes_of(std::string_view text) { return reinterpret_cast<const Byte*>(text.data()); }

// ---------------------------------------------------------------- what a text needs

// Which steps can change a text. Where a flag is not set, the step changes nothing.
struct Needs {
    bool urls;          // a full stop with something behind it, or ":/"
    bool capitals;      // a letter that may be a capital, with no small one behind it
    bool spaces;        // white space other than single spaces between words, or a character that may be Han
};

// 16 bytes at a time, in the vectors of GCC and Clang, which every architecture has some form of. A comparison gives
// 0xFF where it holds.
typedef Byte Bytes __attribute__((vector_size(16)));

Bytes load(const Byte* p) {
    Bytes bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes;
}

bool any(Bytes bytes) {
    uint64_t halves[2];
    std::memcpy(halves, &bytes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

struct Found {
    Bytes urls{}, capitals{}, spaces{};

    // `next`: the bytes that follow each of `byte`.
    void look(Bytes byte, Bytes next) {
        const Bytes upper = reinterpret_cast<Bytes>(byte - 'A' < 26), next_is_lower = reinterpret_cast<Bytes>(next - 'a' < 26);
        urls |= reinterpret_cast<Bytes>(((byte == '.') & (next > ' ')) | ((byte == ':') & (next == '/')));
        // First bytes of characters with cases: U+00C0 to 05BF, U+1000 to 2FFF, U+A000 to AFFF, U+F000 and above.
        capitals |= (upper & ~next_is_lower) | reinterpret_cast<Bytes>((byte - 0xC3 < 0xD7 - 0xC3) | (byte - 0xE1 < 2) |
                                                                       (byte == 0xEA) | (byte >= 0xEF));
        // White space in ASCII, if it is more than a single space. First bytes of the rest of it and of Han: U+0080 to
        // 00BF, U+1000 to 9FFF, U+F000 and above.
        spaces |= reinterpret_cast<Bytes>(((byte <= ' ') & ((byte != ' ') | (next == ' '))) | (byte == 0xC2) |
                                          (byte - 0xE1 < 9) | (byte >= 0xEF));
    }
};

Needs needs_of(std::string_view text) {
    const Byte* p = bytes_of(text);
    size_t left = text.size();
    Found found;
    for (; left > 16; p += 16, left -= 16) found.look(load(p), load(p + 1));
    if (left > 0) {
        Byte rest[17];                              // what follows the text is a space
        std::fill_n(std::copy_n(p, left, rest), sizeof rest - left, Byte{'x'});
        rest[left] = ' ';
        found.look(load(rest), load(rest + 1));
    }
    const bool at_an_end = !text.empty() && (text.front() == ' ' || text.back() == ' ');
    return {any(found.urls), any(found.capitals), any(found.spaces) || at_an_end};
}

// ---------------------------------------------------------------- URLs and names of files

struct Sets {
    std::array<bool, 128> url{}, file{}, word{};

    Sets() {
        for (int c = 1; c < 128; c++) {
            const bool alphanumeric = is_lower(static_cast<Byte>(c | 0x20)) || (c >= '0' && c <= '9');
            const size_t i = static_cast<size_t>(c);
            word[i] = alphanumeric || c == '_';
            file[i] = word[i] || std::strchr("-.%()", c) != nullptr;
            url[i] = alphanumeric || std::strchr("-._~:/?#[]@!$&'()*+,;=%", c) != nullptr;
        }
    }
};

const Sets sets;

bool is_in(const std::array<bool, 128>& set, char c) { return static_cast<Byte>(c) < 128 && set[static_cast<Byte>(c)]; }

// Whether the text goes on with these letters, upper or lower case.
bool goes_on(const char* p, const char* end, std::string_view small) {
    if (static_cast<size_t>(end - p) < small.size()) return false;
    return std::equal(small.begin(), small.end(), p, [](char letter, char c) { return letter == lowered(c); });
}

bool begins_with(const char* p, const char* end, std::string_view bytes) {
    return static_cast<size_t>(end - p) >= bytes.size() && std::memcmp(p, bytes.data(), bytes.size()) == 0;
}

constexpr std::string_view LONG_S = "\xC5\xBF";         // U+017F, whose capital is S

// Bytes of the character of a URL that stands at p; 0 where there is none. Without regard to case, [A-Za-z] also means
// U+0130 and U+0131 (i), U+017F (s) and U+212A (k).
size_t url_character(const char* p, const char* end) {
    if (static_cast<Byte>(*p) < 128) return is_in(sets.url, *p) ? 1 : 0;
    if (begins_with(p, end, "\xC4\xB0") || begins_with(p, end, "\xC4\xB1") || begins_with(p, end, LONG_S)) return 2;
    return begins_with(p, end, "\xE2\x84\xAA") ? 3 : 0;
}

// Bytes of what a URL begins with: http:// https:// ftp:// www. ; 0 where there is none.
size_t url_start(const char* p, const char* end) {
    if (goes_on(p, end, "http")) {
        const char* q = p + 4;
        if (goes_on(q, end, "s")) q += 1;
        else if (begins_with(q, end, LONG_S)) q += LONG_S.size();
        return begins_with(q, end, "://") ? static_cast<size_t>(q + 3 - p) : 0;
    }
    if (goes_on(p, end, "ftp://")) return 6;
    return goes_on(p, end, "www.") ? 4 : 0;
}

// Put the text into `out`, with a space for every URL.
void leave_out_urls(std::string_view text, std::string& out) {
    const char* p = text.data();
    const char* end = p + text.size();
    out.clear();
    while (p < end) {
        const char small = lowered(*p);
        if (small == 'h' || small == 'f' || small == 'w') {
            const size_t start = url_start(p, end);
            const char* q = p + start;
            while (start != 0 && q < end) {
                const size_t width = url_character(q, end);
                if (width == 0) break;
                q += width;
            }
            if (q > p + start) {                    // something follows the start
                out.push_back(' ');
                p = q;
                continue;
            }
        }
        out.push_back(*p++);
    }
}

bool is_suffix(std::string_view name) {
    static constexpr std::string_view known[] = {
        "jpg", "jpeg", "png", "gif", "webp", "svg", "bmp", "tif", "tiff", "ico", "avif", "heic", "pdf", "htm", "html", "php",
        "asp", "aspx", "mp4", "mov", "webm"};
    return std::any_of(std::begin(known), std::end(known), [name](std::string_view suffix) {
        return suffix.size() == name.size() && goes_on(name.data(), name.data() + name.size(), suffix);
    });
}

// Put the text into `out`, with a space for every name of a file. Where characters that such names have follow one
// another, it is all of them up to the last suffix at the end of a word.
void leave_out_files(std::string_view text, std::string& out) {
    const char* p = text.data();
    const char* end = p + text.size();
    out.clear();
    while (p < end) {
        if (!is_in(sets.file, *p)) {
            out.push_back(*p++);
            continue;
        }
        const char* begin = p;
        const char* rest = p;                       // where the name ends; what follows it stays
        for (; p < end && is_in(sets.file, *p); p++) {
            if (*p != '.') continue;
            const char* word = p + 1;
            const char* word_end = std::find_if_not(word, end, [](char c) { return is_in(sets.word, c); });
            if (is_suffix({word, static_cast<size_t>(word_end - word)})) rest = word_end;
        }
        if (rest > begin) out.push_back(' ');
        out.append(rest, p);
    }
}

// ---------------------------------------------------------------- words in capitals

struct Word {
    const Byte* begin;
    const Byte* end;
    bool in_capitals;           // as str.isupper says, with two letters or more, and not in Cherokee
    bool has_two_letters;
    bool is_ascii;
};

bool next_word(const Byte*& p, const Byte* end, Word& word) {
    while (p < end) {
        const size_t width = white_space_at(p, end);
        if (width == 0) break;
        p += width;
    }
    if (p == end) return false;
    word.begin = p;
    size_t letters = 0;
    bool has_upper = false, has_lower = false, is_cherokee = false, is_ascii = true;
    while (p < end && white_space_at(p, end) == 0) {
        const uint32_t c = decode(p);               // which goes on to the next character
        if (c < 0x80) {
            const bool upper = is_upper(static_cast<Byte>(c)), lower = is_lower(static_cast<Byte>(c));
            letters += upper | lower;
            has_upper |= upper;
            has_lower |= lower;
            continue;
        }
        is_ascii = false;
        letters += Py_UNICODE_ISALPHA(c) != 0;
        has_lower |= Py_UNICODE_ISLOWER(c) || Py_UNICODE_ISTITLE(c);
        has_upper |= Py_UNICODE_ISUPPER(c) != 0;
        is_cherokee |= c >= 0x13A0 && c <= 0x13F5;
    }
    word.end = p;
    word.has_two_letters = letters >= 2;
    word.in_capitals = has_upper && !has_lower && word.has_two_letters && !is_cherokee;
    word.is_ascii = is_ascii;
    return true;
}

enum class Lowering { nothing, ascii, beyond_ascii };

// Whether a word between single spaces may be in capitals. Most words show with their first or second letter that they
// are not.
bool may_hold_capitals(std::string_view text) {
    const Byte* p = bytes_of(text);
    const Byte* end = p + text.size();
    while (p < end) {
        bool has_upper = false, has_lower = false;
        while (p < end && *p != ' ' && !has_lower) {
            const uint32_t c = decode(p);
            if (c < 0x80) {
                has_lower = is_lower(static_cast<Byte>(c));
                has_upper |= is_upper(static_cast<Byte>(c));
            } else {
                has_lower = Py_UNICODE_ISLOWER(c) || Py_UNICODE_ISTITLE(c);
                has_upper |= Py_UNICODE_ISUPPER(c) != 0;
            }
        }
        if (has_upper && !has_lower) return true;
        const void* space = p == end ? nullptr : std::memchr(p, ' ', static_cast<size_t>(end - p));
        p = space == nullptr ? end : static_cast<const Byte*>(space) + 1;
    }
    return false;
}

// What is to be lowered: the words in capitals, if they are most of those with two letters or more.
Lowering lowering_of(std::string_view text) {
    const Byte* p = bytes_of(text);
    const Byte* end = p + text.size();
    size_t in_capitals = 0, with_two_letters = 0;
    bool all_ascii = true;
    for (Word word; next_word(p, end, word);) {
        in_capitals += word.in_capitals;
        with_two_letters += word.has_two_letters;
        all_ascii &= word.is_ascii || !word.in_capitals;
    }
    if (2 * in_capitals <= with_two_letters) return Lowering::nothing;
    return all_ascii ? Lowering::ascii : Lowering::beyond_ascii;
}

void lower_words(std::string& text) {
    const Byte* p = bytes_of(text);
    const Byte* end = p + text.size();
    for (Word word; next_word(p, end, word);) {
        if (!word.in_capitals) continue;
        const auto begin = text.begin() + (word.begin - bytes_of(text));
        std::transform(begin, begin + (word.end - word.begin), begin, lowered);
    }
}

// ---------------------------------------------------------------- spaces

bool is_han(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x2EBEF) || (c >= 0x2F800 && c <= 0x2FA1F) || (c >= 0x30000 && c <= 0x323AF);
}

// Append the text with a space on both sides of each Han character, and one space for all white space between words.
void append_spaced(std::string_view text, std::vector<char>& out) {
    const Byte* p = bytes_of(text);
    const Byte* end = p + text.size();
    const size_t start = out.size();
    bool space = false;                             // whether one is to come before the next character
    while (p < end) {
        const size_t white = white_space_at(p, end);
        if (white != 0) {
            space = true;
            p += white;
            continue;
        }
        const Byte* begin = p;
        bool han = false;
        if (*p < 0xE3) {                            // no Han: up to the next white space, or what may be Han
            do p += width_of(*p);
            while (p < end && *p < 0xE3 && white_space_at(p, end) == 0);
        } else {
            han = is_han(decode(p));
        }
        if ((space || han) && out.size() > start) out.push_back(' ');
        out.insert(out.end(), begin, p);
        space = han;
    }
}

}  // namespace

bool Cleaner::clean(std::string_view text, std::vector<char>& out) {
    Needs needs = needs_of(text);
    if (needs.urls) {
        leave_out_urls(text, without_urls_);
        if (text.find('.') == std::string_view::npos) {
            text = without_urls_;
        } else {
            leave_out_files(without_urls_, without_files_);
            text = without_files_;
        }
        needs = needs_of(text);
    }
    if (needs.capitals && (needs.spaces || may_hold_capitals(text))) {
        const Lowering lowering = lowering_of(text);
        if (lowering == Lowering::beyond_ascii) return false;
        if (lowering == Lowering::ascii) {
            if (text.data() != without_files_.data()) without_files_.assign(text);
            lower_words(without_files_);
            text = without_files_;
        }
    }
    if (needs.spaces) append_spaced(text, out);
    else out.insert(out.end(), text.begin(), text.end());
    return true;
}

}  // namespace mc2
