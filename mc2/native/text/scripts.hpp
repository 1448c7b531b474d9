// The scripts of the letters of a text (mc2/metadata/scripts.py has the table and says what it is for).
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "common/characters.hpp"

namespace mc2 {

// The script of every code point, by number: 0 where it is no letter, or one that scripts share.
class ScriptTable {
public:
    // Letters from firsts[i] to lasts[i] are of script numbers[i] (1 to 255).
    void add(uint32_t first, uint32_t last, uint8_t script) {
        std::fill(scripts_.begin() + first, scripts_.begin() + last + 1, script);
    }
    uint8_t operator[](uint32_t code_point) const { return scripts_[code_point]; }

    static constexpr uint32_t code_points = 0x110000;

private:
    std::vector<uint8_t> scripts_ = std::vector<uint8_t>(code_points);
};

// Numbers the sets of scripts that occur: 0 is the empty set, and that of texts with a Latin letter.
class ScriptSets {
public:
    ScriptSets(const ScriptTable& table, uint8_t latin) : table_(table), latin_(latin) {}

    int32_t number_of(std::string_view text) {
        const auto* p = reinterpret_cast<const unsigned char*>(text.data());
        const auto* end = p + text.size();
        set_.clear();
        while (p < end) {
            if (*p < 0x80) {
                if (static_cast<unsigned char>((*p | 0x20) - 'a') < 26) return 0;
                p++;
                continue;
            }
            const uint8_t script = table_[decode(p)];
            if (script == latin_) return 0;
            if (script != 0 && std::find(set_.begin(), set_.end(), script) == set_.end()) set_.push_back(script);
        }
        if (set_.empty()) return 0;
        std::sort(set_.begin(), set_.end());
        return numbers_.emplace(set_, static_cast<int32_t>(numbers_.size()) + 1).first->second;
    }

    // The scripts of each set but the first, by its number.
    std::vector<std::vector<uint8_t>> sets() const {
        std::vector<std::vector<uint8_t>> found(numbers_.size());
        for (const auto& [set, number] : numbers_) found[static_cast<size_t>(number) - 1] = set;
        return found;
    }

private:
    const ScriptTable& table_;
    const uint8_t latin_;
    std::vector<uint8_t> set_;
    std::map<std::vector<uint8_t>, int32_t> numbers_;
};

}  // namespace mc2
