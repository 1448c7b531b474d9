#include "matcher.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace mc2 {

namespace {

constexpr uint64_t ALIGNMENT = 64;

// Four independent chains, so that the multiplications overlap: about as fast as memory.
uint64_t checksum(const void* data, size_t size) {
    const Byte* p = static_cast<const Byte*>(data);
    uint64_t chains[4] = {STEP, MIX, ~STEP, ~MIX};
    size_t left = size;
    for (; left >= 32; left -= 32, p += 32)
        for (size_t i = 0; i < 4; i++) chains[i] = folded_product(chains[i] ^ load_8(p + 8 * i), MIX + 2 * i);
    Byte rest[32] = {};
    if (left > 0) std::memcpy(rest, p, left);      // there may be no data at all
    uint64_t sum = size;
    for (size_t i = 0; i < 4; i++) sum = folded_product(sum ^ chains[i], MIX);
    for (size_t i = 0; i < 4; i++) sum = folded_product(sum ^ load_8(rest + 8 * i), STEP);
    return sum;
}

uint64_t header_checksum(const Header& header) { return checksum(&header, offsetof(Header, checksum)); }

class Descriptor {
public:
    Descriptor(const std::string& path, int flags) : path_(path), number_(::open(path.c_str(), flags, 0666)) {
        if (number_ < 0) fail();
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }
    [[noreturn]] void fail() const { throw FileError(errno, path_); }

    void write(const void* data, size_t size) {
        const char* p = static_cast<const char*>(data);
        while (size > 0) {
            const ssize_t written = ::write(number_, p, size);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) fail();
            p += written;
            size -= static_cast<size_t>(written);
        }
    }

    void close() {              // some file systems report a full disk only here
        if (::close(std::exchange(number_, -1)) != 0) fail();
    }

private:
    std::string path_;
    int number_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
    Descriptor file(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (::fstat(file.number(), &status) != 0) file.fail();
    if (!S_ISREG(status.st_mode)) throw Damaged("not a regular file");
    size_ = static_cast<size_t>(status.st_size);
    if (size_ < sizeof(Header)) throw Damaged("too short");
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number(), 0);
    if (address == MAP_FAILED) file.fail();
    bytes_ = static_cast<const Byte*>(address);
}

MappedFile::~MappedFile() { ::munmap(const_cast<Byte*>(bytes_), size_); }

// ================================================================ writing

