// In how many texts each entry of a language occurred.
//
// A release has hundreds of millions of entries, and a part of a pool meets few of them. So a language begins as a list
// of the ids that occurred, one item for each occurrence. When the list is a quarter as long as the language has
// entries, it becomes an array with one number for each entry; lists that grow longer would leave more memory behind
// than they save. These are numbers of 32 bits until as many texts were added as such a number can count: an entry
// occurs once in a text at most, so no number is larger than that.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace mc2 {

// Entries that occurred, ascending, and in how many texts each.
struct Occurred {
    std::vector<uint32_t> ids;
    std::vector<uint64_t> times;
};

class EntryCounts {
public:
    // most_in_narrow: so many texts are counted in numbers of 32 bits (fewer in tests).
    EntryCounts(uint64_t n_entries, uint64_t most_in_narrow)
        : n_entries_(n_entries),
          most_in_narrow_(std::min<uint64_t>(most_in_narrow, std::numeric_limits<uint32_t>::max())) {}

    // Add the different ids of a text, all below n_entries.
    void add(const uint32_t* ids, size_t n) {
        if (form_ == Form::narrow && n_texts_ >= most_in_narrow_) widen();
        n_texts_++;
        switch (form_) {
            case Form::list:
                list_.insert(list_.end(), ids, ids + n);
                if (list_.size() >= n_entries_ / 4 || n_texts_ >= most_in_narrow_) to_array();
                break;
            case Form::narrow: count(ids, n, narrow_); break;
            case Form::wide: count(ids, n, wide_); break;
        }
    }

    Occurred occurred() const {
        Occurred found;
        auto put = [&](uint32_t id, uint64_t times) {
            found.ids.push_back(id);
            found.times.push_back(times);
        };
        if (form_ == Form::list) {
            std::vector<uint32_t> ids(list_);
            std::sort(ids.begin(), ids.end());
            for (size_t i = 0, next; i < ids.size(); i = next) {
                for (next = i + 1; next < ids.size() && ids[next] == ids[i];) next++;
                put(ids[i], next - i);
            }
        } else {
            for (size_t id = 0; id < n_entries_; id++)
                if (const uint64_t times = form_ == Form::narrow ? narrow_[id] : wide_[id])
                    put(static_cast<uint32_t>(id), times);
        }
        return found;
    }

private:
    enum class Form { list, narrow, wide };

    uint64_t n_entries_, most_in_narrow_, n_texts_ = 0;
    Form form_ = Form::list;
    std::vector<uint32_t> list_, narrow_;
    std::vector<uint64_t> wide_;

    template <class Number>
    static void count(const uint32_t* ids, size_t n, std::vector<Number>& numbers) {
        for (size_t i = 0; i < n; i++) numbers[ids[i]]++;
    }

    void to_array() {
        narrow_.assign(n_entries_, 0);
        count(list_.data(), list_.size(), narrow_);
        list_ = {};
        form_ = Form::narrow;
    }

    void widen() {
        wide_.assign(narrow_.begin(), narrow_.end());
        narrow_ = {};
        form_ = Form::wide;
    }
};

}  // namespace mc2
