"""Sparse counts of shards: merged in any grouping, they are the counts of the pool."""
import pathlib
import random
import tempfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies

from mc2.balancing import counting, shard_counts
from mc2.errors import BadData


def partial(texts):
    """Partial of texts given as (hash, ids); those without ids are pairs without a match."""
    matched = [(hash, ids) for hash, ids in texts if ids]
    times = Counter(id for _, ids in matched for id in ids)
    ids = sorted(times)
    sample = counting.sample_of(np.array([hash for hash, _ in matched], np.uint64),
                                np.cumsum([0, *(len(ids) for _, ids in matched)]),
                                np.array([id for _, ids in matched for id in ids], np.uint32))
    return counting.Partial(len(texts), len(matched), np.array(ids, np.uint32),
                            np.array([times[id] for id in ids], np.uint64), sample)


def as_lists(partial):
    return (partial.pairs, partial.matched, partial.ids.tolist(), partial.times.tolist(), partial.sample.lists())


def test_a_file_gives_back_what_was_written(tmp_path):
    en, fr = partial([(9, [0, 4]), (3, [4]), (5, [])]), partial([(1, [])])
    shard_counts.write(tmp_path / "a.counts", "release", {"a.jsonl": {"bytes": 3}}, {"in": 4}, [("en", en), ("fr", fr)])
    read = shard_counts.ShardCounts(tmp_path / "a.counts")
    assert (read.metadata, read.shards) == ("release", {"a.jsonl": {"bytes": 3}})
    assert (read.tally, read.langs) == ({"in": 4}, ["en", "fr"])
    assert as_lists(read["en"]) == (3, 2, [0, 4], [1, 2], [(3, [4]), (9, [0, 4])])
    assert as_lists(read["fr"]) == (1, 0, [], [], [])


TEXTS = strategies.lists(strategies.tuples(strategies.integers(0, 20),
                                           strategies.sets(strategies.integers(0, 6)).map(sorted)), max_size=12)


LANGS = strategies.sampled_from(["en", "fr", "zh"])


@given(strategies.lists(strategies.dictionaries(LANGS, TEXTS), min_size=1, max_size=6), strategies.randoms())
def test_any_grouping_merges_to_the_counts_of_all(shards, chance):
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SAMPLE_SIZE", 4)
        directory, paths = pathlib.Path(directory), []
        for number, langs in enumerate(shards):
            paths.append(directory / f"{number}.counts")
            shard_counts.write(paths[-1], "release", {str(number): {}}, {"in": 1},
                               [(lang, partial(texts)) for lang, texts in sorted(langs.items())])
        while len(paths) > 1:
            group = [paths.pop(chance.randrange(len(paths))) for _ in range(min(len(paths), 2 + chance.randrange(2)))]
            paths.append(group[0].with_suffix(f"{group[0].suffix}+"))
            shard_counts.merge(group, paths[-1])
        read = shard_counts.ShardCounts(paths[0])
        together = {}
        for langs in shards:
            for lang, texts in langs.items():
                together.setdefault(lang, []).extend(texts)
        assert {lang: as_lists(read[lang]) for lang in read.langs} == \
            {lang: as_lists(partial(texts)) for lang, texts in together.items()}
        assert read.tally["in"] == len(shards) and len(read.shards) == len(shards)


def test_damage_is_noticed(tmp_path):
    path = tmp_path / "a.counts"
    shard_counts.write(path, "release", {"a": {}}, {}, [("en", partial([(9, [0, 4])]))])
    data = path.read_bytes()
    for damaged in (data[:-3], b"", data.replace(b'"metadata"', b'"metadatb"')):
        path.write_bytes(damaged)
        with pytest.raises(BadData, match="damaged. Delete the file"):
            shard_counts.ShardCounts(path)
    path.write_bytes(b"\1" + data[1:])
    with pytest.raises(BadData, match="damaged"):
        shard_counts.ShardCounts(path)["en"]


def test_a_shard_is_not_counted_twice(tmp_path):
    for name in ("a", "b"):
        shard_counts.write(tmp_path / name, "release", {"a.jsonl": {}}, {}, [])
    with pytest.raises(BadData, match="counts a.jsonl a second time"):
        shard_counts.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


def test_shards_become_a_directory_of_counts(tmp_path):
    texts = [(random.Random(7).randrange(100), [0, 2]), (4, [2]), (6, [])]
    shard_counts.write(tmp_path / "a", "release", {"a": {}}, {}, [("en", partial(texts))])
    shard_counts.to_counts([shard_counts.ShardCounts(tmp_path / "a")], {"en": 4, "fr": 2}, "release",
                           tmp_path / "counts", inputs=[], options={})
    counts, _ = counting.load(tmp_path / "counts")
    assert counts.entry_counts["en"].tolist() == [1, 0, 2, 0] and counts.entry_counts["fr"].tolist() == [0, 0]
    assert (counts.pairs, counts.matched) == ({"en": 3, "fr": 0}, {"en": 2, "fr": 0})
    assert counts.samples["en"].lists() == partial(texts).sample.lists()
