// Reading a fastText model file.
//
// The layout, all numbers little-endian: a header with the training options; the dictionary; for a pruned
// model the buckets that were kept; the input matrix; the output matrix. Either matrix may be quantised.
//
// Nothing is allocated before the file is known to hold the bytes that ask for it, so a damaged count is
// found out by the file's size.
#include "fasttext_model.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fastText models are little-endian, and they are used in place."
#endif

namespace mc2::fasttext {
namespace {

constexpr int32_t magic_number = 793712314;
constexpr int32_t oldest_version = 11, newest_version = 12;
constexpr int32_t supervised = 3;

// Far beyond any real model; a damaged one must not make a short text expensive.
constexpr int32_t longest_ngram = 64;

// An input matrix up to this size is unfolded at load, which makes it faster; a larger one stays quantised.
constexpr size_t unfold_limit = size_t{64} << 20;
// Quantising makes a matrix about 10 times smaller; a file that claims 256 times is damaged.
constexpr size_t largest_unfolding = 256;

// Walks over the file, and refuses to walk past its end.
class Reader {
public:
    Reader(const MappedFile& file, const std::string& path)
        : position_(file.begin()), end_(file.begin() + file.size()), path_(path) {}

    [[noreturn]] void refuse(const std::string& reason) const { throw std::invalid_argument(path_ + ": " + reason); }

    void require(bool condition, const char* reason) const {
        if (!condition) refuse(std::string("damaged fastText model (") + reason + ").");
    }

    size_t left() const { return static_cast<size_t>(end_ - position_); }

    const uint8_t* bytes(size_t count) {
        require(count <= left(), "the file is cut off");
        const uint8_t* begin = position_;
        position_ += count;
        return begin;
    }

