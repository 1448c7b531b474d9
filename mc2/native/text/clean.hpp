// Texts as a language identification model sees them: mc2.stages.cleaning.clean with all its steps, in UTF-8, byte for byte.
//
// The Python function is the definition, and this is not all of it: a text of which a word beyond ASCII is to be lowered
// is left to it (about one in a hundred). The classes of characters are those of the Python that runs this, by
// the same tables as str uses.
//
// Most texts stay as they are. One look at the bytes of a text (Needs) tells which steps can change it at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mc2 {

class Cleaner {
public:
    // Append the cleaned text to `out`. False, and nothing is appended: it is left to Python.
    bool clean(std::string_view text, std::vector<char>& out);

private:
    std::string without_urls_, without_files_;
};

}  // namespace mc2
