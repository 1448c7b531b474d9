// Entries that may begin or end inside a word, found by an Aho-Corasick automaton over bytes.
//
// The forms make a trie. A state is a prefix of some form: after each byte of the text, the longest prefix that ends
// at that byte. Where the trie has no child for the next byte, the failure link leads to the longest proper suffix
// of the state that is a prefix of a form as well, and the byte is tried again from that state.
//
// The trie is one array of nodes (a "double array"): the child of state s along byte c is the node base[s] ^ c, if
// its check is s. This costs one access to memory per byte, and the access can be asked for ahead of time. So many
// texts are searched side by side: while memory fetches the next node of one text, the others go on.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "match/format.hpp"
#include "match/text.hpp"

namespace mc2 {

// The entries that end in a state, as a linked list: those of its own form, then those of the longest form that is a
// suffix of it, and so on. `next` is always a lower index, and 0 is the end. So every list ends, even in a damaged
// file.
struct Record {
    uint32_t id;
    uint32_t next;
};

struct Node {
    uint32_t base;
    uint32_t check;     // the parent
    uint32_t fail;
    uint32_t record;    // where the list of entries that end in this state begins; 0: there are none
};

static_assert(sizeof(Record) == 8 && sizeof(Node) == 16, "these are the layouts of the file");

constexpr uint32_t ROOT = 0;
constexpr uint32_t NO_PARENT = 0xFFFFFFFF;

// A list of entries was found in a text: text number and first record.
struct Found {
    uint32_t text;
    uint32_t record;
};

// The automaton for reading, over nodes in the mapped file. Whatever their bytes are, nothing outside them is read,
// and every search ends.
class Automaton {
public:
    Automaton() = default;

    Automaton(const Node* nodes, uint32_t n_nodes) : nodes_(nodes), last_(n_nodes - 1) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            const uint32_t child = within(nodes[ROOT].base ^ byte);
            from_root_[byte] = nodes[child].check == ROOT ? child : ROOT;
        }
    }

    // Append what is found in texts that follow each other in memory; text i ends at ends[i]. No text is empty.
    void find(const Byte* texts, const size_t* ends, size_t n_texts, std::vector<Found>& found) const {
        std::array<Lane, LANES> lanes;
        const size_t n_lanes = std::min(LANES, n_texts);
        for (size_t i = 0; i < n_lanes; i++) lanes[i] = lane_of(texts, ends, i);

        // At most two steps per byte on average: a byte makes the prefix longer by one, and each failure link followed
        // makes it shorter again.
        size_t steps_left = n_texts == 0 ? 0 : 2 * ends[n_texts - 1];
        size_t n_found = found.size(), next_text = n_lanes;
        Lane* end = lanes.data() + n_lanes;
        while (end != lanes.data()) {
            if (steps_left-- == 0) throw Damaged("failure links that lead nowhere");
            if (found.size() < n_found + LANES) found.resize(2 * found.size() + 64 * LANES);
            Found* out = found.data();
            for (Lane* lane = lanes.data(); lane < end; lane++) {
                const bool consumed = step(*lane);          // false: the same byte again
                const uint32_t record = nodes_[lane->state].record;
                out[n_found] = {lane->text, record};
                n_found += consumed & (record != 0);        // without a branch, which no processor could predict
                lane->next += consumed;
                if (lane->next == lane->end) *lane = next_text < n_texts ? lane_of(texts, ends, next_text++) : *--end;
                __builtin_prefetch(nodes_ + within(nodes_[lane->state].base ^ *lane->next));
            }
        }
        found.resize(n_found);
    }

