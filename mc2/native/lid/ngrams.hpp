// From words to the rows that their character n-grams have in the input matrix.
//
// fastText writes a word as "<word>" and takes, from every character on, the n-grams of min_ngram to max_ngram
// characters. The hash of an n-gram, folded into a bucket, tells its row. In a pruned model few buckets have one.
//
// One way takes a single word. With AVX2 many words are done at once: they follow one another in a stream of
// characters, and the n-grams that begin at eight characters are hashed side by side, whatever words these belong to.
// So nothing depends on the length of a word, which no processor could predict. Buckets are looked up one by one,
// since instructions that gather eight numbers from memory are slower.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/cpu.hpp"
#include "lid/model.hpp"
#include "lid/words.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::fasttext {

// Whether the byte is one of UTF-8 that no character begins with. To fastText a character is any other byte, with
// all such bytes that follow it.
inline bool continues_character(char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

// ---------------------------------------------------------------- a single word

class NgramReader {
public:
    explicit NgramReader(const Model& model)
        : bucket_rows_(model.bucket_rows), shortest_(model.min_ngram), longest_(model.max_ngram) {}

    // Append the rows of every n-gram of "<word>", except its first and its last character alone.
    void read(std::string_view word, std::vector<int32_t>& rows) {
        bracketed_.assign(1, '<');
        bracketed_.insert(bracketed_.end(), word.begin(), word.end());
        bracketed_.push_back('>');
        const char* const bytes = bracketed_.data();
        const size_t size = bracketed_.size();

        const BucketRows::Filter filter = bucket_rows_.filter();
        // Most buckets of a pruned model have no row. No processor can predict which have one, so a branch would
        // cost more than the look-up. So every bucket is written, and the next one overwrites it if it has no row.
        const size_t at_most = size * static_cast<size_t>(longest_) + 1;
        if (buckets_.size() < at_most) buckets_.resize(at_most);
        uint32_t* last = buckets_.data();
        for (size_t begin = 0; begin < size; ++begin) {
            if (continues_character(bytes[begin])) continue;
            FeatureHash hash;
            size_t end = begin;
            for (int32_t length = 1; length <= longest_ && end < size; ++length) {
                do hash.add(static_cast<uint8_t>(bytes[end++]));
                while (end < size && continues_character(bytes[end]));
                const bool only_bracket = length == 1 && (begin == 0 || end == size);
                if (length < shortest_ || only_bracket) continue;
                *last = filter.bucket_of(hash.value);
                last += filter.has_row(*last);
            }
        }
        for (const uint32_t* bucket = buckets_.data(); bucket != last; ++bucket)
            rows.push_back(bucket_rows_.row_of(*bucket));
    }

private:
    const BucketRows& bucket_rows_;
    const int32_t shortest_, longest_;
    std::vector<char> bracketed_;
    std::vector<uint32_t> buckets_;
};

// ---------------------------------------------------------------- many words at once

// So many numbers can be read behind Rows; they mean nothing.
constexpr size_t spare_rows = 64;

// Where a word is in its stream.
struct StreamPlace {
    size_t begin, end;          // characters
};

#if MC2_X86_64
// hash % divisor for eight hashes (Granlund and Montgomery: "Division by Invariant Integers using Multiplication").
class VectorRemainder {
public:
    explicit VectorRemainder(uint32_t divisor) : divisor_(divisor) {
        int bits = 0;                           // the smallest power of two that is not below the divisor
        while (uint64_t{1} << bits < divisor) ++bits;
        factor_ = static_cast<uint32_t>((((uint64_t{1} << bits) - divisor) << 32) / divisor + 1);
        first_shift_ = std::min(bits, 1);
        second_shift_ = std::max(bits - 1, 0);
    }

    MC2_AVX2 __m256i of(__m256i hashes) const {
        const __m256i factor = _mm256_set1_epi32(static_cast<int>(factor_));
        const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(hashes, factor), 32);
        const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(hashes, 32), factor);
        const __m256i high = _mm256_blend_epi32(even, odd, 0b10101010);         // hash * factor / 2^32
        const __m256i rest = _mm256_srl_epi32(_mm256_sub_epi32(hashes, high), _mm_cvtsi32_si128(first_shift_));
        const __m256i quotient = _mm256_srl_epi32(_mm256_add_epi32(high, rest), _mm_cvtsi32_si128(second_shift_));
        return _mm256_sub_epi32(hashes, _mm256_mullo_epi32(quotient, _mm256_set1_epi32(static_cast<int>(divisor_))));
    }

