// Which texts need the automaton: told for most of them by a look at a few bytes.
//
// A form that ends inside a word ends in a byte that is one of the "wanted" bytes, and a text that holds the form has
// the same two bytes before it. Likewise a form that begins inside a word, and the two bytes after its first byte. A
// text in which no wanted byte has such neighbours need not be searched. In a language with spaces this is so for
// most texts, since most of its apostrophes and hyphens are not those of an entry.
//
// The three bytes are a context. Contexts are kept as a set of hashes, so a few texts are searched for nothing.
//
// A text is looked at as it is, where a form has a space beside each punctuation character. Of one byte, punctuation is
// recognised in the context. Where there may be longer punctuation, only contexts within one character are used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "match/text.hpp"

namespace mc2 {

// The filter for reading, with its contexts in the mapped file.
class Filter {
public:
    static constexpr size_t SIZE = 2 * (1 << 16) / 8;   // bytes: contexts before wanted bytes, and after

    Filter() = default;
    Filter(const ByteSet& wanted, const ByteSet& alone, const Byte* contexts)
        : wanted_(wanted), alone_(alone), contexts_(contexts) {}

    const ByteSet& wanted() const { return wanted_; }

    bool passes(const Byte* bytes, const Block* blocks, size_t from, size_t to) const {
        if (from == to) return true;        // an empty text becomes two spaces, which may be the form of an entry
        return any_wanted(blocks, from, to, [&](size_t position) {
            const Byte* p = bytes + position;
            if (position < from + 2 || position + 2 >= to || alone_.has(*p)) return true;    // no full context
            return has(bit_before(p[0], p[-1], p[-2])) || has(bit_after(p[0], p[1], p[2]));
        });
    }

    static size_t bit_before(Byte wanted, Byte near, Byte far) { return bit_of(wanted, near, far); }
    static size_t bit_after(Byte wanted, Byte near, Byte far) { return (1 << 16) + bit_of(wanted, near, far); }

private:
    ByteSet wanted_;
    ByteSet alone_;         // wanted bytes that are a form by themselves, whatever is beside them
    const Byte* contexts_ = nullptr;

    bool has(size_t bit) const { return contexts_[bit / 8] >> (bit % 8) & 1; }

    // As published. Where there is more punctuation, contexts hold no byte of ASCII.
    static bool is_break(uint32_t byte) {
        return is_space(static_cast<Byte>(byte)) || is_published_punctuation(static_cast<Byte>(byte));
    }

    // A space in a form may be any break in a text, and what is beyond that break may be anything.
    static size_t bit_of(uint32_t wanted, uint32_t near, uint32_t far) {
        if (is_break(near)) near = ' ', far = 0;
        else if (is_break(far)) far = ' ';
        return (far | near << 8 | wanted << 16) * 0x9E3779B1u >> 16;
    }
};

// Collects the wanted bytes and the contexts of the forms that the automaton has to find.
class FilterBuilder {
public:
    ByteSet wanted, alone;
    std::vector<Byte> contexts = std::vector<Byte>(Filter::SIZE);

    // Let texts pass that may hold a form which ends, or begins, inside a word. within_character: only the last, or
    // first, character makes the context.
    void add_end(std::string_view form, bool within_character) {
        const size_t size = form.size();
        const bool is_long = size >= 3 && is_continuation(byte_of(form[size - 1])) &&
                             is_continuation(byte_of(form[size - 2]));      // three bytes or four
        add(form.rbegin(), !within_character ? size : is_long ? 3 : 1, Filter::bit_before);
    }

    void add_begin(std::string_view form, bool within_character) {
        const size_t size = form.size();
        const bool is_long = size >= 3 && width_of_character(byte_of(form[0])) >= 3;
        add(form.begin(), !within_character ? size : is_long ? 3 : 1, Filter::bit_after);
    }

    // Let every text pass.
    void add_everything() {
        for (int byte = 0; byte < 256; byte++) {
            wanted.add(static_cast<Byte>(byte));
            alone.add(static_cast<Byte>(byte));
        }
    }

private:
    static Byte byte_of(char character) { return static_cast<Byte>(character); }

    // `form` goes from the wanted byte inwards. What a form of two bytes leaves open in its context may be any byte.
    template <class Iterator>
    void add(Iterator form, size_t size, size_t (*bit_of)(Byte, Byte, Byte)) {
        const auto byte_at = [&](size_t i) { return byte_of(form[static_cast<std::ptrdiff_t>(i)]); };
        wanted.add(byte_at(0));
        if (size == 1) return alone.add(byte_at(0));
        for (int any = 0; any < (size == 2 ? 256 : 1); any++)
            set(bit_of(byte_at(0), byte_at(1), size == 2 ? static_cast<Byte>(any) : byte_at(2)));
    }

    void set(size_t bit) { contexts[bit / 8] = static_cast<Byte>(contexts[bit / 8] | 1 << (bit % 8)); }
};

}  // namespace mc2
