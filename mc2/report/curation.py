"""The data card of curated pairs: what there was, what is left, and why."""
from collections import Counter

import numpy as np

from mc2 import __version__, files, hashing, manifests
from mc2.balancing import thresholds
from mc2.balancing.counting import COLUMNS, SAMPLE_SIZE
from mc2.curate import job
from mc2.errors import BadData, BadUsage
from mc2.inspection.comparison import LONGEST_TEXT
from mc2.inspection.curations import FAR
from mc2.pairs.shards import read_blocks
from mc2.report.content import column, entry_cell, fields_section, language_cell, option, shown

POINTS = 60                 # of a curve
TOP, TAIL = 15, 10          # entries of a language that are shown: the most and the least frequent ones
CUTS = 25                   # entries of all languages that are shown
EXAMPLES = 5                # texts of a language that are shown


def content(drawn, meter, title=None, fields=None, texts=True):
    """The content of the page (mc2.report.content) about curated pairs, which are read once.

    drawn: mc2.inspection.drawn.Drawn. meter: mc2.meter.Meter. fields: path of a file for what only people can say.
    texts: whether to show some of the pairs' texts.
    """
    if drawn.counts is None or drawn.thresholds is None:
        raise BadUsage(f"{drawn.path}: no manifest says that these pairs were drawn, and with which counts. Name the "
                       f"output of 'mc2 curate' or 'mc2 sample'.")
    if drawn.counted is None or drawn.content is None:
        raise BadData(f"{drawn.path}: the counts and thresholds that it was made with are not where they were, or are "
                      f"others now. A report needs both: put them back, or make the pairs again.")
    kept = _Kept(drawn, meter, EXAMPLES if texts else 0)
    counted, rows_of = drawn.counted, drawn.content["languages"]
    langs = [lang for lang in sorted(counted.pairs, key=lambda lang: (-counted.pairs[lang], lang)) if counted.pairs[lang]]
    languages = [_Language(drawn, lang, kept) for lang in langs]
    left_out = _left_out(drawn)
    told = {"pairs": left_out.total() + kept.pairs.total(), "kept": kept.pairs.total(),
            "languages": sum(1 for lang in langs if kept.pairs[lang])}
    sections = [
        {"kind": "bars", "title": "What became of the pairs", "total": told["pairs"],
         "rows": [["kept", told["kept"], True],
                  *([shown(reason), number] for reason, number in left_out.most_common())]},
        _languages_section(languages, rows_of, drawn),
        _cuts_section(languages, drawn),
        {"kind": "facts", "title": "How it was made", "rows": _provenance(drawn)},
        {"kind": "list", "title": "What to know before using it",
         "items": list(_limits(drawn, languages, told, texts))},
        fields_section(fields)]
    return {"kind": "Data card of curated pairs", "title": shown(title or files.printable(drawn.path)),
            "lead": _lead(told, drawn), "tiles": _tiles(told, drawn),
            "sections": [section for section in sections if section]}


# ---------------------------------------------------------------- reading the pairs

class _Kept:
    """What is counted in the curated pairs.

    pairs: Counter of languages. entries: {lang: int64, how many texts match each entry}. examples: {lang: [text]},
    those with the smallest hashes, so that the same pairs give the same examples in any order
    """

    def __init__(self, drawn, meter, examples):
        self.pairs, self.entries, self.examples = Counter(), {}, {}
        self._n_examples, self._chosen = examples, {}
        for block in read_blocks(drawn.shards, columns=COLUMNS, longest=None):
            batch = block.batch(("lang", "matched_entry_ids"))
            self._add(batch, drawn)
            meter.update(len(batch))
        self.examples = {lang: [text for _, text in sorted(chosen)] for lang, chosen in self._chosen.items()}

    def _add(self, batch, drawn):
        labels = batch.labels("lang")
        offsets, ids = batch.matched_ids()
        of_match = np.repeat(labels.numbers, np.diff(offsets))
        self.pairs.update(labels.times())
        hashes = hashing.keyed_hashes(["report"], [batch.strings("id"), batch.strings("text")]) \
            if self._n_examples else None
        for number in np.unique(labels.numbers).tolist():
            lang = labels.names[number]
            times = self.entries.get(lang)
            if times is None:
                times = self.entries[lang] = np.zeros(len(drawn.counted.entry_counts.get(lang, ())), np.int64)
            found = np.bincount(ids[of_match == number], minlength=len(times))
            if len(found) > len(times):
                raise BadData(f"{drawn.path}: holds pairs of {lang} that its counts do not know. Make it again.")
            times += found
            if self._n_examples:
                self._choose(lang, batch, hashes, np.flatnonzero(labels.numbers == number))

    def _choose(self, lang, batch, hashes, rows):
        smallest = rows[np.argsort(hashes[rows], kind="stable")[:self._n_examples]].tolist()
        texts = batch.strings("text")
        its = {*self._chosen.get(lang, ()), *((int(hashes[row]), texts.one(row).decode()) for row in smallest)}
        self._chosen[lang] = sorted(its)[:self._n_examples]


