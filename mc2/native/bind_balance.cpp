// Counting and sampling as Python sees them: functions over whole columns, and the class Counts.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "balance/counts.hpp"
#include "balance/hashes.hpp"
#include "balance/keep_probs.hpp"
#include "common/from_python.hpp"
#include "common/to_python.hpp"

namespace py = pybind11;

using namespace mc2;

namespace {

using Whole = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;
using Ids = py::array_t<uint32_t, py::array::c_style | py::array::forcecast>;
using Hashes = py::array_t<uint64_t, py::array::c_style | py::array::forcecast>;

// ---------------------------------------------------------------- arguments

// The columns that Python gives as pairs of (data, offsets), which stay alive as long as this does.
class Columns {
public:
    explicit Columns(const py::sequence& given) {
        for (const py::handle pair : given) {
            const auto parts = py::cast<py::sequence>(pair);
            data_.push_back(py::cast<StringData>(parts[0]));
            offsets_.push_back(py::cast<StringOffsets>(parts[1]));
            views.push_back(strings_of(data_.back(), offsets_.back()));
            if (views.back().n != views[0].n) throw py::value_error("the columns differ in length");
        }
        if (views.empty()) throw py::value_error("no column");
    }

    size_t n() const { return views[0].n; }

    std::vector<Strings> views;

private:
    std::vector<StringData> data_;
    std::vector<StringOffsets> offsets_;
};

// The number of pairs, whose arrays must fit together.
size_t checked_pairs(const Whole& which, const Whole& offsets, const Ids& ids) {
    if (which.ndim() != 1 || offsets.ndim() != 1 || ids.ndim() != 1 || offsets.size() != which.size() + 1)
        throw py::value_error("there must be one offset more than there are pairs");
    const size_t n = static_cast<size_t>(which.size());
    if (!are_offsets(offsets.data(), n, static_cast<size_t>(ids.size())))
        throw py::value_error("offsets must ascend from 0 or more, and end within the ids");
    return n;
}

// ---------------------------------------------------------------- the functions

py::array_t<uint64_t> hashes(const std::vector<std::string>& leading, const py::sequence& given,
                             const py::object& rows) {
    const Columns columns(given);
    Whole its_rows;
    size_t n = columns.n();
    if (!rows.is_none()) {
        its_rows = py::cast<Whole>(rows);
        n = static_cast<size_t>(its_rows.size());
        for (size_t k = 0; k < n; k++)
            if (static_cast<uint64_t>(its_rows.data()[k]) >= columns.n()) throw py::index_error("no such row");
    }
    const Messages messages(leading, columns.views, rows.is_none() ? nullptr : its_rows.data());
    py::array_t<uint64_t> found(static_cast<py::ssize_t>(n));
    uint64_t* out = found.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        hash_messages(messages, n, out);
    }
    return found;
}

py::array_t<bool> same_as_before(const py::sequence& given) {
    const Columns columns(given);
    py::array_t<bool> found(static_cast<py::ssize_t>(columns.n()));
    bool* out = found.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        for (size_t k = 0; k < columns.n(); k++) {
            out[k] = k > 0;
            for (const Strings& column : columns.views) out[k] = out[k] && column[k] == column[k - 1];
        }
    }
    return found;
}

py::tuple probabilities(const py::sequence& entry_counts, const std::vector<double>& t, const Whole& which,
                        const Whole& offsets, const Ids& ids) {
    const size_t n = checked_pairs(which, offsets, ids);
    if (entry_counts.size() != t.size()) throw py::value_error("there must be a t for every language");
    std::vector<Hashes> held;
    std::vector<CountedLanguage> languages(t.size());
    for (size_t i = 0; i < t.size(); i++) {
        const py::object counts = entry_counts[i];
        if (counts.is_none()) continue;                     // no pair is in this language
        if (!py::isinstance<py::array_t<uint64_t, py::array::c_style>>(counts))
            throw py::type_error("counts must be contiguous uint64 arrays: they are large, and not copied");
        held.push_back(py::cast<Hashes>(counts));
        languages[i] = {held.back().data(), static_cast<uint64_t>(held.back().size()), t[i]};
    }
    py::array_t<double> q(static_cast<py::ssize_t>(n));
    py::array_t<bool> never_counted(static_cast<py::ssize_t>(n));
    double* its_q = q.mutable_data();
    bool* never = never_counted.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        keep_probs(languages, which.data(), offsets.data(), ids.data(), n, its_q, never);
    }
    return py::make_tuple(q, never_counted);
}

