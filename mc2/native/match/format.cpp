// Opening, checking and writing the file of a compiled matcher.
#include "match/format.hpp"

#include <fcntl.h>

#include <cstring>

#include "match/perfect_hash.hpp"

namespace mc2 {

// Four independent chains, so that the multiplications overlap: about as fast as memory.
uint64_t checksum(const void* data, size_t size) {
    const Byte* p = static_cast<const Byte*>(data);
    uint64_t chains[4] = {STEP, MIX, ~STEP, ~MIX};
    size_t left = size;
    for (; left >= 32; left -= 32, p += 32)
        for (size_t i = 0; i < 4; i++) chains[i] = folded_product(chains[i] ^ load_8(p + 8 * i), MIX + 2 * i);
    Byte rest[32] = {};
    if (left > 0) std::memcpy(rest, p, left);      // there may be no data at all
    uint64_t sum = size;
    for (size_t i = 0; i < 4; i++) sum = folded_product(sum ^ chains[i], MIX);
    for (size_t i = 0; i < 4; i++) sum = folded_product(sum ^ load_8(rest + 8 * i), STEP);
    return sum;
}

uint64_t header_checksum(const Header& header) { return checksum(&header, offsetof(Header, checksum)); }

// ---------------------------------------------------------------- reading

namespace {

MappedFile mapped(const std::string& path) {
    try {
        return MappedFile(path);
    } catch (const NotRegular&) {
        throw Damaged("not a regular file");
    }
}

}  // namespace

CompiledFile::CompiledFile(const std::string& path) : file_(mapped(path)) {
    if (file_.size() < sizeof(Header)) throw Damaged("too short");
    if (std::memcmp(header().magic, MAGIC, sizeof MAGIC) != 0) throw Damaged("not a compiled matcher");
    if (header().version != VERSION)
        throw Damaged("format " + std::to_string(header().version) + ", this version reads format " +
                      std::to_string(VERSION));
    if (header().checksum != header_checksum(header())) throw Damaged("the header is damaged");
    if (header().file_size != file_.size()) throw Damaged("cut off, or longer than it was");
    if (header().key_size > KEY_SIZE) throw Damaged("the header is damaged");
}

void CompiledFile::verify() const {
    for (const Section& section : header().sections)
        if (section.checksum != checksum(file_.bytes() + section.offset, section.size))
            throw Damaged("a section is damaged");
}

// ---------------------------------------------------------------- writing

CompiledFileWriter::CompiledFileWriter(const std::string& path)
    : file_(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC) {
    std::memcpy(header.magic, MAGIC, sizeof MAGIC);
    header.version = VERSION;
}

void CompiledFileWriter::add_bytes(SectionName name, const void* data, size_t size) {
    header.sections[name] = {end_, size, checksum(data, size)};
    parts_[name] = {data, size};
    end_ += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void CompiledFileWriter::write() {
    header.file_size = end_;
    header.checksum = header_checksum(header);
    put(&header, sizeof header);
    for (const auto& [data, size] : parts_) put(data, size);
    file_.close();
}

// Write, and fill up with zeros.
void CompiledFileWriter::put(const void* data, size_t size) {
    static const char zeros[ALIGNMENT] = {};
    file_.write(data, size);
    file_.write(zeros, (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT);
}

}  // namespace mc2
