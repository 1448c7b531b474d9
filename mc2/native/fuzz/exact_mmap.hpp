// Files copied into memory of exactly their size, instead of mapped: behind a mapped file is the rest of its last page,
// where a read past the end of the file would not be noticed. The fuzz targets are compiled with `-include` of this
// header.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>

inline void* exact_mmap(void*, size_t size, int, int, int file, off_t) {
    void* memory = nullptr;
    if (::posix_memalign(&memory, 64, size) != 0) return MAP_FAILED;
    if (::pread(file, memory, size, 0) != static_cast<ssize_t>(size)) std::abort();
    return memory;
}

inline int exact_munmap(void* memory, size_t) {
    std::free(memory);
    return 0;
}

#define mmap exact_mmap
#define munmap exact_munmap
