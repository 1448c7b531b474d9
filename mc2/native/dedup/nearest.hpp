// The nearest of some signatures of 64 bits, for each of many, where it differs in at most k bits.
//
// Two signatures that differ in at most k bits differ in at most k / 4 of the 16 bits of one of their four bands: so many
// differences cannot be spread over four bands otherwise. For one band at a time, every searched signature is put into the
// buckets of all values that its own 16 bits can have with k / 4 differences; a query then looks into the one bucket of its
// own value. (Norouzi, Punjani, Fleet: Fast search in Hamming space with multi-index hashing, 2012.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/bits.hpp"
#include "common/cpu.hpp"

namespace mc2 {

class NearestSignatures {
public:
    static constexpr uint32_t most_bits = 15;           // 697 values for a bucket of 16 bits and 3 differences
    static constexpr uint8_t none = 255;                // the distance where no signature is near enough
    static constexpr size_t most_entries = 8u << 20;    // of all buckets of a band: 100 MB

    // distances, rows: (n,), the smallest distance of each query, and the first of the searched signatures that has it.
    static void find(const uint64_t* queries, size_t n, const uint64_t* searched, size_t m, uint32_t k, uint8_t* distances,
                     uint32_t* rows) {
        std::fill(distances, distances + n, none);
        std::fill(rows, rows + n, 0);
        std::vector<uint32_t> changes;                  // of 16 bits, in at most k / 4 of them
        for (uint32_t bits = 0; bits < buckets; bits++)
            if (count_ones(bits) <= k / 4) changes.push_back(bits);
        const size_t at_once = std::max<size_t>(1, most_entries / changes.size());
        Band band;
        for (size_t first = 0; first < m; first += at_once)
            for (uint32_t shift = 0; shift < 64; shift += 16) {
                band.fill(searched, first, std::min(m, first + at_once), shift, changes);
                if (has_avx2())
                    look_up_avx2(band, queries, n, shift, k, distances, rows);
                else
                    look_up(band, queries, n, shift, k, distances, rows);
            }
    }

private:
    static constexpr uint32_t buckets = 1 << 16;

    // The buckets of one band: bucket b is entries begins[b] to begins[b + 1].
    struct Band {
        std::vector<uint32_t> begins, next, rows;
        std::vector<uint64_t> signatures;

        void fill(const uint64_t* searched, size_t first, size_t last, uint32_t shift,
                  const std::vector<uint32_t>& changes) {
            begins.assign(buckets + 1, 0);
            for (size_t row = first; row < last; row++)
                for (uint32_t change : changes) begins[(value_of(searched[row], shift) ^ change) + 1]++;
            for (uint32_t bucket = 0; bucket < buckets; bucket++) begins[bucket + 1] += begins[bucket];
            next.assign(begins.begin(), begins.end() - 1);
            rows.resize(begins[buckets]);
            signatures.resize(begins[buckets]);
            for (size_t row = first; row < last; row++)
                for (uint32_t change : changes) {
                    const uint32_t entry = next[value_of(searched[row], shift) ^ change]++;
                    rows[entry] = static_cast<uint32_t>(row);
                    signatures[entry] = searched[row];
                }
        }
    };

    static uint32_t value_of(uint64_t signature, uint32_t shift) {
        return static_cast<uint32_t>(signature >> shift & 0xFFFF);
    }

    MC2_INLINE static void look_up(const Band& band, const uint64_t* queries, size_t n, uint32_t shift, uint32_t k,
                                   uint8_t* distances, uint32_t* rows) {
        for (size_t query = 0; query < n; query++) {
            const uint32_t bucket = value_of(queries[query], shift);
            for (uint32_t entry = band.begins[bucket]; entry < band.begins[bucket + 1]; entry++) {
                const uint32_t distance = count_ones(queries[query] ^ band.signatures[entry]);
                if (distance > k || distance > distances[query]) continue;
                if (distance < distances[query] || band.rows[entry] < rows[query]) {
                    distances[query] = static_cast<uint8_t>(distance);
                    rows[query] = band.rows[entry];
                }
            }
        }
    }

#if MC2_X86_64
    MC2_AVX2 static void look_up_avx2(const Band& band, const uint64_t* queries, size_t n, uint32_t shift, uint32_t k,
                                      uint8_t* distances, uint32_t* rows) {
        look_up(band, queries, n, shift, k, distances, rows);
    }
#else
    static void look_up_avx2(const Band& band, const uint64_t* queries, size_t n, uint32_t shift, uint32_t k,
                             uint8_t* distances, uint32_t* rows) {
        look_up(band, queries, n, shift, k, distances, rows);
    }
#endif
};

}  // namespace mc2
