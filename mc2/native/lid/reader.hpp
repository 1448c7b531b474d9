// The file of a fastText model, read from its first byte to its last, and never past its end.
//
// Nothing is allocated before the file is known to hold the bytes that ask for it, so a damaged count is noticed by
// comparing it with the size of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "common/files.hpp"

namespace mc2::fasttext {

constexpr int32_t magic_number = 793712314;
constexpr int32_t oldest_version = 11, newest_version = 12;
constexpr int32_t supervised = 3;

// Reads one value after the other. Throws std::invalid_argument, with the path, where the file is damaged.
class Reader {
public:
    Reader(const MappedFile& file, const std::string& path)
        : position_(file.bytes()), end_(file.bytes() + file.size()), path_(path) {}

    [[noreturn]] void refuse(const std::string& reason) const { throw std::invalid_argument(path_ + ": " + reason); }

    void require(bool condition, const char* reason) const {
        if (!condition) refuse(std::string("damaged fastText model (") + reason + ").");
    }

    size_t left() const { return static_cast<size_t>(end_ - position_); }

    // The next `count` bytes.
    const uint8_t* bytes(size_t count) {
        require(count <= left(), "the file is cut off");
        const uint8_t* begin = position_;
        position_ += count;
        return begin;
    }

    // The next `count` items of `size` bytes each. The product cannot overflow.
    const uint8_t* items(int64_t count, size_t size) {
        require(count >= 0, "a negative count");
        require(static_cast<uint64_t>(count) <= left() / size, "the file is cut off");
        return bytes(static_cast<size_t>(count) * size);
    }

    template <typename Number>
    Number number() {
        Number value;
        std::memcpy(&value, bytes(sizeof value), sizeof value);
        return value;
    }

    bool flag() {
        const uint8_t value = number<uint8_t>();
        require(value <= 1, "a flag that is neither yes nor no");
        return value == 1;
    }

    // The next word, which ends with a NUL.
    const char* word() {
        const void* nul = std::memchr(position_, 0, left());
        require(nul != nullptr, "a word without end");
        const size_t length = static_cast<size_t>(static_cast<const uint8_t*>(nul) - position_);
        return reinterpret_cast<const char*>(bytes(length + 1));
    }

private:
    const uint8_t* position_;
    const uint8_t* end_;
    const std::string& path_;
};

}  // namespace mc2::fasttext
