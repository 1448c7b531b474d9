// From texts to the rows of the input matrix that their features have, in fastText's order: words one by one, each with
// its character n-grams; then n-grams of words.
//
// A word that was met shortly before costs little more than a comparison (WordCache). The words of several texts go
// together through the steps of TextReader: each step does one thing for all of them, so memory that one step asks for
// has arrived by the next, and little depends on branches that no processor could predict.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "lid/model.hpp"
#include "lid/ngrams.hpp"
#include "lid/words.hpp"

namespace mc2::fasttext {

// A word and its rows. Row: a number that all rows of the model fit into; with 16 bits a word takes one cache line.
template <class Row>
struct alignas(64) WordRows {
    static constexpr size_t most = sizeof(Row) == 2 ? 15 : 55;
    static constexpr uint8_t too_many = 255;

    WordKey key{};
    Row rows[most] = {};
    uint8_t count = 0;                  // of rows, or too_many
    bool is_label = false;              // then it is no feature, and has no rows
};
static_assert(sizeof(WordRows<uint16_t>) == 64 && sizeof(WordRows<int32_t>) == 256);

// The words met last. The hash of a word names its place, and a new word replaces the one that was there.
template <class Row>
class WordCache {
public:
    const WordRows<Row>& at(uint64_t hash) const { return words_[hash >> (64 - index_bits)]; }

    void keep(const WordRows<Row>& word, uint64_t hash) { words_[hash >> (64 - index_bits)] = word; }

private:
    static constexpr int index_bits = sizeof(Row) == 2 ? 14 : 12;       // 1 MB; more would leave the cache
    std::vector<WordRows<Row>> words_ = std::vector<WordRows<Row>>(size_t{1} << index_bits);
};

// Finds the rows of words that are not in the cache: their own row, and those of their character n-grams.
template <class Row>
class WordReader {
public:
    explicit WordReader(const Model& model) : model_(model), ngrams_(model) {}

    void clear() {
        count_ = 0;
        ngrams_.clear();
    }

    // Add a word to those that find() is for. They are numbered from 0.
    void add(const Word& word, const WordKey& key, uint64_t hash) {
        if (count_ == words_.size()) {
            words_.emplace_back();
            ids_.emplace_back();
        }
        WordRows<Row>& found = words_[count_];
        const int32_t id = model_.dictionary.find(word.view(), hash);
        found.key = key;
        found.is_label = id >= 0 ? id >= model_.words : word.view().substr(0, label_prefix.size()) == label_prefix;
        ids_[count_++] = found.is_label ? -1 : id;
        if (found.is_label || word.view() == end_of_sentence) ngrams_.add_none();
        else ngrams_.add(word, key);
    }

    void find() {
        ngrams_.find();
        for (size_t number = 0; number < count_; ++number) {
            WordRows<Row>& found = words_[number];
            const Rows ngrams = ngrams_.rows_of(number);
            const size_t own = ids_[number] >= 0;
            if (own + ngrams.count > WordRows<Row>::most) {
                found.count = WordRows<Row>::too_many;
                continue;
            }
            // As many as there can be, since no processor could predict how many there are. The word's own is first.
            static_assert(WordRows<Row>::most <= spare_rows);
            std::array<Row, WordRows<Row>::most + 1> rows;
            rows[0] = static_cast<Row>(ids_[number]);
            for (size_t i = 0; i < WordRows<Row>::most; ++i) rows[1 + i] = static_cast<Row>(ngrams.first[i]);
            std::memcpy(found.rows, rows.data() + 1 - own, sizeof found.rows);
            found.count = static_cast<uint8_t>(own + ngrams.count);
        }
    }

    const WordRows<Row>& word(size_t number) const { return words_[number]; }

    // The rows of a word that has too many for WordRows: its own, or -1, and those of its n-grams.
    int32_t own_row(const WordRows<Row>& word) const { return ids_[number_of(word)]; }
    Rows ngrams(const WordRows<Row>& word) const { return ngrams_.rows_of(number_of(word)); }

private:
    size_t number_of(const WordRows<Row>& word) const { return static_cast<size_t>(&word - words_.data()); }

    const Model& model_;
    NgramFinder ngrams_;
    size_t count_ = 0;
    std::vector<WordRows<Row>> words_;
    std::vector<int32_t> ids_;
};

// Reads groups of texts, and keeps memory and words from one group to the next.
class TextReader {
public:
    virtual ~TextReader() = default;

    // A text is one line, and ends at its first line break if it has one.
    virtual void read(const std::string_view* texts, size_t count) = 0;

    // Of the texts read last, by their number.
    Rows rows(size_t text) const { return {rows_.data() + ends_[text].begin, ends_[text].end - ends_[text].begin}; }
    // How many of the rows are evidence: all but those of the end of the sentence.
    size_t known(size_t text) const { return ends_[text].known; }

protected:
    struct Ends {
        size_t begin, end, known;
    };
    std::vector<int32_t> rows_;                 // of all texts
    std::vector<Ends> ends_;                    // by text
};

template <class Row>
class TextReaderOf final : public TextReader {
public:
    explicit TextReaderOf(const Model& model) : model_(model), word_reader_(model) {}

