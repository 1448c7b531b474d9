// Files by the calls of POSIX; every refusal becomes a FileError.
#include "common/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mc2 {

Descriptor::Descriptor(const std::string& path, int flags) : path_(path), number_(::open(path.c_str(), flags, 0666)) {
    if (number_ < 0) fail();
}

Descriptor::~Descriptor() {
    if (number_ >= 0) ::close(number_);
}

void Descriptor::write(const void* data, size_t size) {
    const char* p = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t written = ::write(number_, p, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail();
        p += written;
        size -= static_cast<size_t>(written);
    }
}

void Descriptor::close() {
    if (::close(std::exchange(number_, -1)) != 0) fail();
}

void Descriptor::fail() const { throw FileError(errno, path_); }

MappedFile::MappedFile(const std::string& path) {
    const Descriptor file(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);      // a pipe is refused, not waited for
    struct stat status;
    if (::fstat(file.number(), &status) != 0) file.fail();
    if (!S_ISREG(status.st_mode)) throw NotRegular(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, path);
    size_ = static_cast<size_t>(status.st_size);
    if (size_ == 0) return;                 // mmap refuses to map nothing
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number(), 0);
    if (address == MAP_FAILED) file.fail();
    bytes_ = static_cast<const uint8_t*>(address);
}

MappedFile::~MappedFile() {
    if (bytes_ != nullptr) ::munmap(const_cast<uint8_t*>(bytes_), size_);
}

}  // namespace mc2
