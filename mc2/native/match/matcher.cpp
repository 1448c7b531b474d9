// The search, in stages: cut the texts into words, find the slot of each word, compare, follow sequences of words, run
// the automaton, put the results together.
//
// Texts go through the stages in groups: small enough for the data of a group to stay in the nearest cache, large
// enough for memory that one stage asked for to have arrived by the next stage.
#include "match/matcher.hpp"

#include <algorithm>
#include <cstring>

#include "common/bits.hpp"

namespace mc2 {

Matcher::Matcher(const std::string& path, const Punctuation& punctuation) : file_(path), punctuation_(punctuation) {
    const Header& header = file_.header();
    uint64_t n_word_pilots, n_words, n_spellings, n_edge_pilots, n_edges, n_contexts, n_nodes;
    words_.word_hash.pilots = file_.section<Byte>(WORD_PILOTS, n_word_pilots);
    words_.words = file_.section<WordSlot>(WORDS, n_words);
    words_.spellings = file_.section<uint32_t>(SPELLINGS, n_spellings);
    words_.letters = file_.section<Byte>(LETTERS, words_.n_letters);
    words_.edge_hash.pilots = file_.section<Byte>(EDGE_PILOTS, n_edge_pilots);
    words_.edges = file_.section<EdgeSlot>(EDGES, n_edges);
    records_ = file_.section<Record>(RECORDS, n_records_);
    filter_ = Filter(header.wanted, header.alone, file_.section<Byte>(CONTEXTS, n_contexts));
    const Node* nodes = file_.section<Node>(NODES, n_nodes);

    has_words_ = n_words > 0;
    has_automaton_ = n_nodes > 0;
    if (n_spellings != n_words || n_contexts != Filter::SIZE ||
        std::max({n_words, n_edges, n_nodes, n_records_}) > NONE ||
        (has_words_ && (n_word_pilots == 0 || n_edge_pilots == 0 || n_edges == 0)) ||
        n_word_pilots > NONE || n_edge_pilots > NONE || n_entries() > MOST_ENTRIES)
        throw Damaged("its sections do not fit together");
    auto fill = [](PerfectHash& hash, uint64_t n_pilots, uint64_t n_slots, uint64_t seed) {
        hash.n_buckets = static_cast<uint32_t>(n_pilots);
        hash.n_slots = static_cast<uint32_t>(n_slots);
        hash.seed = seed;
    };
    fill(words_.word_hash, n_word_pilots, n_words, header.word_seed);
    fill(words_.edge_hash, n_edge_pilots, n_edges, header.edge_seed);
    if (has_automaton_) automaton_ = Automaton(nodes, static_cast<uint32_t>(n_nodes));
}

std::string_view Matcher::key() const {
    return {reinterpret_cast<const char*>(file_.header().key), static_cast<size_t>(file_.header().key_size)};
}

// ---------------------------------------------------------------- matching

namespace {

constexpr size_t GROUP_TEXTS = 128;
constexpr size_t GROUP_BYTES = 1 << 15;
constexpr size_t SMALL_RUN = 48;        // up to so many ids are sorted faster by counting than by std::sort

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
void grow_to(std::vector<Element>& elements, size_t n) {
    if (elements.size() < n) elements.resize(n + n / 2);
}

// Sort at most SMALL_RUN ids and drop repetitions; returns how many are left. The new index of an id is the number of
// smaller ones. This is quadratic, but has no branch that could be mispredicted, and compilers make vector
// instructions of it (for signed numbers only; no valid id is so large that the sign matters).
size_t sort_small(uint32_t* ids, size_t n) {
    int32_t given[SMALL_RUN];
    uint32_t sorted[SMALL_RUN];
    for (size_t i = 0; i < n; i++) given[i] = static_cast<int32_t>(ids[i]);
    for (size_t i = 0; i < n; i++) {
        const int32_t id = given[i];
        int32_t index = 0;
        for (size_t j = 0; j < i; j++) index += given[j] <= id;
        for (size_t j = i + 1; j < n; j++) index += given[j] < id;
        sorted[index] = ids[i];
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

// Memory of one call, used again for each group.
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
    // Where the words, results, pairs and sequence results of each text of the group end.
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
        if (punctuation_.is_beyond_ascii()) cut_into_words<true>(bytes, offsets + first, size, scratch);
        else cut_into_words<false>(bytes, offsets + first, size, scratch);
        if (has_words_) {
            find_slots(size, scratch);
            look_up_words(size, scratch);
            follow_sequences(size, scratch);
        }
        if (has_automaton_) run_automaton(size, scratch);
        finish(size, scratch, results, counts);
        first += size;
    }
}

// How many texts from `first` on make the next group.
size_t Matcher::next_group(const int64_t* offsets, size_t first, size_t n) {
    size_t size = 1;
    while (size < GROUP_TEXTS && first + size < n &&
           offsets[first + size + 1] - offsets[first] <= static_cast<int64_t>(GROUP_BYTES))
        size++;
    return size;
}

// Strip the texts, cut them into words, and write the spaced form of those that need the automaton.
template <bool BEYOND_ASCII>
void Matcher::cut_into_words(const Byte* bytes, const int64_t* offsets, size_t n, Scratch& scratch) const {
    const Byte* base = bytes + offsets[0];
    const size_t total = static_cast<size_t>(offsets[n] - offsets[0]);
    grow_to(scratch.blocks, (total + BLOCK_BYTES - 1) / BLOCK_BYTES);
    Block* blocks = scratch.blocks.data();
    describe(base, total, punctuation_, filter_.wanted(), blocks);

    size_t n_breaks = 0;
    for (size_t block = 0; block * BLOCK_BYTES < total; block++)
        n_breaks += count_ones(blocks[block].breaks);
    grow_to(scratch.words, 2 * n_breaks + n + 1);
    Word* word = scratch.words.data();
    scratch.n_spaced = 0;
    size_t spaced_size = 0;
    for (size_t text = 0; text < n; text++) {
        const Byte *begin = bytes + offsets[text], *end = bytes + offsets[text + 1];
        strip(begin, end);
        const size_t from = static_cast<size_t>(begin - base), to = static_cast<size_t>(end - base);
        if (has_words_) {
            size_t start = from;
            for_each_break<BEYOND_ASCII>(base, blocks, from, to, [&](size_t position, size_t size, bool punctuation) {
                word->begin = base + start;
                word->size = position - start;
                word++;
                word->begin = base + position;          // written in any case, kept only if it is punctuation
                word->size = size;
                word += punctuation;
                start = position + size;
            });
            word->begin = base + start;
            word->size = to - start;
            word++;
        }
        scratch.word_ends[text] = static_cast<size_t>(word - scratch.words.data());
        if (has_automaton_ && filter_.passes(base, blocks, from, to)) {
            grow_to(scratch.spaced, spaced_size + spaced_capacity(to - from));
            Byte* spaced = scratch.spaced.data() + spaced_size;
            const Byte* spaced_end = write_spaced<BEYOND_ASCII>(base, blocks, from, to, spaced);
            spaced_size = static_cast<size_t>(spaced_end - scratch.spaced.data());
            scratch.spaced_texts[scratch.n_spaced] = static_cast<uint32_t>(text);
            scratch.spaced_ends[scratch.n_spaced++] = spaced_size;
        }
    }
    grow_to(scratch.results, scratch.words.size());
    grow_to(scratch.pairs, scratch.words.size());
}

// Compute the slot where every word must be, and ask for that memory.
void Matcher::find_slots(size_t n, Scratch& scratch) const {
    const PerfectHash hash = words_.word_hash;
    Word* word = scratch.words.data();
    for (const Word* end = word + scratch.word_ends[n - 1]; word != end; word++) {
        word->key = key_of(word->begin, word->size, hash.seed);
        word->slot = static_cast<uint32_t>(hash.slot(hash.hash(word->key)));
        __builtin_prefetch(words_.words + word->slot);
        if (is_long(word->key)) __builtin_prefetch(words_.spellings + word->slot);
    }
}

// Compare every word with the key in its slot. Where longer sequences begin with a word, and the next word is known
// too, ask for the edge between them.
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

// Search the spaced texts, and bring the ids of what is found into the order of the texts. The lists of all texts
// are followed side by side: the record after this one goes to the end of the queue, and has arrived from memory
// by the time the queue gets to it. The numbers in a list always fall, so the queue ends, whatever the file says.
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
    for (size_t text = 0, sum = 0; text < n; text++) {      // where the ids begin; the last loop moves it to their end
        sum += scratch.id_ends[text];
        scratch.id_ends[text] = sum - scratch.id_ends[text];
    }
    grow_to(scratch.ids, queue.size());
    for (const Found& found : queue) scratch.ids[scratch.id_ends[found.text]++] = found.record;
}

// Put together what the searches found in each text, and check the ids, which come from the file.
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
        if (!run.empty() && std::max(run.front(), run.back()) >= n_entries())
            throw Damaged("an entry that there is not");
        if (counts != nullptr)
            for (uint32_t id : run) counts[id]++;
        results.ids.insert(results.ids.end(), run.begin(), run.end());
        results.offsets.push_back(static_cast<int64_t>(results.ids.size()));
    }
}

// Replace results that stand for lists by the ids in the lists. Few entries share a form, so mostly there is
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
