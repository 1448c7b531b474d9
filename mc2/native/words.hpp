// Entries that are sequences of whole words, found by hashing.
//
// A form that begins and ends with a space or a mark is a sequence of words, and is in a spaced text exactly if
// its words follow each other there. So the words of a text are looked up in a vocabulary, and sequences are
// followed from word to word: the sequence "red circle on" is the word "red", the edge from it along "circle",
// and the edge from there along "on". Nothing is decided by a hash alone: a slot holds its whole key.
//
//     word  ->  WordSlot   its entry, and whether longer sequences begin with it
//     (node, word)  ->  EdgeSlot   the entry of that sequence, and its node if longer ones follow
//
// Both are perfect hash tables: every key has one place where it must be, so a look-up is one comparison,
// without a loop, and memory can be asked for it long before it is needed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text.hpp"

namespace mc2 {

constexpr uint32_t NONE = 0xFFFFFFFF;

// What a form stands for: the id of an entry, or, where entries share a form, the record at which their list
// begins (see Record in automaton.hpp), marked by the top bit. NONE is no entry at all.
using Result = uint32_t;
constexpr uint32_t IS_RECORD = 0x80000000;

// ---------------------------------------------------------------- hashing

constexpr uint64_t MIX = 0xE7037ED1A0B428DB;            // an odd number without pattern
constexpr uint64_t STEP = 0x9E3779B97F4A7C15;

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 uint128;
#endif

// The 128-bit product folded to 64 bits: every bit of the result hangs on every bit of both factors.
inline uint64_t folded_product(uint64_t a, uint64_t b) {
    const uint128 product = static_cast<uint128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t load_8(const Byte* p) {
    uint64_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);       // the file and this load are little-endian
    return bytes;
}

// `hash` as a number below `n`, by its upper half. Never `n` or more, whatever was read from a file.
inline size_t reduce(uint64_t hash, uint32_t n) { return ((hash >> 32) * n) >> 32; }

// A perfect hash over a fixed set of 64-bit keys ("hash and displace"). A key's hash names a bucket of about
// three keys; the bucket's pilot, a byte found when the table was built, sends all its keys to slots that no
// other bucket uses.
struct PerfectHash {
    const Byte* pilots = nullptr;
    uint32_t n_buckets = 1;
    uint32_t n_slots = 1;
    uint64_t seed = 0;

    uint64_t hash(uint64_t key) const { return folded_product(key ^ seed, MIX); }
    size_t bucket(uint64_t hash) const { return reduce(hash, n_buckets); }
    size_t slot(uint64_t hash) const { return place(hash, pilots[bucket(hash)], n_slots); }

    static size_t place(uint64_t hash, uint32_t pilot, uint32_t n_slots) {
        return reduce(hash * (STEP + 2 * pilot), n_slots);
    }
};

class PerfectHashBuilder {
public:
    std::vector<Byte> pilots;
    PerfectHash table;
    std::vector<uint32_t> slots;        // of every key

    // Fails (false) when some bucket finds no place; another seed will do.
    bool build(const std::vector<uint64_t>& keys, uint64_t seed) {
        const uint64_t n_slots = keys.size() * 4 / 3 + 1, n_buckets = keys.size() / 3 + 1;
        if (n_slots >= IS_RECORD) throw std::length_error("too many words");
        pilots.assign(n_buckets, 0);
        table = {pilots.data(), static_cast<uint32_t>(n_buckets), static_cast<uint32_t>(n_slots), seed};
        group_by_bucket(keys);
        taken_.assign(n_slots, false);
        slots.assign(keys.size(), 0);
        return std::all_of(order_.begin(), order_.end(), [&](uint32_t bucket) { return settle(bucket); });
    }

private:
    std::vector<uint64_t> hashes_;      // of all keys, those of one bucket together
    std::vector<uint32_t> members_;     // which key each hash belongs to
    std::vector<uint32_t> starts_;      // of every bucket in hashes_
    std::vector<uint32_t> order_;       // the buckets, large ones first while there is room
    std::vector<bool> taken_;

