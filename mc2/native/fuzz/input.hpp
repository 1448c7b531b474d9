// What a fuzz target makes of the bytes it is given, and how it says that something is wrong.
//
// The bytes are read as choices: which entries, which texts, which bytes of a valid file to damage. So every
// input stands for a case that gets past the first checks, short inputs stand for small cases, and an input
// that found something is a test case to keep.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace mc2::fuzz {

// The choices, one after the other; zeros once the bytes are used up.
class Input {
public:
    Input(const uint8_t* bytes, size_t size) : at_(bytes), end_(bytes + size) {}

    bool is_used_up() const { return at_ == end_; }
    uint8_t byte() { return is_used_up() ? uint8_t{0} : *at_++; }
    bool flag() { return byte() & 1; }

    template <class Number>
    Number number() {
        uint64_t bits = 0;
        for (size_t i = 0; i < sizeof(Number); i++) bits |= uint64_t{byte()} << (8 * i);
        return static_cast<Number>(bits);
    }

    // A number below n, which is not 0.
    size_t below(size_t n) { return (n <= 256 ? byte() : number<uint32_t>()) % n; }

    template <class Element, size_t N>
    const Element& one_of(const Element (&elements)[N]) {
        return elements[below(N)];
    }

private:
    const uint8_t* at_;
    const uint8_t* end_;
};

// Ends the run: the driver keeps the input.
[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "found: %s\n", what.c_str());
    std::abort();
}

// Text for people: printable ASCII as it is, everything else as \xNN.
inline std::string shown(const std::string& bytes) {
    std::string text;
    char escape[5];
    for (const char c : bytes) {
        std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        text += c >= ' ' && c <= '~' && c != '\\' ? std::string(1, c) : std::string(escape);
    }
    return "\"" + text + "\"";
}

// The one file of this process, removed at its end.
class File {
public:
    File() : path_(std::string(directory()) + "/mc2-fuzz-XXXXXX") {
        const int descriptor = ::mkstemp(path_.data());
        if (descriptor < 0) fail("no temporary file " + path_);
        ::close(descriptor);
    }
    ~File() { ::unlink(path_.c_str()); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    const std::string& path() const { return path_; }

    std::string read() const {
        std::ifstream file(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write(const std::string& bytes) const {
        std::ofstream file(path_, std::ios::binary | std::ios::trunc);
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }

private:
    std::string path_;

    // In memory where possible: this is ten times faster.
    static const char* directory() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; }
};

// Damage as disks, transfers and attackers do it: bytes and numbers changed, pieces lost, doubled or moved.
inline void damage(std::string& bytes, Input& input) {
    static const uint64_t extremes[] = {0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE,
                                        0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF};
    for (size_t n = input.below(8); n > 0 && !bytes.empty(); n--) {
        // half of the damage at the beginning, where the sizes are
        const size_t at = input.below(input.flag() ? bytes.size() : std::min<size_t>(bytes.size(), 256));
        const size_t size = std::min<size_t>(bytes.size() - at, size_t{1} << input.below(10));
        uint64_t number;
        switch (input.below(8)) {
            case 0: bytes[at] = static_cast<char>(input.byte()); break;
            case 1: bytes[at] = static_cast<char>(bytes[at] ^ 1 << input.below(8)); break;
            case 2:
            case 3:
                number = input.flag() ? input.one_of(extremes) : input.number<uint64_t>();
                std::memcpy(&bytes[at], &number, std::min<size_t>(bytes.size() - at, input.flag() ? 4 : 8));
                break;
            case 4: bytes.resize(at); break;
            case 5: bytes.erase(at, size); break;
            case 6: bytes.insert(input.below(bytes.size()), bytes.substr(at, size)); break;
            case 7: bytes.replace(at, size, std::string(size, static_cast<char>(input.byte()))); break;
        }
    }
}

}  // namespace mc2::fuzz