    // count items of `size` bytes each; the product cannot overflow.
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

// Returns the number of buckets that n-grams are folded into.
int32_t read_header(Reader& reader, Model& model) {
    if (reader.left() < 4 || reader.number<int32_t>() != magic_number) reader.refuse("not a fastText model.");
    const int32_t version = reader.number<int32_t>();
    if (version < oldest_version || version > newest_version)
        reader.refuse("fastText format " + std::to_string(version) + " is not known here.");

    model.dim = reader.number<int32_t>();
    reader.bytes(4 * sizeof(int32_t));                  // window, epochs, minimal count, negatives
    model.word_ngrams = reader.number<int32_t>();
    const int32_t loss = reader.number<int32_t>();
    const int32_t kind = reader.number<int32_t>();
    const int32_t buckets = reader.number<int32_t>();
    model.min_ngram = reader.number<int32_t>();
    model.max_ngram = reader.number<int32_t>();
    reader.bytes(sizeof(int32_t) + sizeof(double));     // learning rate updates, sampling threshold

    if (kind == 1 || kind == 2) reader.refuse("a model of word vectors, without labels. Use a supervised model.");
    reader.require(kind == supervised, "an unknown kind of model");
    reader.require(loss >= 1 && loss <= 4, "an unknown loss");
    reader.require(model.dim > 0, "no dimensions");
    reader.require(buckets >= 0, "a negative number of buckets");
    reader.require(model.word_ngrams >= 0 && model.word_ngrams <= longest_ngram, "word n-grams of that length");
    reader.require(model.min_ngram >= 0 && model.max_ngram >= 0 && model.max_ngram <= longest_ngram,
                   "character n-grams of that length");
    model.loss = static_cast<Loss>(loss);
    if (version == oldest_version) model.max_ngram = 0; // such classifiers were trained without them
    return buckets;
}

struct DictionarySizes {
    int64_t kept_buckets = -1;                          // negative: not pruned
    std::vector<int64_t> label_counts;
};

DictionarySizes read_dictionary(Reader& reader, Model& model) {
    const int32_t size = reader.number<int32_t>();
    model.words = reader.number<int32_t>();
    const int32_t labels = reader.number<int32_t>();
    reader.bytes(sizeof(int64_t));                      // tokens in the training data
    DictionarySizes sizes;
    sizes.kept_buckets = reader.number<int64_t>();

    constexpr size_t least_entry = 1 + sizeof(int64_t) + sizeof(int8_t);
    reader.require(model.words >= 0 && labels >= 0 && int64_t{model.words} + labels == size,
                   "words and labels do not add up");
    reader.require(static_cast<size_t>(size) <= reader.left() / least_entry, "the file is cut off");
    if (labels == 0) reader.refuse("a fastText model without labels.");

    for (int32_t id = 0; id < size; ++id) {
        const char* word = reader.word();
        const int64_t count = reader.number<int64_t>();
        const bool is_label = reader.flag();
        reader.require(is_label == (id >= model.words), "a word among the labels, or a label among the words");
        model.dictionary.add(word);
        if (is_label) {
            model.labels.emplace_back(word);
            sizes.label_counts.push_back(count);
        }
    }
    model.dictionary.build_index();
    return sizes;
}

// Where the rows of n-grams are. Returns the number of rows that the input matrix must have at least.
int64_t read_bucket_rows(Reader& reader, Model& model, int32_t buckets, int64_t kept_buckets) {
    const int64_t words = model.words;
    if (kept_buckets < 0) {
        if (model.max_ngram == 0 && model.word_ngrams <= 1) return words;
        reader.require(buckets > 0, "no buckets for n-grams");
        reader.require(words + buckets <= INT32_MAX, "more rows than numbers for them");
        model.bucket_rows.set_all(buckets, model.words);
        return words + buckets;
    }

    const uint8_t* pairs = reader.items(kept_buckets, 2 * sizeof(int32_t));
    if (kept_buckets == 0) return words;
    // The bitmap takes an eighth of a byte per bucket, which the file does not pay for.
    reader.require(buckets > 0 && buckets <= (1 << 27), "that number of buckets");
    std::vector<std::pair<int32_t, int32_t>> rows_by_bucket(static_cast<size_t>(kept_buckets));
    int64_t rows = words;
    for (auto& [bucket, row] : rows_by_bucket) {
        std::memcpy(&bucket, pairs, sizeof bucket);
        std::memcpy(&row, pairs + sizeof bucket, sizeof row);
        pairs += 2 * sizeof(int32_t);
        reader.require(bucket >= 0 && bucket < buckets, "a kept bucket outside the buckets");
        reader.require(row >= 0 && words + row < INT32_MAX, "a kept bucket without a row");
        row += model.words;
        rows = std::max<int64_t>(rows, int64_t{row} + 1);
    }
    std::sort(rows_by_bucket.begin(), rows_by_bucket.end());
    for (size_t i = 1; i < rows_by_bucket.size(); ++i)
        reader.require(rows_by_bucket[i - 1].first != rows_by_bucket[i].first, "a bucket kept twice");
    model.bucket_rows.set_pruned(buckets, std::move(rows_by_bucket));
    return rows;
}

Quantizer read_quantizer(Reader& reader, int64_t dim) {
    Quantizer quantizer;
    quantizer.dim = reader.number<int32_t>();
    quantizer.pieces = reader.number<int32_t>();
    quantizer.width = reader.number<int32_t>();
    quantizer.last_width = reader.number<int32_t>();
    reader.require(quantizer.dim == dim, "a quantiser of another dimension");
    reader.require(quantizer.pieces > 0 && quantizer.width > 0 && quantizer.last_width > 0
                       && quantizer.last_width <= quantizer.width
                       && int64_t{quantizer.pieces - 1} * quantizer.width + quantizer.last_width == dim,
                   "a quantiser whose pieces do not add up");
    const size_t count = static_cast<size_t>(dim) * 256;
    const uint8_t* floats = reader.items(dim, 256 * sizeof(float));
    quantizer.centroids.resize(count);
    std::memcpy(quantizer.centroids.data(), floats, count * sizeof(float));
    return quantizer;
}

QuantizedMatrix read_quantized(Reader& reader, int32_t dim) {
    QuantizedMatrix matrix;
    const bool has_norms = reader.flag();
    matrix.rows = reader.number<int64_t>();
    const int64_t columns = reader.number<int64_t>();
    const int32_t code_bytes = reader.number<int32_t>();
    reader.require(columns == dim, "a matrix of another dimension");
    matrix.codes = reader.items(code_bytes, 1);
    matrix.quantizer = read_quantizer(reader, dim);
    const int64_t pieces = matrix.quantizer.pieces;
    reader.require(matrix.rows >= 0 && matrix.rows == code_bytes / pieces && code_bytes % pieces == 0,
                   "a matrix whose codes do not add up");
    if (has_norms) {
        matrix.norm_codes = reader.items(matrix.rows, 1);
        matrix.norm_quantizer = read_quantizer(reader, 1);
    }
    return matrix;
}

struct PlainMatrix {
    int64_t rows = 0;
    const uint8_t* floats = nullptr;
};

PlainMatrix read_plain(Reader& reader, int32_t dim) {
    PlainMatrix matrix;
    matrix.rows = reader.number<int64_t>();
    const int64_t columns = reader.number<int64_t>();
    reader.require(columns == dim, "a matrix of another dimension");
    matrix.floats = reader.items(matrix.rows, static_cast<size_t>(dim) * sizeof(float));
    return matrix;
}

void unfold(InputMatrix& input, int32_t dim) {
    const size_t columns = static_cast<size_t>(dim);
    input.unfolded = AlignedFloats(static_cast<size_t>(input.rows) * columns);
    for (int64_t row = 0; row < input.rows; ++row)
        input.quantized.add_to(row, input.unfolded.data() + static_cast<size_t>(row) * columns);
    input.floats = reinterpret_cast<const uint8_t*>(input.unfolded.data());
}

void read_input(Reader& reader, Model& model) {
    InputMatrix& input = model.input;
    if (!model.quantized) {
        const PlainMatrix matrix = read_plain(reader, model.dim);
        input.rows = matrix.rows;
        input.floats = matrix.floats;
        return;
    }
    input.quantized = read_quantized(reader, model.dim);
    input.rows = input.quantized.rows;
    const size_t row_bytes = static_cast<size_t>(model.dim) * sizeof(float);
    if (static_cast<uint64_t>(input.rows) <= unfold_limit / row_bytes) unfold(input, model.dim);
}

// Set one row of the blocked output matrix.
void place(OutputMatrix& output, int32_t row, const float* values, int32_t dim) {
    const size_t stride = OutputMatrix::block_rows;
    const size_t block = static_cast<size_t>(row) / stride, lane = static_cast<size_t>(row) % stride;
    float* target = output.floats.data() + block * stride * static_cast<size_t>(dim) + lane;
    for (size_t i = 0; i < static_cast<size_t>(dim); ++i) target[i * stride] = values[i];
}

void allocate(OutputMatrix& output, size_t labels, int32_t dim) {
    output.rows = static_cast<int32_t>(labels);
    output.blocks = (output.rows + OutputMatrix::block_rows - 1) / OutputMatrix::block_rows;
    output.floats = AlignedFloats(static_cast<size_t>(output.blocks) * OutputMatrix::block_rows
                                  * static_cast<size_t>(dim));
}

void read_output(Reader& reader, Model& model, size_t file_size) {
    const bool output_quantized = reader.flag() && model.quantized;
    OutputMatrix& output = model.output;
    const size_t columns = static_cast<size_t>(model.dim);
    const int64_t labels = static_cast<int64_t>(model.labels.size());
    constexpr const char* wrong_rows = "not one row of the output matrix per label";
    if (!output_quantized) {
        const PlainMatrix matrix = read_plain(reader, model.dim);
        reader.require(matrix.rows == labels, wrong_rows);
        allocate(output, model.labels.size(), model.dim);
        std::vector<float> values(columns);         // not before it is known that the file holds rows of this size
        for (int32_t row = 0; row < output.rows; ++row) {
            const size_t row_bytes = columns * sizeof(float);
            std::memcpy(values.data(), matrix.floats + static_cast<size_t>(row) * row_bytes, row_bytes);
            place(output, row, values.data(), model.dim);
        }
        return;
    }
    const QuantizedMatrix matrix = read_quantized(reader, model.dim);
    reader.require(matrix.rows == labels, wrong_rows);
    reader.require(static_cast<size_t>(labels) <= largest_unfolding * file_size / (columns * sizeof(float)),
                   "a matrix that unfolds to many times its size");
    allocate(output, model.labels.size(), model.dim);
    std::vector<float> values(columns);
    for (int32_t row = 0; row < output.rows; ++row) {
        matrix.copy_direction(row, values.data());
        place(output, row, values.data(), model.dim);
        if (matrix.norm_codes != nullptr) output.norms.push_back(matrix.norm(row));
    }
}

// fastText's own way of building it: labels come by falling count, so the two rarest nodes are always at the
// end of the labels or at the front of the inner nodes built so far.
HuffmanTree build_tree(const Reader& reader, const std::vector<int64_t>& label_counts) {
    constexpr int64_t not_built = 1'000'000'000'000'000;        // as count; fastText has no larger ones either
    const size_t labels = label_counts.size(), nodes = 2 * labels - 1;
    std::vector<int64_t> counts = label_counts;
    for (const int64_t count : counts) reader.require(count >= 0 && count < not_built, "an impossible label count");
    counts.resize(nodes, not_built);

    HuffmanTree tree;
    tree.parent.assign(nodes, -1);
    std::vector<int32_t> height(nodes, 0);
    size_t leaves_left = labels, next_inner = labels;
    for (size_t node = labels; node < nodes; ++node) {
        size_t children[2];
        for (size_t& child : children) {
            const bool leaf = leaves_left > 0 && counts[leaves_left - 1] < counts[next_inner];
            child = leaf ? --leaves_left : next_inner++;
            reader.require(child < node, "label counts that make no tree");
            tree.parent[child] = static_cast<int32_t>(node);
        }
        reader.require(counts[children[0]] <= INT64_MAX - counts[children[1]], "impossible label counts");
        counts[node] = counts[children[0]] + counts[children[1]];
        height[node] = 1 + std::max(height[children[0]], height[children[1]]);
        tree.left.push_back(static_cast<int32_t>(children[0]));
        tree.right.push_back(static_cast<int32_t>(children[1]));
    }
    tree.depth = height.back();
    return tree;
}

}  // namespace

Model::Model(const std::string& path) : file_(path) {
    Reader reader(file_, path);
    const int32_t buckets = read_header(reader, *this);
    const DictionarySizes sizes = read_dictionary(reader, *this);
    const int64_t rows_needed = read_bucket_rows(reader, *this, buckets, sizes.kept_buckets);
    quantized = reader.flag();
    reader.require(quantized || sizes.kept_buckets < 0, "pruned but not quantised");
    read_input(reader, *this);
    reader.require(input.rows >= rows_needed, "fewer rows in the input matrix than words and n-grams");
    read_output(reader, *this, file_.size());
    reader.require(reader.left() == 0, "bytes after its end");
    if (loss == Loss::hierarchical_softmax) tree = build_tree(reader, sizes.label_counts);
}

// ---------------------------------------------------------------- the file and memory

MappedFile::MappedFile(const std::string& path) {
    const auto fail = [&path] { throw std::system_error(errno, std::generic_category(), path); };
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail();
    struct stat status {};
    void* address = nullptr;
    bool mapped = ::fstat(descriptor, &status) == 0;
    if (mapped && !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        mapped = false;
    }
    if (mapped && status.st_size > 0) {                 // an empty file has nothing to map
        address = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
        mapped = address != MAP_FAILED;
    }
    const int error = errno;
    ::close(descriptor);
    errno = error;
    if (!mapped) fail();
    begin_ = static_cast<const uint8_t*>(address);
    size_ = static_cast<size_t>(status.st_size);
}

MappedFile::~MappedFile() {
    if (begin_ != nullptr) ::munmap(const_cast<uint8_t*>(begin_), size_);
}

AlignedFloats::AlignedFloats(size_t count) {
    constexpr size_t cache_line = 64;
    const size_t bytes = (count * sizeof(float) + cache_line) / cache_line * cache_line;
    void* memory = std::aligned_alloc(cache_line, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    floats_.reset(static_cast<float*>(memory));
}

void AlignedFloats::Free::operator()(float* floats) const {
    std::free(floats);
}

// ---------------------------------------------------------------- words

namespace {

template <typename Number>
uint64_t load(const char* bytes) {
    Number value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

// Up to eight bytes as a number, by loads that may overlap but never go beyond them.
uint64_t load_tail(const char* bytes, size_t count) {
    if (count >= 4) return load<uint32_t>(bytes) << 32 | load<uint32_t>(bytes + count - 4);
    if (count >= 2) return load<uint16_t>(bytes) << 16 | load<uint16_t>(bytes + count - 2);
    return count == 1 ? load<uint8_t>(bytes) : 0;
}

uint64_t mix(uint64_t state, uint64_t value) {
    state = (state ^ value) * 0x9E3779B97F4A7C15u;
    return state ^ (state >> 32);
}

}  // namespace

uint64_t hash_word(std::string_view word) {
    uint64_t state = word.size();
    const char* bytes = word.data();
    size_t left = word.size();
    for (; left > 8; bytes += 8, left -= 8) state = mix(state, load<uint64_t>(bytes));
    return mix(state, load_tail(bytes, left));
}

void Dictionary::add(const char* word) {
    words_.push_back(word);
}

bool Dictionary::is(int32_t id, std::string_view word) const {
    // strncmp stops at the NUL, which is inside the file; a word of a text holds no NUL.
    const char* bytes = words_[static_cast<size_t>(id)];
    return std::strncmp(bytes, word.data(), word.size()) == 0 && bytes[word.size()] == '\0';
}

void Dictionary::build_index() {
    size_t capacity = 16;
    while (capacity < 2 * words_.size()) capacity *= 2;
    slots_.assign(capacity, Slot());
    for (int32_t id = 0; id < size(); ++id) {
        const std::string_view word = this->word(id);
        const uint64_t hash = hash_word(word);
        size_t slot = hash & (capacity - 1);
        while (slots_[slot].id >= 0 && this->word(slots_[slot].id) != word) slot = (slot + 1) & (capacity - 1);
        slots_[slot] = {static_cast<uint32_t>(hash >> 32), id};     // of equal words the last counts
    }
}

int32_t Dictionary::find(std::string_view word, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    for (size_t slot = hash & mask; slots_[slot].id >= 0; slot = (slot + 1) & mask)
        if (slots_[slot].hash == static_cast<uint32_t>(hash >> 32) && is(slots_[slot].id, word)) return slots_[slot].id;
    return -1;
}

// ---------------------------------------------------------------- n-grams

void BucketRows::set_all(int32_t buckets, int32_t first_row) {
    kind_ = Kind::all;
    buckets_ = static_cast<uint32_t>(buckets);
    reciprocal_ = UINT64_MAX / buckets_ + 1;
    first_row_ = first_row;
}

void BucketRows::set_pruned(int32_t buckets, std::vector<std::pair<int32_t, int32_t>> rows_by_bucket) {
    set_all(buckets, 0);
    kind_ = Kind::pruned;
    kept_.assign(buckets_ / 64 + 1, 0);
    for (const auto& [bucket, row] : rows_by_bucket) {
        kept_[static_cast<size_t>(bucket) / 64] |= uint64_t{1} << (bucket % 64);
        rows_.push_back(row);
    }
    uint32_t rank = 0;
    for (const uint64_t bits : kept_) {
        rank_.push_back(rank);
        rank += static_cast<uint32_t>(__builtin_popcountll(bits));
    }
}

int32_t BucketRows::row_of(uint32_t bucket) const {
    if (kind_ == Kind::all) return first_row_ + static_cast<int32_t>(bucket);
    const uint64_t before = (uint64_t{1} << (bucket % 64)) - 1;
    return rows_[rank_[bucket / 64] + static_cast<uint32_t>(__builtin_popcountll(kept_[bucket / 64] & before))];
}

// ---------------------------------------------------------------- quantised rows

float QuantizedMatrix::norm(int64_t row) const {
    return norm_codes == nullptr ? 1.0f : *norm_quantizer.centroid(0, norm_codes[row]);
}

void QuantizedMatrix::copy_direction(int64_t row, float* target) const {
    const uint8_t* code = codes + row * quantizer.pieces;
    for (int32_t piece = 0; piece < quantizer.pieces; ++piece)
        target = std::copy_n(quantizer.centroid(piece, code[piece]), quantizer.width_of(piece), target);
}

void QuantizedMatrix::add_to(int64_t row, float* sum) const {
    const float factor = norm(row);
    const uint8_t* code = codes + row * quantizer.pieces;
    for (int32_t piece = 0; piece < quantizer.pieces; ++piece) {
        const float* centroid = quantizer.centroid(piece, code[piece]);
        for (int32_t i = 0; i < quantizer.width_of(piece); ++i) *sum++ += factor * centroid[i];
    }
}

}  // namespace mc2::fasttext
