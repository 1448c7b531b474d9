// The parts of a model in memory: aligned floats, the dictionary, rows of n-grams, quantised rows.
#include "lid/model.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace mc2::fasttext {

// ---------------------------------------------------------------- memory

AlignedFloats::AlignedFloats(size_t count) {
    constexpr size_t cache_line = 64;
    const size_t bytes = (count * sizeof(float) + cache_line) / cache_line * cache_line;
    void* memory = std::aligned_alloc(cache_line, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    floats_.reset(static_cast<float*>(memory));
}

void AlignedFloats::Free::operator()(float* floats) const {
    std::free(floats);
}

// ---------------------------------------------------------------- words

void Dictionary::add(const char* word) {
    words_.push_back(word);
}

bool Dictionary::is(int32_t id, std::string_view word) const {
    // strncmp stops at the NUL, which is inside the file. A word of a text holds no NUL.
    const char* bytes = words_[static_cast<size_t>(id)];
    return std::strncmp(bytes, word.data(), word.size()) == 0 && bytes[word.size()] == '\0';
}

void Dictionary::build_index() {
    size_t capacity = 16;
    while (capacity < 2 * words_.size()) capacity *= 2;
    slots_.assign(capacity, Slot());
    for (int32_t id = 0; id < size(); ++id) {
        const std::string_view word = this->word(id);
        const uint64_t hash = hash_word(word);
        size_t slot = hash & (capacity - 1);
        while (slots_[slot].id >= 0 && this->word(slots_[slot].id) != word) slot = (slot + 1) & (capacity - 1);
        slots_[slot] = {static_cast<uint32_t>(hash >> 32), id};     // of equal words the last counts
    }
}

int32_t Dictionary::find(std::string_view word, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    for (size_t slot = hash & mask; slots_[slot].id >= 0; slot = (slot + 1) & mask)
        if (slots_[slot].hash == static_cast<uint32_t>(hash >> 32) && is(slots_[slot].id, word)) return slots_[slot].id;
    return -1;
}

// ---------------------------------------------------------------- n-grams

void BucketRows::set_all(int32_t buckets, int32_t first_row) {
    kind_ = Kind::all;
    buckets_ = static_cast<uint32_t>(buckets);
    reciprocal_ = UINT64_MAX / buckets_ + 1;
    first_row_ = first_row;
}

void BucketRows::set_pruned(int32_t buckets, std::vector<std::pair<int32_t, int32_t>> rows_by_bucket) {
    set_all(buckets, 0);
    kind_ = Kind::pruned;
    kept_.assign(buckets_ / 64 + 1, 0);
    for (const auto& [bucket, row] : rows_by_bucket) {
        kept_[static_cast<size_t>(bucket) / 64] |= uint64_t{1} << (bucket % 64);
        rows_.push_back(row);
    }
    uint32_t rank = 0;
    for (const uint64_t bits : kept_) {
        rank_.push_back(rank);
        rank += count_ones(bits);
    }
}

// ---------------------------------------------------------------- quantised rows

float QuantizedMatrix::norm(int64_t row) const {
    return norm_codes == nullptr ? 1.0f : *norm_quantizer.centroid(0, norm_codes[row]);
}

void QuantizedMatrix::copy_direction(int64_t row, float* target) const {
    const uint8_t* code = codes + row * quantizer.pieces;
    for (int32_t piece = 0; piece < quantizer.pieces; ++piece)
        target = std::copy_n(quantizer.centroid(piece, code[piece]), quantizer.width_of(piece), target);
}

void QuantizedMatrix::add_to(int64_t row, float* sum) const {
    const float factor = norm(row);
    const uint8_t* code = codes + row * quantizer.pieces;
    for (int32_t piece = 0; piece < quantizer.pieces; ++piece) {
        const float* centroid = quantizer.centroid(piece, code[piece]);
        for (int32_t i = 0; i < quantizer.width_of(piece); ++i) *sum++ += factor * centroid[i];
    }
}

}  // namespace mc2::fasttext
