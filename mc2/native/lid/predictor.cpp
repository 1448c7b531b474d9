// Inference with a fastText model, bit for bit as fastText does it, many times faster:
//
//     texts ->  words                      words.hpp
//     words ->  rows of the input matrix   features.hpp, ngrams.hpp
//     rows  ->  hidden vector -> scores    layers.hpp
//     scores -> label                      best_label.hpp, tree_search.hpp
//
// These are headers, so that the compiler sees all of it at once.
#include "lid/predictor.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "lid/all_labels.hpp"
#include "lid/best_label.hpp"
#include "lid/features.hpp"
#include "lid/layers.hpp"
#include "lid/model.hpp"
#include "lid/tree_search.hpp"

namespace mc2::fasttext {

// The steps are taken by groups of texts, and memory is kept from group to group.
class Workspace {
public:
    explicit Workspace(const Model& model)
        : model_(model), text_reader_(make_text_reader(model)), tree_search_(model),
          hidden_(group_size * static_cast<size_t>(model.dim)),
          scores_(static_cast<size_t>(most_texts) * model.output.scores_size()) {}

    void predict(const std::string_view* texts, size_t count, Prediction* predictions) {
        for (size_t first = 0, size; first < count; first += size) {
            size = next_group(texts + first, count - first);
            predict_group(texts + first, size, predictions + first);
        }
    }

    void predict_all_labels(const std::string_view* texts, size_t count, float* probabilities) {
        const size_t labels = model_.labels.size();
        std::fill_n(probabilities, count * labels, 0.0f);
        for (size_t first = 0, size; first < count; first += size) {
            size = next_group(texts + first, count - first);
            const size_t answered = compute_hidden_of(texts + first, size);
            for (size_t i = 0; i < answered; ++i) find_all(hidden(i), probabilities + (first + texts_[i]) * labels);
        }
    }

private:
    static constexpr size_t group_size = 32;            // texts at most,
    static constexpr size_t group_bytes = 1 << 15;      // and so many bytes, if it is more than one text
    static constexpr size_t ahead = 4;                  // texts whose rows are asked for before they are summed

    static size_t next_group(const std::string_view* texts, size_t count) {
        size_t size = 1, bytes = texts[0].size();
        while (size < std::min(count, group_size) && (bytes += texts[size].size()) <= group_bytes) ++size;
        return size;
    }

    // Hidden vectors of those texts that fastText gives a prediction for. Returns how many there are.
    size_t compute_hidden_of(const std::string_view* texts, size_t count) {
        text_reader_->read(texts, count);
        size_t answered = 0;
        for (size_t text = 0; text < count; ++text) {
            if (text + ahead < count) prefetch_rows(model_, text_reader_->rows(text + ahead));
            const Rows rows = text_reader_->rows(text);
            if (rows.count == 0) continue;
            compute_hidden(model_, rows, hidden(answered));
            texts_[answered++] = text;
        }
        return answered;
    }

    void predict_group(const std::string_view* texts, size_t count, Prediction* predictions) {
        const size_t answered = compute_hidden_of(texts, count);
        for (size_t text = 0; text < count; ++text) {
            const size_t known = std::min<size_t>(text_reader_->known(text), INT32_MAX);
            predictions[text] = {-1, 0.0f, static_cast<int32_t>(known)};
        }
        for (size_t first = 0; first < answered; first += most_texts) {
            const size_t n = std::min<size_t>(most_texts, answered - first);
            Best best[most_texts];
            find_best(hidden(first), static_cast<int>(n), best);
            for (size_t i = 0; i < n; ++i) {
                predictions[texts_[first + i]].label = best[i].label;
                predictions[texts_[first + i]].probability = best[i].probability;
            }
        }
    }

    void find_best(const float* hidden, int texts, Best* best) {
        if (model_.loss == Loss::hierarchical_softmax) return tree_search_.find(hidden, texts, best);
        score_all(hidden, texts);
        for (int text = 0; text < texts; ++text) {
            const float* scores = scores_.data() + static_cast<size_t>(text) * model_.output.scores_size();
            best[text] = model_.loss == Loss::softmax ? best_by_softmax(scores, model_.output.rows)
                                                      : best_by_sigmoid(scores, model_.output.rows);
        }
    }

    void find_all(const float* hidden, float* probabilities) {
        if (model_.loss == Loss::hierarchical_softmax) return tree_search_.find_all(hidden, probabilities);
        score_all(hidden, 1);
        std::copy_n(scores_.data(), model_.output.rows, probabilities);
        if (model_.loss == Loss::softmax) all_by_softmax(probabilities, model_.output.rows);
        else all_by_sigmoid(probabilities, model_.output.rows);
    }

    void score_all(const float* hidden, int texts) {
        for (int32_t block = 0; block < model_.output.blocks; ++block)
            score_block(model_, block, hidden, texts, scores_.data());
    }

    float* hidden(size_t number) { return hidden_.data() + number * static_cast<size_t>(model_.dim); }

    const Model& model_;
    const std::unique_ptr<TextReader> text_reader_;
    TreeSearch tree_search_;
    std::vector<float> hidden_;
    std::array<size_t, group_size> texts_{};            // of each hidden vector, the number of its text
    std::vector<float> scores_;
};

Predictor::Predictor(const Model& model) : model_(model) {}

Predictor::~Predictor() = default;

void Predictor::predict(const std::string_view* texts, size_t count, Prediction* predictions) const {
    std::unique_ptr<Workspace> workspace = borrow();
    workspace->predict(texts, count, predictions);
    give_back(std::move(workspace));
}

void Predictor::predict_all_labels(const std::string_view* texts, size_t count, float* probabilities) const {
    std::unique_ptr<Workspace> workspace = borrow();
    workspace->predict_all_labels(texts, count, probabilities);
    give_back(std::move(workspace));
}

std::unique_ptr<Workspace> Predictor::borrow() const {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<Workspace> workspace = std::move(idle_.back());
            idle_.pop_back();
            return workspace;
        }
    }
    return std::make_unique<Workspace>(model_);
}

void Predictor::give_back(std::unique_ptr<Workspace> workspace) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(workspace));
}

}  // namespace mc2::fasttext
