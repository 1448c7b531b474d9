// The label with the best score, where labels are the leaves of a Huffman tree (hierarchical softmax).
//
// At each inner node on the path to a leaf, going right has a probability, and going left the rest of it. A leaf's
// score is the sum of the log_scores along its path.
//
// fastText walks the tree depth-first, left before right, and leaves out a node that is worse than the best leaf so
// far. The first walk below takes the likelier child first, so that a good leaf comes early and little is visited. It
// multiplies probabilities instead of adding logarithms, and these probabilities are approximate, 16 at a time. Only the
// winner's score is then computed as fastText does it.
//
// Why the winner is fastText's: log_score adds 1e-5 to a probability, so one step can raise the score, by 1e-5 at
// most. fastText can therefore miss the best leaf, but only for another one within 1e-5 per level of the tree. The
// rounding of all the sums and products is below 2e-6 per level, and so is the error of an approximate probability, but
// for 1e-7 that do not shrink with it: fastText rounds the probability of going right, and has the other one as what
// that leaves of 1. So where the best leaf leads by more than `slack` (2e-5 per level, as a factor) and `rounding` (1e-7
// per level, as a difference), the answer is certain. Otherwise the walk is repeated in fastText's own order and
// numbers; so it is near the score below which fastText gives no answer.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "common/cpu.hpp"
#include "lid/best_label.hpp"
#include "lid/layers.hpp"
#include "lid/model.hpp"

namespace mc2::fasttext {

// ---------------------------------------------------------------- approximate probabilities

// The probabilities of going left and of going right at block_rows nodes, each with the 1e-5 of log_score.
struct Turns {
    float left[block_rows], right[block_rows];
};

// Eight numbers at a time, by the vectors that GCC and clang have for every processor.
using Floats = float __attribute__((vector_size(32)));
using Bits = uint32_t __attribute__((vector_size(32)));

// From the dot products of the nodes. NaN stays NaN.
MC2_INLINE void find_turns(const float* dots, Turns& turns) {
    for (int32_t first = 0; first < block_rows; first += 8) {
        Floats dot;
        std::memcpy(&dot, dots + first, sizeof dot);
        const Floats x = -dot;
        // exp(x) = 2^n * exp(rest), where n is the integer next to x / log(2). Adding and subtracting 1.5 * 2^23 rounds
        // to an integer; log(2) comes in two parts, of which the first is exact when multiplied with n.
        constexpr float to_integer = 12582912.0f;
        const Floats shifted = x * 1.44269504f + to_integer;
        const Floats n = shifted - to_integer;
        const Floats rest = (x - n * 0.693359375f) - n * -2.12194440e-4f, square = rest * rest;
        const Floats taylor = (rest + 1.0f + (rest * (1.0f / 6) + 0.5f) * square) +
                              (rest * (1.0f / 120) + 1.0f / 24 + square * (1.0f / 720)) * (square * square);
        const Bits exponent = ((Bits)shifted << 23) + (uint32_t{127} << 23);    // of 2^n
        Floats power = taylor * (Floats)exponent;
        constexpr float largest = 80.0f;                // beyond it there are no other probabilities than 0 and 1
        power = x > largest ? Floats{} + 1e34f : power;
        power = x < -largest ? Floats{} : power;
        const Floats probability = 1.0f / (1.0f + power);
        const Floats right = probability + 1e-5f, left = power * probability + 1e-5f;
        std::memcpy(turns.right + first, &right, sizeof right);
        std::memcpy(turns.left + first, &left, sizeof left);
    }
}

#if MC2_X86_64
MC2_AVX2 inline void find_turns_avx2(const float* dots, Turns& turns) { find_turns(dots, turns); }
#endif

// ---------------------------------------------------------------- the walk

class TreeSearch {
public:
    explicit TreeSearch(const Model& model)
        : model_(model), leaves_(model.output.rows), blocks_(static_cast<size_t>(model.output.blocks)),
          slack_(std::exp(-2e-5f * static_cast<float>(model.tree.depth))),
          rounding_(1e-7f * static_cast<float>(model.tree.depth)),
          dots_(most_texts * blocks_ * block_rows), turns_(most_texts * blocks_), scored_(most_texts * blocks_),
          stack_(static_cast<size_t>(model.tree.depth) + 2) {
        for (size_t inner = 0; inner < model.tree.left.size(); ++inner)
            children_.push_back({{model.tree.left[inner], model.tree.right[inner]}});
    }

    // For up to most_texts hidden vectors, which follow one another.
    void find(const float* hidden, int texts, Best* best) {
        score_top(hidden, texts);
        for (int text = 0; text < texts; ++text) {
            choose(hidden, text);
            const Leaf leaf = find_leaf();
            best[text] = leaf.label < 0 ? Best{-1, 0.0f} : Best{leaf.label, std::exp(leaf.value)};
        }
    }

