// The label with the best score, where labels are the leaves of a Huffman tree (hierarchical softmax).
//
// At each inner node on the path to a leaf, going right has a probability, and going left the rest of it. A leaf's
// score is the sum of the log_scores along its path.
//
// fastText walks the tree depth-first, left before right, and leaves out a node that is worse than the best leaf so
// far. The first walk below takes the likelier child first, so that a good leaf comes early and little is visited, and
// multiplies probabilities instead of adding logarithms. Only the winner's score is then computed as fastText does it.
//
// Why the winner is fastText's: log_score adds 1e-5 to a probability, so one step can raise the score, by 1e-5 at
// most. fastText can therefore miss the best leaf, but only for another one within 1e-5 per level of the tree. The
// rounding of all the sums and products is below 2e-6 per level. So where the best leaf leads by more than `slack`
// (2e-5 per level, as a factor), the answer is certain. Otherwise the walk is repeated in fastText's own order and
// numbers; so it is near the score below which fastText gives no answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "lid/best_label.hpp"
#include "lid/layers.hpp"
#include "lid/model.hpp"

namespace mc2::fasttext {

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

    // The probabilities of all labels: no leaf is left out.
    void find_all(const float* hidden, float* probabilities) {
        hidden_ = hidden;
        std::fill(scored_.begin(), scored_.end(), false);
        stack_.assign(1, {root(), 0.0f});
        while (!stack_.empty()) {
            const Visit visit = stack_.back();
            stack_.pop_back();
            if (visit.node < leaves_) {
                probabilities[visit.node] = std::exp(visit.value);
                continue;
            }
            stack_.push_back({right_of(visit.node), visit.value + log_of_step(visit.node, true)});
            stack_.push_back({left_of(visit.node), visit.value + log_of_step(visit.node, false)});
        }
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
            const float right = probability_of_right(visit.node);
            const Visit children[2] = {{left_of(visit.node), visit.value * (1.0f - right + 1e-5f)},
                                    {right_of(visit.node), visit.value * (right + 1e-5f)}};
            const bool likelier = right > 0.5f;     // an index, since no processor could predict a branch
            stack_.push_back(children[!likelier]);
            stack_.push_back(children[likelier]);
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
            if (visit.node < leaves_) {             // an equal score wins, as in fastText
                best = {visit.node, visit.value, 0.0f};
                continue;
            }
            stack_.push_back({right_of(visit.node), visit.value + log_of_step(visit.node, true)});
            stack_.push_back({left_of(visit.node), visit.value + log_of_step(visit.node, false)});
        }
        return best;
    }

    // The score of a leaf: from the root down, since the order of the sum matters.
    float score_of(int32_t leaf) {
        stack_.clear();
        for (int32_t node = leaf; node != root(); node = parent_of(node)) {
            const bool is_right = right_of(parent_of(node)) == node;
            stack_.push_back({node, log_of_step(parent_of(node), is_right)});
        }
        float score = 0.0f;
        for (; !stack_.empty(); stack_.pop_back()) score += stack_.back().value;
        return score;
    }

    float log_of_step(int32_t node, bool to_right) {
        const float right = probability_of_right(node);
        return log_score(to_right ? right : static_cast<float>(1.0 - right));
    }

    // The probability of going right at an inner node. The dot products of its whole block are computed at once:
    // this takes no longer than a single row, whose sum is one long chain, and the nodes near the root are in the
    // same blocks.
    float probability_of_right(int32_t node) {
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

}  // namespace mc2::fasttext
