// What Python hands over, as C++ reads it: texts in UTF-8, buffers, paths.
//
// CPython makes the UTF-8 of a string, and can be asked for it in two ways. PyUnicode_AsUTF8AndSize leaves a copy in
// the string for as long as the string lives: for a batch that waits for the next stage, or for the millions of
// entries of a language, that is the memory of the texts once more. PyUnicode_AsEncodedString uses such a copy where
// one is there, and leaves none: its bytes are copied into one array for all texts, and freed at once. So it is
// the one used here. The string itself holds the UTF-8 of ASCII, which is copied directly.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/strings.hpp"

namespace mc2 {

// UTF-8 of many texts, one after the other: text i is bytes [offsets[i], offsets[i + 1]).
struct Texts {
    std::unique_ptr<uint8_t[]> bytes;
    std::vector<int64_t> offsets{0};

    size_t size() const { return offsets.size() - 1; }
    std::string_view operator[](size_t i) const {
        return {reinterpret_cast<const char*>(bytes.get()) + offsets[i],
                static_cast<size_t>(offsets[i + 1] - offsets[i])};
    }
};

// The texts of a list of str, or also of bytes. `padding` zeros follow the last text. A lone surrogate, which has no UTF-8,
// becomes the three bytes of Python's "surrogatepass".
Texts read_texts(const pybind11::list& texts, bool may_be_bytes = false, size_t padding = 0);

// Arrays of Python's mc2.pairs.batch.Strings.
using StringData = pybind11::array_t<uint8_t, pybind11::array::c_style>;
using StringOffsets = pybind11::array_t<int64_t, pybind11::array::c_style | pybind11::array::forcecast>;

// The column that they are, as long as they live. Throws ValueError where they do not fit together.
Strings strings_of(const StringData& data, const StringOffsets& offsets);

// A view of a Python object's bytes, released at the end.
class BytesView {
public:
    explicit BytesView(const pybind11::object& object);
    ~BytesView() { PyBuffer_Release(&view_); }
    BytesView(const BytesView&) = delete;
    BytesView& operator=(const BytesView&) = delete;

    const uint8_t* data() const { return static_cast<const uint8_t*>(view_.buf); }
    size_t size() const { return static_cast<size_t>(view_.len); }

private:
    Py_buffer view_;
};

// The bytes of a path (str, bytes or os.PathLike), as the operating system wants them.
std::string bytes_of_path(const pybind11::object& path);

}  // namespace mc2
