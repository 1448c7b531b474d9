// Lines with members added: the bytes of a line up to its closing brace, the members, the brace, a newline.
//
// A member is `,"key":value`. Those of most columns are made beforehand: one for each distinct value, or one for each
// pair. Those of lists of numbers are written here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "pairs/numbers.hpp"

namespace mc2::pairs {

// Member m is the bytes [offsets[m], offsets[m + 1]); that of pair i is number numbers[i], or i where numbers is null.
struct ReadyMembers {
    const char* bytes;
    const int64_t* offsets;
    const int64_t* numbers;

    std::string_view of(size_t pair) const {
        const int64_t number = numbers == nullptr ? static_cast<int64_t>(pair) : numbers[pair];
        return {bytes + offsets[number], static_cast<size_t>(offsets[number + 1] - offsets[number])};
    }
};

// The member of pair i is `start`, the numbers values[offsets[i]] to values[offsets[i + 1] - 1] with commas, `]`.
struct ListMembers {
    std::string_view start;         // `,"key":[`
    const int64_t* offsets;
    const uint32_t* values;
    size_t most_digits;             // of a number

    size_t most_bytes(size_t pair) const {
        return start.size() + static_cast<size_t>(offsets[pair + 1] - offsets[pair]) * (most_digits + 1) + 1;
    }
};

struct AddedColumn {
    bool is_lists;
    ReadyMembers ready;
    ListMembers lists;
};

// The lines: line i is block [begins[i], ends[i]), which ends in the closing brace. Some have another form instead:
// line replaced[r] (ascending) is other [other_offsets[r], other_offsets[r + 1]).
struct PlacedLines {
    const char* block;
    const int64_t* begins;
    const int64_t* ends;
    size_t size;
    std::vector<int64_t> replaced;
    const char* other;
    const int64_t* other_offsets;
};

class Splicer {
public:
    Splicer(const PlacedLines& lines, const std::vector<AddedColumn>& columns)
        : lines_(lines), columns_(columns), table_(four_digits()) {}

    // So many bytes are enough for write().
    size_t most_bytes() const {
        size_t most = WRITING_ROOM;
        for_each_line([&](size_t pair, std::string_view line) {
            most += line.size() + 1;
            for (const AddedColumn& column : columns_)
                most += column.is_lists ? column.lists.most_bytes(pair) : column.ready.of(pair).size();
        });
        return most;
    }

    // Write all lines; returns the end.
    char* write(char* out) const {
        for_each_line([&](size_t pair, std::string_view line) {
            out = copy(line.substr(0, line.size() - 1), out);
            for (const AddedColumn& column : columns_)
                out = column.is_lists ? write_list(column.lists, pair, out) : copy(column.ready.of(pair), out);
            *out++ = '}';
            *out++ = '\n';
        });
        return out;
    }

private:
    const PlacedLines& lines_;
    const std::vector<AddedColumn>& columns_;
    const FourDigits& table_;

    template <class Visit>
    void for_each_line(Visit visit) const {
        size_t r = 0;
        for (size_t pair = 0; pair < lines_.size; pair++) {
            const bool replaced = r < lines_.replaced.size() && lines_.replaced[r] == static_cast<int64_t>(pair);
            const char* bytes = replaced ? lines_.other : lines_.block;
            const int64_t begin = replaced ? lines_.other_offsets[r] : lines_.begins[pair];
            const int64_t end = replaced ? lines_.other_offsets[r + 1] : lines_.ends[pair];
            r += replaced;
            visit(pair, std::string_view(bytes + begin, static_cast<size_t>(end - begin)));
        }
    }

    static char* copy(std::string_view bytes, char* out) {
        std::memcpy(out, bytes.data(), bytes.size());
        return out + bytes.size();
    }

    char* write_list(const ListMembers& lists, size_t pair, char* out) const {
        out = copy(lists.start, out);
        const int64_t begin = lists.offsets[pair], end = lists.offsets[pair + 1];
        for (int64_t i = begin; i < end; i++) {
            out = write_number(table_, lists.values[i], out);
            *out++ = ',';
        }
        out -= begin < end;                     // the last comma
        *out++ = ']';
        return out;
    }
};

}  // namespace mc2::pairs
