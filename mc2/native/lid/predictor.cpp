// Inference with a fastText model, bit for bit as fastText does it, several times faster:
//
//     text  ->  rows of the input matrix   features.hpp
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
        for (size_t first = 0; first < count; first += group_size)
            predict_group(texts + first, std::min(group_size, count - first), predictions + first);
    }

    void predict_all_labels(const std::string_view* texts, size_t count, float* probabilities) {
        const int32_t labels = model_.output.rows;
        for (size_t i = 0; i < count; ++i, probabilities += labels) {
            text_reader_.read(texts[i], rows_);
            std::fill_n(probabilities, labels, 0.0f);
            if (rows_.empty()) continue;
            compute_hidden(model_, rows_, hidden(0));
            if (model_.loss == Loss::hierarchical_softmax) {
                tree_search_.find_all(hidden(0), probabilities);
                continue;
            }
            score_all<1>(0);
            std::copy_n(scores_.data(), labels, probabilities);
            if (model_.loss == Loss::softmax) all_by_softmax(probabilities, labels);
            else all_by_sigmoid(probabilities, labels);
        }
    }

private:
    static constexpr size_t group_size = 32;
    static constexpr size_t ahead = 4;                  // so many texts

    void predict_group(const std::string_view* texts, size_t count, Prediction* predictions) {
        text_reader_->read(texts, count);
        size_t answered = 0;
        for (size_t text = 0; text < count; ++text) {
            if (text + ahead < count) prefetch_rows(model_, text_reader_->rows(text + ahead));
            const Rows rows = text_reader_->rows(text);
            predictions[text] = {};
            predictions[text].known = static_cast<int32_t>(std::min<size_t>(text_reader_->known(text), INT32_MAX));
            if (rows.count == 0) continue;              // fastText gives no prediction
            compute_hidden(model_, rows, hidden(answered));
            answered_[answered++] = &predictions[text];
        }
        for (size_t first = 0; first < answered; first += most_texts)
            answer(first, static_cast<int>(std::min<size_t>(most_texts, answered - first)));
    }

    void answer(size_t first, int texts) {
        if (model_.loss == Loss::hierarchical_softmax) return tree_search_.find(hidden(first), texts, &answered_[first]);
        score_all(first, texts);
        for (int text = 0; text < texts; ++text) {
            const float* scores = scores_of(text);
            const int32_t labels = model_.output.rows;
            const Prediction best = model_.loss == Loss::softmax ? best_by_softmax(scores, labels)
                                                                 : best_by_sigmoid(scores, labels);
            answered_[first + static_cast<size_t>(text)]->label = best.label;
            answered_[first + static_cast<size_t>(text)]->probability = best.probability;
        }
    }

    // Score all labels for `texts` hidden vectors from number `first` on.
    void score_all(size_t first, int texts) {
        for (int32_t block = 0; block < model_.output.blocks; ++block)
            score_block(model_, block, hidden(first), texts, scores_.data());
    }

    float* hidden(size_t number) { return hidden_.data() + number * static_cast<size_t>(model_.dim); }
    const float* scores_of(int text) const {
        return scores_.data() + static_cast<size_t>(text) * model_.output.scores_size();
    }

    const Model& model_;
    std::unique_ptr<TextReader> text_reader_;
    TreeSearch tree_search_;
    std::vector<float> hidden_;                         // of the texts that get an answer
    std::array<Prediction*, group_size> answered_{};    // these texts
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