void add(Counts& counts, const Whole& which, const Whole& offsets, const Ids& ids, const Hashes& hashes) {
    const size_t n = checked_pairs(which, offsets, ids);
    py::ssize_t matched = 0;
    for (size_t k = 0; k < n; k++) matched += offsets.data()[k] < offsets.data()[k + 1];
    if (hashes.size() != matched) throw py::value_error("there must be one hash for every pair that matched");
    const py::gil_scoped_release unlocked;
    counts.add(which.data(), offsets.data(), ids.data(), n, hashes.data());
}

py::object partial(Counts& counts, size_t number) {
    if (number >= counts.size()) throw py::index_error("no such language");
    LanguageCounts* language = counts.language(number);
    if (language == nullptr) return py::none();
    Occurred occurred;
    std::vector<uint64_t> hashes;
    std::vector<int64_t> offsets{0};
    {
        const py::gil_scoped_release unlocked;
        occurred = language->entries.occurred();
        language->sample.shrink();
        for (const Sample::Text& text : language->sample.texts()) {
            hashes.push_back(text.hash);
            offsets.push_back(static_cast<int64_t>(text.begin + text.size));
        }
    }
    return py::make_tuple(language->pairs, language->matched, array_of(std::move(occurred.ids)),
                          array_of(std::move(occurred.times)), array_of(std::move(hashes)),
                          array_of(std::move(offsets)), array_of(std::vector<uint32_t>(language->sample.ids())));
}

}  // namespace

void bind_balance(py::module_& module);

void bind_balance(py::module_& module) {
    module.def("hashes", &hashes, py::arg("leading"), py::arg("columns"), py::arg("rows") = py::none(), R"(
The keyed hash of mc2.hashing of every row: uint64 (n,).

leading: list of str, fields that all rows begin with. columns: [(data uint8, offsets int64 (n+1,))], strings in
UTF-8. rows: those that are wanted, as numbers; None = all.)");
    module.def("same_as_before", &same_as_before, py::arg("columns"), R"(
bool (n,): whether each row has the same strings as the row before it; False for the first one.)");
    module.def("keep_probs", &probabilities, py::arg("entry_counts"), py::arg("t"), py::arg("which"),
               py::arg("offsets"), py::arg("ids"), R"(
(q float64 (n,), bool (n,): whether an entry was never counted) of n pairs; see mc2.balancing.algorithm.

entry_counts: a uint64 array for each language, or None where no pair is in it. t: float for each language. which: the
number of each pair's language. offsets: int64 (n+1,). ids: uint32 (offsets[n],), the matched entries.)");

    py::class_<Counts>(module, "Counts", R"(
Pairs, counts of entries and samples of pairs that are added, language by language.

n_entries: of each language. sample_size: texts of a language's sample. most_in_narrow: texts of a language that are
counted in numbers of 32 bits.)")
        .def(py::init<std::vector<uint64_t>, size_t, uint64_t>(), py::arg("n_entries"), py::arg("sample_size"),
             py::arg("most_in_narrow") = (uint64_t{1} << 32) - 1)
        .def("add", &add, py::arg("which"), py::arg("offsets"), py::arg("ids"), py::arg("hashes"), R"(
Add n pairs. which: the number of each pair's language. offsets: int64 (n+1,). ids: uint32 (offsets[n],), the matched
entries. hashes: uint64, those of the pairs that matched anything.)")
        .def("partial", &partial, py::arg("number"), R"(
(pairs, matched pairs, ids uint32 and times uint64 of the entries that occurred, and of the sample: hashes uint64 (m,),
offsets int64 (m+1,), ids uint32) of a language; None where it has no pair.)");
}
