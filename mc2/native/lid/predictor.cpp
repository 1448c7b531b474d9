// Inference with a fastText model, bit for bit as fastText does it, several times faster:
//
//     text  ->  rows of the input matrix   features.hpp
//     rows  ->  hidden vector -> scores    layers.hpp
//     scores -> label                      best_label.hpp, tree_search.hpp
//
// These are headers, so that the compiler sees all of it at once.
#include "lid/predictor.hpp"

#include <algorithm>

#include "lid/all_labels.hpp"
#include "lid/best_label.hpp"
#include "lid/features.hpp"
#include "lid/layers.hpp"
#include "lid/model.hpp"
#include "lid/tree_search.hpp"

namespace mc2::fasttext {

// Texts wait in the workspace until there are enough of them to share a pass over the output matrix.
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
