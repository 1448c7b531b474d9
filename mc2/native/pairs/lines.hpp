// A block of lines, read once: what its pairs say, as columns.
//
// Lines are read one by one by the parser of json_line.hpp. The values of a key become a column: strings in one array
// of UTF-8, labels as numbers of few distinct names, entry ids as one array for all pairs. An odd line, of which the
// parser does not know what it means, is shown to the caller at once; what the caller makes of it goes into the columns
// in its place. So the pairs are in the order of the lines, and the first bad line is the first to be complained about.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/utf8.hpp"
#include "pairs/json_line.hpp"

namespace mc2::pairs {

// ---------------------------------------------------------------- columns

// Bytes that are never set to zero before they are written, since memory that is never touched costs nothing.
class Bytes {
public:
    explicit Bytes(size_t capacity) : capacity_(capacity) { resize(capacity); }

    uint8_t* end() { return data_.get() + size_; }
    void set_end(const uint8_t* end) { size_ = static_cast<size_t>(end - data_.get()); }
    size_t size() const { return size_; }
    const uint8_t* data() const { return data_.get(); }

    void add(std::string_view more) {
        if (more.size() > capacity_ - size_) resize(capacity_ = size_ + more.size() + capacity_ / 2);
        std::memcpy(end(), more.data(), more.size());
        size_ += more.size();
    }

    // Give the memory behind the end back, and the rest of it to the caller, who calls free().
    uint8_t* release() {
        resize(size_);
        return data_.release();
    }

private:
    struct Free {
        void operator()(uint8_t* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<uint8_t, Free> data_;
    size_t size_ = 0, capacity_;

    void resize(size_t capacity) {
        auto* moved = static_cast<uint8_t*>(std::realloc(data_.get(), capacity + 1));
        if (moved == nullptr) throw std::bad_alloc();
        (void)data_.release();
        data_.reset(moved);
    }
};

// String i is bytes [offsets[i], offsets[i + 1]).
struct Strings {
    Bytes bytes;
    std::vector<int64_t> offsets{0};

    explicit Strings(size_t most_bytes) : bytes(most_bytes) {}
    void add(const Span& span) {
        bytes.set_end(write_string(span, bytes.end()));
        offsets.push_back(static_cast<int64_t>(bytes.size()));
    }
    void add(std::string_view string) {
        bytes.add(string);
        offsets.push_back(static_cast<int64_t>(bytes.size()));
    }
};

// String i is names[numbers[i]].
class Labels {
public:
    std::vector<int64_t> numbers;
    std::vector<std::string> names;         // in the order in which they occur

    void add(const Span& span) {
        if (!span.escaped) return add({span.begin, static_cast<size_t>(span.end - span.begin)});
        std::string name(static_cast<size_t>(span.end - span.begin), '\0');
        auto* begin = reinterpret_cast<uint8_t*>(name.data());
        name.resize(static_cast<size_t>(write_string(span, begin) - begin));
        add(name);
    }
    void add(std::string_view name) {
        numbers.push_back(name.size() <= sizeof(uint64_t) ? number_of_short(name) : number_of(name));
    }

private:
    // A name of at most eight bytes that was looked up, as a number, so that to find it again is one comparison.
    struct Short {
        uint64_t bytes = 0;
        size_t size = 0;
        int64_t number = -1;
    };
    static constexpr int short_bits = 8;

    std::unordered_map<std::string, int64_t> numbers_;
    std::string key_;                       // kept, so that looking up needs no new memory
    std::vector<Short> shorts_;             // at the place that the bytes hash to is the last one of that place

    int64_t number_of_short(std::string_view name) {
        if (shorts_.empty()) shorts_.resize(size_t{1} << short_bits);
        uint64_t bytes = 0;
        name.copy(reinterpret_cast<char*>(&bytes), name.size());
        Short& last = shorts_[bytes * 0x9E3779B97F4A7C15 >> (64 - short_bits)];
        if (last.number < 0 || last.bytes != bytes || last.size != name.size())
            last = {bytes, name.size(), number_of(name)};
        return last.number;
    }

    int64_t number_of(std::string_view name) {
        key_ = name;
        const auto [found, is_new] = numbers_.try_emplace(key_, static_cast<int64_t>(names.size()));
        if (is_new) names.push_back(key_);
        return found->second;
    }
};

// The ids of pair i are values [offsets[i], offsets[i + 1]).
struct Lists {
    std::vector<int64_t> offsets{0};
    std::vector<uint32_t> values;
};

// How the values of a wanted key are kept. An optional label is "" where it is not there. Of presence there is only the
// bit in Lines::present.
enum class Kind : uint8_t { strings, labels, entry_ids, optional_labels, presence };

inline Form form_of(Kind kind) {
    switch (kind) {
        case Kind::entry_ids: return Form::entry_ids;
        case Kind::optional_labels: return Form::optional_string;
        case Kind::presence: return Form::presence;
        default: return Form::string;
    }
}

struct Column {
    Kind kind;
    std::optional<Strings> strings;
    Labels labels;

