"""Matching: the native engine beside pyahocorasick, daachorse and ahocorasick_rs.

    python benchmarks/match.py [--quick] [--entries 5000 50000 500000 5000000]

Costs three to four minutes, 2 GB of memory and 1 GB of disk by default, half a minute with --quick. Five million
entries are run only when asked for: they take ten times the time and memory of 500,000, most of it for pyahocorasick,
so have 8 GB or more, and say of which --texts.

Expect, of 500,000 entries, some 20 times the published path (pyahocorasick `iter` over (id, word) values with
spacing in Python) on English and 10 times on Chinese and Japanese. Each result of each alternative is compared
with the published path's, and with that of looking for every entry in a few texts (the paper's brute force).
daachorse and ahocorasick_rs take part where they are installed.
"""
import argparse
import multiprocessing
import os
import statistics
import tempfile
import time

import numpy as np

import corpus
import timing
from mc2 import engines
from mc2.metadata import compiled, languages, matching, merge, sources, spacing
from mc2.metadata.release import Release

N_LANGUAGES = 30
N_PROCESSES = 4
BRUTE_FORCE = 10_000_000        # tests whether an entry is in a text: a second or so


# ------------------------------------------------------ the alternatives: functions of texts

def published(entries, directory):
    """As Meta CLIP published it: every hit brings (id, word) to Python, and spacing is done there."""
    import ahocorasick
    automaton = ahocorasick.Automaton()
    for entry_id, entry in enumerate(entries):
        automaton.add_word(spacing.space_entry(entry), (entry_id, entry))
    automaton.make_automaton()

    def match(text):
        return list({entry_id for _, (entry_id, _) in automaton.iter(published_spacing(text))})
    return lambda texts: [match(text) for text in texts]


def published_spacing(text):
    text = f" {text.strip()} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for character in "\t\n\r":
        text = text.replace(character, " ")
    return text


def integers(entries, directory):
    """pyahocorasick with integers for values: the portable engine of mc2."""
    return matching.Matcher(entries).match


def ahocorasick_rs(entries, directory):
    import ahocorasick_rs
    automaton = ahocorasick_rs.AhoCorasick(list(map(spacing.space_entry, entries)), store_patterns=False)

    def match(text):
        hits = automaton.find_matches_as_indexes(spacing.space_text(text), overlapping=True)
        return sorted({hit[0] for hit in hits})
    return lambda texts: [match(text) for text in texts]


def daachorse(entries, directory):
    import daachorse
    automaton = daachorse.CharwiseDoubleArrayAhoCorasick(list(map(spacing.space_entry, entries)))

    def match(text):
        return sorted({hit[2] for hit in automaton.find_overlapping(spacing.space_text(text))})
    return lambda texts: [match(text) for text in texts]


def native(entries, directory):
    path = os.path.join(directory, f"{len(entries)}.matcher")
    compiled.compile_matcher(entries, bytes(32), path)
    return engines.native().Matcher(path).match


BASELINE, NATIVE = "published path", "mc2 native"
ALTERNATIVES = {BASELINE: published, "pyahocorasick, integers": integers, "ahocorasick_rs": ahocorasick_rs,
                "daachorse": daachorse, NATIVE: native}


def lists_of(result):
    """What an alternative gave, as a list of sorted ids per text."""
    if isinstance(result, tuple):
        offsets, ids = result
        return [part.tolist() for part in np.split(ids, offsets[1:-1])]
    return list(map(sorted, result))


# ---------------------------------------------------------------- speed

