// Hashing, and hash tables in which every key of a fixed set has a slot of its own ("perfect hashing").
//
// A look-up is then one comparison without a loop, and memory can be asked for the slot long before it is needed.
// The method is "hash and displace": a key's hash names a bucket of about three keys. The bucket's pilot, a byte
// found when the table was built, sends all its keys to slots that no other bucket uses.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "common/bits.hpp"
#include "match/text.hpp"

namespace mc2 {

// ---------------------------------------------------------------- hashing

inline uint64_t load_8(const Byte* p) {
    uint64_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);       // the file and this load are little-endian
    return bytes;
}

// `hash` as a number below `n`, by its upper half. Never `n` or more, whatever was read from a file.
inline size_t reduce(uint64_t hash, uint32_t n) { return ((hash >> 32) * n) >> 32; }

// ---------------------------------------------------------------- the table

constexpr uint64_t MOST_SLOTS = 0x7FFFFFFF;

// From 64-bit keys to slots, for reading.
struct PerfectHash {
    const Byte* pilots = nullptr;
    uint32_t n_buckets = 1;
    uint32_t n_slots = 1;
    uint64_t seed = 0;

    uint64_t hash(uint64_t key) const { return folded_product(key ^ seed, MIX); }
    size_t bucket(uint64_t hash) const { return reduce(hash, n_buckets); }
    size_t slot(uint64_t hash) const { return slot_under(pilots[bucket(hash)], hash, n_slots); }

    static size_t slot_under(uint32_t pilot, uint64_t hash, uint32_t n_slots) {
        return reduce(hash * (STEP + 2 * pilot), n_slots);
    }
};

class PerfectHashBuilder {
public:
    std::vector<Byte> pilots;
    PerfectHash table;
    std::vector<uint32_t> slots;        // of every key

    // Returns false where some bucket finds no free slots; another seed will do.
    bool build(const std::vector<uint64_t>& keys, uint64_t seed) {
        const uint64_t n_slots = keys.size() * 4 / 3 + 1, n_buckets = keys.size() / 3 + 1;
        if (n_slots > MOST_SLOTS) throw std::length_error("too many words");
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
    std::vector<uint32_t> order_;       // the buckets, large ones first: while most slots are still free
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
            const size_t slot = PerfectHash::slot_under(pilot, hashes_[i], table.n_slots);
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

}  // namespace mc2
