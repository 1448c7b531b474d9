// Texts are cut into words here, and words get what they are looked up by.
//
// Nothing depends on a text being UTF-8: white space is ASCII, and an ASCII byte is never part of another character.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/bits.hpp"
#include "common/cpu.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::fasttext {

// The token that stands for the end of a line.
constexpr std::string_view end_of_sentence = "</s>";

// White space, as fastText has it.
constexpr bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

// ---------------------------------------------------------------- what words are looked up by

// The first bytes of a word, filled up with zeros. No word holds a zero, so a word that is not longer than a key is
// told from all others by its key.
struct WordKey {
    static constexpr size_t size = 32;
    uint64_t parts[4];

    bool operator==(const WordKey& other) const {
        return ((parts[0] ^ other.parts[0]) | (parts[1] ^ other.parts[1]) | (parts[2] ^ other.parts[2]) |
                (parts[3] ^ other.parts[3])) == 0;
    }
    bool is_ascii() const {
        return ((parts[0] | parts[1] | parts[2] | parts[3]) & 0x8080808080808080) == 0;
    }
};

// So many bytes must be readable from the beginning of a word on.
constexpr size_t padding_of_words = 64;

// Reads WordKey::size bytes, whatever the size of the word is.
inline WordKey key_of(const char* word, size_t size) {
    struct Mask {
        uint8_t bytes[2 * WordKey::size] = {};
        constexpr Mask() {
            for (size_t i = 0; i < WordKey::size; ++i) bytes[i] = 0xFF;
        }
    };
    static constexpr Mask mask;
    const uint8_t* kept = mask.bytes + WordKey::size - std::min(size, WordKey::size);
    WordKey key, bits;
    std::memcpy(&key, word, sizeof key);
    std::memcpy(&bits, kept, sizeof bits);
    for (size_t i = 0; i < 4; ++i) key.parts[i] &= bits.parts[i];
    return key;
}

// A hash for tables in memory; nothing in a file depends on it. `key` is that of the word.
inline uint64_t hash_word(const WordKey& key, std::string_view word) {
    constexpr uint64_t second = STEP * 3, third = MIX * 3;
    const auto hash = [](const WordKey& piece) {
        return folded_product(piece.parts[0] ^ STEP, piece.parts[1] ^ MIX) ^
               folded_product(piece.parts[2] ^ second, piece.parts[3] ^ third);
    };
    uint64_t state = hash(key);
    while (word.size() > WordKey::size) {       // few words are that long
        word.remove_prefix(WordKey::size);
        WordKey piece{};
        std::memcpy(&piece, word.data(), std::min(word.size(), sizeof piece));
        state = folded_product(state ^ hash(piece), MIX);
    }
    return state;
}

// The same for a word after which nothing may be read.
inline uint64_t hash_word(std::string_view word) {
    WordKey key{};
    std::memcpy(&key, word.data(), std::min(word.size(), sizeof key));
    return hash_word(key, word);
}

// ---------------------------------------------------------------- from texts to words

// One bit for each of `blocks` * 64 bytes: whether it is white space.
inline void find_spaces_scalar(const char* bytes, size_t blocks, uint64_t* spaces) {
    for (size_t block = 0; block < blocks; ++block, bytes += 64) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 64; ++i) bits |= uint64_t{is_space(bytes[i])} << i;
        spaces[block] = bits;
    }
}

#if MC2_X86_64
MC2_AVX2 inline uint32_t spaces_of_32(const char* bytes) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    const __m256i after_tab = _mm256_sub_epi8(v, _mm256_set1_epi8('\t'));       // 0 to 4 for \t \n \v \f \r
    const __m256i breaks = _mm256_cmpeq_epi8(_mm256_min_epu8(after_tab, _mm256_set1_epi8('\r' - '\t')), after_tab);
    const __m256i spaces = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(' ')),
                                           _mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(breaks, spaces)));
}

MC2_AVX2 inline void find_spaces_avx2(const char* bytes, size_t blocks, uint64_t* spaces) {
    for (size_t block = 0; block < blocks; ++block, bytes += 64)
        spaces[block] = spaces_of_32(bytes) | uint64_t{spaces_of_32(bytes + 32)} << 32;
}
#endif

struct Word {
    const char* begin;              // padding_of_words bytes can be read from here
    size_t size;

    std::string_view view() const { return {begin, size}; }
};

// Cuts a group of texts into words. They are copied first, into memory that can be read past their end, so that a word
// can be read in pieces of a fixed size.
class WordCutter {
public:
    void cut(const std::string_view* texts, size_t count) {
        const size_t size = copy(texts, count);
        spaces_.resize((size + 63) / 64);
#if MC2_X86_64
        if (has_avx2()) find_spaces_avx2(bytes_.data(), spaces_.size(), spaces_.data());
        else
#endif
            find_spaces_scalar(bytes_.data(), spaces_.size(), spaces_.data());

        if (words_.size() < size / 2 + 1) words_.resize(size / 2 + 1);
        size_t words = 0;
        ends_.resize(count);
        for (size_t text = 0; text < count; ++text) ends_[text] = words = cut_text(begins_[text], words);
    }

    const Word* words() const { return words_.data(); }
    // The number of words of the texts up to this one. The last word of every text is end_of_sentence.
    size_t end_of(size_t text) const { return ends_[text]; }

private:
    // A text is one line, and ends with end_of_sentence. Returns the number of bytes.
    size_t copy(const std::string_view* texts, size_t count) {
        static constexpr std::string_view end = "\n</s>\n";
        size_t most = padding_of_words;
        for (size_t text = 0; text < count; ++text) most += texts[text].size() + end.size();
        if (bytes_.size() < most) bytes_.resize(most);
        begins_.resize(count);
        char* target = bytes_.data();
        for (size_t text = 0; text < count; ++text) {
            const std::string_view line = texts[text].substr(0, texts[text].find('\n'));
            begins_[text] = static_cast<size_t>(target - bytes_.data());
            target = std::copy(line.begin(), line.end(), target);
            target = std::copy(end.begin(), end.end(), target);
        }
        return static_cast<size_t>(target - bytes_.data());
    }

    // Append the words from this position to the next end_of_sentence, and return how many words there are then.
    size_t cut_text(size_t begin, size_t words) {
        size_t block = begin / 64;
        uint64_t spaces = spaces_[block] & ~uint64_t{0} << begin % 64;
        for (;;) {
            while (spaces == 0) spaces = spaces_[++block];
            const size_t space = 64 * block + static_cast<size_t>(__builtin_ctzll(spaces));
            spaces &= spaces - 1;
            const Word word{bytes_.data() + begin, space - begin};
            words_[words] = word;
            words += word.size > 0;
            if (word.view() == end_of_sentence) return words;
            begin = space + 1;
        }
    }

    std::vector<char> bytes_;
    std::vector<size_t> begins_;        // of each text, in bytes_
    std::vector<uint64_t> spaces_;      // a bit for each byte
    std::vector<Word> words_;
    std::vector<size_t> ends_;          // of each text, in words_
};

}  // namespace mc2::fasttext