def compare(kind, entries, texts, repeats, directory):
    """Build every alternative, see that all agree, and print one table."""
    n_entries, n_texts = len(entries), len(texts)
    built, costs = {}, {}
    for name, build in ALTERNATIVES.items():
        if name == NATIVE and not engines.native():
            continue
        try:
            built[name], costs[name] = _build(build, entries, texts, directory)
        except ImportError:
            print(f"  ({name} is not installed)")
    expected = lists_of(built[BASELINE](texts))
    for name, match in built.items():
        assert lists_of(match(texts)) == expected, f"{name} differs from the published path"
    seconds = timing.interleaved({name: lambda match=match: match(texts) for name, match in built.items()}, repeats)
    n_bytes = statistics.mean(len(text.encode()) for text in texts)
    timing.show(f"{kind}: {n_entries:,} entries, {n_texts:,} texts of {n_bytes:.0f} bytes, "
                f"{statistics.mean(map(len, expected)):.1f} entries in each",
                ["", *timing.SPEED, "build", "private memory"],
                [[name, *timing.speed_cells(seconds[name], seconds[BASELINE], n_texts), *costs[name]]
                 for name in built])
    of_a_text = {name: statistics.median(took) / n_texts for name, took in seconds.items()}
    show_brute_force(entries, texts, expected, of_a_text)
    if NATIVE in built:
        size = os.path.getsize(os.path.join(directory, f"{n_entries}.matcher")) / 2 ** 20
        print(f"  {NATIVE} maps a file of {size:.0f} MB")


