// The probability with which each pair is kept (mc2/balancing/algorithm.py): q = 1 - prod(1 - p_e) over its matched
// entries, with p_e = t / max(count, t), in float64, multiplied in ascending order of ids.
//
// The counts are large arrays that are read here and there, so those of a pair are asked for some pairs ahead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace mc2 {

// The counts of a language, one for each entry, and its threshold.
struct CountedLanguage {
    const uint64_t* counts = nullptr;
    uint64_t n_entries = 0;
    double t = 0;
};

// Pair k is in language which[k] and matched ids [offsets[k], offsets[k + 1]). Writes its q, 0 where nothing matched,
// and whether it matched an entry that was never counted. Throws where an id or a language is none.
inline void keep_probs(const std::vector<CountedLanguage>& languages, const int64_t* which, const int64_t* offsets,
                       const uint32_t* ids, size_t n, double* q, bool* never_counted) {
    constexpr size_t AHEAD = 8;
    static const CountedLanguage NONE;
    auto language_of = [&](size_t k) -> const CountedLanguage& {
        const uint64_t number = static_cast<uint64_t>(which[k]);        // a negative one is larger than any
        return number < languages.size() ? languages[number] : NONE;
    };
    for (size_t k = 0; k < n; k++) {
        if (k + AHEAD < n) {
            const CountedLanguage& later = language_of(k + AHEAD);
            for (int64_t i = offsets[k + AHEAD]; i < offsets[k + AHEAD + 1]; i++)
                if (ids[i] < later.n_entries) __builtin_prefetch(later.counts + ids[i]);
        }
        const CountedLanguage& language = language_of(k);
        double missed = 1.0;                    // by all draws
        uint64_t smallest = 1;
        for (int64_t i = offsets[k]; i < offsets[k + 1]; i++) {
            if (ids[i] >= language.n_entries) throw std::out_of_range("an entry that has no count");
            const uint64_t count = language.counts[ids[i]];
            smallest = std::min(smallest, count);
            missed *= language.t == 0 ? 0.0 : 1.0 - language.t / std::max(static_cast<double>(count), language.t);
        }
        q[k] = 1.0 - missed;
        never_counted[k] = smallest == 0;
    }
}

}  // namespace mc2