private:
    uint32_t divisor_, factor_;
    int first_shift_, second_shift_;
};

// Words one after the other, as characters.
class NgramStream {
public:
    static constexpr size_t most_bytes = 4;             // of a character
    static constexpr size_t longest_word = 1024;        // in bytes

    // Whether the model's n-grams have lengths that this is made for.
    static bool serves(const Model& model) {
        return model.min_ngram >= 2 && model.max_ngram >= model.min_ngram && model.max_ngram - model.min_ngram < 8;
    }

    // For words whose characters have at most so many bytes, 1 to 4; 1 means ASCII.
    NgramStream(const Model& model, size_t bytes)
        : bytes_(bytes), bucket_rows_(model.bucket_rows), filter_(bucket_rows_.filter()), remainder_(filter_.buckets),
          shortest_(static_cast<size_t>(model.min_ngram)), longest_(static_cast<size_t>(model.max_ngram)),
          lengths_(longest_ - shortest_ + 1) {}

    void clear() { size_ = 0; }

    // Append the characters of "<word>".
    StreamPlace add(const uint32_t* characters, size_t count) {
        make_room(count);
        std::copy_n(characters, count, characters_.data() + size_);
        return close(count);
    }

    // Append "<word>" of ASCII, with at most WordKey::size bytes.
    StreamPlace add(const Word& word) {
        make_room(WordKey::size + 2);
        uint32_t* target = characters_.data() + size_;
        target[0] = '<';
        for (size_t i = 0; i < WordKey::size; ++i) target[1 + i] = static_cast<uint8_t>(word.begin[i]);
        target[1 + word.size] = '>';            // what is behind it gets overwritten
        return close(word.size + 2);
    }

    // Find the rows of all words.
    void find() {
        if (size_ == 0) return;
        std::fill_n(left_.begin() + static_cast<std::ptrdiff_t>(size_), lanes, uint8_t{0});
        const size_t characters = (size_ + lanes - 1) / lanes * lanes;
        found_before_.resize(characters + 1);
        buckets_.resize(characters * lengths_);
        rows_.resize(characters * lengths_ + spare_rows);
        switch (bytes_) {
            case 1: hash_ngrams<1>(); break;
            case 2: hash_ngrams<2>(); break;
            case 3: hash_ngrams<3>(); break;
            case 4: hash_ngrams<4>(); break;
        }
        switch (lengths_) {                     // known to the compiler, the usual ones are faster
            case 3: filter_.kept ? find_rows<true, 3>() : find_rows<false, 3>(); break;
            case 4: filter_.kept ? find_rows<true, 4>() : find_rows<false, 4>(); break;
            default: filter_.kept ? find_rows<true, 0>() : find_rows<false, 0>(); break;
        }
    }

    Rows rows_of(StreamPlace place) const {
        const size_t first = found_before_[place.begin];
        return {rows_.data() + first, found_before_[place.end] - first};
    }

private:
    static constexpr size_t lanes = 8;

    void make_room(size_t count) {
        const size_t most = size_ + std::max(count, WordKey::size + 2) + lanes + longest_;
        if (characters_.size() >= most) return;
        characters_.resize(2 * most);
        left_.resize(2 * most);
    }

    // The characters are written: say of each how many are left in its word from there on.
    StreamPlace close(size_t count) {
        uint8_t* left = left_.data() + size_;
        if (count <= 32)
            for (size_t i = 0; i < 32; ++i) left[i] = static_cast<uint8_t>(count - i);  // again too many
        else
            for (size_t i = 0; i < count; ++i) left[i] = static_cast<uint8_t>(std::min<size_t>(count - i, 255));
        const StreamPlace place{size_, size_ + count};
        size_ += count;
        return place;
    }

