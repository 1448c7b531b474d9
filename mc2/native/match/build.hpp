// Compiling the entries of a language into the file that a Matcher opens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "match/punctuation.hpp"

namespace mc2 {

struct Entry {
    std::string_view form;      // spaced, UTF-8
    uint32_t id;
};

// Write the compiled file. `key` has at most KEY_SIZE bytes. Forms that no text can hold, as `punctuation` is set apart
// there, are left out; all entries of equal forms are found together. Throws FileError.
void write_matcher(const std::vector<Entry>& entries, uint32_t n_entries, std::string_view key,
                   const std::string& path, const Punctuation& punctuation = {});

}  // namespace mc2