class _Language:
    """A language before and after: uint64 and int64 counts of its entries, and its numbers."""

    def __init__(self, drawn, lang, kept):
        self.lang, self.t = lang, drawn.content["languages"][lang]["t"]
        self.before = drawn.counted.entry_counts[lang]
        self.after = kept.entries.get(lang, np.zeros(len(self.before), np.int64))
        self.pairs, self.matched = drawn.counted.pairs[lang], drawn.counted.matched[lang]
        self.kept, self.examples = kept.pairs[lang], kept.examples.get(lang, [])
        self.expected, self.sd = drawn.expected(lang)

    def names(self, drawn, ids):
        """The entries of these ids, or their numbers where the release is not found."""
        release = drawn.release
        if not ids or release is None or self.lang not in release.n_entries:
            return [f"(entry {number})" for number in ids]
        entries = release.entries(self.lang)
        return [entries[number] for number in ids]

    def prob(self, number):
        return self.t / max(int(self.before[number]), self.t) if self.t else 1.0

    @property
    def is_far(self):
        return self.expected is not None and abs(self.kept - self.expected) > max(FAR * self.sd, 1)


# ---------------------------------------------------------------- the top of the page

def _lead(told, drawn):
    text = (f"Of {told['pairs']:,} pairs of an image and a text, {told['kept']:,} were kept, in {told['languages']:,} "
            f"languages. ")
    if drawn.content["t_en"] is None and drawn.content["p"] is None:
        return text + "Texts that match frequent entries only were thinned out, with one threshold for all languages."
    return text + ("Texts that match a rare entry of the metadata were all kept; those that match frequent entries only "
                   "were thinned out. What is rare is decided for each language by itself.")


def _tiles(told, drawn):
    tiles = [[told["pairs"], "pairs before"], [told["kept"], "pairs kept"], [told["languages"], "languages"]]
    found = drawn.content
    if found["t_en"] is not None:
        tiles.append([found["t_en"], "t of English"])
    if found["p"] is not None:
        tiles.append([round(found["p"], 4), "p, the share of the tail"])
    return tiles


def _left_out(drawn):
    """Counter of reasons why pairs of the pool are not in the result."""
    if drawn.manifest.get("kind") == job.KIND:
        counts = Counter(drawn.manifest["counts"])
    else:
        counts = sum((Counter((manifests.read(shard) or {}).get("counts") or {}) for shard in drawn.shards), Counter())
    found = Counter()
    for what, number in counts.items():
        kind, _, reason = what.partition(": ")
        if kind in ("dropped", "bad") and number:
            found[reason if kind == "dropped" else f"no pair: {reason}"] += number
    return found


# ---------------------------------------------------------------- languages

