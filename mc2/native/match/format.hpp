// The file of a compiled matcher: its layout, how it is opened and how it is written.
//
// All of it is little-endian:
//
//     Header       what is in the file, with a checksum of its own
//     sections     each at a multiple of 64 bytes, with its size and checksum in the header:
//                  pilots and slots of words and of sequences, spellings of long words, records, the
//                  filter's contexts, nodes
//
// Opening maps the file read-only and looks at the header alone, so it takes microseconds. The price: damage inside
// a section is not seen at opening. Therefore nothing that is read from a section is ever trusted: positions are
// computed so that they lie inside their table (PerfectHash), limited to it (Automaton), or checked where the result
// is put together (entry ids, records), and no loop depends on a value from the file to end. A file with damaged
// sections gives wrong results or Damaged, never a crash. verify() reads the whole file and tells for certain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/files.hpp"
#include "match/text.hpp"
#include "match/words.hpp"

namespace mc2 {

// A file whose bytes cannot be what write_matcher wrote.
struct Damaged : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum SectionName {
    WORD_PILOTS, WORDS, SPELLINGS, LETTERS, EDGE_PILOTS, EDGES, RECORDS, CONTEXTS, NODES, N_SECTIONS
};

struct Section {
    uint64_t offset;
    uint64_t size;          // in bytes
    uint64_t checksum;
};

constexpr size_t KEY_SIZE = 64;

struct Header {
    char magic[8];
    uint32_t version;
    uint32_t n_entries;     // ids are below this number
    uint64_t file_size;
    uint64_t key_size;
    Byte key[KEY_SIZE];     // by which the caller knows what the file was made from
    uint64_t word_seed;
    uint64_t edge_seed;
    ByteSet wanted, alone;  // of the filter (filter.hpp)
    Section sections[N_SECTIONS];
    uint64_t checksum;      // of all the above
};

constexpr char MAGIC[8] = {'m', 'c', '2', 'm', 'a', 't', 'c', 'h'};
constexpr uint32_t VERSION = 1;
constexpr uint32_t MOST_ENTRIES = IS_RECORD - 1;
constexpr uint64_t ALIGNMENT = 64;

uint64_t checksum(const void* data, size_t size);
uint64_t header_checksum(const Header& header);

// A compiled file that is open for reading.
class CompiledFile {
public:
    // Throws FileError, or Damaged where this is no file of this version or not all of it.
    explicit CompiledFile(const std::string& path);

    const Header& header() const { return *reinterpret_cast<const Header*>(file_.bytes()); }
    void verify() const;        // throws Damaged

    // The elements of a section, and their number `n`.
    template <class Element>
    const Element* section(SectionName name, uint64_t& n) const {
        const Section& section = header().sections[name];
        if (section.offset % ALIGNMENT != 0 || section.size % sizeof(Element) != 0 || section.offset > file_.size() ||
            section.size > file_.size() - section.offset)
            throw Damaged("a section lies outside the file");
        n = section.size / sizeof(Element);
        return reinterpret_cast<const Element*>(file_.bytes() + section.offset);
    }

private:
    MappedFile file_;
};

// Writes a compiled file. What is given to add() must stay as it is until write(), which throws FileError.
class CompiledFileWriter {
public:
    explicit CompiledFileWriter(const std::string& path);

    Header header{};            // the caller fills in what is not about sections and checksums

    template <class Element>
    void add(SectionName name, const std::vector<Element>& elements) {
        add_bytes(name, elements.data(), elements.size() * sizeof(Element));
    }

    void write();

private:
    Descriptor file_;
    std::array<std::pair<const void*, size_t>, N_SECTIONS> parts_{};
    uint64_t end_ = (sizeof(Header) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    void add_bytes(SectionName name, const void* data, size_t size);
    void put(const void* data, size_t size);
};

}  // namespace mc2
