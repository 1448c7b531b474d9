// The sample of a language: the matched ids of the texts with the smallest hashes.
//
// Texts are taken up as they come, unless their hash is larger than that of the last text of a full sample. When a
// quarter more than wanted have come together, the largest ones go. Of many texts few are ever taken up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace mc2 {

class Sample {
public:
    struct Text {
        uint64_t hash;
        size_t begin, size;     // its ids in ids()
    };

    explicit Sample(size_t size) : size_(size) {}

    void offer(uint64_t hash, const uint32_t* ids, size_t n) {
        if (hash > largest_) return;
        texts_.push_back({hash, ids_.size(), n});
        ids_.insert(ids_.end(), ids, ids + n);
        if (texts_.size() > size_ + size_ / 4) shrink();
    }

    // Put the texts in order, those of one hash (which are the same text as a rule) by their ids, and leave out those
    // that are too many.
    void shrink() {
        std::sort(texts_.begin(), texts_.end(), [&](const Text& a, const Text& b) {
            if (a.hash != b.hash) return a.hash < b.hash;
            const uint32_t *a_ids = ids_.data() + a.begin, *b_ids = ids_.data() + b.begin;
            return std::lexicographical_compare(a_ids, a_ids + a.size, b_ids, b_ids + b.size);
        });
        if (texts_.size() > size_) texts_.resize(size_);
        std::vector<uint32_t> kept;
        for (Text& text : texts_) {
            const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(text.begin);
            text.begin = kept.size();
            kept.insert(kept.end(), begin, begin + static_cast<std::ptrdiff_t>(text.size));
        }
        ids_.swap(kept);
        if (texts_.size() == size_) largest_ = texts_.empty() ? 0 : texts_.back().hash;
    }

    // After shrink(): in order, with their ids one after the other.
    const std::vector<Text>& texts() const { return texts_; }
    const std::vector<uint32_t>& ids() const { return ids_; }

private:
    size_t size_;
    uint64_t largest_ = std::numeric_limits<uint64_t>::max();   // a text with a larger hash is not in the sample
    std::vector<Text> texts_;
    std::vector<uint32_t> ids_;
};

}  // namespace mc2