def _languages_section(languages, rows_of, drawn):
    columns = [column("name", "language", "language"), column("pairs", "pairs", about="pairs of the pool"),
               column("matched", "matched", wide=True, about="those whose text matches an entry at least"),
               column("kept", "kept"), column("share", "kept of matched", "share"),
               column("expected", "expected", wide=True, about="how many were to be expected to be kept"),
               column("t", "t", about="entries that match fewer texts are the tail, and all of their texts are kept"),
               column("tail", "tail share", "percent", wide=True, about="share of all matches that is in the tail"),
               column("entries", "matched entries", wide=True, about="entries that match a text at least")]
    rows = [{"name": language_cell(its.lang), "pairs": its.pairs, "matched": its.matched, "kept": its.kept,
             "share": its.kept / its.matched if its.matched else None,
             "expected": None if its.expected is None else round(its.expected), "t": its.t,
             "tail": rows_of[its.lang]["tail_share"] if its.matched else None,
             "entries": int(np.count_nonzero(its.before))} for its in languages]
    note = "A click on a language shows its head and tail below; one on a heading sorts."
    return {"kind": "languages", "title": "Languages, before and after", "note": note, "columns": columns, "rows": rows,
            "sort": "pairs", "detail_title": "Head and tail",
            "details": {its.lang: _detail(its, drawn) for its in languages}}


def _detail(its, drawn):
    head = its.before >= max(its.t, 1)
    before, after = int(its.before.sum()), int(its.after.sum())
    if not before:
        return {"lead": f"No text of the {its.pairs:,} matched an entry.", "plots": [], "tables": [], "examples": []}
    lead = (f"{np.count_nonzero(head):,} of {np.count_nonzero(its.before):,} entries that match a text are the head "
            f"(at least t = {its.t:,} texts). They had {int(its.before[head].sum()) / before:.1%} of all matches")
    lead += f", and have {int(its.after[head].sum()) / after:.1%} of those that are left." if after else "."
    order = np.argsort(-its.before.astype(np.int64), kind="stable")
    order = order[:np.count_nonzero(its.before)]
    top, tail = order[:TOP].tolist(), order[max(len(order) - TAIL, TOP):].tolist()
    columns = [column("entry", "entry", "entry"), column("before", "before"), column("after", "after"),
               column("prob", "probability", "prob", about="with which a text is kept for this entry alone")]
    tables = [{"title": title, "columns": columns, "rows": _entry_rows(its, drawn, ids)}
              for title, ids in (("Most frequent entries", top), ("Rarest entries", tail)) if ids]
    plot = {"x": "entries, the most frequent first", "y": "texts that match the entry", "log": True,
            "series": [{"name": "before", "points": _curve(its.before)},
                       {"name": "after", "points": _curve(its.after)}],
            "rule": {"name": f"t = {its.t:,}", "at": its.t} if its.t else None}
    return {"lead": lead, "plots": [plot], "tables": tables,
            "examples": [entry_cell(_cut(text), its.lang) for text in its.examples]}


def _entry_rows(its, drawn, ids):
    return [{"entry": entry_cell(name, its.lang), "before": int(its.before[number]), "after": int(its.after[number]),
             "prob": its.prob(number)} for number, name in zip(ids, its.names(drawn, ids))]


def _curve(counts):
    """[[rank, count]]: at most POINTS of the positive counts in descending order, at ranks that are evenly spread on a
    logarithmic scale."""
    counts = np.sort(counts[counts > 0])[::-1]
    if not len(counts):
        return []
    ranks = np.unique(np.round(np.geomspace(1, len(counts), POINTS)).astype(int))
    return [[rank, int(counts[rank - 1])] for rank in ranks.tolist()]


def _cut(text):
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() + " ..."


def _cuts_section(languages, drawn):
    """The entries of all languages that lost most texts."""
    found = []
    for its in languages:
        lost = its.before.astype(np.int64) - its.after
        most = np.argsort(-lost, kind="stable")[:CUTS]
        found += [(int(lost[number]), its, number) for number in most.tolist() if lost[number] > 0]
    found = sorted(found, key=lambda row: (-row[0], row[1].lang, row[2]))[:CUTS]
    if not found:
        return None
    columns = [column("entry", "entry", "entry"), column("name", "language", "language"), column("before", "before"),
               column("after", "after"), column("lost", "fewer", wide=True),
               column("prob", "probability", "prob", wide=True)]
    rows = []
    for lost, its, number in found:
        row, = _entry_rows(its, drawn, [number])
        rows.append({**row, "name": language_cell(its.lang), "lost": lost})
    return {"kind": "table", "title": "Largest cuts", "note": "The entries of all languages that lost most texts.",
            "columns": columns, "rows": rows}


