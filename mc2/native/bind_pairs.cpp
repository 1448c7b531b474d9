// Blocks of JSON lines as Python sees them: scan_lines and splice_lines.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/count_byte.hpp"
#include "common/from_python.hpp"
#include "common/strings.hpp"
#include "common/to_python.hpp"
#include "common/utf8.hpp"
#include "pairs/lines.hpp"
#include "pairs/ordered_rows.hpp"
#include "pairs/splice.hpp"

namespace py = pybind11;

using namespace mc2::pairs;
using mc2::array_of;

namespace {

using Int64Array = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;
using Uint32Array = py::array_t<uint32_t, py::array::c_style | py::array::forcecast>;

// ---------------------------------------------------------------- reading

py::array_t<uint8_t> array_of_bytes(Bytes&& bytes) {
    const auto size = static_cast<py::ssize_t>(bytes.size());
    uint8_t* data = bytes.release();
    py::capsule owner(data, [](void* p) { std::free(p); });
    return py::array_t<uint8_t>(size, data, owner);
}

Kind kind_called(const std::string& name) {
    if (name == "strings") return Kind::strings;
    if (name == "labels") return Kind::labels;
    if (name == "optional labels") return Kind::optional_labels;
    if (name == "lists") return Kind::entry_ids;
    if (name == "present") return Kind::presence;
    throw py::value_error("kind: " + name);
}

std::vector<KeyWithKind> keys_of(const py::list& given) {
    std::vector<KeyWithKind> keys;
    for (const py::handle each : given) {
        const auto pair = py::cast<py::tuple>(each);
        keys.push_back({py::cast<std::string>(pair[0]), kind_called(py::cast<std::string>(pair[1]))});
    }
    const auto lists = std::count_if(keys.begin(), keys.end(), [](auto& key) { return key.kind == Kind::entry_ids; });
    if (keys.size() > MOST_KEYS || lists > 1) throw py::value_error("too many keys");
    return keys;
}

// What Python makes of an odd line. The caller does not hold the GIL.
std::optional<OddPair> ask_python(const py::function& of_odd, const std::vector<KeyWithKind>& keys, const OddLine& odd) {
    const py::gil_scoped_acquire locked;
    const py::object answer = of_odd(odd.number, odd.pair, py::bytes(odd.line.data(), odd.line.size()));
    if (answer.is_none()) return std::nullopt;
    const auto present_and_values = py::cast<py::tuple>(answer);
    const auto values = py::cast<py::list>(present_and_values[1]);
    if (values.size() != keys.size()) throw py::value_error("one value per key");
    OddPair pair;
    pair.present = py::cast<uint32_t>(present_and_values[0]);
    pair.strings.resize(keys.size());
    for (size_t k = 0; k < keys.size(); k++) {
        if (keys[k].kind == Kind::entry_ids)
            for (const py::handle id : values[k]) pair.entry_ids.push_back(py::cast<uint32_t>(id));
        else if (keys[k].kind != Kind::presence)
            pair.strings[k] = py::cast<std::string>(values[k]);
    }
    return pair;
}

py::object column_of(Column&& column, Lists& entry_ids) {
    switch (column.kind) {
        case Kind::strings: {
            py::array data = array_of_bytes(std::move(column.strings->bytes));
            return py::make_tuple(data, array_of(std::move(column.strings->offsets)));
        }
        case Kind::labels:
        case Kind::optional_labels: {
            py::list names;
            for (const std::string& name : column.labels.names) names.append(py::str(name));
            return py::make_tuple(array_of(std::move(column.labels.numbers)), names);
        }
        case Kind::entry_ids: {
            py::array offsets = array_of(std::move(entry_ids.offsets));
            return py::make_tuple(offsets, array_of(std::move(entry_ids.values)));
        }
        case Kind::presence: break;
    }
    return py::none();
}

py::tuple scan_lines(const py::bytes& block, int64_t first, const py::list& wanted, const py::function& of_odd) {
    const std::vector<KeyWithKind> keys = keys_of(wanted);
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(block.ptr(), &data, &size) != 0) throw py::error_already_set();
    Lines lines;
    {
        const py::gil_scoped_release unlocked;
        LineReader reader({data, static_cast<size_t>(size)}, first, keys);      // CPython puts a zero behind the bytes
        lines = std::move(reader).read([&](const OddLine& odd) { return ask_python(of_odd, keys, odd); });
    }
    py::list columns;
    for (Column& column : lines.columns) columns.append(column_of(std::move(column), lines.entry_ids));
    return py::make_tuple(lines.n_lines, array_of(std::move(lines.numbers)), array_of(std::move(lines.begins)),
                          array_of(std::move(lines.ends)), array_of(std::move(lines.present)), columns);
}

// ---------------------------------------------------------------- checking