    // FNV-1a, as FeatureHash. A byte of 0 is one that a shorter character does not have.
    template <int Bytes>
    MC2_AVX2 static __m256i add_to_hash(__m256i hash, __m256i characters) {
        const __m256i prime = _mm256_set1_epi32(16777619);
        for (int byte = 0; byte < Bytes; ++byte) {
            const __m256i value = Bytes == 1 ? characters       // ASCII has no sign
                : _mm256_srai_epi32(_mm256_slli_epi32(characters, 24 - 8 * byte), 24);
            const __m256i next = _mm256_mullo_epi32(_mm256_xor_si256(hash, value), prime);
            const __m256i is_over = _mm256_cmpeq_epi32(value, _mm256_setzero_si256());
            hash = byte == 0 ? next : _mm256_blendv_epi8(next, hash, is_over);
        }
        return hash;
    }

    // The buckets of the n-grams that begin at `lanes` characters: first of the shortest n-grams, then longer ones. An
    // n-gram that goes beyond its word gets a bucket that has no row.
    template <int Bytes>
    MC2_AVX2 void hash_ngrams() {
        const VectorRemainder remainder = remainder_;           // which no store can change
        const __m256i none = _mm256_set1_epi32(static_cast<int>(filter_.buckets));
        uint32_t* buckets = buckets_.data();
        for (size_t at = 0; at < size_; at += lanes) {
            const __m256i left = _mm256_cvtepu8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(left_.data() + at)));
            __m256i hash = _mm256_set1_epi32(static_cast<int>(FeatureHash().value));
            for (size_t length = 1; length <= longest_; ++length) {
                const uint32_t* characters = characters_.data() + at + length - 1;
                hash = add_to_hash<Bytes>(hash, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(characters)));
                if (length < shortest_) continue;
                const __m256i beyond = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(length)), left);
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(buckets),
                                    _mm256_blendv_epi8(remainder.of(hash), none, beyond));
                buckets += lanes;
            }
        }
    }

    // Keep the buckets that have a row, in fastText's order, and find these rows.
    template <bool Pruned, size_t Lengths>
    MC2_AVX2 void find_rows() {
        const size_t lengths = Lengths > 0 ? Lengths : lengths_;
        const uint64_t* const kept = filter_.kept;
        const uint32_t none = filter_.buckets;
        int32_t* const rows = rows_.data();
        const uint32_t* buckets = buckets_.data();
        size_t found = 0, at = 0;
        for (; at < size_; at += lanes, buckets += lanes * lengths) {
            for (size_t lane = 0; lane < lanes; ++lane) {
                found_before_[at + lane] = static_cast<uint32_t>(found);
                for (size_t i = 0; i < lengths; ++i) {          // as in NgramReader: the next one overwrites it
                    const uint32_t bucket = buckets[i * lanes + lane];
                    rows[found] = static_cast<int32_t>(bucket);
                    found += Pruned ? kept[bucket / 64] >> (bucket % 64) & 1 : bucket != none;
                }
            }
        }
        found_before_[at] = static_cast<uint32_t>(found);
        for (size_t i = 0; i < found; ++i) rows[i] = bucket_rows_.row_of(static_cast<uint32_t>(rows[i]));
    }

    const size_t bytes_;
    const BucketRows& bucket_rows_;
    const BucketRows::Filter filter_;
    const VectorRemainder remainder_;
    const size_t shortest_, longest_, lengths_;         // of n-grams

    std::vector<uint32_t> characters_;          // each as its bytes, the first one lowest
    std::vector<uint8_t> left_;                 // characters of the word from this one on, 255 at most
    size_t size_ = 0;                           // characters
    std::vector<uint32_t> buckets_;
    std::vector<int32_t> rows_;                 // of the n-grams that have one
    std::vector<uint32_t> found_before_;        // how many of rows_ belong to n-grams that begin before a character
};
#endif

// ---------------------------------------------------------------- either way