private:
    static constexpr size_t LANES = 32;     // texts searched side by side

    struct Lane {               // the search of one text
        const Byte* next;
        const Byte* end;
        uint32_t state;
        uint32_t text;
    };

    static Lane lane_of(const Byte* texts, const size_t* ends, size_t text) {
        return {texts + (text == 0 ? 0 : ends[text - 1]), texts + ends[text], ROOT, static_cast<uint32_t>(text)};
    }

    const Node* nodes_ = nullptr;
    uint32_t last_ = 0;
    std::array<uint32_t, 256> from_root_{};     // the state after each byte, seen from the root

    uint32_t within(uint32_t node) const { return std::min(node, last_); }

    // Try to go on along the next byte. Returns false where the lane followed a failure link instead: the byte is
    // to be tried again.
    bool step(Lane& lane) const {
        const Node node = nodes_[lane.state];
        const uint32_t child = within(node.base ^ *lane.next);
        const bool is_child = nodes_[child].check == lane.state;
        const bool fails_to_root = node.fail == ROOT;       // saves a step: the root has a state for every byte
        const uint32_t other = fails_to_root ? from_root_[*lane.next] : within(node.fail);
        lane.state = is_child ? child : other;
        return is_child | fails_to_root;
    }
};

// ---------------------------------------------------------------- building it

// Builds the trie from the top down, each family of children at free nodes of the array, then links it.
class AutomatonBuilder {
public:
    std::vector<Node> nodes;

    // Forms are distinct, not empty, and sorted by bytes. record_of(form, next) makes the records of a form, the
    // last of which goes on at `next`, and returns the first.
    template <class RecordOf>
    void build(const std::vector<std::string_view>& forms, RecordOf record_of) {
        grow(BLOCK);
        std::fill(free_.begin(), free_.end(), 0);       // the root has the first block to itself: no base is 0
        make_trie(forms);
        sort_by_depth();
        link(record_of);
        nodes.resize((last_used_ | (BLOCK - 1)) + size_t{1});
    }

private:
    static constexpr uint32_t BLOCK = 256;          // the children of a node lie in one block of this size
    static constexpr int TRIES = 256;               // bases tried for a family before it opens a new block
    static constexpr uint32_t NEAR = 64;            // an only child is at most so far behind: in the next cache lines
    static constexpr uint32_t NO_FORM = 0xFFFFFFFF;

    struct Part {               // forms [first, last) share the prefix of length `depth` that `node` stands for
        size_t first, last;
        uint32_t depth, node;
    };
    struct Child {
        Byte byte;
        size_t first, last;
    };

    std::vector<uint64_t> free_;                    // one bit per node
    std::vector<uint32_t> form_of_;                 // node -> the form that ends there
    std::vector<std::pair<uint32_t, uint32_t>> states_;     // (depth, node) of all but the root
    uint32_t search_from_ = BLOCK;                  // nodes before this one are rarely free
    uint32_t last_used_ = 0;

    void grow(size_t size) {
        if (size >= NO_PARENT / 2) throw std::length_error("too many entries for one automaton");
        size = std::max(size, nodes.size() + nodes.size() / 2);
        size = (size + BLOCK - 1) / BLOCK * BLOCK;
        nodes.resize(size, Node{0, NO_PARENT, ROOT, 0});
        free_.resize(size / 64, ~uint64_t{0});
        form_of_.resize(size, NO_FORM);
    }

    bool is_free(uint32_t node) const { return free_[node / 64] >> (node % 64) & 1; }

    void take(uint32_t node, uint32_t parent) {
        free_[node / 64] &= ~(uint64_t{1} << (node % 64));
        nodes[node].check = parent;
        last_used_ = std::max(last_used_, node);
    }

    // The first free node from `node` on; there is always one, since the array grows.
    uint32_t next_free(uint32_t node) {
        uint64_t mask = ~uint64_t{0} << (node % 64);
        for (size_t i = node / 64;; i++, mask = ~uint64_t{0}) {
            if (i == free_.size()) grow(nodes.size() + BLOCK);
            if (const uint64_t bits = free_[i] & mask)
                return static_cast<uint32_t>(i * 64 + static_cast<size_t>(__builtin_ctzll(bits)));
        }
    }

