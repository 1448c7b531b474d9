// Texts of several languages, each matched with the matcher of its language.
//
// A matcher is fast when it gets many texts at once: memory that it asked for early arrives meanwhile. So the texts of
// a batch are copied together language by language, and what is found is put into the order of the texts at the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "common/strings.hpp"
#include "match/matcher.hpp"

namespace mc2 {

// The numbers of the texts, those of one language together and otherwise in order; those of language l are
// [ends[l - 1], ends[l]). Throws where a language is none.
inline std::vector<size_t> grouped(const int64_t* which, size_t n, std::vector<size_t>& ends) {
    for (size_t k = 0; k < n; k++) {
        if (static_cast<uint64_t>(which[k]) >= ends.size()) throw std::out_of_range("no such matcher");
        ends[static_cast<size_t>(which[k])]++;
    }
    size_t sum = 0;
    for (size_t& end : ends) sum += std::exchange(end, sum);        // where each language begins, for now
    std::vector<size_t> texts(n);
    for (size_t k = 0; k < n; k++) texts[ends[static_cast<size_t>(which[k])]++] = k;
    return texts;
}

// Match text k with matchers[which[k]]. A matcher that no text needs may be nullptr.
inline Results match_languages(const std::vector<const Matcher*>& matchers, const int64_t* which,
                               const Strings& texts) {
    std::vector<size_t> ends(matchers.size());
    const std::vector<size_t> order = grouped(which, texts.n, ends);
    Results found;                              // in this order
    std::vector<Byte> bytes;                    // of the texts of a language
    std::vector<int64_t> offsets;
    for (size_t language = 0, k = 0; language < matchers.size(); language++) {
        if (k == ends[language]) continue;
        if (matchers[language] == nullptr) throw std::out_of_range("no such matcher");
        bytes.clear();
        offsets.assign(1, 0);
        for (; k < ends[language]; k++) {
            const std::string_view text = texts[order[k]];
            bytes.insert(bytes.end(), text.begin(), text.end());
            offsets.push_back(static_cast<int64_t>(bytes.size()));
        }
        bytes.resize(bytes.size() + PADDING);
        matchers[language]->match(bytes.data(), offsets.data(), offsets.size() - 1, found, nullptr);
    }
    if (std::is_sorted(order.begin(), order.end())) return found;

    Results results;
    results.offsets.resize(texts.n + 1);
    for (size_t k = 0; k < texts.n; k++) results.offsets[order[k] + 1] = found.offsets[k + 1] - found.offsets[k];
    std::partial_sum(results.offsets.begin(), results.offsets.end(), results.offsets.begin());
    results.ids.resize(found.ids.size());
    for (size_t k = 0; k < texts.n; k++)
        std::copy(found.ids.data() + found.offsets[k], found.ids.data() + found.offsets[k + 1],
                  results.ids.data() + results.offsets[order[k]]);
    return results;
}

}  // namespace mc2