// Finds the rows of the n-grams of many words: clear, add all words, find, and then ask for the rows of each.
class NgramFinder {
public:
    explicit NgramFinder(const Model& model) : has_ngrams_(!model.bucket_rows.empty()), reader_(model) {
#if MC2_X86_64
        if (has_avx2() && has_ngrams_ && NgramStream::serves(model))
            for (size_t bytes = 1; bytes <= NgramStream::most_bytes; ++bytes) streams_.emplace_back(model, bytes);
#endif
    }

    void clear() {
        places_.clear();
        rows_.clear();
#if MC2_X86_64
        for (NgramStream& stream : streams_) stream.clear();
#endif
    }

    // Add a word to those that find() is for. They are numbered from 0.
    void add(const Word& word, const WordKey& key) {
        if (!has_ngrams_) return add_none();
#if MC2_X86_64
        if (!streams_.empty() && add_to_stream(word, key)) return;
#endif
        const size_t before = rows_.size();
        reader_.read(word.view(), rows_);
        places_.push_back({alone, {before, rows_.size()}});
    }

    // Add a word of which no n-gram counts.
    void add_none() { places_.push_back({alone, {0, 0}}); }

    void find() {
        rows_.resize(rows_.size() + spare_rows);
#if MC2_X86_64
        for (NgramStream& stream : streams_) stream.find();
#endif
    }

    Rows rows_of(size_t number) const {
        const auto& [stream, place] = places_[number];
#if MC2_X86_64
        if (stream != alone) return streams_[stream].rows_of(place);
#endif
        return {rows_.data() + place.begin, place.end - place.begin};
    }

private:
    static constexpr size_t alone = SIZE_MAX;

    struct Place {
        size_t stream;
        StreamPlace place;
    };

#if MC2_X86_64
    // Returns false where the word is not UTF-8 (a character has too many bytes, or no first one) or very long.
    bool add_to_stream(const Word& word, const WordKey& key) {
        if (word.size <= WordKey::size && key.is_ascii()) {
            places_.push_back({0, streams_[0].add(word)});
            return true;
        }
        if (word.size > NgramStream::longest_word) return false;
        size_t bytes = 2;                       // of the longest character; a single byte may be no ASCII
        const size_t count = cut(word, bytes);
        if (bytes > NgramStream::most_bytes) return false;
        places_.push_back({bytes - 1, streams_[bytes - 1].add(characters_.data(), count)});
        return true;
    }

    // Cut "<word>" into characters. Returns how many there are, and raises `bytes` to those of the longest one.
    MC2_AVX2 size_t cut(const Word& word, size_t& bytes) {
        characters_.resize(NgramStream::longest_word + 2);
        size_t begin = 0, count = 0;
        const auto add = [&](size_t end) {
            uint32_t character;
            std::memcpy(&character, word.begin + begin, sizeof character);
            const size_t size = end - begin;
            bytes = std::max(bytes, size);
            characters_[count++] = size < 4 ? character & ~(~uint32_t{0} << 8 * size) : character;
            begin = end;
        };
        characters_[count++] = '<';
        if (continues_character(word.begin[0])) bytes = SIZE_MAX;       // it would belong to the bracket
        for (size_t block = 0; block < word.size; block += 32) {
            const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(word.begin + block));
            const __m256i begins = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(static_cast<char>(0xBF)));
            uint64_t bits = static_cast<uint32_t>(_mm256_movemask_epi8(begins));
            if (block == 0) bits &= ~uint64_t{1};               // where the first character ends is not there
            bits &= ~(~uint64_t{0} << std::min<size_t>(word.size - block, 32));
            for (; bits != 0; bits &= bits - 1) add(block + static_cast<size_t>(__builtin_ctzll(bits)));
        }
        add(word.size);
        characters_[count++] = '>';
        return count;
    }

    std::vector<NgramStream> streams_;
    std::vector<uint32_t> characters_;
#endif

    const bool has_ngrams_;
    NgramReader reader_;
    std::vector<int32_t> rows_;                 // of words that are in no stream
    std::vector<Place> places_;
};

}  // namespace mc2::fasttext
