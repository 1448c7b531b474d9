// From a text to the rows of the input matrix that its features have, in fastText's order.
//
// Most words of a text were met shortly before. So the features of a word are looked up once, and a table remembers
// them for the next time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

#include "lid/model.hpp"

namespace mc2::fasttext {

inline bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

// Whether the byte is one of UTF-8 that no character begins with.
inline bool continues_character(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

// Finds the rows of a word by itself: its own, and those of its character n-grams.
class WordReader {
public:
    explicit WordReader(const Model& model) : model_(model) {}

    // Append the rows of a word. Returns false, and appends nothing, where it is a label, which is no feature.
    bool read(std::string_view word, uint64_t hash, std::vector<int32_t>& rows) {
        const int32_t id = model_.dictionary.find(word, hash);
        const bool is_label = id >= 0 ? id >= model_.words : word.substr(0, label_prefix.size()) == label_prefix;
        if (is_label) return false;
        if (id >= 0) rows.push_back(id);
        if (!model_.bucket_rows.empty() && word != end_of_sentence) add_ngrams(word, rows);
        return true;
    }

private:
    // Every n-gram of characters of "<word>", except its first and its last character alone.
    void add_ngrams(std::string_view word, std::vector<int32_t>& rows) {
        bracketed_.assign(1, '<');
        bracketed_.insert(bracketed_.end(), word.begin(), word.end());
        bracketed_.push_back('>');
        const char* const bytes = bracketed_.data();
        const size_t size = bracketed_.size();
        const auto continues = [bytes](size_t i) { return continues_character(static_cast<uint8_t>(bytes[i])); };

        const BucketRows::Filter filter = model_.bucket_rows.filter();
        const int32_t shortest = model_.min_ngram, longest = model_.max_ngram;
        // Most buckets of a pruned model have no row. No processor can predict which have one, so a branch would
        // cost more than the look-up. So every bucket is written, and the next one overwrites it if it has no row.
        const size_t at_most = size * static_cast<size_t>(longest) + 1;
        if (buckets_.size() < at_most) buckets_.resize(at_most);
        uint32_t* last = buckets_.data();
        for (size_t begin = 0; begin < size; ++begin) {
            if (continues(begin)) continue;
            FeatureHash hash;
            size_t end = begin;
            for (int32_t length = 1; length <= longest && end < size; ++length) {
                do hash.add(static_cast<uint8_t>(bytes[end++]));
                while (end < size && continues(end));
                const bool only_bracket = length == 1 && (begin == 0 || end == size);
                if (length < shortest || only_bracket) continue;
                *last = filter.bucket_of(hash.value);
                last += filter.has_row(*last);
            }
        }
        for (const uint32_t* bucket = buckets_.data(); bucket != last; ++bucket)
            rows.push_back(model_.bucket_rows.row_of(*bucket));
    }

    const Model& model_;
    std::vector<char> bracketed_;
    std::vector<uint32_t> buckets_;
};

// The rows of the words met last: to hash the n-grams of a word takes much longer than to find it in this table. The
// hash of a word names one entry, and a new word replaces the one that was there.
class WordCache {
public:
    struct Entry {                              // four cache lines
        uint8_t length = 0;                     // of the word; 0: empty
        uint8_t is_label = 0;
        uint8_t count = 0;
        char word[29];
        int32_t rows[56];

        bool holds(std::string_view other) const {
            return length == other.size() && std::memcmp(word, other.data(), other.size()) == 0;
        }
    };
    static_assert(sizeof(Entry) == 256);

    // Where a word with this hash is, if it is in the table.
    Entry& entry(uint64_t hash) { return entries_[hash >> (64 - index_bits)]; }

    static bool fits(std::string_view word) { return word.size() <= sizeof Entry::word; }

    // Remember a word; one with too many rows is left out.
    static void fill(Entry& entry, std::string_view word, bool is_label, const std::vector<int32_t>& rows) {
        if (rows.size() > std::size(entry.rows)) return;
        entry.length = static_cast<uint8_t>(word.size());
        entry.is_label = is_label;
        entry.count = static_cast<uint8_t>(rows.size());
        std::copy(word.begin(), word.end(), entry.word);
        std::copy(rows.begin(), rows.end(), entry.rows);
    }

private:
    static constexpr int index_bits = 12;       // 1 MB: twice as many entries gain nothing once they leave the cache
    std::vector<Entry> entries_ = std::vector<Entry>(size_t{1} << index_bits);
};

// Finds the rows of a text, in fastText's order: words one by one, then n-grams of words.
class TextReader {
public:
    explicit TextReader(const Model& model) : model_(model), word_reader_(model) {}

    // Replaces `rows`. Returns how many of them are evidence: all but those of the end of the sentence.
    size_t read(std::string_view text, std::vector<int32_t>& rows) {
        rows.clear();
        word_hashes_.clear();
        const char* position = text.data();
        const char* const end = position + text.size();
        for (;;) {
            while (position != end && is_space(*position) && *position != '\n') ++position;
            if (position == end || *position == '\n') break;
            const char* const begin = position;
            while (position != end && !is_space(*position)) ++position;
            const std::string_view word(begin, static_cast<size_t>(position - begin));
            if (word == end_of_sentence) break;
            add_word(word, rows);
        }
        const size_t before_end = rows.size();
        add_word(end_of_sentence, rows);
        const size_t of_end = rows.size() - before_end;
        add_word_ngrams(rows);
        return rows.size() - of_end;
    }

private:
    void add_word(std::string_view word, std::vector<int32_t>& rows) {
        const uint64_t hash = hash_word(word);
        WordCache::Entry& entry = cache_.entry(hash);
        bool is_label;
        if (entry.holds(word)) {
            is_label = entry.is_label;
            rows.insert(rows.end(), entry.rows, entry.rows + entry.count);
        } else {
            word_rows_.clear();
            is_label = !word_reader_.read(word, hash, word_rows_);
            rows.insert(rows.end(), word_rows_.begin(), word_rows_.end());
            if (WordCache::fits(word)) WordCache::fill(entry, word, is_label, word_rows_);
        }
        if (model_.word_ngrams > 1 && !is_label) word_hashes_.push_back(feature_hash(word));
    }

    // fastText keeps the hash of a word as a signed number, and widens it with its sign.
    static uint64_t feature_hash(std::string_view word) {
        FeatureHash hash;
        for (const char byte : word) hash.add(static_cast<uint8_t>(byte));
        return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(hash.value)));
    }

    void add_word_ngrams(std::vector<int32_t>& rows) const {
        if (model_.bucket_rows.empty()) return;
        const BucketRows::Filter filter = model_.bucket_rows.filter();
        const size_t longest = static_cast<size_t>(model_.word_ngrams);
        for (size_t first = 0; first < word_hashes_.size(); ++first) {
            uint64_t hash = word_hashes_[first];
            for (size_t next = first + 1; next < word_hashes_.size() && next < first + longest; ++next) {
                hash = hash * 116049371 + word_hashes_[next];
                const uint32_t bucket = filter.bucket_of_words(hash);
                if (filter.has_row(bucket)) rows.push_back(model_.bucket_rows.row_of(bucket));
            }
        }
    }

    const Model& model_;
    WordReader word_reader_;
    WordCache cache_;
    std::vector<int32_t> word_rows_;
    std::vector<uint64_t> word_hashes_;
};

}  // namespace mc2::fasttext
