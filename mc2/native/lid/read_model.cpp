// Reading a fastText model file.
//
// The layout, all numbers little-endian: a header with the training options; the dictionary; for a pruned
// model the buckets that were kept; the input matrix; the output matrix. Either matrix may be quantised.
#include <algorithm>
#include <cstring>
#include <queue>
#include <utility>

#include "lid/model.hpp"
#include "lid/reader.hpp"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fastText models are little-endian, and they are used in place."
#endif

namespace mc2::fasttext {
namespace {

// An input matrix up to this size is unfolded at load, which makes it faster; a larger one stays quantised.
constexpr size_t unfold_limit = size_t{64} << 20;
// Quantising makes a matrix about 10 times smaller; a file that claims 256 times is damaged.
constexpr size_t largest_unfolding = 256;

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
    // The bitmap takes an eighth of a byte per bucket, but is not in the file: a small file must not ask for much.
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

// Where the rows of a tree's inner nodes are put in the output matrix, so that the nodes of a path share few blocks.
// Blocks are filled from the last one on, each from its end: with the most frequent node whose parent has a place, then
// with the most frequent ones below it. So parents come after their children, and the root keeps its place.
std::vector<int32_t> places_of_nodes(const HuffmanTree& tree, const std::vector<int64_t>& counts) {
    const size_t inner_nodes = tree.left.size(), leaves = inner_nodes + 1;
    using Nodes = std::priority_queue<std::pair<int64_t, size_t>>;      // counts and nodes, the most frequent one first
    Nodes waiting, near;                                                // near: below a node of the same block
    if (inner_nodes > 0) waiting.emplace(counts.back(), inner_nodes - 1);
    const auto pop = [](Nodes& nodes) {
        const size_t inner = nodes.top().second;
        nodes.pop();
        return inner;
    };
    std::vector<int32_t> places(inner_nodes);
    for (size_t place = inner_nodes; place-- > 0;) {
        const size_t inner = pop(near.empty() ? waiting : near);
        places[inner] = static_cast<int32_t>(place);
        for (const int32_t child : {tree.left[inner], tree.right[inner]})
            if (const size_t node = static_cast<size_t>(child); node >= leaves)
                near.emplace(counts[node], node - leaves);
        if (place % OutputMatrix::block_rows == 0)              // the next one is in another block
            for (; !near.empty(); near.pop()) waiting.push(near.top());
    }
    return places;
}

// Number the inner nodes by their places.
HuffmanTree renumbered(const HuffmanTree& tree, const std::vector<int32_t>& places) {
    const int32_t leaves = static_cast<int32_t>(places.size()) + 1;
    const auto number = [&](int32_t node) {
        return node < leaves ? node : leaves + places[static_cast<size_t>(node - leaves)];
    };
    HuffmanTree result = tree;
    for (size_t inner = 0; inner < places.size(); ++inner) {
        const size_t place = static_cast<size_t>(places[inner]);
        result.left[place] = number(tree.left[inner]);
        result.right[place] = number(tree.right[inner]);
    }
    for (size_t node = 0; node + 1 < tree.parent.size(); ++node)
        result.parent[static_cast<size_t>(number(static_cast<int32_t>(node)))] = number(tree.parent[node]);
    return result;
}

// Built as fastText builds it: the counts of the labels fall, so the two rarest nodes that have no parent yet are
// always at the end of the labels or at the front of the inner nodes built so far. Then `places` become the places of
// its inner nodes.
HuffmanTree build_tree(const Reader& reader, const std::vector<int64_t>& label_counts, std::vector<int32_t>& places) {
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
    places = places_of_nodes(tree, counts);
    return renumbered(tree, places);
}

// Write one row into the blocks of the output matrix.
void set_row(OutputMatrix& output, int32_t row, const float* values, int32_t dim) {
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

// places: of the first rows; empty: each row has its own.
void read_output(Reader& reader, Model& model, const std::vector<int32_t>& places, size_t file_size) {
    const auto place_of = [&](int32_t row) {
        return static_cast<size_t>(row) < places.size() ? places[static_cast<size_t>(row)] : row;
    };
    const bool output_quantized = reader.flag() && model.quantized;
    OutputMatrix& output = model.output;
    const size_t columns = static_cast<size_t>(model.dim);
    const int64_t labels = static_cast<int64_t>(model.labels.size());
    constexpr const char* wrong_rows = "not one row of the output matrix per label";
    if (!output_quantized) {
        const PlainMatrix matrix = read_plain(reader, model.dim);
        reader.require(matrix.rows == labels, wrong_rows);
        allocate(output, model.labels.size(), model.dim);
        std::vector<float> values(columns);         // only now: the file is known to hold rows of this size
        for (int32_t row = 0; row < output.rows; ++row) {
            const size_t row_bytes = columns * sizeof(float);
            std::memcpy(values.data(), matrix.floats + static_cast<size_t>(row) * row_bytes, row_bytes);
            set_row(output, place_of(row), values.data(), model.dim);
        }
        return;
    }
    const QuantizedMatrix matrix = read_quantized(reader, model.dim);
    reader.require(matrix.rows == labels, wrong_rows);
    reader.require(static_cast<size_t>(labels) <= largest_unfolding * file_size / (columns * sizeof(float)),
                   "a matrix that unfolds to many times its size");
    allocate(output, model.labels.size(), model.dim);
    if (matrix.norm_codes != nullptr) output.norms.assign(output.scores_size(), 1.0f);
    std::vector<float> values(columns);
    for (int32_t row = 0; row < output.rows; ++row) {
        matrix.copy_direction(row, values.data());
        set_row(output, place_of(row), values.data(), model.dim);
        if (!output.norms.empty()) output.norms[static_cast<size_t>(place_of(row))] = matrix.norm(row);
    }
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
    std::vector<int32_t> places;
    if (loss == Loss::hierarchical_softmax) tree = build_tree(reader, sizes.label_counts, places);
    read_output(reader, *this, places, file_.size());
    reader.require(reader.left() == 0, "bytes after its end");
}

}  // namespace mc2::fasttext
