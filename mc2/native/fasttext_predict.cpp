// Inference with a fastText model, bit for bit as fastText does it, several times faster.
//
// Floating-point sums depend on their order, so each sum below takes its terms one by one in fastText's order.
// What is gained is gained elsewhere:
//
//   1. words to rows     The features of a word are looked up once; a table remembers them for the next time.
//   2. rows to hidden    The vector registers hold several columns of the same sum.
//   3. hidden to label   The vector registers hold several labels (or tree nodes), and where every label must
//                        be scored, several texts share one pass over the output matrix.
//
// The build must not contract a * b + c into one rounding (-ffp-contract=off), nor reorder (-ffast-math).
#include "fasttext_predict.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "cpu.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::fasttext {
namespace {

constexpr int32_t block_rows = OutputMatrix::block_rows;

[[noreturn]] void refuse_nan() {
    throw std::invalid_argument("the fastText model is damaged: its scores are not numbers.");
}

// ---------------------------------------------------------------- 1. words to rows

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

bool continues_character(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

// The features of a word that do not depend on its neighbours.
class WordReader {
public:
    explicit WordReader(const Model& model) : model_(model) {}

    // Append the rows of a word; returns false where it is a label, which is no feature.
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
        // Most buckets of a pruned model have no row, but which is unforeseeable: a branch here would cost more
        // than the lookup. So every bucket is written, and the next one overwrites it unless it has a row.
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

// Rows of the words met lately: texts repeat most of their words, and to hash a word's n-grams takes much
// longer than to find it here. Each word has one place, and the latest word keeps it.
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

    Entry& entry(uint64_t hash) { return entries_[hash >> (64 - index_bits)]; }

    static bool fits(std::string_view word) { return word.size() <= sizeof Entry::word; }

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

// The rows of a text, in fastText's order.
class TextReader {
public:
    explicit TextReader(const Model& model) : model_(model), word_reader_(model) {}

    // Returns the number of rows that are evidence: all but the end of the sentence itself.
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

// ---------------------------------------------------------------- 2. rows to hidden

// Add columns [first, dim) of rows one after the other. The floats may lie at any address.
void sum_columns_scalar(const uint8_t* floats, int32_t dim, int32_t first, const std::vector<int32_t>& rows,
                        float* sum) {
    const size_t row_bytes = static_cast<size_t>(dim) * sizeof(float);
    for (const int32_t row : rows) {
        const uint8_t* source = floats + static_cast<size_t>(row) * row_bytes;
        for (int32_t i = first; i < dim; ++i) {
            float value;
            std::memcpy(&value, source + static_cast<size_t>(i) * sizeof(float), sizeof value);
            sum[i] += value;
        }
    }
}

#if MC2_X86_64
// Eight columns to a register, and the sums of 8 * Registers columns stay in registers from row to row.
template <int Registers>
MC2_AVX2 void sum_columns_avx2(const uint8_t* floats, int32_t dim, int32_t first, const std::vector<int32_t>& rows,
                               float* sum) {
    const size_t row_bytes = static_cast<size_t>(dim) * sizeof(float);
    const uint8_t* column = floats + static_cast<size_t>(first) * sizeof(float);
    __m256 sums[Registers];
    for (__m256& part : sums) part = _mm256_setzero_ps();
    for (const int32_t row : rows) {
        const float* source = reinterpret_cast<const float*>(column + static_cast<size_t>(row) * row_bytes);
        for (int i = 0; i < Registers; ++i) sums[i] = _mm256_add_ps(sums[i], _mm256_loadu_ps(source + 8 * i));
    }
    for (int i = 0; i < Registers; ++i) _mm256_storeu_ps(sum + first + 8 * i, sums[i]);
}
#endif

void sum_rows(const InputMatrix& input, int32_t dim, const std::vector<int32_t>& rows, float* sum) {
    std::fill(sum, sum + dim, 0.0f);
    if (input.floats == nullptr) {
        for (const int32_t row : rows) input.quantized.add_to(row, sum);
        return;
    }
    int32_t first = 0;
#if MC2_X86_64
    if (has_avx2()) {
        for (; dim - first >= 64; first += 64) sum_columns_avx2<8>(input.floats, dim, first, rows, sum);
        for (; dim - first >= 16; first += 16) sum_columns_avx2<2>(input.floats, dim, first, rows, sum);
        for (; dim - first >= 8; first += 8) sum_columns_avx2<1>(input.floats, dim, first, rows, sum);
    }
#endif
    if (first < dim) sum_columns_scalar(input.floats, dim, first, rows, sum);
}

// The mean of the rows: what fastText calls the hidden layer.
void compute_hidden(const Model& model, const std::vector<int32_t>& rows, float* hidden) {
    sum_rows(model.input, model.dim, rows, hidden);
    const float share = static_cast<float>(1.0 / static_cast<double>(rows.size()));
    for (int32_t i = 0; i < model.dim; ++i) hidden[i] *= share;
}

// ---------------------------------------------------------------- 3. hidden to scores

// Dot products of one block of output rows with several hidden vectors: scores[text][row].
// Hidden vectors follow one another in memory.
template <int Texts>
void score_block_scalar(const float* block, int32_t dim, const float* hidden, float (*scores)[block_rows]) {
    float sums[Texts][block_rows] = {};
    for (int32_t i = 0; i < dim; ++i, block += block_rows)
        for (int text = 0; text < Texts; ++text)
            for (int row = 0; row < block_rows; ++row) sums[text][row] += block[row] * hidden[text * dim + i];
    std::memcpy(scores, sums, sizeof sums);
}

#if MC2_X86_64
template <int Texts>
MC2_AVX2 void score_block_avx2(const float* block, int32_t dim, const float* hidden, float (*scores)[block_rows]) {
    __m256 low[Texts], high[Texts];
    for (int text = 0; text < Texts; ++text) low[text] = high[text] = _mm256_setzero_ps();
    for (int32_t i = 0; i < dim; ++i, block += block_rows) {
        const __m256 rows_low = _mm256_load_ps(block), rows_high = _mm256_load_ps(block + 8);
        for (int text = 0; text < Texts; ++text) {
            const __m256 factor = _mm256_broadcast_ss(hidden + text * dim + i);
            low[text] = _mm256_add_ps(low[text], _mm256_mul_ps(rows_low, factor));
            high[text] = _mm256_add_ps(high[text], _mm256_mul_ps(rows_high, factor));
        }
    }
    for (int text = 0; text < Texts; ++text) {
        _mm256_storeu_ps(scores[text], low[text]);
        _mm256_storeu_ps(scores[text] + 8, high[text]);
    }
}
#endif

// Scores of block `index` for Texts hidden vectors; those of text t go to scores + t * stride.
template <int Texts>
void score_block(const Model& model, int32_t index, const float* hidden, float* scores, size_t stride) {
    const OutputMatrix& output = model.output;
    const float* block = output.block(index, model.dim);
    float found[Texts][block_rows];
#if MC2_X86_64
    if (has_avx2()) score_block_avx2<Texts>(block, model.dim, hidden, found);
    else
#endif
        score_block_scalar<Texts>(block, model.dim, hidden, found);

    const int32_t first = index * block_rows, count = std::min(block_rows, output.rows - first);
    for (int text = 0; text < Texts; ++text) {
        float* target = scores + static_cast<size_t>(text) * stride + first;
        std::copy_n(found[text], count, target);
        if (output.norms.empty()) continue;
        for (int32_t row = 0; row < count; ++row) target[row] *= output.norms[static_cast<size_t>(first + row)];
    }
}

// ---------------------------------------------------------------- 4. scores to label

// fastText compares labels by this. Being rounded to float, it makes ties of probabilities that differ.
float log_score(float probability) {
    return static_cast<float>(std::log(probability + 1e-5));
}

float largest(const float* scores, int32_t count) {
    float best = -std::numeric_limits<float>::infinity();
    for (int32_t i = 0; i < count; ++i) {
        if (std::isnan(scores[i])) refuse_nan();
        best = std::max(best, scores[i]);
    }
    return best;
}

// Softmax. Of labels with equal log_score the last one wins, as in fastText's heap of one.
Prediction best_by_softmax(const float* scores, int32_t count) {
    const float best = largest(scores, count);
    if (!std::isfinite(best)) refuse_nan();
    const auto weight = [best](float score) {       // the exponential is taken in double, and rounded
        return static_cast<float>(std::exp(static_cast<double>(score - best)));
    };
    float total = 0.0f;
    for (int32_t i = 0; i < count; ++i) total += weight(scores[i]);

    const float best_log = log_score(1.0f / total);
    // A label whose score is lower by more than this has a lower log_score, for up to ten million labels.
    constexpr float near = 1e-3f;
    int32_t label = count - 1;
    while (scores[label] < best - near || log_score(weight(scores[label]) / total) < best_log) --label;
    return {label, std::exp(best_log), 0};
}

// The sigmoid as fastText has it: a table of 512 steps between -8 and 8.
class SigmoidTable {
public:
    SigmoidTable() {
        for (size_t i = 0; i < values_.size(); ++i) {
            const float x = static_cast<float>(i * 2 * limit) / steps - limit;
            values_[i] = static_cast<float>(1.0 / (1.0 + std::exp(-x)));
        }
    }

    float operator()(float x) const {
        if (x < -limit) return 0.0f;
        if (x > limit) return 1.0f;
        return values_[static_cast<size_t>((x + limit) * steps / limit / 2)];
    }

private:
    static constexpr int limit = 8, steps = 512;
    std::array<float, steps + 1> values_;
};

// One versus all, and negative sampling: every label has a probability of its own. Many labels share a step
// of the table, and of those the last one wins.
Prediction best_by_sigmoid(const float* scores, int32_t count) {
    static const SigmoidTable sigmoid;
    const float best = sigmoid(largest(scores, count));         // the table never falls
    int32_t label = count - 1;
    while (sigmoid(scores[label]) < best) --label;
    return {label, std::exp(log_score(best)), 0};
}

// ---------------------------------------------------------------- 4b. the tree

// The best leaf of the Huffman tree. Each turn on the way to a leaf has a probability, and the leaf's score is
// the sum of their log_scores.
//
// fastText walks the tree depth-first, left before right, and leaves out a node that is worse than the best
// leaf so far. Here a first walk takes the likelier child first, so that a good leaf comes early and little is
// visited, and multiplies probabilities instead of adding logarithms. Only the winner's score is then computed
// as fastText does it.
//
// Why the winner is fastText's: log_score adds 1e-5 to a probability, so a turn can raise the score, by 1e-5 at
// most. fastText can therefore miss the best leaf, but only for another one within 1e-5 per level of the tree.
// The rounding of all the sums and products is below 2e-6 per level. So where the best leaf leads by more
// than `slack` (2e-5 per level, as a factor), the answer is certain; else the walk is repeated in fastText's
// own order and numbers. So it is, too, near the score below which fastText gives no answer.
class TreeSearch {
public:
    explicit TreeSearch(const Model& model)
        : model_(model), leaves_(model.output.rows),
          slack_(std::exp(-2e-5f * static_cast<float>(model.tree.depth))),
          dots_(static_cast<size_t>(model.output.blocks) * block_rows),
          right_(dots_.size()),
          scored_(static_cast<size_t>(model.output.blocks)) {}

    Prediction find(const float* hidden) {
        hidden_ = hidden;
        std::fill(scored_.begin(), scored_.end(), false);
        const Leaf likely = walk_likelier_first();
        const bool certain = likely.rival < likely.value * slack_ && likely.value * slack_ * slack_ > 1e-5f;
        const Leaf best = certain ? Leaf{likely.label, score_of(likely.label), 0} : walk_left_first();
        if (best.label < 0) return {};
        return {best.label, std::exp(best.value), 0};
    }

private:
    struct Visit {
        int32_t node;
        float value;                    // product of probabilities, or sum of log_scores
    };

    struct Leaf {
        int32_t label;
        float value;
        float rival;                    // the best value of all other leaves met
    };

    Leaf walk_likelier_first() {
        Leaf best{-1, 0.0f, 0.0f};
        const float margin = slack_ * slack_;       // a node may have leaves that are better than itself
        stack_.assign(1, {root(), 1.0f});
        while (!stack_.empty()) {
            const Visit visit = stack_.back();
            stack_.pop_back();
            if (visit.value < best.value * margin) continue;
            if (visit.node < leaves_) {
                best.rival = std::max(best.rival, std::min(best.value, visit.value));
                if (visit.value >= best.value) best = {visit.node, visit.value, best.rival};
                continue;
            }
            const float right = turn_right(visit.node);
            const Visit turns[2] = {{left_of(visit.node), visit.value * (1.0f - right + 1e-5f)},
                                    {right_of(visit.node), visit.value * (right + 1e-5f)}};
            const bool likelier = right > 0.5f;     // as an index, since a branch would be foretold badly
            stack_.push_back(turns[!likelier]);
            stack_.push_back(turns[likelier]);
        }
        return best;
    }

    Leaf walk_left_first() {
        static const float floor = log_score(0.0f);
        Leaf best{-1, -std::numeric_limits<float>::infinity(), 0.0f};
        stack_.assign(1, {root(), 0.0f});
        while (!stack_.empty()) {
            const Visit visit = stack_.back();
            stack_.pop_back();
            if (visit.value < floor || visit.value < best.value) continue;
            if (visit.node < leaves_) {             // an equal score wins, as in fastText's heap of one
                best = {visit.node, visit.value, 0.0f};
                continue;
            }
            stack_.push_back({right_of(visit.node), visit.value + log_of_turn(visit.node, true)});
            stack_.push_back({left_of(visit.node), visit.value + log_of_turn(visit.node, false)});
        }
        return best;
    }

    // The score of a leaf: from the root down, since the order of the sum matters.
    float score_of(int32_t leaf) {
        stack_.clear();
        for (int32_t node = leaf; node != root(); node = parent_of(node)) {
            const bool is_right = right_of(parent_of(node)) == node;
            stack_.push_back({node, log_of_turn(parent_of(node), is_right)});
        }
        float score = 0.0f;
        for (; !stack_.empty(); stack_.pop_back()) score += stack_.back().value;
        return score;
    }

    float log_of_turn(int32_t node, bool to_right) {
        const float right = turn_right(node);
        return log_score(to_right ? right : static_cast<float>(1.0 - right));
    }

    // The probability of turning right at an inner node. The dot products of its whole block are computed at
    // once: this takes no longer than a single row, whose sum is one long chain, and the nodes near the root
    // are neighbours.
    float turn_right(int32_t node) {
        const size_t inner = static_cast<size_t>(node - leaves_);
        const size_t block = inner / block_rows;
        if (!scored_[block]) {
            score_block<1>(model_, static_cast<int32_t>(block), hidden_, dots_.data(), 0);
            std::fill_n(right_.begin() + static_cast<std::ptrdiff_t>(block * block_rows), block_rows, unknown);
            scored_[block] = true;
        }
        if (right_[inner] == unknown) {
            if (std::isnan(dots_[inner])) refuse_nan();
            right_[inner] = static_cast<float>(1.0 / (1.0f + std::exp(-dots_[inner])));
        }
        return right_[inner];
    }

    int32_t root() const { return 2 * leaves_ - 2; }
    int32_t left_of(int32_t node) const { return model_.tree.left[static_cast<size_t>(node - leaves_)]; }
    int32_t right_of(int32_t node) const { return model_.tree.right[static_cast<size_t>(node - leaves_)]; }
    int32_t parent_of(int32_t node) const { return model_.tree.parent[static_cast<size_t>(node)]; }

    static constexpr float unknown = -1.0f;

    const Model& model_;
    const int32_t leaves_;
    const float slack_;
    const float* hidden_ = nullptr;
    std::vector<float> dots_, right_;   // by inner node, where its block is scored
    std::vector<uint8_t> scored_;       // by block
    std::vector<Visit> stack_;
};

}  // namespace

// ---------------------------------------------------------------- all together

// Texts wait here until there are enough of them to share a pass over the output matrix.
class Workspace {
public:
    explicit Workspace(const Model& model)
        : model_(model), text_reader_(model), tree_search_(model),
          hidden_(static_cast<size_t>(group_size) * static_cast<size_t>(model.dim)),
          scores_(static_cast<size_t>(group_size) * static_cast<size_t>(model.output.rows)) {}

    void predict(const std::string_view* texts, size_t count, Prediction* predictions) {
        waiting_ = 0;
        for (size_t i = 0; i < count; ++i) {
            const size_t known = text_reader_.read(texts[i], rows_);
            predictions[i] = {};
            predictions[i].known = static_cast<int32_t>(std::min<size_t>(known, INT32_MAX));
            if (rows_.empty()) continue;            // fastText gives no prediction
            compute_hidden(model_, rows_, hidden(waiting_));
            group_[waiting_++] = &predictions[i];
            if (waiting_ == group_size) finish_group();
        }
        finish_group();
    }

private:
    static constexpr int group_size = 4;

    float* hidden(int text) { return hidden_.data() + text * model_.dim; }

    void finish_group() {
        if (model_.loss == Loss::hierarchical_softmax) {
            for (int text = 0; text < waiting_; ++text) answer(text, tree_search_.find(hidden(text)));
        } else {
            const int32_t labels = model_.output.rows;
            const float* scores = scores_.data();
            if (waiting_ == group_size) {
                score_all<group_size>(0);
            } else {
                for (int text = 0; text < waiting_; ++text) score_all<1>(text);
            }
            for (int text = 0; text < waiting_; ++text, scores += labels)
                answer(text, model_.loss == Loss::softmax ? best_by_softmax(scores, labels)
                                                          : best_by_sigmoid(scores, labels));
        }
        waiting_ = 0;
    }

    template <int Texts>
    void score_all(int first) {
        const size_t labels = static_cast<size_t>(model_.output.rows);
        float* scores = scores_.data() + static_cast<size_t>(first) * labels;
        for (int32_t block = 0; block < model_.output.blocks; ++block)
            score_block<Texts>(model_, block, hidden(first), scores, labels);
    }

    void answer(int text, const Prediction& best) {
        group_[text]->label = best.label;
        group_[text]->probability = best.probability;
    }

    const Model& model_;
    TextReader text_reader_;
    TreeSearch tree_search_;
    std::vector<int32_t> rows_;
    std::vector<float> hidden_, scores_;
    Prediction* group_[group_size] = {};
    int waiting_ = 0;
};

Predictor::Predictor(const Model& model) : model_(model) {}

Predictor::~Predictor() = default;

void Predictor::predict(const std::string_view* texts, size_t count, Prediction* predictions) const {
    std::unique_ptr<Workspace> workspace;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!idle_.empty()) {
            workspace = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (workspace == nullptr) workspace = std::make_unique<Workspace>(model_);
    workspace->predict(texts, count, predictions);
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(workspace));
}

}  // namespace mc2::fasttext