    bool has_labels() const { return kind == Kind::labels || kind == Kind::optional_labels; }
};

// What a block says: element i of each array is of pair i. Positions are those in the block.
struct Lines {
    int64_t n_lines = 0;                    // that are not blank, odd ones that are no pairs too
    std::vector<int64_t> numbers;           // of the line, from the given one on
    std::vector<int64_t> begins, ends;      // from the first byte of the line to behind the closing brace
    std::vector<uint32_t> present;          // bit k: wanted key k is there
    std::vector<Column> columns;            // one per wanted key
    Lists entry_ids;                        // of the one key that has them
};

// ---------------------------------------------------------------- reading a block

struct OddLine {
    int64_t number;
    size_t pair;                            // the number of the pair that it would be in this block
    std::string_view line;                  // without the white space behind it
};

// The values of an odd line that is a pair.
struct OddPair {
    uint32_t present = 0;
    std::vector<std::string> strings;       // one per wanted key; "" where it is of another kind
    std::vector<uint32_t> entry_ids;
};

struct KeyWithKind {
    std::string name;
    Kind kind;
};

class LineReader {
public:
    // block: followed by a zero byte (see json_line.hpp), and alive as long as the reader. keys: at most MOST_KEYS,
    // at most one of them of entry ids. first: the number of the first line.
    LineReader(std::string_view block, int64_t first, const std::vector<KeyWithKind>& keys)
        : block_(block), number_(first), keys_(wanted(keys)), parser_(block, keys_, lines_.entry_ids.values),
          is_utf8_(is_utf8(block.data(), block.size())) {
        for (const KeyWithKind& key : keys) {
            lines_.columns.push_back({key.kind, std::nullopt, {}});
            if (key.kind == Kind::strings) lines_.columns.back().strings.emplace(block.size());
        }
    }

    // Read the block. of_odd(OddLine): std::optional<OddPair>, nothing where the line is no pair.
    template <class OfOdd>
    Lines read(OfOdd of_odd) && {
        const char* const end = block_.data() + block_.size();
        for (const char* p = block_.data(); p < end; number_++) {
            const size_t ids_before = lines_.entry_ids.values.size();
            const char* next = parser_.parse(p, line_);
            const char* closed = next;
            if (next != nullptr) next = behind_the_line(skip_white_space(next), end);
            if (next != nullptr && (is_utf8_ || is_utf8(p, static_cast<size_t>(closed - p)))) {
                add_plain(p, closed);
                p = next;
            } else {
                lines_.entry_ids.values.resize(ids_before);
                p = read_odd(p, end, of_odd);
            }
        }
        return std::move(lines_);
    }

private:
    std::string_view block_;
    int64_t number_;
    Lines lines_;
    std::vector<WantedKey> keys_;
    LineParser parser_;
    Line line_;
    bool is_utf8_;              // all of the block

    static std::vector<WantedKey> wanted(const std::vector<KeyWithKind>& keys) {
        std::vector<WantedKey> wanted;
        for (const KeyWithKind& key : keys) wanted.push_back({key.name, form_of(key.kind)});
        return wanted;
    }

    // The begin of the next line; nullptr where something else follows.
    static const char* behind_the_line(const char* p, const char* end) {
        return p == end ? p : *p == '\n' ? p + 1 : nullptr;
    }

    void add_plain(const char* begin, const char* end) {
        add_place(begin, end, line_.present);
        for (size_t k = 0; k < lines_.columns.size(); k++) {
            Column& column = lines_.columns[k];
            if (column.kind == Kind::strings) column.strings->add(line_.strings[k]);
            else if (column.has_labels() && !(line_.present >> k & 1)) column.labels.add(std::string_view());
            else if (column.has_labels()) column.labels.add(line_.strings[k]);
        }
    }

    void add_place(const char* begin, const char* end, uint32_t present) {
        lines_.n_lines++;
        lines_.numbers.push_back(number_);
        lines_.begins.push_back(begin - block_.data());
        lines_.ends.push_back(end - block_.data());
        lines_.present.push_back(present);
        lines_.entry_ids.offsets.push_back(static_cast<int64_t>(lines_.entry_ids.values.size()));
    }

    template <class OfOdd>
    const char* read_odd(const char* begin, const char* block_end, OfOdd& of_odd) {
        const auto* newline =
            static_cast<const char*>(std::memchr(begin, '\n', static_cast<size_t>(block_end - begin)));
        const char* const next = newline == nullptr ? block_end : newline + 1;
        const char* end = newline == nullptr ? block_end : newline;
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) --end;
        if (end == begin) return next;                      // a blank line
        const std::string_view line{begin, static_cast<size_t>(end - begin)};
        const std::optional<OddPair> pair = of_odd(OddLine{number_, lines_.numbers.size(), line});
        if (!pair) {
            lines_.n_lines++;
            return next;
        }
        auto& ids = lines_.entry_ids.values;
        ids.insert(ids.end(), pair->entry_ids.begin(), pair->entry_ids.end());
        add_place(begin, end, pair->present);
        for (size_t k = 0; k < lines_.columns.size(); k++) {
            Column& column = lines_.columns[k];
            if (column.kind == Kind::strings) column.strings->add(pair->strings[k]);
            else if (column.has_labels()) column.labels.add(pair->strings[k]);
        }
        return next;
    }
};

}  // namespace mc2::pairs
