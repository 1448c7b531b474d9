// The two layers of the model: rows to hidden vector, hidden vector to scores.
//
// A sum of floating-point numbers depends on its order, so each sum takes its terms one by one in fastText's order.
// Several sums are computed side by side instead: in the first layer a vector register holds several columns of the
// hidden vector, in the second several labels (or nodes of the tree), and several texts share one pass over the
// output matrix.
//
// The build must not contract a * b + c into one rounding (-ffp-contract=off), nor reorder (-ffast-math).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/cpu.hpp"
#include "lid/model.hpp"

#if MC2_X86_64
#include <immintrin.h>
#endif

namespace mc2::fasttext {

constexpr int32_t block_rows = OutputMatrix::block_rows;

// ---------------------------------------------------------------- rows to hidden

// Add columns [first, dim) of rows one after the other. The floats may lie at any address.
inline void sum_columns_scalar(const uint8_t* floats, int32_t dim, int32_t first, Rows rows, float* sum) {
    const size_t row_bytes = static_cast<size_t>(dim) * sizeof(float);
    for (const int32_t row : rows) {
        const uint8_t* source = floats + static_cast<size_t>(row) * row_bytes;
        for (int32_t i = first; i < dim; ++i) {
            float value;
            std::memcpy(&value, source + static_cast<size_t>(i) * sizeof(float), sizeof value);
            sum[i] += value;
        }
    }
}

#if MC2_X86_64
// The same for 8 * Registers columns from `first` on, whose sums stay in registers from row to row.
template <int Registers>
MC2_AVX2 void sum_columns_avx2(const uint8_t* floats, int32_t dim, int32_t first, Rows rows, float* sum) {
    const size_t row_bytes = static_cast<size_t>(dim) * sizeof(float);
    const uint8_t* column = floats + static_cast<size_t>(first) * sizeof(float);
    __m256 sums[Registers];
    for (__m256& part : sums) part = _mm256_setzero_ps();
    for (const int32_t row : rows) {
        const float* source = reinterpret_cast<const float*>(column + static_cast<size_t>(row) * row_bytes);
        for (int i = 0; i < Registers; ++i) sums[i] = _mm256_add_ps(sums[i], _mm256_loadu_ps(source + 8 * i));
    }
    for (int i = 0; i < Registers; ++i) _mm256_storeu_ps(sum + first + 8 * i, sums[i]);
}
#endif

inline void sum_rows(const InputMatrix& input, int32_t dim, Rows rows, float* sum) {
    std::fill(sum, sum + dim, 0.0f);
    if (input.floats == nullptr) {
        for (const int32_t row : rows) input.quantized.add_to(row, sum);
        return;
    }
    int32_t first = 0;
#if MC2_X86_64
    if (has_avx2()) {
        for (; dim - first >= 64; first += 64) sum_columns_avx2<8>(input.floats, dim, first, rows, sum);
        for (; dim - first >= 16; first += 16) sum_columns_avx2<2>(input.floats, dim, first, rows, sum);
        for (; dim - first >= 8; first += 8) sum_columns_avx2<1>(input.floats, dim, first, rows, sum);
    }
#endif
    if (first < dim) sum_columns_scalar(input.floats, dim, first, rows, sum);
}

// Ask memory for the beginnings of rows that will be summed soon.
inline void prefetch_rows(const Model& model, Rows rows) {
    if (model.input.floats == nullptr) return;
    const size_t row_bytes = static_cast<size_t>(model.dim) * sizeof(float);
    for (const int32_t row : rows) __builtin_prefetch(model.input.floats + static_cast<size_t>(row) * row_bytes);
}

// The mean of the rows: what fastText calls the hidden layer.
inline void compute_hidden(const Model& model, Rows rows, float* hidden) {
    sum_rows(model.input, model.dim, rows, hidden);
    const float share = static_cast<float>(1.0 / static_cast<double>(rows.count));
    for (int32_t i = 0; i < model.dim; ++i) hidden[i] *= share;
}

// ---------------------------------------------------------------- hidden to scores

// So many texts share a pass over the output matrix.
constexpr int most_texts = 4;

// Dot products of one block of output rows with several hidden vectors, which follow one another in memory. Those of
// text t go to scores + t * stride.
template <int Texts>
void score_block_scalar(const float* block, int32_t dim, const float* hidden, float* scores, size_t stride) {
    float sums[Texts][block_rows] = {};
    for (int32_t i = 0; i < dim; ++i, block += block_rows)
        for (int text = 0; text < Texts; ++text)
            for (int row = 0; row < block_rows; ++row) sums[text][row] += block[row] * hidden[text * dim + i];
    for (int text = 0; text < Texts; ++text)
        std::copy_n(sums[text], block_rows, scores + static_cast<size_t>(text) * stride);
}

#if MC2_X86_64
template <int Texts>
MC2_AVX2 void score_block_avx2(const float* block, int32_t dim, const float* hidden, float* scores, size_t stride) {
    __m256 low[Texts], high[Texts];
    for (int text = 0; text < Texts; ++text) low[text] = high[text] = _mm256_setzero_ps();
    for (int32_t i = 0; i < dim; ++i, block += block_rows) {
        const __m256 rows_low = _mm256_load_ps(block), rows_high = _mm256_load_ps(block + 8);
        for (int text = 0; text < Texts; ++text) {
            const __m256 factor = _mm256_broadcast_ss(hidden + text * dim + i);
            low[text] = _mm256_add_ps(low[text], _mm256_mul_ps(rows_low, factor));
            high[text] = _mm256_add_ps(high[text], _mm256_mul_ps(rows_high, factor));
        }
    }
    for (int text = 0; text < Texts; ++text, scores += stride) {
        _mm256_storeu_ps(scores, low[text]);
        _mm256_storeu_ps(scores + 8, high[text]);
    }
}
#endif

template <int Texts>
void score_block(const Model& model, int32_t index, const float* hidden, float* scores) {
    const OutputMatrix& output = model.output;
    const float* block = output.block(index, model.dim);
    const size_t first = static_cast<size_t>(index) * block_rows, stride = output.scores_size();
    scores += first;
#if MC2_X86_64
    if (has_avx2()) score_block_avx2<Texts>(block, model.dim, hidden, scores, stride);
    else
#endif
        score_block_scalar<Texts>(block, model.dim, hidden, scores, stride);
    if (output.norms.empty()) return;
    for (int text = 0; text < Texts; ++text, scores += stride)
        for (size_t row = 0; row < block_rows; ++row) scores[row] *= output.norms[first + row];
}

// Scores of the rows of block `index`, for 1 to most_texts hidden vectors. Each text has output.scores_size() scores.
inline void score_block(const Model& model, int32_t index, const float* hidden, int texts, float* scores) {
    if (texts == most_texts) return score_block<most_texts>(model, index, hidden, scores);
    for (int text = 0; text < texts; ++text, hidden += model.dim, scores += model.output.scores_size())
        score_block<1>(model, index, hidden, scores);
}

}  // namespace mc2::fasttext