    void make_trie(const std::vector<std::string_view>& forms) {
        std::vector<Part> parts{{0, forms.size(), 0, ROOT}};
        std::vector<Child> children;
        while (!parts.empty()) {
            Part part = parts.back();
            parts.pop_back();
            if (part.first < part.last && forms[part.first].size() == part.depth)
                form_of_[part.node] = static_cast<uint32_t>(part.first++);
            split(forms, part, children);
            if (children.empty()) continue;         // its base stays 0: no node has it for a parent
            const uint32_t base = find_base(children, part.node);
            nodes[part.node].base = base;
            for (size_t i = children.size(); i-- > 0;) {    // the first child comes off the stack first
                const uint32_t child = base ^ children[i].byte;
                take(child, part.node);
                states_.push_back({part.depth + 1, child});
                parts.push_back({children[i].first, children[i].last, part.depth + 1, child});
            }
        }
    }

    static void split(const std::vector<std::string_view>& forms, const Part& part, std::vector<Child>& children) {
        auto byte_at = [&](size_t form) { return static_cast<Byte>(forms[form][part.depth]); };
        children.clear();
        for (size_t first = part.first; first < part.last;) {
            const Byte byte = byte_at(first);
            size_t known = first, step = 1;         // steps double, then halve: groups are small or huge
            while (known + step < part.last && byte_at(known + step) == byte) known += step, step *= 2;
            for (; step > 0; step /= 2)
                if (known + step < part.last && byte_at(known + step) == byte) known += step;
            children.push_back({byte, first, known + 1});
            first = known + 1;
        }
    }

    uint32_t find_base(const std::vector<Child>& children, uint32_t parent) {
        search_from_ = next_free(search_from_);
        if (last_used_ > search_from_ + (1u << 16)) search_from_ = next_free(last_used_ - (1u << 16));
        if (children.size() == 1) {
            const uint32_t near = next_free(parent + 1);
            return (near <= parent + NEAR ? near : search_from_) ^ children[0].byte;
        }
        uint32_t node = search_from_;
        for (int tries = 0; tries < TRIES; tries++, node = next_free(node + 1)) {
            const uint32_t base = node ^ children[0].byte;
            if (std::all_of(children.begin(), children.end(),
                            [&](const Child& child) { return is_free(base ^ child.byte); }))
                return base;
        }
        search_from_ = next_free(search_from_ + 64);        // few of these are free: do not search them again
        const uint32_t block = (last_used_ | (BLOCK - 1)) + 1;
        if (block >= nodes.size()) grow(block + size_t{1});
        return block ^ children[0].byte;
    }

    void sort_by_depth() {
        std::vector<size_t> starts(2);
        for (const auto& [depth, node] : states_) {
            if (depth + size_t{2} > starts.size()) starts.resize(depth + size_t{2});
            starts[depth + 1]++;
        }
        for (size_t depth = 1; depth < starts.size(); depth++) starts[depth] += starts[depth - 1];
        std::vector<std::pair<uint32_t, uint32_t>> sorted(states_.size());
        for (const auto& state : states_) sorted[starts[state.first]++] = state;
        states_.swap(sorted);
    }

    // Failure links and records, shorter prefixes first: a link always leads to a shorter one.
    template <class RecordOf>
    void link(RecordOf record_of) {
        for (const auto& [depth, state] : states_) {
            const uint32_t suffix = longest_suffix(state);
            Node& node = nodes[state];
            node.record = nodes[suffix].record;
            if (form_of_[state] != NO_FORM) node.record = record_of(form_of_[state], node.record);
            node.fail = has_children(suffix) ? suffix : nodes[suffix].fail;     // a leaf has no child to try
        }
    }

    bool has_children(uint32_t state) const { return nodes[state].base != 0 || state == ROOT; }

    uint32_t longest_suffix(uint32_t state) const {
        const uint32_t parent = nodes[state].check;
        const uint32_t byte = nodes[parent].base ^ state;
        for (uint32_t from = parent; from != ROOT;) {
            from = nodes[from].fail;
            const uint32_t child = nodes[from].base ^ byte;
            if (nodes[child].check == from) return child;
        }
        return ROOT;
    }
};

}  // namespace mc2
