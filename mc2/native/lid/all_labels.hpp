// The probabilities of all labels, where every label is scored: as fastText gives them when it is asked for all.
#pragma once

#include <cmath>
#include <cstdint>

#include "lid/best_label.hpp"

namespace mc2::fasttext {

// In place: scores become probabilities.
inline void all_by_softmax(float* scores, int32_t count) {
    const float best = largest(scores, count);
    if (!std::isfinite(best)) refuse_nan();
    float total = 0.0f;
    for (int32_t i = 0; i < count; ++i) {
        scores[i] = static_cast<float>(std::exp(static_cast<double>(scores[i] - best)));
        total += scores[i];
    }
    for (int32_t i = 0; i < count; ++i) scores[i] = std::exp(log_score(scores[i] / total));
}

// In place, for one versus all and negative sampling.
inline void all_by_sigmoid(float* scores, int32_t count) {
    static const SigmoidTable sigmoid;
    largest(scores, count);                                     // refuses what is no number
    for (int32_t i = 0; i < count; ++i) scores[i] = std::exp(log_score(sigmoid(scores[i])));
}

}  // namespace mc2::fasttext