    void group_by_bucket(const std::vector<uint64_t>& keys) {
        starts_.assign(table.n_buckets + size_t{1}, 0);
        for (uint64_t key : keys) starts_[table.bucket(table.hash(key)) + 1]++;
        uint32_t largest = 0;
        for (size_t bucket = 0; bucket < table.n_buckets; bucket++) {
            largest = std::max(largest, starts_[bucket + 1]);
            starts_[bucket + 1] += starts_[bucket];
        }
        hashes_.resize(keys.size());
        members_.resize(keys.size());
        std::vector<uint32_t> next(starts_.begin(), starts_.end());
        for (size_t key = 0; key < keys.size(); key++) {
            const uint64_t hash = table.hash(keys[key]);
            const uint32_t position = next[table.bucket(hash)]++;
            hashes_[position] = hash;
            members_[position] = static_cast<uint32_t>(key);
        }
        std::vector<std::vector<uint32_t>> by_size(largest + size_t{1});
        for (uint32_t bucket = 0; bucket < table.n_buckets; bucket++)
            by_size[starts_[bucket + 1] - starts_[bucket]].push_back(bucket);
        order_.clear();
        for (size_t size = largest; size > 0; size--)
            order_.insert(order_.end(), by_size[size].begin(), by_size[size].end());
    }

    bool settle(uint32_t bucket) {
        for (uint32_t pilot = 0; pilot < 256; pilot++) {
            if (!fits(bucket, pilot)) continue;
            pilots[bucket] = static_cast<Byte>(pilot);
            return true;
        }
        return false;
    }

    // Takes the slots of a bucket under a pilot, or none of them.
    bool fits(uint32_t bucket, uint32_t pilot) {
        for (uint32_t i = starts_[bucket]; i < starts_[bucket + 1]; i++) {
            const size_t slot = PerfectHash::place(hashes_[i], pilot, table.n_slots);
            if (taken_[slot]) {
                while (i-- > starts_[bucket]) taken_[slots[members_[i]]] = false;
                return false;
            }
            taken_[slot] = true;
            slots[members_[i]] = static_cast<uint32_t>(slot);
        }
        return true;
    }
};

// ---------------------------------------------------------------- the tables

// A word of at most eight bytes is its own key, filled up with 0xFF, a byte that UTF-8 never has. A longer one
// has a hash for a key, marked by a top byte that no other key has, and its spelling is compared as well.
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

// The tables for reading, wherever they lie. Whatever their bytes are, nothing outside them is read.
struct WordTables {
    PerfectHash word_hash, edge_hash;
    const WordSlot* words = nullptr;
    const EdgeSlot* edges = nullptr;
    const uint32_t* spellings = nullptr;    // of each word slot with a long word: where in `letters` it begins
    const Byte* letters = nullptr;          // spellings: uint32 size, bytes
    uint64_t n_letters = 0;

    bool is_spelled(size_t slot, const Byte* word, size_t size) const {
        const uint64_t at = spellings[slot];
        if (at + sizeof(uint32_t) > n_letters) return false;
        uint32_t spelled_size;
        std::memcpy(&spelled_size, letters + at, sizeof spelled_size);
        return spelled_size == size && size <= n_letters - at - sizeof spelled_size &&
               std::memcmp(letters + at + sizeof spelled_size, word, size) == 0;
    }
};

// ---------------------------------------------------------------- building them

// The words of a spaced form that begins and ends with a space or a mark: what is between its spaces.
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

    // Forms are distinct and of words alone.
    void build(const std::vector<std::string_view>& forms, const std::vector<Result>& results) {
        number_words(forms);
        place_words();
        collect(forms, results);
        place_edges();
    }

private:
    static constexpr int SEEDS = 64;        // one is nearly always enough

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
            uint32_t* node = nullptr;                           // where the node reached so far is written
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