    // The probabilities of all labels: no leaf is left out.
    void find_all(const float* hidden, float* probabilities) {
        score_top(hidden, 1);
        choose(hidden, 0);
        Visit* top = stack_.data();
        *top++ = {root(), 0.0f};
        while (top != stack_.data()) {
            const Visit visit = *--top;
            if (visit.node < leaves_) probabilities[visit.node] = std::exp(visit.value);
            else top = push_children(visit, top);
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

    // What is known for a text: the dot products of its hidden vector with inner nodes, in the blocks that are scored.
    struct Scores {
        const float* hidden;
        float* dots;
        Turns* turns;
        uint8_t* scored;
    };

    void choose(const float* hidden, int text) {
        const size_t first = static_cast<size_t>(text) * blocks_;
        current_ = {hidden + text * model_.dim, &dots_[first * block_rows], &turns_[first], &scored_[first]};
    }

    Leaf find_leaf() {
        const Leaf likely = walk_likelier_first();
        const float surely = (likely.value - rounding_) * slack_;
        const bool certain = likely.rival + rounding_ < surely && surely * slack_ > 1e-5f;
        return certain ? Leaf{likely.label, score_of(likely.label), 0.0f} : walk_left_first();
    }

    Leaf walk_likelier_first() {
        Leaf best{-1, 0.0f, 0.0f};
        const float margin = slack_ * slack_;           // a node may have leaves that are better than itself
        float least = 0.0f;                             // what is worse need not be visited
        Visit* top = stack_.data();
        *top++ = {root(), 1.0f};
        while (top != stack_.data()) {
            Visit visit = *--top;
            while (visit.node >= leaves_ && !(visit.value < least)) {       // down along the likelier children
                const size_t inner = static_cast<size_t>(visit.node - leaves_);
                const Turns& turns = turns_of_block(inner / block_rows);
                const float left = turns.left[inner % block_rows], right = turns.right[inner % block_rows];
                const bool likelier = right > left;     // an index, since no processor could predict a branch
                *top++ = {children_[inner][!likelier], visit.value * std::min(left, right)};
                visit = {children_[inner][likelier], visit.value * std::max(left, right)};
            }
            if (visit.value < least) continue;
            if (std::isnan(visit.value)) refuse_nan();
            best.rival = std::max(best.rival, std::min(best.value, visit.value));
            if (visit.value < best.value) continue;
            best = {visit.node, visit.value, best.rival};
            least = best.value * margin - 2 * rounding_;
        }
        return best;
    }

    Leaf walk_left_first() {
        static const float floor = log_score(0.0f);
        Leaf best{-1, -std::numeric_limits<float>::infinity(), 0.0f};
        Visit* top = stack_.data();
        *top++ = {root(), 0.0f};
        while (top != stack_.data()) {
            const Visit visit = *--top;
            if (visit.value < floor || visit.value < best.value) continue;
            if (visit.node < leaves_) {                 // an equal score wins, as in fastText
                best = {visit.node, visit.value, 0.0f};
                continue;
            }
            top = push_children(visit, top);
        }
        return best;
    }

    // With fastText's own probabilities, the left one on top.
    Visit* push_children(Visit visit, Visit* top) {
        const size_t inner = static_cast<size_t>(visit.node - leaves_);
        turns_of_block(inner / block_rows);                     // scores it, where this is not done yet
        *top++ = {children_[inner][1], visit.value + log_of_turn(inner, true)};
        *top++ = {children_[inner][0], visit.value + log_of_turn(inner, false)};
        return top;
    }

    // The score of a leaf that was met: from the root down, since the order of the sum matters.
    float score_of(int32_t leaf) {
        Visit* top = stack_.data();
        for (int32_t node = leaf; node != root();) {
            const int32_t parent = model_.tree.parent[static_cast<size_t>(node)];
            const size_t inner = static_cast<size_t>(parent - leaves_);
            *top++ = {parent, log_of_turn(inner, children_[inner][1] == node)};
            node = parent;
        }
        float score = 0.0f;
        while (top != stack_.data()) score += (--top)->value;
        return score;
    }

    // Of a node whose block is scored, as fastText computes it.
    float log_of_turn(size_t inner, bool to_right) const {
        const float dot = current_.dots[inner];
        if (std::isnan(dot)) refuse_nan();
        const float right = static_cast<float>(1.0 / (1.0f + std::exp(-dot)));
        const float either[2] = {static_cast<float>(1.0 - right), right};       // no branch, as above
        return log_score(either[to_right]);
    }

    // The dot products of a whole block are computed at once: this takes no longer than a single row, whose sum is one
    // long chain, and nodes that are visited one after the other are in the same blocks.
    const Turns& turns_of_block(size_t block) {
        if (!current_.scored[block]) {
            score_block<1>(model_, static_cast<int32_t>(block), current_.hidden, current_.dots);
            find_turns_of(current_.dots + block * block_rows, current_.turns[block]);
            current_.scored[block] = true;
        }
        return current_.turns[block];
    }

    // Score the block of the root, which every text needs.
    void score_top(const float* hidden, int texts) {
        std::fill(scored_.begin(), scored_.end(), false);
        if (children_.empty()) return;                  // one label, and no tree
        const size_t block = (children_.size() - 1) / block_rows, stride = blocks_ * block_rows;
        score_block(model_, static_cast<int32_t>(block), hidden, texts, dots_.data());
        for (size_t text = 0; text < static_cast<size_t>(texts); ++text) {
            find_turns_of(&dots_[text * stride + block * block_rows], turns_[text * blocks_ + block]);
            scored_[text * blocks_ + block] = true;
        }
    }

    static void find_turns_of(const float* dots, Turns& turns) {
#if MC2_X86_64
        if (has_avx2()) return find_turns_avx2(dots, turns);
#endif
        find_turns(dots, turns);
    }

    int32_t root() const { return 2 * leaves_ - 2; }

    const Model& model_;
    const int32_t leaves_;
    const size_t blocks_;
    const float slack_, rounding_;
    std::vector<std::array<int32_t, 2>> children_;      // left and right, by inner node
    std::vector<float> dots_;                           // by text, then inner node
    std::vector<Turns> turns_;                          // by text, then block
    std::vector<uint8_t> scored_;                       // by text, then block
    Scores current_{};
    std::vector<Visit> stack_;                          // each level of the tree adds one to it at most
};

}  // namespace mc2::fasttext