def show_brute_force(entries, texts, expected, seconds):
    """Look for every entry in each of a few texts by Python's `in`, and print how many times as long that takes: the
    paper (A.2) says 2,000 times. seconds: {name of an alternative: of a text}"""
    few = max(3, min(len(texts), BRUTE_FORCE // len(entries)))
    spaced, chosen = list(map(spacing.space_entry, entries)), list(map(published_spacing, texts[:few]))
    started = time.process_time()
    found = [[entry_id for entry_id, entry in enumerate(spaced) if entry in text] for text in chosen]
    took = time.process_time() - started
    assert found == expected[:few], "brute force differs from the published path"
    times = ", ".join(f"{took / few / seconds[name]:,.0f} times {name}" for name in (BASELINE, NATIVE)
                      if name in seconds)
    print(f"  brute force (`in` for every entry): {1000 * took / few:,.2f} ms a text, of {few:,} texts: {times}")


def _build(build, entries, texts, directory):
    """(the function, [seconds, MB] as text)."""
    before = timing.memory()["private"]
    seconds, match = timing.wall_seconds(lambda: build(entries, directory))
    match(texts[:100])                          # what is allocated at first use counts
    return match, [f"{seconds:.2f} s", f"{max(0, timing.memory()['private'] - before):,.0f} MB"]


def in_a_process_of_its_own(function, *arguments):
    """Memory that was used before, and freed, would be used again and not be seen."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments, daemon=True)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed with status {process.exitcode}; out of memory, if -9.")


# ---------------------------------------------------------------- a worldwide release: load time, memory, the command

def make_release(directory, english, european, n_english, n_others):
    """A release with N_LANGUAGES lists, the first one English. Returns its path and the languages."""
    mapping = languages.of_scheme("lid176")
    langs = ["en", *[lang for lang in mapping.langs if lang not in ("en", languages.OTHER)][:N_LANGUAGES - 1]]
    rest = european.entries(n_others * (N_LANGUAGES - 1))
    lists = [english.entries(n_english), *[rest[start:start + n_others] for start in range(0, len(rest), n_others)]]
    inputs, path = os.path.join(directory, "sources"), os.path.join(directory, "metadata")
    os.mkdir(inputs)
    for lang, entries in zip(langs, lists):
        sources.write(inputs, lang, "list", ((entry, 0) for entry in entries), [], {"lang": lang})
    merge.merge(inputs, path, mapping, merge.Caps())
    return path, langs


def show_loading(path, repeats):
    release = Release(path)

    def load(engine):
        return timing.wall_seconds(lambda: matching.matcher_of(release, "en", engine).match(["a red circle"]))[0]

    portable = load("pyahocorasick")
    median = statistics.median(load("native") for _ in range(5 * repeats))
    timing.show(f"Loading a language of {release.n_entries['en']:,} entries of an open release, to the first match",
                ["", "median", "ratio"],
                [["pyahocorasick, from the .tsv", f"{portable * 1000:,.1f} ms", "1.0x"],
                 ["native", f"{median * 1000:,.2f} ms", f"{portable / median:,.0f}x"]])


def show_memory(path, langs, texts):
    rows = []
    for engine, n_processes in [("pyahocorasick", 1), ("native", 1), ("native", N_PROCESSES)]:
        before, after = _open_in(n_processes, path, langs, texts, engine)
        rows.append([f"{engine}, {'one process' if n_processes == 1 else f'each of {n_processes} processes'}",
                     f"{before['private']:,.0f} MB",
                     *(f"{after[kind]:,.0f} MB" for kind in ("private", "resident", "pss"))])
    release = Release(path)
    n_entries = sum(release.n_entries[lang] for lang in langs)
    n_bytes = sum(os.path.getsize(os.path.join(path, lang + compiled.SUFFIX)) for lang in langs)
    timing.show(f"Memory with {len(langs)} languages open: {n_entries:,} entries, "
                f"files of {n_bytes / 2 ** 20:,.0f} MB",
                ["", "private, none open", "private", "resident", "PSS"], rows)


def _open_in(n_processes, path, langs, texts, engine):
    """(memory before, memory with all languages open) of the process that has most of it, all being open at once."""
    fresh = multiprocessing.get_context("spawn")
    barrier, answers = fresh.Barrier(n_processes), fresh.SimpleQueue()
    processes = [fresh.Process(target=_hold_open, args=(path, langs, texts, engine, barrier, answers))
                 for _ in range(n_processes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return max((answers.get() for _ in processes), key=lambda answer: answer[1]["pss"])


def _hold_open(path, langs, texts, engine, barrier, answers):
    before = timing.memory()
    metadata = matching.Metadata(path, engine)
    for lang in langs:
        metadata[lang].match(texts)             # touches the pages that work would touch
    barrier.wait(600)
    after = timing.memory()
    barrier.wait(600)                           # nobody leaves before all have measured
    answers.put((before, after))


def show_command(path, texts, repeats, directory):
    timing.compare_commands(["match", "-m", path], ["pyahocorasick", "native"],
                            corpus.pairs(texts, lid="en", lid_prob=0.9, lang="en"), directory, repeats)


# ---------------------------------------------------------------- all of it

def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: half a minute")
    parser.add_argument("--entries", type=int, nargs="+", metavar="N", help="sizes of the dictionaries")
    parser.add_argument("--texts", choices=corpus.ALL, nargs="+", default=list(corpus.ALL), help="in which languages")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds; default 5, 3 with --quick")
    return parser.parse_args()


def main():
    options = arguments()
    sizes = options.entries or ([5000, 50_000] if options.quick else [5000, 50_000, 500_000])
    repeats = options.repeats or (3 if options.quick else 5)
    n_texts = 1000 if options.quick else 10_000
    corpora = {kind: make() for kind, make in corpus.ALL.items()}
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 2)
        for data in map(corpora.get, options.texts):
            for n_entries in sizes:
                in_a_process_of_its_own(compare, f"{data.name} ({data.origin})", data.entries(n_entries),
                                        data.texts(n_texts), repeats, directory)
        if not engines.native():
            print("\nThe native core is not built here.")
            return
        english, european = corpora["english"], corpora["european"]
        path, langs = make_release(directory, english, european, 50_000 if options.quick else 500_000,
                                   2000 if options.quick else 30_000)
        show_loading(path, repeats)
        show_memory(path, langs, european.texts(1000))
        show_command(path, english.texts(20_000 if options.quick else 100_000), 1 if options.quick else 3, directory)
    print("\nAll alternatives gave the same entries for every text.")


if __name__ == "__main__":
    main()
