// A fastText model for classification, as read from a .bin or .ftz file.
//
// The model sees a text as a bag of features (words, character n-grams, word n-grams), each of which has a row of
// the input matrix. The mean of these rows is the text's hidden vector. Its dot products with the rows of the output
// matrix tell how likely every label is.
//
// The file is mapped into memory. Words and plain input matrices are used where they lie in it and never copied, so
// processes that load the same model share its pages. The file is not trusted: every size and index is checked once,
// when it is read (read_model.cpp), so that inference need not check again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/bits.hpp"
#include "common/files.hpp"
#include "lid/words.hpp"

namespace mc2::fasttext {

enum class Loss : int32_t { hierarchical_softmax = 1, negative_sampling = 2, softmax = 3, one_versus_all = 4 };

// An unknown word that begins with this is a label of training data, and no evidence.
constexpr std::string_view label_prefix = "__label__";

// The longest n-grams. It is far beyond any real model; a damaged one must not make a short text expensive.
constexpr int32_t longest_ngram = 64;

// Floats that begin at a cache line, all zero at first.
class AlignedFloats {
public:
    AlignedFloats() = default;
    explicit AlignedFloats(size_t count);

    float* data() { return floats_.get(); }
    const float* data() const { return floats_.get(); }

private:
    struct Free {
        void operator()(float* floats) const;
    };
    std::unique_ptr<float[], Free> floats_;
};

// FNV-1a as fastText computes it, with bytes as signed numbers. It numbers n-grams, so the model depends on it.
struct FeatureHash {
    uint32_t value = 2166136261u;

    void add(uint8_t byte) {
        value ^= static_cast<uint32_t>(static_cast<int8_t>(byte));
        value *= 16777619u;
    }
};

// Rows of the input matrix.
struct Rows {
    const int32_t* first;
    size_t count;

    const int32_t* begin() const { return first; }
    const int32_t* end() const { return first + count; }
};

// The words and labels of the model: ids from 0 are words, and labels follow them. The bytes stay in the file.
class Dictionary {
public:
    void add(const char* word);         // ends with a NUL; the next id is its id
    void build_index();                 // once, after the last word

    int32_t find(std::string_view word, uint64_t hash) const;       // id or -1
    int32_t size() const { return static_cast<int32_t>(words_.size()); }
    std::string_view word(int32_t id) const { return words_[static_cast<size_t>(id)]; }

private:
    struct Slot {
        uint32_t hash = 0;
        int32_t id = -1;
    };
    bool is(int32_t id, std::string_view word) const;

    std::vector<const char*> words_;
    std::vector<Slot> slots_;           // open addressing; a power of two of them, at most half full
};

// From the hash of an n-gram to its row of the input matrix.
//
// Hashes are folded into buckets. A full model has a row for every bucket. A pruned one has rows for a few:
// a bitmap says which, and the rank of a bucket among them (the set bits before it) finds its row. The bitmap
// is small enough for the processor's cache, and most n-grams need no more than it.
class BucketRows {
public:
    void set_none() { kind_ = Kind::none; }
    void set_all(int32_t buckets, int32_t first_row);
    void set_pruned(int32_t buckets, std::vector<std::pair<int32_t, int32_t>> rows_by_bucket);   // sorted

    bool empty() const { return kind_ == Kind::none; }

    // What the inner loop needs, few enough values to stay in registers.
    struct Filter {
        uint64_t reciprocal;
        uint32_t buckets;
        const uint64_t* kept;           // nullptr: all

        // hash % buckets by two multiplications, exact for numbers of 32 bits
        // (Lemire, Kaser, Kurz: "Faster remainder by direct computation").
        uint32_t bucket_of(uint32_t hash) const {
            __extension__ using Wide = unsigned __int128;
            return static_cast<uint32_t>(static_cast<Wide>(reciprocal * hash) * buckets >> 64);
        }
        uint32_t bucket_of_words(uint64_t hash) const { return static_cast<uint32_t>(hash % buckets); }
        bool has_row(uint32_t bucket) const { return kept == nullptr || (kept[bucket / 64] >> (bucket % 64) & 1); }
    };
    // Not for an empty table.
    Filter filter() const { return {reciprocal_, buckets_, kind_ == Kind::pruned ? kept_.data() : nullptr}; }
    // The row of a bucket that has one.
    MC2_INLINE int32_t row_of(uint32_t bucket) const {
        if (kind_ == Kind::all) return first_row_ + static_cast<int32_t>(bucket);
        const uint64_t before = (uint64_t{1} << (bucket % 64)) - 1;
        return rows_[rank_[bucket / 64] + count_ones(kept_[bucket / 64] & before)];
    }

private:
    enum class Kind { none, all, pruned };

