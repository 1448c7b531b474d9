// From entries to tables: equal forms are joined, the forms divided between words and automaton, and each form's ids
// become its result.
#include "match/build.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>

#include "match/automaton.hpp"
#include "match/filter.hpp"
#include "match/format.hpp"
#include "match/text.hpp"
#include "match/words.hpp"

namespace mc2 {
namespace {

// A form, with questions about the punctuation in it.
class Form {
public:
    Form(std::string_view form, const Punctuation& punctuation) : form_(form), punctuation_(punctuation) {}

    // Bytes of the punctuation character that begins at byte i, or ends before it; 0 where there is none.
    size_t at(size_t i) const { return i < form_.size() ? punctuation_.at(bytes() + i, bytes() + form_.size()) : 0; }
    size_t before(size_t i) const { return punctuation_.before(bytes(), bytes() + i); }

    bool begins_with_break() const { return form_.front() == ' ' || at(0) != 0; }
    bool ends_with_break() const { return form_.back() == ' ' || before(form_.size()) != 0; }

private:
    std::string_view form_;
    const Punctuation& punctuation_;

    const Byte* bytes() const { return reinterpret_cast<const Byte*>(form_.data()); }
};

// Whether any spaced text can hold the form. Spaced texts have neither tabs nor line breaks, spaces around each
// punctuation character, and two spaces between two of those.
bool can_match(std::string_view form, const Punctuation& punctuation) {
    const Form its(form, punctuation);
    for (size_t i = 0; i < form.size(); i++) {
        if (form[i] != ' ' && is_space(static_cast<Byte>(form[i]))) return false;
        const size_t size = its.at(i);
        if (size == 0) continue;
        const size_t after = i + size;
        if (i > 0 && form[i - 1] != ' ') return false;
        if (after < form.size() && form[after] != ' ') return false;
        if (its.at(after + 1) != 0) return false;
        i = after - 1;
    }
    return !form.empty();
}

// The form without a space that says nothing: spaced texts have spaces around punctuation in any case, so none is
// needed between punctuation and an end of the form. Forms that are in the same texts are then equal: "? " and " ? "
// become "?".
std::string_view shortest(std::string_view form, const Punctuation& punctuation) {
    if (form.front() == ' ' && Form(form, punctuation).at(1) != 0) form.remove_prefix(1);
    if (form.back() == ' ' && Form(form, punctuation).before(form.size() - 1) != 0) form.remove_suffix(1);
    return form;
}

// Whether the form is a sequence of whole words.
bool is_words(std::string_view form, const Punctuation& punctuation) {
    const Form its(form, punctuation);
    return form != " " && its.begins_with_break() && its.ends_with_break();
}

// The entries as they go into the tables: distinct forms, and the ids of each.
class Forms {
public:
    // Sorted by bytes; ids of form i are those of entries [first_[i], first_[i + 1]).
    Forms(const std::vector<Entry>& entries, const Punctuation& punctuation) {
        for (const Entry& entry : entries)
            if (can_match(entry.form, punctuation))
                entries_.push_back({shortest(entry.form, punctuation), entry.id});
        std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
            const int order = a.form.compare(b.form);
            return order != 0 ? order < 0 : a.id < b.id;
        });
        for (size_t i = 0; i < entries_.size(); i++)
            if (i == 0 || entries_[i].form != entries_[i - 1].form) first_.push_back(i);
        first_.push_back(entries_.size());
    }

    size_t size() const { return first_.size() - 1; }
    std::string_view operator[](size_t form) const { return entries_[first_[form]].form; }
    size_t n_ids(size_t form) const { return first_[form + 1] - first_[form]; }
    uint32_t id(size_t form, size_t i) const { return entries_[first_[form] + i].id; }

private:
    std::vector<Entry> entries_;
    std::vector<size_t> first_;
};

// The lists of ids, for forms that are found with more than one id.
class Records {
public:
    std::vector<Record> list{{0, 0}};       // index 0 is the end of every list

    // Add the list of a form's ids, which goes on at `next`; returns where it begins.
    uint32_t add(const Forms& forms, size_t form, uint32_t next) {
        for (size_t i = forms.n_ids(form); i-- > 0;) {
            list.push_back({forms.id(form, i), next});
            next = static_cast<uint32_t>(list.size() - 1);
        }
        if (list.size() >= IS_RECORD) throw std::length_error("too many entries");
        return next;
    }

    Result result(const Forms& forms, size_t form) {
        return forms.n_ids(form) == 1 ? forms.id(form, 0) : IS_RECORD | add(forms, form, 0);
    }
};

// Which forms the word tables find, and which the automaton. Where most need the automaton (Chinese, Thai), it finds
// all of them: one search is faster than two.
struct Division {
    std::vector<size_t> words, automaton;

    Division(const Forms& forms, const Punctuation& punctuation) {
        for (size_t form = 0; form < forms.size(); form++)
            (is_words(forms[form], punctuation) ? words : automaton).push_back(form);
        if (automaton.size() > words.size()) {
            words.clear();
            automaton.resize(forms.size());
            for (size_t form = 0; form < forms.size(); form++) automaton[form] = form;
        }
    }
};

FilterBuilder filter_of(const Forms& forms, const Division& division, const Punctuation& punctuation) {
    FilterBuilder filter;
    if (division.words.empty()) {
        filter.add_everything();
        return filter;
    }
    for (size_t form : division.automaton) {
        const Form its(forms[form], punctuation);
        const bool within_characters = punctuation.is_beyond_ascii();
        if (!its.ends_with_break()) filter.add_end(forms[form], within_characters);
        else if (!its.begins_with_break()) filter.add_begin(forms[form], within_characters);
        else filter.add_everything();
    }
    return filter;
}

std::vector<std::string_view> views(const Forms& forms, const std::vector<size_t>& chosen) {
    std::vector<std::string_view> all;
    all.reserve(chosen.size());
    for (size_t form : chosen) all.push_back(forms[form]);
    return all;
}

}  // namespace

void write_matcher(const std::vector<Entry>& entries, uint32_t n_entries, std::string_view key,
                   const std::string& path, const Punctuation& punctuation) {
    const Forms forms(entries, punctuation);
    const Division division(forms, punctuation);
    Records records;

    WordTablesBuilder words;
    if (!division.words.empty()) {
        std::vector<Result> results;
        results.reserve(division.words.size());
        for (size_t form : division.words) results.push_back(records.result(forms, form));
        words.build(views(forms, division.words), results);
    }
    AutomatonBuilder automaton;
    if (!division.automaton.empty())
        automaton.build(views(forms, division.automaton), [&](uint32_t form, uint32_t next) {
            return records.add(forms, division.automaton[form], next);
        });

    CompiledFileWriter writer(path);
    Header& header = writer.header;
    header.n_entries = n_entries;
    header.key_size = key.size();
    std::memcpy(header.key, key.data(), key.size());
    header.word_seed = words.word_hash.table.seed;
    header.edge_seed = words.edge_hash.table.seed;
    const FilterBuilder filter = filter_of(forms, division, punctuation);
    header.wanted = filter.wanted;
    header.alone = filter.alone;
    writer.add(WORD_PILOTS, words.word_hash.pilots);
    writer.add(WORDS, words.words);
    writer.add(SPELLINGS, words.spellings);
    writer.add(LETTERS, words.letters);
    writer.add(EDGE_PILOTS, words.edge_hash.pilots);
    writer.add(EDGES, words.edges);
    writer.add(RECORDS, records.list);
    writer.add(CONTEXTS, filter.contexts);
    writer.add(NODES, automaton.nodes);
    writer.write();
}

}  // namespace mc2