namespace {

bool opens_or_closes_words(char byte) { return byte == ' ' || is_mark(static_cast<Byte>(byte)); }

// Texts have neither tabs nor line breaks, spaces around every mark, and two of them between two marks.
bool can_match(std::string_view form) {
    for (size_t i = 0; i < form.size(); i++) {
        const Byte byte = static_cast<Byte>(form[i]);
        if (!is_break(byte) || byte == ' ') continue;
        if (!is_mark(byte)) return false;
        if (i > 0 && form[i - 1] != ' ') return false;
        if (i + 1 < form.size() && form[i + 1] != ' ') return false;
        if (i + 2 < form.size() && is_mark(static_cast<Byte>(form[i + 2]))) return false;
    }
    return !form.empty();
}

// Texts have spaces around every mark, so one at an end of a form says nothing next to a mark. Without it, forms
// that are in the same texts are the same: "? " and " ? " are "?".
std::string_view shortest(std::string_view form) {
    const auto mark_at = [&](size_t i) { return i < form.size() && is_mark(static_cast<Byte>(form[i])); };
    if (form.front() == ' ' && mark_at(1)) form.remove_prefix(1);
    if (form.back() == ' ' && mark_at(form.size() - 2)) form.remove_suffix(1);
    return form;
}

bool is_words(std::string_view form) {
    return form != " " && opens_or_closes_words(form.front()) && opens_or_closes_words(form.back());
}

// The entries as they go into the tables: distinct forms, and the ids of each.
class Forms {
public:
    // Sorted by bytes; ids of form i are those of entries [first_[i], first_[i + 1]).
    explicit Forms(const std::vector<Entry>& entries) {
        for (const Entry& entry : entries)
            if (can_match(entry.form)) entries_.push_back({shortest(entry.form), entry.id});
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

class Records {
public:
    std::vector<Record> list{{0, 0}};       // index 0 is the end of every list

    // The list of a form's ids, going on at `next`; returns where it begins.
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

// Which forms the automaton has to find. Where most are of its kind (Chinese, Thai), it may as well find all:
// one search is faster than two.
struct Division {
    std::vector<size_t> words, automaton;

    explicit Division(const Forms& forms) {
        for (size_t form = 0; form < forms.size(); form++)
            (is_words(forms[form]) ? words : automaton).push_back(form);
        if (automaton.size() > words.size()) {
            words.clear();
            automaton.resize(forms.size());
            for (size_t form = 0; form < forms.size(); form++) automaton[form] = form;
        }
    }
};

FilterBuilder filter_of(const Forms& forms, const Division& division) {
    FilterBuilder filter;
    if (division.words.empty()) filter.add_everything();
    else for (size_t form : division.automaton) filter.add(forms[form]);
    return filter;
}

std::vector<std::string_view> views(const Forms& forms, const std::vector<size_t>& chosen) {
    std::vector<std::string_view> all;
    all.reserve(chosen.size());
    for (size_t form : chosen) all.push_back(forms[form]);
    return all;
}

class Writer {
public:
    explicit Writer(const std::string& path) : file_(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC) {}

    template <class Element>
    void add(SectionName name, const std::vector<Element>& elements) {
        const uint64_t size = elements.size() * sizeof(Element);
        header.sections[name] = {end_, size, checksum(elements.data(), size)};
        parts_[name] = {elements.data(), size};
        end_ += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    void write() {
        header.file_size = end_;
        header.checksum = header_checksum(header);
        put(&header, sizeof header);
        for (const auto& [data, size] : parts_) put(data, size);
        file_.close();
    }

    Header header{};

private:
    Descriptor file_;
    std::array<std::pair<const void*, size_t>, N_SECTIONS> parts_{};
    uint64_t end_ = (sizeof(Header) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    void put(const void* data, size_t size) {
        static const char zeros[ALIGNMENT] = {};
        file_.write(data, size);
        file_.write(zeros, (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT);
    }
};

}  // namespace

void write_matcher(const std::vector<Entry>& entries, uint32_t n_entries, std::string_view key,
                   const std::string& path) {
    const Forms forms(entries);
    const Division division(forms);
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

    Writer writer(path);
    Header& header = writer.header;
    std::memcpy(header.magic, MAGIC, sizeof MAGIC);
    header.version = VERSION;
    header.n_entries = n_entries;
    header.key_size = key.size();
    std::memcpy(header.key, key.data(), key.size());
    header.word_seed = words.word_hash.table.seed;
    header.edge_seed = words.edge_hash.table.seed;
    const FilterBuilder filter = filter_of(forms, division);
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

// ================================================================ opening

Matcher::Matcher(const std::string& path) : file_(path) {
    check_header();
    uint64_t n_word_pilots, n_words, n_spellings, n_edge_pilots, n_edges, n_contexts, n_nodes;
    words_.word_hash.pilots = section<Byte>(WORD_PILOTS, n_word_pilots);
    words_.words = section<WordSlot>(WORDS, n_words);
    words_.spellings = section<uint32_t>(SPELLINGS, n_spellings);
    words_.letters = section<Byte>(LETTERS, words_.n_letters);
    words_.edge_hash.pilots = section<Byte>(EDGE_PILOTS, n_edge_pilots);
    words_.edges = section<EdgeSlot>(EDGES, n_edges);
    records_ = section<Record>(RECORDS, n_records_);
    filter_ = Filter(header().wanted, header().alone, section<Byte>(CONTEXTS, n_contexts));
    const Node* nodes = section<Node>(NODES, n_nodes);

    has_words_ = n_words > 0;
    has_automaton_ = n_nodes > 0;
    if (n_spellings != n_words || n_contexts != Filter::SIZE || std::max({n_words, n_edges, n_nodes, n_records_}) > NONE ||
        (has_words_ && (n_word_pilots == 0 || n_edge_pilots == 0 || n_edges == 0)) ||
        n_word_pilots > NONE || n_edge_pilots > NONE || n_entries() > MOST_ENTRIES)
        throw Damaged("its sections do not fit together");
    auto fill = [](PerfectHash& hash, uint64_t n_pilots, uint64_t n_slots, uint64_t seed) {
        hash.n_buckets = static_cast<uint32_t>(n_pilots);
        hash.n_slots = static_cast<uint32_t>(n_slots);
        hash.seed = seed;
    };
    fill(words_.word_hash, n_word_pilots, n_words, header().word_seed);
    fill(words_.edge_hash, n_edge_pilots, n_edges, header().edge_seed);
    if (has_automaton_) automaton_ = Automaton(nodes, static_cast<uint32_t>(n_nodes));
}

void Matcher::check_header() const {
    if (std::memcmp(header().magic, MAGIC, sizeof MAGIC) != 0) throw Damaged("not a compiled matcher");
    if (header().version != VERSION)
        throw Damaged("format " + std::to_string(header().version) + ", this version reads format " +
                      std::to_string(VERSION));
    if (header().checksum != header_checksum(header())) throw Damaged("the header is damaged");
    if (header().file_size != file_.size()) throw Damaged("cut off, or longer than it was");
    if (header().key_size > KEY_SIZE) throw Damaged("the header is damaged");
}

template <class Element>
const Element* Matcher::section(SectionName name, uint64_t& n) const {
    const Section& section = header().sections[name];
    if (section.offset % ALIGNMENT != 0 || section.size % sizeof(Element) != 0 || section.offset > file_.size() ||
        section.size > file_.size() - section.offset)
        throw Damaged("a section lies outside the file");
    n = section.size / sizeof(Element);
    return reinterpret_cast<const Element*>(file_.bytes() + section.offset);
}

std::string_view Matcher::key() const {
    return {reinterpret_cast<const char*>(header().key), static_cast<size_t>(header().key_size)};
}

void Matcher::verify() const {
    for (const Section& section : header().sections)
        if (section.checksum != checksum(file_.bytes() + section.offset, section.size))
            throw Damaged("a section is damaged");
}

// ================================================================ matching
//
// Texts go through the stages in groups: small enough for the group's data to stay in the nearest cache, large
// enough for memory asked for in one stage to have arrived by the next.

namespace {

constexpr size_t GROUP_TEXTS = 128;
constexpr size_t GROUP_BYTES = 1 << 15;
constexpr size_t SMALL_RUN = 48;        // so many ids are sorted faster by counting than by std::sort

struct Word {
    const Byte* begin;
    size_t size;
    uint64_t key;
    uint32_t slot;          // where the word must be in the table; NONE once it is known not to be there
};

struct Pair {               // two words that follow each other, and where their edge must be
    uint32_t parent;
    uint32_t edge;
    size_t second;          // the index of the second word
};

template <class Element>
void make_room(std::vector<Element>& elements, size_t n) {
    if (elements.size() < n) elements.resize(n + n / 2);
}

// Sort at most SMALL_RUN ids and drop repetitions: the place of each is the number of smaller ones. This is
// quadratic, but has no branch to mispredict, and compilers make vector instructions of it: of comparisons of
// signed numbers, that is. No valid id is so large that the sign matters.
size_t sort_small(uint32_t* ids, size_t n) {
    int32_t given[SMALL_RUN];
    uint32_t sorted[SMALL_RUN];
    for (size_t i = 0; i < n; i++) given[i] = static_cast<int32_t>(ids[i]);
    for (size_t i = 0; i < n; i++) {
        const int32_t id = given[i];
        int32_t place = 0;
        for (size_t j = 0; j < i; j++) place += given[j] <= id;
        for (size_t j = i + 1; j < n; j++) place += given[j] < id;
        sorted[place] = ids[i];
    }
    size_t n_unique = 0;
    for (size_t i = 0; i < n; i++) {
        ids[n_unique] = sorted[i];
        n_unique += i + 1 == n || sorted[i] != sorted[i + 1];
    }
    return n_unique;
}

void sort_and_drop_repetitions(std::vector<uint32_t>& ids) {
    if (ids.size() <= SMALL_RUN) {
        ids.resize(sort_small(ids.data(), ids.size()));
    } else {
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    }
}

}  // namespace

struct Matcher::Scratch {
    std::vector<Block> blocks;
    std::vector<Word> words;
    std::vector<Result> results;            // of single words
    std::vector<Pair> pairs;
    std::vector<Result> sequence_results;
    std::vector<Byte> spaced;
    std::vector<Found> queue;
    std::vector<uint32_t> ids;              // what the automaton found
    std::vector<uint32_t> run;              // the ids of one text
    // Where those of each text of the group end:
    size_t word_ends[GROUP_TEXTS], result_ends[GROUP_TEXTS], pair_ends[GROUP_TEXTS], sequence_ends[GROUP_TEXTS];
    // Of the texts that go through the automaton: which they are, and where their spaced form ends.
    uint32_t spaced_texts[GROUP_TEXTS];
    size_t spaced_ends[GROUP_TEXTS];
    size_t n_spaced;
    size_t id_ends[GROUP_TEXTS];
};

void Matcher::match(const Byte* bytes, const int64_t* offsets, size_t n, Results& results, uint64_t* counts) const {
    Scratch scratch;
    results.offsets.reserve(results.offsets.size() + n);
    for (size_t first = 0; first < n;) {
        const size_t size = next_group(offsets, first, n);
        read_texts(bytes, offsets + first, size, scratch);
        if (has_words_) {
            place_words(size, scratch);
            look_up_words(size, scratch);
            follow_sequences(size, scratch);
        }
        if (has_automaton_) run_automaton(size, scratch);
        finish(size, scratch, results, counts);
        first += size;
    }
}

// How many texts from `first` on make the next group.
size_t Matcher::next_group(const int64_t* offsets, size_t first, size_t n) const {
    size_t size = 1;
    while (size < GROUP_TEXTS && first + size < n &&
           offsets[first + size + 1] - offsets[first] <= static_cast<int64_t>(GROUP_BYTES))
        size++;
    return size;
}

// Strip the texts, cut them into words, and write the spaced form of those that need the automaton.
void Matcher::read_texts(const Byte* bytes, const int64_t* offsets, size_t n, Scratch& scratch) const {
    const Byte* base = bytes + offsets[0];
    const size_t total = static_cast<size_t>(offsets[n] - offsets[0]);
    make_room(scratch.blocks, (total + BLOCK_BYTES - 1) / BLOCK_BYTES);
    Block* blocks = scratch.blocks.data();
    describe(base, total, filter_.wanted(), blocks);

    size_t n_breaks = 0;
    for (size_t block = 0; block * BLOCK_BYTES < total; block++)
        n_breaks += static_cast<size_t>(__builtin_popcountll(blocks[block].breaks));
    make_room(scratch.words, 2 * n_breaks + n + 1);
    Word* word = scratch.words.data();
    scratch.n_spaced = 0;
    size_t spaced_size = 0;
    for (size_t text = 0; text < n; text++) {
        const Byte *begin = bytes + offsets[text], *end = bytes + offsets[text + 1];
        strip(begin, end);
        const size_t from = static_cast<size_t>(begin - base), to = static_cast<size_t>(end - base);
        if (has_words_) {
            size_t start = from;
            for_each_break(blocks, from, to, [&](size_t position, bool mark) {
                word->begin = base + start;
                word->size = position - start;
                word++;
                word->begin = base + position;          // written in any case, kept only if it is a mark
                word->size = 1;
                word += mark;
                start = position + 1;
            });
            word->begin = base + start;
            word->size = to - start;
            word++;
        }
        scratch.word_ends[text] = static_cast<size_t>(word - scratch.words.data());
        if (has_automaton_ && filter_.passes(base, blocks, from, to)) {
            make_room(scratch.spaced, spaced_size + spaced_room(to - from));
            const Byte* spaced_end = write_spaced(base, blocks, from, to, scratch.spaced.data() + spaced_size);
            spaced_size = static_cast<size_t>(spaced_end - scratch.spaced.data());
            scratch.spaced_texts[scratch.n_spaced] = static_cast<uint32_t>(text);
            scratch.spaced_ends[scratch.n_spaced++] = spaced_size;
        }
    }
    make_room(scratch.results, scratch.words.size());
    make_room(scratch.pairs, scratch.words.size());
}

// Compute where every word must be, and ask for that memory.
void Matcher::place_words(size_t n, Scratch& scratch) const {
    const PerfectHash hash = words_.word_hash;
    Word* word = scratch.words.data();
    for (const Word* end = word + scratch.word_ends[n - 1]; word != end; word++) {
        word->key = key_of(word->begin, word->size, hash.seed);
        word->slot = static_cast<uint32_t>(hash.slot(hash.hash(word->key)));
        __builtin_prefetch(words_.words + word->slot);
        if (is_long(word->key)) __builtin_prefetch(words_.spellings + word->slot);
    }
}

// Compare every word with what is in its place. Where longer sequences begin with a word, and the next word is
// known too, ask for the edge between them.
void Matcher::look_up_words(size_t n, Scratch& scratch) const {
    const PerfectHash edge_hash = words_.edge_hash;
    Result* result = scratch.results.data();
    Pair* pair = scratch.pairs.data();
    Word* word = scratch.words.data();
    for (size_t text = 0; text < n; text++) {
        uint32_t parent = NONE;
        uint32_t continues = 0;                 // whether a sequence may go on from the previous word
        for (const Word* end = scratch.words.data() + scratch.word_ends[text]; word != end; word++) {
            const WordSlot& slot = words_.words[word->slot];
            bool known = slot.key == word->key;
            if (is_long(word->key) && known) known = words_.is_spelled(word->slot, word->begin, word->size);
            if (!known) word->slot = NONE;
            *result = slot.result;
            result += known & (slot.result != NONE);

            const uint64_t edge = edge_hash.hash(edge_key(parent, word->slot));
            pair->parent = parent;
            pair->second = static_cast<size_t>(word - scratch.words.data());
            pair->edge = static_cast<uint32_t>(edge_hash.slot(edge));
            if (known & continues) __builtin_prefetch(words_.edges + pair->edge);
            pair += known & continues;
            parent = word->slot;
            continues = known ? slot.continues & 1 : 0;
        }
        scratch.result_ends[text] = static_cast<size_t>(result - scratch.results.data());
        scratch.pair_ends[text] = static_cast<size_t>(pair - scratch.pairs.data());
    }
}

// Follow sequences of two and more words along their edges.
void Matcher::follow_sequences(size_t n, Scratch& scratch) const {
    const PerfectHash edge_hash = words_.edge_hash;
    const Word* words = scratch.words.data();
    scratch.sequence_results.clear();
    size_t i = 0;
    for (size_t text = 0; text < n; text++) {
        for (; i < scratch.pair_ends[text]; i++) {
            const Pair& pair = scratch.pairs[i];
            size_t next = pair.second;
            uint32_t parent = pair.parent;
            const EdgeSlot* edge = words_.edges + pair.edge;
            while (edge->parent == parent && edge->word == words[next].slot) {
                if (edge->result != NONE) scratch.sequence_results.push_back(edge->result);
                if (edge->node == NONE || ++next == scratch.word_ends[text]) break;
                parent = edge->node;
                edge = words_.edges + edge_hash.slot(edge_hash.hash(edge_key(parent, words[next].slot)));
            }
        }
        scratch.sequence_ends[text] = scratch.sequence_results.size();
    }
}

// Search the spaced texts, and bring the ids of what is found into the order of the texts. The lists of all
// texts are walked side by side: what follows a record goes to the end of the queue, and has arrived from
// memory when its turn comes. Every list descends, so the queue ends, whatever the file says.
void Matcher::run_automaton(size_t n, Scratch& scratch) const {
    std::vector<Found>& queue = scratch.queue;
    queue.clear();
    automaton_.find(scratch.spaced.data(), scratch.spaced_ends, scratch.n_spaced, queue);
    for (const Found& found : queue) __builtin_prefetch(records_ + std::min<uint64_t>(found.record, n_records_));
    std::fill_n(scratch.id_ends, n, size_t{0});
    for (size_t i = 0; i < queue.size(); i++) {
        const uint32_t text = scratch.spaced_texts[queue[i].text];
        const Record record = checked_record(queue[i].record);
        scratch.id_ends[text]++;
        if (record.next != 0) {
            queue.push_back({queue[i].text, record.next});
            __builtin_prefetch(records_ + record.next);
        }
        queue[i] = {text, record.id};
    }
    for (size_t text = 0, sum = 0; text < n; text++) {      // for now: where those of each text begin
        sum += scratch.id_ends[text];
        scratch.id_ends[text] = sum - scratch.id_ends[text];
    }
    make_room(scratch.ids, queue.size());
    for (const Found& found : queue) scratch.ids[scratch.id_ends[found.text]++] = found.record;
}

// Put together what the searches found in each text. Here ids are checked: they come from the file.
void Matcher::finish(size_t n, Scratch& scratch, Results& results, uint64_t* counts) const {
    std::vector<uint32_t>& run = scratch.run;
    for (size_t text = 0; text < n; text++) {
        auto begin_of = [text](const size_t* ends) { return text == 0 ? 0 : ends[text - 1]; };
        run.clear();
        auto add = [&](const std::vector<Result>& from, const size_t* ends) {
            run.insert(run.end(), from.begin() + static_cast<std::ptrdiff_t>(begin_of(ends)),
                       from.begin() + static_cast<std::ptrdiff_t>(ends[text]));
        };
        if (has_words_) {
            add(scratch.results, scratch.result_ends);
            add(scratch.sequence_results, scratch.sequence_ends);
            expand_lists(run);
        }
        if (has_automaton_) add(scratch.ids, scratch.id_ends);
        sort_and_drop_repetitions(run);
        if (!run.empty() && std::max(run.front(), run.back()) >= n_entries()) throw Damaged("an entry that there is not");
        if (counts != nullptr)
            for (uint32_t id : run) counts[id]++;
        results.ids.insert(results.ids.end(), run.begin(), run.end());
        results.offsets.push_back(static_cast<int64_t>(results.ids.size()));
    }
}

// Replace results that stand for lists by what is in the lists. Few entries share a form, so there is mostly
// nothing to do.
void Matcher::expand_lists(std::vector<uint32_t>& run) const {
    uint32_t all = 0;
    for (Result result : run) all |= result;
    if ((all & IS_RECORD) == 0) return;
    const std::vector<Result> results(run);
    run.clear();
    for (Result result : results) {
        if (result & IS_RECORD) expand(result & ~IS_RECORD, run);
        else run.push_back(result);
    }
}

void Matcher::expand(uint32_t record, std::vector<uint32_t>& ids) const {
    while (record != 0) {
        ids.push_back(checked_record(record).id);
        record = checked_record(record).next;
    }
}

Record Matcher::checked_record(uint32_t record) const {
    if (record >= n_records_ || records_[record].next >= record)
        throw Damaged("a list of entries that cannot be");
    return records_[record];
}

}  // namespace mc2
