// Entries that are sequences of whole words, found by hashing.
//
// A form that begins and ends with a space or punctuation is a sequence of words. It is in a spaced text exactly if
// its words follow each other there. So the words of a text are looked up in a vocabulary, and sequences are
// followed from word to word: the sequence "red circle on" is the word "red", the edge from it along "circle",
// and the edge from that node along "on". Nothing is decided by a hash alone: a slot holds its whole key.
//
//     word  ->  WordSlot   its entry, and whether longer sequences begin with it
//     (node, word)  ->  EdgeSlot   the entry of that sequence, and its node if longer ones follow
//
// Both are perfect hash tables (perfect_hash.hpp): every key has one slot where it must be.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "match/perfect_hash.hpp"
#include "match/text.hpp"

namespace mc2 {

constexpr uint32_t NONE = 0xFFFFFFFF;

// What a form stands for: the id of an entry, or, where entries share a form, the record at which their list
// begins (see Record in automaton.hpp), with the top bit set. NONE is no entry at all.
using Result = uint32_t;
constexpr uint32_t IS_RECORD = 0x80000000;

// ---------------------------------------------------------------- the tables

// A word of at most eight bytes is its own key, filled up with 0xFF, a byte that UTF-8 never has. A longer word has
// a hash as its key, with a top byte that no other key has, and its spelling is compared as well.
constexpr uint64_t LONG_WORD = uint64_t{0xFE} << 56;
constexpr uint64_t NO_WORD = uint64_t{0xFD} << 56;      // the key of an unused slot

inline bool is_long(uint64_t key) { return key >> 56 == 0xFE; }

// Bits of the first `size` (0 to 8) bytes of an eight-byte load.
inline uint64_t first_bytes(size_t size) {
    static constexpr uint64_t BITS[9] = {0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF,
                                         0xFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};
    return BITS[size];
}

// Reads up to eight bytes past the word.
inline uint64_t key_of(const Byte* word, size_t size, uint64_t seed) {
    if (size <= 8) return load_8(word) | ~first_bytes(size);
    uint64_t hash = seed ^ size;
    for (; size > 8; size -= 8, word += 8) hash = folded_product(hash ^ load_8(word), STEP);
    hash = folded_product(hash ^ (load_8(word) & first_bytes(size)), MIX);
    return LONG_WORD | (hash & first_bytes(7));
}

struct WordSlot {
    uint64_t key;
    Result result;
    uint32_t continues;     // 1: longer sequences begin with this word
};

struct EdgeSlot {
    uint32_t parent;        // node: the slot of a first word, or INNER_NODE + a number
    uint32_t word;          // slot of the next word
    Result result;
    uint32_t node;          // NONE where no longer sequence follows
};

constexpr uint32_t INNER_NODE = 0x80000000;

static_assert(sizeof(WordSlot) == 16 && sizeof(EdgeSlot) == 16, "these are the layouts of the file");

inline uint64_t edge_key(uint32_t parent, uint32_t word) { return uint64_t{parent} << 32 | word; }

// The tables for reading, in the mapped file. Whatever their bytes are, nothing outside them is read.
struct WordTables {
    PerfectHash word_hash, edge_hash;
    const WordSlot* words = nullptr;
    const EdgeSlot* edges = nullptr;
    const uint32_t* spellings = nullptr;    // of each word slot with a long word: where in `letters` it begins
    const Byte* letters = nullptr;          // spellings: uint32 size, bytes
    uint64_t n_letters = 0;

    bool is_spelled(size_t slot, const Byte* word, size_t size) const {
        const uint64_t begin = spellings[slot];
        if (begin + sizeof(uint32_t) > n_letters) return false;
        uint32_t spelled_size;
        std::memcpy(&spelled_size, letters + begin, sizeof spelled_size);
        return spelled_size == size && size <= n_letters - begin - sizeof spelled_size &&
               std::memcmp(letters + begin + sizeof spelled_size, word, size) == 0;
    }
};

// ---------------------------------------------------------------- building them

// Call on_word for each word of a spaced form that begins and ends with a space or punctuation: for what is between
// its spaces.
template <class OnWord>
inline void for_each_word(std::string_view form, OnWord on_word) {
    if (form.front() == ' ') form.remove_prefix(1);
    if (form.back() == ' ') form.remove_suffix(1);
    for (size_t space; (space = form.find(' ')) != form.npos; form.remove_prefix(space + 1))
        on_word(form.substr(0, space));
    on_word(form);
}

class WordTablesBuilder {
public:
    std::vector<WordSlot> words;
    std::vector<EdgeSlot> edges;
    std::vector<uint32_t> spellings;
    std::vector<Byte> letters;
    PerfectHashBuilder word_hash, edge_hash;

