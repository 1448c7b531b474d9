// Which entries occur in which texts: the search that joins the word tables (words.hpp) with the automaton
// (automaton.hpp), over a compiled file (format.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "match/automaton.hpp"
#include "match/filter.hpp"
#include "match/format.hpp"
#include "match/text.hpp"
#include "match/words.hpp"

namespace mc2 {

// Results of a batch: those of text i are ids[offsets[i]] to ids[offsets[i + 1]], ascending and unique.
struct Results {
    std::vector<int64_t> offsets{0};
    std::vector<uint32_t> ids;
};

class Matcher {
public:
    // `punctuation` must be that with which the file was written. Throws as CompiledFile does.
    explicit Matcher(const std::string& path, const Punctuation& punctuation = {});

    uint32_t n_entries() const { return file_.header().n_entries; }
    std::string_view key() const;
    void verify() const { file_.verify(); }         // throws Damaged

    // Match n texts, text i being bytes [offsets[i], offsets[i + 1]), and append to the results. PADDING bytes
    // can be read past the last text. `counts`, if given, has n_entries numbers; each grows by the number of texts
    // that hold the entry. Any number of threads may do so at once.
    void match(const Byte* bytes, const int64_t* offsets, size_t n, Results& results, uint64_t* counts) const;

private:
    struct Scratch;

    CompiledFile file_;
    Punctuation punctuation_;
    WordTables words_;
    Filter filter_;
    Automaton automaton_;
    const Record* records_ = nullptr;
    uint64_t n_records_ = 0;
    bool has_words_ = false;
    bool has_automaton_ = false;

    static size_t next_group(const int64_t* offsets, size_t first, size_t n);
    template <bool BEYOND_ASCII>
    void cut_into_words(const Byte* bytes, const int64_t* offsets, size_t n, Scratch& scratch) const;
    void find_slots(size_t n, Scratch& scratch) const;
    void look_up_words(size_t n, Scratch& scratch) const;
    void follow_sequences(size_t n, Scratch& scratch) const;
    void run_automaton(size_t n, Scratch& scratch) const;
    void finish(size_t n, Scratch& scratch, Results& results, uint64_t* counts) const;
    void expand_lists(std::vector<uint32_t>& run) const;
    void expand(uint32_t record, std::vector<uint32_t>& ids) const;
    Record checked_record(uint32_t record) const;
};

}  // namespace mc2
