// Lines that the native core accepts mean to it what they mean to the definition in mc2.pairs.jsonl, and are read and
// written without a look outside of them. Python runs in the process of the target, and is the oracle.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "input.hpp"
#include "pairs/lines.hpp"
#include "pairs/splice.hpp"

namespace {

using namespace mc2::pairs;
using mc2::fuzz::fail;
using mc2::fuzz::Input;
using mc2::fuzz::shown;

const std::string pieces[] = {
    "{\"id\":\"a\",\"text\":\"b\",\"lang\":\"en\",\"matched_entry_ids\":[1,20,300]}\n",
    "{\"id\":\"a\",\"text\":\"", "\",\"lang\":\"", "\",\"matched_entry_ids\":[", "]}\n", "],\"x\":", "}\n", "\"id\"", "\"text\"",
    "\"lang\"", "\"lid\":\"fr\",", "\"matched_entry_ids\"", "\"", "\\", "{", "}", "[", "]", ",", ":", "\n", " ", "\t", "\r", "0", "7", "12345678",
    "123456789", "4294967296", "-", ".", "e5", "E+99", "e-1", "null", "true", "false", "\\u00e9", "\\ud83c\\udf88", "\\ud800", "\\n", "\\/",
    "\u00E9", "\u6F22", "\U0001F388", "\xFF", "\xED\xA0\x80", std::string(1, '\0'), "\x1F", "a name", "\xEF\xBB\xBF", "NaN",
    "x\",\"id\":\"", "\\u0069d", "[[[[", "]]]]", "nul"};

// From a line to its id, text, lang and lid, each followed by the byte FF, and its ids, each followed by a comma.
const char* const definition = R"(
from mc2.pairs import jsonl

def told(line):
    batch = jsonl.Batch(jsonl.Block("fuzz", 1, line), ("lang", "matched_entry_ids"))
    strings = [batch.column(key, "")[0].encode() + b"\xff" for key in ("id", "text", "lang", "lid")]
    return b"".join([*strings, *(b"%d," % number for number in batch.matched_ids()[1].tolist())])
)";

PyObject* start_python() {
    Py_Initialize();
    PyObject* names = PyDict_New();
    PyObject* done = PyRun_String(definition, Py_file_input, names, names);
    if (done == nullptr) {
        PyErr_Print();
        std::abort();
    }
    return PyDict_GetItemString(names, "told");
}

std::string told_by_python(std::string_view line) {
    static PyObject* const told = start_python();
    PyObject* answer = PyObject_CallFunction(told, "y#", line.data(), static_cast<Py_ssize_t>(line.size()));
    if (answer == nullptr) {
        PyErr_Print();
        fail("accepted, but no pair: " + shown(std::string(line)));
    }
    const std::string text(PyBytes_AS_STRING(answer), static_cast<size_t>(PyBytes_GET_SIZE(answer)));
    Py_DECREF(answer);
    return text;
}

std::string string_of(const Strings& strings, size_t pair) {
    const auto* bytes = reinterpret_cast<const char*>(strings.bytes.data());
    return {bytes + strings.offsets[pair], bytes + strings.offsets[pair + 1]};
}

std::string told(const Lines& lines, size_t pair) {
    std::string text;
    for (const Column& column : lines.columns) {
        if (column.kind == Kind::strings) text += string_of(*column.strings, pair) + '\xFF';
        if (column.has_labels()) text += column.labels.names[static_cast<size_t>(column.labels.numbers[pair])] + '\xFF';
    }
    for (int64_t i = lines.entry_ids.offsets[pair]; i < lines.entry_ids.offsets[pair + 1]; i++)
        text += std::to_string(lines.entry_ids.values[static_cast<size_t>(i)]) + ",";
    return text;
}

// Add the ids to all lines once more, and compare with plain joining.
void check_splicing(const Lines& lines, std::string_view block) {
    const auto& values = lines.entry_ids.values;
    const uint32_t largest = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
    const std::vector<AddedColumn> added{
        {true, {}, {",\"n\":[", lines.entry_ids.offsets.data(), values.data(), digits_of(largest)}}};
    const PlacedLines placed{block.data(), lines.begins.data(), lines.ends.data(), lines.begins.size(), {}, nullptr, nullptr};
    const Splicer splicer(placed, added);
    std::vector<char> out(splicer.most_bytes());
    const std::string_view written(out.data(), static_cast<size_t>(splicer.write(out.data()) - out.data()));
    std::string expected;
    for (size_t pair = 0; pair < lines.begins.size(); pair++) {
        expected.append(block, static_cast<size_t>(lines.begins[pair]),
                        static_cast<size_t>(lines.ends[pair] - lines.begins[pair] - 1));
        expected += ",\"n\":[";
        for (int64_t i = lines.entry_ids.offsets[pair]; i < lines.entry_ids.offsets[pair + 1]; i++)
            expected += (i > lines.entry_ids.offsets[pair] ? "," : "") +
                        std::to_string(values[static_cast<size_t>(i)]);
        expected += "]}\n";
    }
    if (written != expected) fail("spliced otherwise: " + shown(std::string(written)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    Input input(bytes, size);
    std::string joined;
    while (!input.is_used_up() && joined.size() < 2000) joined += input.one_of(pieces);
    const std::vector<char> exact(joined.c_str(), joined.c_str() + joined.size() + 1);      // with the zero, and no more
    const std::string_view block(exact.data(), joined.size());

    std::vector<size_t> odd;
    const std::vector<KeyWithKind> keys{
        {"id", Kind::strings}, {"text", Kind::strings}, {"lang", Kind::labels}, {"lid", Kind::optional_labels},
        {"matched_entry_ids", Kind::entry_ids}, {"x", Kind::presence}};
    const Lines lines = LineReader(block, 1, keys).read([&](const OddLine& line) -> std::optional<OddPair> {
        if (line.line.size() % 2) return std::nullopt;
        odd.push_back(line.pair);
        return OddPair{31, {"odd", "", "odd", "", "", ""}, {7, 4294967295}};
    });
    for (size_t pair = 0; pair < lines.numbers.size(); pair++) {
        const std::string_view line = block.substr(static_cast<size_t>(lines.begins[pair]),
                                                   static_cast<size_t>(lines.ends[pair] - lines.begins[pair]));
        const bool is_odd = std::find(odd.begin(), odd.end(), pair) != odd.end();
        const std::string expected = is_odd ? "odd\xFF\xFFodd\xFF\xFF" "7,4294967295," : told_by_python(line);
        if (told(lines, pair) != expected) fail("read otherwise: " + shown(std::string(line)));
    }
    check_splicing(lines, block);
    return 0;
}