// Whether each list ids[offsets[i]:offsets[i + 1]] ascends strictly.
bool are_entry_ids(const int64_t* offsets, size_t n, const uint32_t* ids) {
    bool good = true;
    for (size_t i = 0; i < n; i++)
        for (int64_t k = offsets[i] + 1; k < offsets[i + 1]; k++) good &= ids[k - 1] < ids[k];
    return good;
}

py::array_t<bool> in_ordered_rows(const py::array_t<uint8_t, py::array::c_style>& rows, const mc2::StringData& data,
                                  const mc2::StringOffsets& offsets) {
    if (rows.ndim() != 2) throw py::value_error("rows: not two-dimensional");
    const mc2::Strings strings = mc2::strings_of(data, offsets);
    py::array_t<bool> found(static_cast<py::ssize_t>(strings.n));
    const OrderedRows ordered{rows.data(), static_cast<size_t>(rows.shape(0)), static_cast<size_t>(rows.shape(1))};
    bool* out = found.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        find_in_rows(ordered, strings, out);
    }
    return found;
}

void check_offsets(const Int64Array& offsets, size_t size, const char* what) {
    const bool good = offsets.ndim() == 1 && offsets.size() > 0 &&
                      mc2::are_offsets(offsets.data(), static_cast<size_t>(offsets.size()) - 1, size);
    if (!good) throw py::value_error(std::string(what) + ": offsets must ascend from 0 or more within the data");
}

// ---------------------------------------------------------------- writing

void check_numbers(const Int64Array& numbers, py::ssize_t below, const char* what) {
    if (numbers.ndim() != 1) throw py::value_error(std::string(what) + ": not one-dimensional");
    for (py::ssize_t i = 0; i < numbers.size(); i++)
        if (*numbers.data(i) < 0 || *numbers.data(i) >= below) throw py::value_error(std::string(what) + ": out of range");
}

void check_lines(const Int64Array& begins, const Int64Array& ends, size_t size) {
    if (begins.ndim() != 1 || ends.ndim() != 1 || begins.size() != ends.size())
        throw py::value_error("begins and ends differ in number");
    for (py::ssize_t i = 0; i < begins.size(); i++)
        if (*begins.data(i) < 0 || *ends.data(i) <= *begins.data(i) || static_cast<uint64_t>(*ends.data(i)) > size)
            throw py::value_error("a line lies outside of the block");
}

// The arguments of splice_lines, kept alive and checked, as splice.hpp wants them.
class Arguments {
public:
    PlacedLines lines;
    std::vector<AddedColumn> columns;

    Arguments(const py::bytes& block, const Int64Array& begins, const Int64Array& ends, const py::list& added,
              const Int64Array& replaced, const py::bytes& other, const Int64Array& other_offsets) {
        const std::string_view bytes = block, others = other;
        check_lines(begins, ends, bytes.size());
        check_numbers(replaced, begins.size(), "replaced");
        check_offsets(other_offsets, others.size(), "other");
        if (other_offsets.size() != replaced.size() + 1) throw py::value_error("replaced and other differ in number");
        lines = {bytes.data(), begins.data(), ends.data(), static_cast<size_t>(begins.size()),
                 {replaced.data(), replaced.data() + replaced.size()}, others.data(), other_offsets.data()};
        for (py::ssize_t i = 0; i + 1 < other_offsets.size(); i++)
            if (*other_offsets.data(i) == *other_offsets.data(i + 1)) throw py::value_error("other: an empty line");
        for (const py::handle column : added) add_column(py::cast<py::tuple>(column));
    }

private:
    std::vector<py::object> held_;

    template <class T>
    T held(const py::handle given) {
        T object = py::cast<T>(given);
        held_.push_back(object);
        return object;
    }

    void add_column(const py::tuple& given) {
        const auto n = static_cast<py::ssize_t>(lines.size);
        if (py::cast<std::string>(given[0]) == "lists") {
            const std::string_view start = held<py::bytes>(given[1]);
            const auto offsets = held<Int64Array>(given[2]);
            const auto values = held<Uint32Array>(given[3]);
            check_offsets(offsets, static_cast<size_t>(values.size()), "lists");
            if (offsets.size() != n + 1) throw py::value_error("lists: one per pair");
            const uint32_t* begin = values.data();
            const uint32_t largest = values.size() == 0 ? 0 : *std::max_element(begin, begin + values.size());
            columns.push_back({true, {}, {start, offsets.data(), begin, digits_of(largest)}});
            return;
        }
        const std::string_view bytes = held<py::bytes>(given[1]);
        const auto offsets = held<Int64Array>(given[2]);
        check_offsets(offsets, bytes.size(), "members");
        const int64_t* numbers = nullptr;
        if (py::cast<std::string>(given[0]) == "labels") {
            const auto array = held<Int64Array>(given[3]);
            check_numbers(array, offsets.size() - 1, "labels");
            if (array.size() != n) throw py::value_error("labels: one per pair");
            numbers = array.data();
        } else if (offsets.size() != n + 1) {
            throw py::value_error("members: one per pair");
        }
        columns.push_back({false, {bytes.data(), offsets.data(), numbers}, {}});
    }
};