    Kind kind_ = Kind::none;
    uint32_t buckets_ = 1;
    uint64_t reciprocal_ = 0;           // of buckets_, for division by multiplication
    int32_t first_row_ = 0;
    std::vector<uint64_t> kept_;        // bitmap over buckets
    std::vector<uint32_t> rank_;        // set bits before each 64 of kept_
    std::vector<int32_t> rows_;         // of kept buckets, in order
};

// A product quantiser: a vector is cut into pieces, and each piece is one of 256 centroids.
struct Quantizer {
    int32_t dim = 0, pieces = 0, width = 0, last_width = 0;
    std::vector<float> centroids;

    int32_t width_of(int32_t piece) const { return piece == pieces - 1 ? last_width : width; }
    const float* centroid(int32_t piece, uint8_t code) const {
        const size_t first = static_cast<size_t>(piece) * 256 * static_cast<size_t>(width);
        return centroids.data() + first + static_cast<size_t>(code) * static_cast<size_t>(width_of(piece));
    }
};

// A quantised matrix: codes in the file, and optionally a code for the norm of every row.
struct QuantizedMatrix {
    int64_t rows = 0;
    Quantizer quantizer;
    Quantizer norm_quantizer;
    const uint8_t* codes = nullptr;
    const uint8_t* norm_codes = nullptr;        // nullptr: rows have no norm of their own

    float norm(int64_t row) const;
    void copy_direction(int64_t row, float* target) const;      // the row without its norm
    void add_to(int64_t row, float* sum) const;                 // sum += norm * row
};

// One row per feature: plain floats (in the file, at any alignment, or unfolded in memory), or quantised.
struct InputMatrix {
    int64_t rows = 0;
    const uint8_t* floats = nullptr;            // nullptr: use `quantized`
    QuantizedMatrix quantized;
    AlignedFloats unfolded;
};

// One row per label (or per inner node of the tree), stored so that many dot products are computed at a time: in
// blocks of block_rows rows, and in a block first the first number of each row, then the second number of each, and
// so on. A vector register then works on several rows, and each row is still summed in fastText's order.
struct OutputMatrix {
    static constexpr int32_t block_rows = 16;

    int32_t rows = 0, blocks = 0;
    AlignedFloats floats;
    std::vector<float> norms;                   // of quantised rows, to multiply the dot product with; or empty

    size_t scores_size() const { return static_cast<size_t>(blocks) * static_cast<size_t>(block_rows); }

    const float* block(int32_t index, int32_t dim) const {
        return floats.data() + static_cast<size_t>(index) * static_cast<size_t>(block_rows)
                                   * static_cast<size_t>(dim);
    }
};

// The Huffman tree of the hierarchical softmax. Nodes below the number of labels are leaves, one per label;
// inner node n owns row n - labels of the output matrix; the last node is the root.
struct HuffmanTree {
    std::vector<int32_t> left, right;           // by inner node number - labels
    std::vector<int32_t> parent;                // by node number; -1 for the root
    int32_t depth = 0;                          // inner nodes on the longest path from the root
};

class Model {
public:
    // Throws FileError where the file cannot be opened, std::invalid_argument where it is damaged or not a model
    // for classification.
    explicit Model(const std::string& path);

    int32_t dim = 0;
    int32_t word_ngrams = 1;                    // longest n-gram of words
    int32_t min_ngram = 0, max_ngram = 0;       // shortest and longest n-gram of characters
    Loss loss = Loss::softmax;
    bool quantized = false;

    std::vector<std::string> labels;            // as in the file, so mostly with "__label__"
    int32_t words = 0;                          // ids in the dictionary from here on are labels
    Dictionary dictionary;
    BucketRows bucket_rows;
    InputMatrix input;
    OutputMatrix output;
    HuffmanTree tree;                           // for hierarchical softmax only

private:
    MappedFile file_;
};

}  // namespace mc2::fasttext
