// The label with the best score, where every label is scored: softmax and sigmoid.
//
// fastText compares the rounded logarithms of probabilities, so labels with different scores can be equal to it. Of
// equal labels the last one wins, as in fastText's heap of one element.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace mc2::fasttext {

struct Best {
    int32_t label;                  // -1: fastText gives none
    float probability;
};

[[noreturn]] inline void refuse_nan() {
    throw std::invalid_argument("the fastText model is damaged: its scores are not numbers.");
}

// What fastText compares labels by.
inline float log_score(float probability) {
    return static_cast<float>(std::log(probability + 1e-5));
}

inline float largest(const float* scores, int32_t count) {
    float best = -std::numeric_limits<float>::infinity();
    for (int32_t i = 0; i < count; ++i) {
        if (std::isnan(scores[i])) refuse_nan();
        best = std::max(best, scores[i]);
    }
    return best;
}

// Softmax: the probabilities of all labels sum to one.
inline Best best_by_softmax(const float* scores, int32_t count) {
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
    return {label, std::exp(best_log)};
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

// One versus all, and negative sampling: every label has a probability of its own. Labels whose scores fall into the
// same step of the table are equal.
inline Best best_by_sigmoid(const float* scores, int32_t count) {
    static const SigmoidTable sigmoid;
    const float best = sigmoid(largest(scores, count));         // the table never falls
    int32_t label = count - 1;
    while (sigmoid(scores[label]) < best) --label;
    return {label, std::exp(log_score(best))};
}

}  // namespace mc2::fasttext
