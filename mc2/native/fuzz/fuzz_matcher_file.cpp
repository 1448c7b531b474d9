// Damaged compiled matchers are refused, or used: without a read outside of them, in limited time and memory.
#include <cstring>

#include "dictionary.hpp"
#include "match/format.hpp"

namespace {

using namespace mc2;
using namespace mc2::fuzz;

// The header's checksum reveals most damage at once, and no random change makes it right. So it is corrected, for the
// code behind that check to see damage as well.
void repair_header(std::string& bytes) {
    if (bytes.size() < sizeof(Header)) return;
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.file_size = bytes.size();
    header.checksum = header_checksum(header);
    std::memcpy(bytes.data(), &header, sizeof header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static const File file;
    Input input(bytes, size);
    const Dictionary dictionary(input);
    const std::vector<std::string> texts = make_texts(input);
    write_dictionary(dictionary, file);
    std::string content = file.read();
    damage(content, input);
    if (input.byte() != 255) repair_header(content);
    file.write(content);
    try {
        const Matcher matcher(file.path(), native_punctuation(dictionary.spacing));
        std::vector<uint64_t> counts(matcher.n_entries() < 1000 ? matcher.n_entries() : 0);
        for (const bool verify : {true, false}) {       // what verify() refuses does no harm in match()
            try {
                if (verify) matcher.verify();
                else if (counts.size() == matcher.n_entries()) match(matcher, texts, counts);
            } catch (const Damaged&) {
            }
        }
    } catch (const Damaged&) {
    }
    return 0;
}