    // Forms are distinct, and sequences of whole words.
    void build(const std::vector<std::string_view>& forms, const std::vector<Result>& results) {
        number_words(forms);
        place_words();
        collect(forms, results);
        place_edges();
    }

private:
    static constexpr int SEEDS = 64;        // tried at most; the first is nearly always good

    std::vector<std::string_view> spelled_;                         // the distinct words
    std::unordered_map<std::string_view, uint32_t> numbers_;        // their index in spelled_
    std::vector<EdgeSlot> edges_;                                   // in order of appearance

    void number_words(const std::vector<std::string_view>& forms) {
        numbers_.reserve(forms.size());
        for (std::string_view form : forms)
            for_each_word(form, [&](std::string_view word) {
                if (numbers_.emplace(word, static_cast<uint32_t>(spelled_.size())).second)
                    spelled_.push_back(word);
            });
    }

    static uint64_t padded_key(std::string_view word, uint64_t seed) {
        std::vector<Byte> padded(word.begin(), word.end());
        padded.resize(word.size() + 8);
        return key_of(padded.data(), word.size(), seed);
    }

    static uint64_t seed_number(int n) { return folded_product(static_cast<uint64_t>(n) + 1, STEP); }

    void place_words() {
        std::vector<uint64_t> keys(spelled_.size());
        for (int attempt = 0;; attempt++) {
            if (attempt == SEEDS) throw std::runtime_error("no perfect hash found for the words");
            const uint64_t seed = seed_number(attempt);
            for (size_t i = 0; i < keys.size(); i++) keys[i] = padded_key(spelled_[i], seed);
            if (word_hash.build(keys, seed)) break;
        }
        words.assign(word_hash.table.n_slots, WordSlot{NO_WORD, NONE, 0});
        spellings.assign(words.size(), 0);
        for (size_t i = 0; i < keys.size(); i++) {
            const uint32_t slot = word_hash.slots[i];
            words[slot].key = keys[i];
            if (is_long(keys[i])) spell(slot, spelled_[i]);
        }
    }

    void spell(uint32_t slot, std::string_view word) {
        if (letters.size() >= NONE) throw std::length_error("the words are too many and too long");
        spellings[slot] = static_cast<uint32_t>(letters.size());
        const uint32_t size = static_cast<uint32_t>(word.size());
        const Byte* bytes = reinterpret_cast<const Byte*>(&size);
        letters.insert(letters.end(), bytes, bytes + sizeof size);
        letters.insert(letters.end(), word.begin(), word.end());
    }

    // Give every form its result: in the slot of its word, or in the edge that ends its sequence.
    void collect(const std::vector<std::string_view>& forms, const std::vector<Result>& results) {
        std::unordered_map<uint64_t, uint32_t> known;           // edge key -> index in edges_
        known.reserve(forms.size());
        uint32_t n_nodes = 0;
        for (size_t i = 0; i < forms.size(); i++) {
            uint32_t* node = nullptr;                           // `node` of the edge followed last
            uint32_t parent = NONE;
            Result* result = nullptr;
            for_each_word(forms[i], [&](std::string_view spelled) {
                const uint32_t word = word_hash.slots[numbers_.find(spelled)->second];
                if (result == nullptr) {
                    result = &words[word].result;
                    parent = word;
                    return;
                }
                if (node == nullptr) words[parent].continues = 1;
                else if (*node == NONE) *node = INNER_NODE + n_nodes++;
                if (node != nullptr) parent = *node;
                const auto [at, is_new] = known.emplace(edge_key(parent, word),
                                                        static_cast<uint32_t>(edges_.size()));
                if (is_new) edges_.push_back(EdgeSlot{parent, word, NONE, NONE});
                EdgeSlot& edge = edges_[at->second];
                result = &edge.result;
                node = &edge.node;
            });
            *result = results[i];
        }
    }

    void place_edges() {
        std::vector<uint64_t> keys;
        keys.reserve(edges_.size());
        for (const EdgeSlot& edge : edges_) keys.push_back(edge_key(edge.parent, edge.word));
        for (int attempt = 0; !edge_hash.build(keys, seed_number(attempt)); attempt++)
            if (attempt == SEEDS) throw std::runtime_error("no perfect hash found for the sequences");
        edges.assign(edge_hash.table.n_slots, EdgeSlot{NONE, NONE, NONE, NONE});
        for (size_t i = 0; i < edges_.size(); i++) edges[edge_hash.slots[i]] = edges_[i];
    }
};

}  // namespace mc2
