// Random dictionaries and texts: the matcher finds what a plain search for substrings finds.
#include <algorithm>
#include <set>

#include "dictionary.hpp"

namespace {

using namespace mc2;
using namespace mc2::fuzz;

// As str.strip() of Python.
std::string stripped(std::string text) {
    static const std::string spaces[] = {
        "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\u0085", "\u00a0", "\u1680", "\u2000",
        "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u2028",
        "\u2029", "\u202f", "\u205f", "\u3000"};
    for (bool again = true; again;) {
        again = false;
        for (const std::string& space : spaces) {
            if (text.size() < space.size()) continue;
            const bool begins = text.compare(0, space.size(), space) == 0;
            if (begins) text.erase(0, space.size());
            const bool ends = text.size() >= space.size() &&
                              text.compare(text.size() - space.size(), space.size(), space) == 0;
            if (ends) text.erase(text.size() - space.size());
            again |= begins | ends;
        }
    }
    return text;
}

// As space_text() in spacing.py.
std::string spaced(const std::string& text, Spacing spacing) {
    return set_apart(" " + stripped(text) + " ", spacing);
}

std::vector<uint32_t> plain_search(const Dictionary& dictionary, const std::string& text) {
    const std::string form = spaced(text, dictionary.spacing);
    std::set<uint32_t> ids;
    for (size_t i = 0; i < dictionary.forms.size(); i++)
        if (form.find(dictionary.forms[i]) != form.npos) ids.insert(dictionary.ids[i]);
    return {ids.begin(), ids.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static const File file;
    Input input(bytes, size);
    const Dictionary dictionary(input);
    const std::vector<std::string> texts = make_texts(input);
    write_dictionary(dictionary, file);
    const Matcher matcher(file.path(), native_punctuation(dictionary.spacing));
    matcher.verify();

    std::vector<uint64_t> counts(dictionary.n_entries), plain_counts(dictionary.n_entries);
    const Results results = match(matcher, texts, counts);
    for (size_t i = 0; i < texts.size(); i++) {
        const std::vector<uint32_t> found(results.ids.begin() + results.offsets[i],
                                          results.ids.begin() + results.offsets[i + 1]);
        const std::vector<uint32_t> expected = plain_search(dictionary, texts[i]);
        for (const uint32_t id : expected) plain_counts[id]++;
        if (found == expected) continue;
        for (const uint32_t id : found)
            if (!std::binary_search(expected.begin(), expected.end(), id))
                fail("entry " + shown(dictionary.forms[id]) + " is not in text " + shown(texts[i]));
        for (const uint32_t id : expected)
            if (!std::binary_search(found.begin(), found.end(), id))
                fail("entry " + shown(dictionary.forms[id]) + " was missed in text " + shown(texts[i]));
        fail("ids that do not ascend");
    }
    if (counts != plain_counts) fail("counts that are not those of the texts");
    return 0;
}
