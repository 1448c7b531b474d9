// The keyed hash of mc2/hashing.py for many rows of columns of strings: BLAKE2b with 8 bytes of digest over the leading
// fields and the row's strings, each after its length in 8 bytes.
//
// Four messages are hashed side by side (blake2b.hpp), whatever their lengths: a lane that is done with its message
// takes the next one, while the others go on with theirs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "balance/blake2b.hpp"
#include "common/cpu.hpp"
#include "common/strings.hpp"

namespace mc2 {

// The messages of rows, as bytes.
class Messages {
public:
    // rows: of the columns, in the order wanted; nullptr: rows 0, 1, 2 ...
    Messages(const std::vector<std::string>& leading, std::vector<Strings> columns, const int64_t* rows)
        : columns_(std::move(columns)), rows_(rows) {
        for (const std::string& field : leading) {
            const uint64_t size = field.size();
            leading_.append(reinterpret_cast<const char*>(&size), sizeof size);
            leading_ += field;
        }
    }

    // Write message k into `bytes`, filled up with zeros to whole blocks. Returns its size.
    size_t write(size_t k, std::vector<uint8_t>& bytes) const {
        const size_t row = rows_ == nullptr ? k : static_cast<size_t>(rows_[k]);
        size_t size = leading_.size();
        for (const Strings& column : columns_) size += sizeof(uint64_t) + column[row].size();
        const size_t filled = std::max<size_t>(1, (size + blake2b::BLOCK_BYTES - 1) / blake2b::BLOCK_BYTES) *
                              blake2b::BLOCK_BYTES;
        if (bytes.size() < filled) bytes.resize(2 * filled);
        uint8_t* out = std::copy(leading_.begin(), leading_.end(), bytes.data());
        for (const Strings& column : columns_) {
            const std::string_view field = column[row];
            const uint64_t length = field.size();
            std::memcpy(out, &length, sizeof length);
            out = std::copy(field.begin(), field.end(), out + sizeof length);
        }
        std::fill(out, bytes.data() + filled, uint8_t{0});
        return size;
    }

private:
    std::string leading_;
    std::vector<Strings> columns_;
    const int64_t* rows_;
};

template <size_t LANES>
void hash_in_lanes(const Messages& messages, size_t n, uint64_t* hashes) {
    struct Message {
        std::vector<uint8_t> bytes = std::vector<uint8_t>(blake2b::BLOCK_BYTES);
        size_t number = 0, size = 0, done = 0;
        bool is_there = false;
    };
    blake2b::Lanes<LANES> lanes;
    Message message[LANES];
    size_t next = 0;
    auto take_next = [&](size_t lane) {
        Message& its = message[lane];
        its.is_there = next < n;
        its.done = 0;
        if (its.is_there) its.size = messages.write(next, its.bytes);
        its.number = next++;
        lanes.begin(lane);
    };
    for (size_t lane = 0; lane < LANES; lane++) take_next(lane);
    while (std::any_of(message, message + LANES, [](const Message& its) { return its.is_there; })) {
        for (size_t lane = 0; lane < LANES; lane++) {
            Message& its = message[lane];
            lanes.block[lane] = its.bytes.data() + its.done;    // where there is no message: any block, again and again
            its.done += its.is_there ? blake2b::BLOCK_BYTES : 0;
            lanes.bytes_so_far[lane] = std::min(its.done, its.size);
            lanes.is_last[lane] = its.done >= its.size ? ~uint64_t{0} : 0;
        }
        blake2b::compress(lanes);
        for (size_t lane = 0; lane < LANES; lane++) {
            if (!message[lane].is_there || lanes.is_last[lane] == 0) continue;
            hashes[message[lane].number] = lanes.digest(lane);
            take_next(lane);
        }
    }
}

inline void hash_messages(const Messages& messages, size_t n, uint64_t* hashes) {
#if MC2_X86_64
    if (has_avx2()) return hash_in_lanes<4>(messages, n, hashes);
#endif
    hash_in_lanes<1>(messages, n, hashes);
}

}  // namespace mc2
