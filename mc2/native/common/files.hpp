// Files as the operating system has them: opened, written, mapped into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace mc2 {

// The operating system refused something. Python gets it as an OSError with this path.
struct FileError : std::system_error {
    FileError(int number, std::string which)
        : std::system_error(number, std::generic_category(), which), path(std::move(which)) {}
    std::string path;
};

// A directory, a pipe or a device, where a regular file is needed.
struct NotRegular : FileError {
    using FileError::FileError;
};

// An open file, closed at the end. All functions throw FileError.
class Descriptor {
public:
    Descriptor(const std::string& path, int flags);
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }
    void write(const void* data, size_t size);
    void close();                           // some file systems report a full disk only here
    [[noreturn]] void fail() const;         // throws what errno says

private:
    std::string path_;
    int number_;
};

// A file mapped into memory, read-only. Opening takes microseconds whatever the size, costs no memory of this
// process alone, and all processes that map the file share its pages. It must not be cut off while it is mapped;
// a file that is replaced by renaming another over it stays as it was.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);       // throws FileError
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const uint8_t* bytes() const { return bytes_; }     // nullptr where the file is empty
    size_t size() const { return size_; }

private:
    const uint8_t* bytes_ = nullptr;
    size_t size_ = 0;
};

}  // namespace mc2