py::object splice_lines(const py::bytes& block, const Int64Array& begins, const Int64Array& ends, const py::list& added,
                        const Int64Array& replaced, const py::bytes& other, const Int64Array& other_offsets) {
    const Arguments arguments(block, begins, ends, added, replaced, other, other_offsets);
    const Splicer splicer(arguments.lines, arguments.columns);
    PyObject* made = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(splicer.most_bytes()));
    if (made == nullptr) throw py::error_already_set();
    Py_ssize_t size = 0;
    {
        const py::gil_scoped_release unlocked;
        char* begin = PyBytes_AS_STRING(made);
        size = splicer.write(begin) - begin;
    }
    if (_PyBytes_Resize(&made, size) != 0) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

}  // namespace

void bind_pairs(py::module_& module);

void bind_pairs(py::module_& module) {
    module.def("count_newlines", [](const py::bytes& bytes) {
        const std::string_view view = bytes;
        const py::gil_scoped_release unlocked;
        return mc2::count_byte(view.data(), view.size(), '\n');
    }, py::arg("bytes"), "How many newlines there are.");

    module.def("is_utf8", [](const py::bytes& bytes) {
        const std::string_view view = bytes;
        return mc2::is_utf8(view.data(), view.size());
    }, py::arg("bytes"), "Whether bytes are UTF-8 as Python decodes it.");

    module.def("are_utf8", [](const mc2::StringData& data, const mc2::StringOffsets& offsets) {
        const mc2::Strings strings = mc2::strings_of(data, offsets);
        const py::gil_scoped_release unlocked;
        return mc2::are_utf8(strings);
    }, py::arg("data"), py::arg("offsets"), "Whether each string data[offsets[i]:offsets[i + 1]] is UTF-8.");

    module.def("are_entry_ids", [](const Int64Array& offsets, const Uint32Array& ids) {
        check_offsets(offsets, static_cast<size_t>(ids.size()), "lists");
        const py::gil_scoped_release unlocked;
        return are_entry_ids(offsets.data(), static_cast<size_t>(offsets.size()) - 1, ids.data());
    }, py::arg("offsets"), py::arg("ids"), "Whether each list ids[offsets[i]:offsets[i + 1]] ascends strictly.");

    module.def("in_ordered_rows", &in_ordered_rows, py::arg("rows"), py::arg("data"), py::arg("offsets"), R"(
bool (n,): whether each string data[offsets[i]:offsets[i + 1]] is one of the rows, uint8 (m, width): ordered, and filled
up with zeros. One that is empty or ends in zero is none.)");

    module.def("scan_lines", &scan_lines, py::arg("block"), py::arg("first"), py::arg("keys"), py::arg("of_odd"), R"(
Read a block of JSON lines: (n_lines, numbers int64, begins int64, ends int64, present uint32, columns).

keys: [(key, kind)], at most 32. kind: "strings" or "labels", for a key that must be a string; "optional labels", for one
that must be a string where it is there, and is "" elsewhere; "lists", for one that must be an ascending list of entry
ids; "present", for one of which it is asked whether it is there.

n_lines: lines that are not blank. Arrays have an element per pair: the number of its line, the first being `first`;
the position of its first byte, and behind its closing brace; and bit k of `present` says whether keys[k] is there.
columns: one per key, (data uint8, offsets int64) for strings, (numbers int64, names) for labels, (offsets int64, ids
uint32) for lists, else None.

A line that is odd, one that the native code does not take for such a pair, goes to of_odd(number, number of the pair in
the block, line without white space at its end): None where it is no pair, else (present, list of values); strings as
UTF-8, lists as lists.)");

    module.def("splice_lines", &splice_lines, py::arg("block"), py::arg("begins"), py::arg("ends"), py::arg("added"),
               py::arg("replaced"), py::arg("other"), py::arg("other_offsets"), R"(
Lines with members added before their closing braces, as bytes; a newline after each.

Line i is block[begins[i]:ends[i]]; but line replaced[r] (ascending) is other[other_offsets[r]:other_offsets[r + 1]].
added: members, each with its comma, as one of
    ("labels", bytes, offsets, numbers)     that of line i is bytes[offsets[m]:offsets[m + 1]] with m = numbers[i]
    ("members", bytes, offsets)             the same with m = i
    ("lists", start, offsets, values)       start, the numbers values[offsets[i]:offsets[i + 1]] with commas, "]")");
}