    void read(const std::string_view* texts, size_t count) override {
        ends_.resize(count);
        text_ = size_ = begin_ = 0;
        word_hashes_.clear();
        if (count == 0) return;
        cutter_.cut(texts, count);
        const size_t words = cutter_.end_of(count - 1);
        for (size_t first = 0; first < words; first += group_size) {
            const size_t n = std::min(group_size, words - first);
            const Word* group = cutter_.words() + first;
            find_words(group, n);
            read_missed(group);
            join_rows(group, first, n);
            remember_missed(group);
        }
    }

private:
    static constexpr size_t group_size = 256;           // words
    static constexpr size_t most = WordRows<Row>::most;

    // Look the words up in the cache.
    void find_words(const Word* words, size_t n) {
        for (size_t i = 0; i < n; ++i) {
            keys_[i] = key_of(words[i].begin, words[i].size);
            hashes_[i] = hash_word(keys_[i], words[i].view());
            __builtin_prefetch(&cache_.at(hashes_[i]));
        }
        n_missed_ = 0;
        for (size_t i = 0; i < n; ++i) {
            found_[i] = &cache_.at(hashes_[i]);
            missed_[n_missed_] = i;                     // no branch, since no processor could predict it
            n_missed_ += !((found_[i]->key == keys_[i]) & (words[i].size <= WordKey::size));
        }
    }

    // The others are read together.
    void read_missed(const Word* words) {
        word_reader_.clear();
        for (size_t k = 0; k < n_missed_; ++k) {
            const size_t i = missed_[k];
            word_reader_.add(words[i], keys_[i], hashes_[i]);
        }
        word_reader_.find();
        for (size_t k = 0; k < n_missed_; ++k) found_[missed_[k]] = &word_reader_.word(k);
    }

    // Only now: a word that takes the place of another one must not do so while that is used.
    void remember_missed(const Word* words) {
        for (size_t k = 0; k < n_missed_; ++k) {
            const size_t i = missed_[k];
            // A word that is longer than its key is told from no other word.
            if (words[i].size <= WordKey::size && found_[i]->count != WordRows<Row>::too_many)
                cache_.keep(*found_[i], hashes_[i]);
        }
    }

    // Append the rows of the words. `first` is the number of the first word among those of all texts.
    void join_rows(const Word* words, size_t first, size_t n) {
        for (size_t i = 0; i < n; ++i) {
            make_room(most);
            const size_t before = size_;
            append(*found_[i]);
            const size_t of_word = size_ - before;
            const bool is_last = first + i + 1 == cutter_.end_of(text_);        // so it is end_of_sentence
            if (model_.word_ngrams > 1) {
                if (!found_[i]->is_label) word_hashes_.push_back(feature_hash(words[i].view()));
                if (is_last) append_word_ngrams();
            }
            ends_[text_] = {begin_, size_, size_ - begin_ - of_word};
            begin_ = is_last ? size_ : begin_;
            text_ += is_last;
        }
    }

    void make_room(size_t rows) {
        if (rows_.size() < size_ + rows) rows_.resize(2 * (size_ + rows));
    }

    void append(const WordRows<Row>& word) {
        if (word.count == WordRows<Row>::too_many)
            return append_many(word_reader_.own_row(word), word_reader_.ngrams(word));
        int32_t* target = rows_.data() + size_;         // the next word overwrites what is too much
        for (size_t i = 0; i < most; ++i) target[i] = word.rows[i];
        size_ += word.count;
    }

    void append_many(int32_t own_row, Rows ngrams) {
        make_room(1 + ngrams.count);
        if (own_row >= 0) rows_[size_++] = own_row;
        std::copy_n(ngrams.first, ngrams.count, rows_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += ngrams.count;
    }

    // fastText keeps the hash of a word as a signed number, and widens it with its sign.
    static uint64_t feature_hash(std::string_view word) {
        FeatureHash hash;
        for (const char byte : word) hash.add(static_cast<uint8_t>(byte));
        return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(hash.value)));
    }

    // At the end of a text.
    void append_word_ngrams() {
        if (!model_.bucket_rows.empty()) {
            const BucketRows::Filter filter = model_.bucket_rows.filter();
            const size_t longest = static_cast<size_t>(model_.word_ngrams);
            make_room(word_hashes_.size() * longest);
            for (size_t first = 0; first < word_hashes_.size(); ++first) {
                uint64_t hash = word_hashes_[first];
                for (size_t next = first + 1; next < word_hashes_.size() && next < first + longest; ++next) {
                    hash = hash * 116049371 + word_hashes_[next];
                    const uint32_t bucket = filter.bucket_of_words(hash);
                    if (filter.has_row(bucket)) rows_[size_++] = model_.bucket_rows.row_of(bucket);
                }
            }
        }
        word_hashes_.clear();
    }

    const Model& model_;
    WordCutter cutter_;
    WordCache<Row> cache_;
    WordReader<Row> word_reader_;

    // of a group of words
    std::array<WordKey, group_size> keys_;
    std::array<uint64_t, group_size> hashes_;
    std::array<const WordRows<Row>*, group_size> found_;        // where the rows of each word are
    std::array<size_t, group_size + 1> missed_;                 // the words that are not in the cache
    size_t n_missed_ = 0;

    size_t size_ = 0;                                   // of rows_
    size_t begin_ = 0;                                  // of the rows of the text that is being read
    size_t text_ = 0;                                   // its number
    std::vector<uint64_t> word_hashes_;                 // of its words, where their n-grams are features
};

inline std::unique_ptr<TextReader> make_text_reader(const Model& model) {
    if (model.input.rows <= UINT16_MAX + 1) return std::make_unique<TextReaderOf<uint16_t>>(model);
    return std::make_unique<TextReaderOf<int32_t>>(model);
}

}  // namespace mc2::fasttext
