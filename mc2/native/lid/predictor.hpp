// The most likely label of every text, exactly as fastText finds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "lid/model.hpp"

namespace mc2::fasttext {

struct Prediction {
    int32_t label = -1;             // -1: fastText gives none
    float probability = 0.0f;
    int32_t known = 0;              // rows of the input matrix from the text itself, without the end of the line
};

class Workspace;                    // memory of one thread at work

// Threads may share a predictor: the model is read only, and each call borrows a workspace of its own.
class Predictor {
public:
    explicit Predictor(const Model& model);
    ~Predictor();

    // A text is one line, and ends at its first line break if it has one. Its bytes need not be UTF-8.
    // Throws std::invalid_argument where the model's numbers give no answer (NaN).
    void predict(const std::string_view* texts, size_t count, Prediction* predictions) const;

    // The probabilities of all labels of each text, label by label; zeros where fastText gives no prediction.
    void predict_all_labels(const std::string_view* texts, size_t count, float* probabilities) const;

private:
    std::unique_ptr<Workspace> borrow() const;
    void give_back(std::unique_ptr<Workspace> workspace) const;

    const Model& model_;
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Workspace>> idle_;      // kept: they remember words
};

}  // namespace mc2::fasttext