# ---------------------------------------------------------------- provenance and limits

def _provenance(drawn):
    manifest, content = drawn.manifest, drawn.content
    rows = [["command", shown(manifest.get("command") or "not known")],
            ["mc2", f"{manifest.get('mc2', 'not known')}; this page: {__version__}"]]
    if drawn.inputs is not None:
        sizes = sum(row.get("bytes", 0) for row in drawn.inputs)
        names = [shown(row["name"]) for row in drawn.inputs[:3]]
        more = [f"and {len(drawn.inputs) - 3:,} more"] if len(drawn.inputs) > 3 else []
        rows.append([f"pool, {len(drawn.inputs):,} shards, {sizes:,} bytes", [*names, *more]])
    rows += [["pairs", f"{len(drawn.shards):,} shards"], ["seed", str(drawn.seed)],
             ["texts of an image", "at most one is kept" if drawn.one_per_image else "each on its own"]]
    rows += [[what, mark] for what, mark in (("metadata", drawn.metadata), ("counts", drawn.counts),
                                             ("thresholds", drawn.thresholds)) if mark]
    if release := drawn.release:
        origins = [f"{its['name']}, licence {its['licence']}" for its in release.manifest.get("origins", [])]
        total = sum(release.n_entries.values())
        rows.append(["entries", f"{total:,} in {len(release.n_entries):,} languages, "
                                f"{release.manifest['options']['scheme']}"])
        if origins:
            rows.append(["sources of the entries", list(map(shown, origins))])
    if content["t_en"] is None and content["p"] is None:
        rows.append(["balancing", "one t for all languages"])
    else:
        rows.append(["balancing", f"t of English {content['t_en']}, p {content['p']:.6f}: in every language, t is the "
                                  f"count below which this share of its matches lies (Meta CLIP 2, Algorithm 1)"])
    rows.append(["options", [option(name, value) for name, value in drawn.options.items() if value is not None]])
    return [row for row in rows if row[1]]


def _limits(drawn, languages, told, texts):
    """Yield sentences on what a user of the pairs should know."""
    yield ("Balancing looks at texts alone. Nothing here has looked at an image: whether it shows what the text says, "
           "whom it shows, or whether it should be shown.")
    yield ("Texts are as they were found. Errors, advertising, insults and personal information in them are kept like "
           "other texts.")
    yield ("Languages were told by a program from short texts, so that some of them are wrong; closely related "
           "languages are confused most.")
    if not drawn.one_per_image and drawn.is_expected:
        sampled = [its.lang for its in languages if its.matched > SAMPLE_SIZE]
        yield "Expected numbers are those of Algorithm 1" + (
            f", for {len(sampled):,} languages estimated from {SAMPLE_SIZE:,} of their texts." if sampled else ".")
    if far := [its for its in languages if its.is_far]:
        yield (f"Another number was kept than expected, by more than {FAR} standard deviations: " + ", ".join(
               f"{its.lang} {its.kept:,} ({its.expected:,.0f} ± {its.sd:,.0f} expected)" for its in far) + ".")
    yield from map(shown, thresholds.warnings(drawn.content, drawn.counted,
                                              drawn.options.get("thresholds.min_t")))
    counted = sum(its.matched for its in languages)
    matched = told["kept"] + sum(number for reason, number in _left_out(drawn).items()
                                 if reason in ("not drawn", "not the chosen text of their image"))
    if counted != matched:
        yield (f"The counts are those of {counted:,} matched pairs, and these pairs were drawn from {matched:,}: "
               f"numbers before are those of the counts.")
    if drawn.release is None:
        yield "The metadata were not found when this page was made, so that entries are shown by their numbers."
    if not texts:
        yield "Example texts were left out of this page."
