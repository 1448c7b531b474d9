// Damaged fastText models, with any bytes for texts, are refused, or used: without a read outside of them, in limited
// time and memory. Whatever the answer is, it is one of the model's labels, and the same a second time.
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "input.hpp"
#include "lid/model.hpp"
#include "lid/predictor.hpp"
#include "lid/reader.hpp"

namespace {

using namespace mc2::fasttext;
using mc2::fuzz::Input;

// A small model of any kind that the input chooses.
class ModelWriter {
public:
    explicit ModelWriter(Input& input) : input_(input) {
        static const int32_t dims[] = {1, 2, 7, 8, 16, 17, 72};
        static const size_t label_numbers[] = {1, 2, 3, 15, 16, 17, 40};
        dim_ = input.one_of(dims);
        buckets_ = static_cast<int32_t>(input.below(40));
        labels_ = input.one_of(label_numbers);
        words_ = input.below(12);
        quantized_ = input.flag();
        pruned_ = quantized_ && input.flag();
        header();
        dictionary();
        rows_ = words_ + (pruned_ ? kept_ : static_cast<size_t>(buckets_));
        put<uint8_t>(quantized_);
        quantized_ ? quantized_matrix(rows_) : plain_matrix(rows_);
        const bool output_quantized = input.flag();
        put<uint8_t>(output_quantized);
        output_quantized && quantized_ ? quantized_matrix(labels_) : plain_matrix(labels_);
    }

    std::string bytes;

private:
    Input& input_;
    int32_t dim_, buckets_;
    size_t words_, labels_, rows_, kept_ = 0;
    bool quantized_, pruned_;

    template <class Number>
    void put(Number number) {
        bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
    }

    void header() {
        put<int32_t>(magic_number);
        put<int32_t>(input_.byte() == 255 ? oldest_version : newest_version);
        put(dim_);
        for (int i = 0; i < 4; i++) put<int32_t>(5);
        put(static_cast<int32_t>(1 + input_.below(4)));             // word n-grams
        put(static_cast<int32_t>(1 + input_.below(4)));             // loss
        put<int32_t>(supervised);
        put(buckets_);
        put(static_cast<int32_t>(input_.below(4)));                 // character n-grams from ...
        put(static_cast<int32_t>(input_.below(7)));                 // ... to
        put<int32_t>(100);
        put<double>(1e-4);
    }

    void dictionary() {
        static const char* const words[] = {"</s>", "a", "b", "the", "chat", "noir", "猫", "abcdefgh", "abcdefghi", "",
                                            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "__label__a"};
        put(static_cast<int32_t>(words_ + labels_));
        put(static_cast<int32_t>(words_));
        put(static_cast<int32_t>(labels_));
        put<int64_t>(1000);
        kept_ = pruned_ ? input_.below(static_cast<size_t>(buckets_) + 1) : 0;
        put<int64_t>(pruned_ ? static_cast<int64_t>(kept_) : -1);
        for (size_t i = 0; i < words_; i++) entry(words[i % 12], 10, false);
        for (size_t i = 0; i < labels_; i++)
            entry("__label__" + std::to_string(i), static_cast<int64_t>(1000 - i * input_.below(10)), true);
        for (size_t i = 0; i < kept_; i++) {
            put(static_cast<int32_t>(i));
            put(static_cast<int32_t>(kept_ - 1 - i));
        }
    }

    void entry(const std::string& word, int64_t count, bool is_label) {
        bytes += word;
        put('\0');
        put(count);
        put<uint8_t>(is_label);
    }

    // Mostly numbers of the size that models have, now and then any bits at all: NaN, infinities, denormals.
    void floats(size_t n) {
        uint32_t random = input_.number<uint32_t>();
        const bool any = input_.byte() == 255;
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            if (any && random >> 24 == 7) put(input_.number<uint32_t>());
            else put(static_cast<float>(static_cast<int32_t>(random)) / 1e9f);
        }
    }

    void plain_matrix(size_t rows) {
        put(static_cast<int64_t>(rows));
        put(static_cast<int64_t>(dim_));
        floats(rows * static_cast<size_t>(dim_));
    }

    void quantizer(int32_t dim, int32_t width) {
        const int32_t pieces = (dim + width - 1) / width;
        put(dim);
        put(pieces);
        put(width);
        put(dim - (pieces - 1) * width);
        floats(static_cast<size_t>(dim) * 256);
    }

    void quantized_matrix(size_t rows) {
        const bool has_norms = input_.flag();
        const int32_t width = 1 + static_cast<int32_t>(input_.below(static_cast<size_t>(dim_)));
        const size_t pieces = static_cast<size_t>((dim_ + width - 1) / width);
        put<uint8_t>(has_norms);
        put(static_cast<int64_t>(rows));
        put(static_cast<int64_t>(dim_));
        put(static_cast<int32_t>(rows * pieces));
        for (size_t i = 0; i < rows * pieces; i++) put(static_cast<uint8_t>(i * 37));
        quantizer(dim_, width);
        if (!has_norms) return;
        for (size_t i = 0; i < rows; i++) put(static_cast<uint8_t>(i * 101));
        quantizer(1, 1);
    }
};

std::vector<std::string> make_texts(Input& input) {
    static const std::string pieces[] = {" ", " ", " ", "a", "b", "the", "chat", "猫", "abcdefgh", "</s>", "\n", "\t",
                                         "__label__", "__label__3", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                         "é", "😀", "\x80", "\xE7\x8C", std::string(32, 'b'), std::string(500, 'c')};
    std::vector<std::string> texts;
    for (size_t n = input.below(40); n > 0; n--) {
        std::string text;
        for (size_t m = input.below(24); m > 0; m--)
            text += input.flag() ? input.one_of(pieces) : std::string(1, static_cast<char>(input.byte()));
        texts.push_back(text);
    }
    return texts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static const mc2::fuzz::File file;
    Input input(bytes, size);
    std::string content = ModelWriter(input).bytes;
    const std::vector<std::string> texts = make_texts(input);
    mc2::fuzz::damage(content, input);
    file.write(content);
    // Each text has memory of its own that ends with it, so that a read past its end is noticed.
    std::vector<std::vector<char>> copies;
    std::vector<std::string_view> views;
    for (const std::string& text : texts) copies.emplace_back(text.begin(), text.end());
    for (const std::vector<char>& copy : copies) views.emplace_back(copy.data(), copy.size());
    try {
        const Model model(file.path());
        const Predictor predictor(model);
        std::vector<Prediction> first(views.size()), again(views.size());
        predictor.predict(views.data(), views.size(), first.data());
        for (size_t i = 0; i < views.size(); i++) predictor.predict(&views[i], 1, &again[i]);
        for (size_t i = 0; i < views.size(); i++) {
            const Prediction &a = first[i], &b = again[i];
            if (a.label < -1 || a.label >= static_cast<int32_t>(model.labels.size()) || a.known < 0)
                mc2::fuzz::fail("an answer that is no label, for " + mc2::fuzz::shown(texts[i]));
            if (a.label != b.label || a.known != b.known ||
                std::memcmp(&a.probability, &b.probability, sizeof a.probability) != 0)
                mc2::fuzz::fail("another answer in a batch than alone, for " + mc2::fuzz::shown(texts[i]));
        }
    } catch (const std::invalid_argument&) {
    } catch (const std::system_error& error) {
        mc2::fuzz::fail(error.what());
    }
    return 0;
}
