// What `mc2 count` knows of pairs, language by language: how many there are, how many matched anything, in how many
// texts each entry occurred, and the sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "balance/entry_counts.hpp"
#include "balance/sample.hpp"

namespace mc2 {

struct LanguageCounts {
    LanguageCounts(uint64_t n_entries, size_t sample_size, uint64_t most_in_narrow)
        : entries(n_entries, most_in_narrow), sample(sample_size) {}

    uint64_t pairs = 0, matched = 0;
    EntryCounts entries;
    Sample sample;
};

class Counts {
public:
    // n_entries: of each language. See LanguageCounts.
    Counts(std::vector<uint64_t> n_entries, size_t sample_size, uint64_t most_in_narrow)
        : n_entries_(std::move(n_entries)), sample_size_(sample_size), most_in_narrow_(most_in_narrow),
          languages_(n_entries_.size()) {}

    // Add n pairs: pair k is in language which[k] and matched ids [offsets[k], offsets[k + 1]). hashes: of the pairs
    // that matched anything, in order. Throws std::out_of_range, and adds nothing, where an id or a language is none.
    void add(const int64_t* which, const int64_t* offsets, const uint32_t* ids, size_t n, const uint64_t* hashes) {
        check(which, offsets, ids, n);
        for (size_t k = 0; k < n; k++) {
            LanguageCounts& language = opened(static_cast<size_t>(which[k]));
            const uint32_t* its_ids = ids + offsets[k];
            const size_t n_ids = static_cast<size_t>(offsets[k + 1] - offsets[k]);
            language.pairs++;
            if (n_ids == 0) continue;
            language.matched++;
            language.entries.add(its_ids, n_ids);
            language.sample.offer(*hashes++, its_ids, n_ids);
        }
    }

    // nullptr for a language without a pair.
    LanguageCounts* language(size_t number) { return languages_.at(number).get(); }
    size_t size() const { return languages_.size(); }

private:
    std::vector<uint64_t> n_entries_;
    size_t sample_size_;
    uint64_t most_in_narrow_;
    std::vector<std::unique_ptr<LanguageCounts>> languages_;

    void check(const int64_t* which, const int64_t* offsets, const uint32_t* ids, size_t n) const {
        for (size_t k = 0; k < n; k++) {
            if (static_cast<uint64_t>(which[k]) >= n_entries_.size()) throw std::out_of_range("no such language");
            const uint64_t n_entries = n_entries_[static_cast<size_t>(which[k])];
            bool are_entries = true;
            for (int64_t i = offsets[k]; i < offsets[k + 1]; i++) are_entries &= ids[i] < n_entries;
            if (!are_entries) throw std::out_of_range("no such entry");
        }
    }

    LanguageCounts& opened(size_t number) {
        std::unique_ptr<LanguageCounts>& language = languages_[number];
        if (!language) language = std::make_unique<LanguageCounts>(n_entries_[number], sample_size_, most_in_narrow_);
        return *language;
    }
};

}  // namespace mc2
