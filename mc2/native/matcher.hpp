// Which entries occur in which texts: a compiled file, opened for reading, and the search that joins the word
// tables (words.hpp) with the automaton (automaton.hpp).
//
// The file, all of it little-endian:
//
//     Header       what is in the file, with a checksum of its own
//     sections     each at a multiple of 64 bytes, with its size and checksum in the header:
//                  pilots and slots of words and of sequences, spellings of long words, records, the
//                  filter's contexts, nodes
//
// Opening maps the file read-only and looks at the header alone. That takes microseconds, costs no memory of
// the process's own, and pages are shared by all processes that use the file. The price: damage inside a
// section is not seen at opening. Therefore nothing read from a section is ever trusted: places are computed so
// that they lie inside their table (PerfectHash), kept inside it (Automaton), or checked where the result is put
// together (entry ids, records), and no loop waits for a value from the file to end it. A file with damaged
// sections gives wrong results or Damaged, never a crash; verify() reads it all and tells for certain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "automaton.hpp"
#include "text.hpp"
#include "words.hpp"

namespace mc2 {

// The operating system refused something; the path is part of the error as Python shows it.
struct FileError : std::system_error {
    FileError(int number, std::string which)
        : std::system_error(number, std::generic_category()), path(std::move(which)) {}
    std::string path;
};

// A file mapped into memory, read-only. It must not be cut off while it is mapped; one that is replaced by
// renaming another over it stays as it was.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const Byte* bytes() const { return bytes_; }
    size_t size() const { return size_; }

private:
    const Byte* bytes_ = nullptr;
    size_t size_ = 0;
};

// ---------------------------------------------------------------- the file

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
    uint32_t n_entries;     // ids are below
    uint64_t file_size;
    uint64_t key_size;
    Byte key[KEY_SIZE];     // what the caller knows the file by
    uint64_t word_seed;
    uint64_t edge_seed;
    ByteSet wanted, alone;  // of the filter that saves texts the automaton
    Section sections[N_SECTIONS];
    uint64_t checksum;      // of all the above
};

constexpr char MAGIC[8] = {'m', 'c', '2', 'm', 'a', 't', 'c', 'h'};
constexpr uint32_t VERSION = 1;
constexpr uint32_t MOST_ENTRIES = IS_RECORD - 1;

struct Entry {
    std::string_view form;      // spaced, UTF-8
    uint32_t id;
};

// Write the compiled file. `key` has at most KEY_SIZE bytes. Forms that no text can hold are left out; all
// entries of equal forms are found together.
void write_matcher(const std::vector<Entry>& entries, uint32_t n_entries, std::string_view key,
                   const std::string& path);

// ---------------------------------------------------------------- the search

// Results of a batch: those of text i are ids[offsets[i]] to ids[offsets[i + 1]], ascending and unique.
struct Results {
    std::vector<int64_t> offsets{0};
    std::vector<uint32_t> ids;
};

class Matcher {
public:
    // Throws FileError, or Damaged where this is no file of this version or not all of it.
    explicit Matcher(const std::string& path);

    uint32_t n_entries() const { return header().n_entries; }
    std::string_view key() const;
    void verify() const;        // throws Damaged

    // Match n texts, text i being bytes [offsets[i], offsets[i + 1]), and append to the results. PADDING bytes
    // can be read past the last. `counts`, if given, has n_entries numbers; each gets one more per text that
    // holds the entry. Any number of threads may do so at once.
    void match(const Byte* bytes, const int64_t* offsets, size_t n, Results& results, uint64_t* counts) const;

private:
    struct Scratch;

    MappedFile file_;
    WordTables words_;
    Filter filter_;
    Automaton automaton_;
    const Record* records_ = nullptr;
    uint64_t n_records_ = 0;
    bool has_words_ = false;
    bool has_automaton_ = false;

    const Header& header() const { return *reinterpret_cast<const Header*>(file_.bytes()); }
    template <class Element>
    const Element* section(SectionName name, uint64_t& n) const;
    void check_header() const;

    size_t next_group(const int64_t* offsets, size_t first, size_t n) const;
    void read_texts(const Byte* bytes, const int64_t* offsets, size_t n, Scratch& scratch) const;
    void place_words(size_t n, Scratch& scratch) const;
    void look_up_words(size_t n, Scratch& scratch) const;
    void follow_sequences(size_t n, Scratch& scratch) const;
    void run_automaton(size_t n, Scratch& scratch) const;
    void finish(size_t n, Scratch& scratch, Results& results, uint64_t* counts) const;
    void expand_lists(std::vector<uint32_t>& run) const;
    void expand(uint32_t record, std::vector<uint32_t>& ids) const;
    Record checked_record(uint32_t record) const;
};

}  // namespace mc2
