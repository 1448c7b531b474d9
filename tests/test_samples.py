"""Batches of mc2 train's data path: texts and draws beside mc2 sample, passes, resuming, damage."""
import collections
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import textwrap
import time

import numpy as np
import orjson
import pytest
from training_tools import require_train

require_train()

import torch                                                        # noqa: E402
from PIL import Image                                               # noqa: E402

from mc2 import documents                                           # noqa: E402
from mc2.balancing import counting, sampling                        # noqa: E402
from mc2.clip import images                                         # noqa: E402
from mc2.errors import BadData, BadLine, BadUsage, Mc2Error         # noqa: E402
from mc2.execution.stage import Stages                              # noqa: E402
from mc2.pairs.shards import read_blocks                            # noqa: E402
from mc2.training import division, samples                          # noqa: E402
from mc2.training.samples import Data, Loader                       # noqa: E402
from mc2.training.stream import Stream, shift_of                    # noqa: E402


def letters(texts):
    """A tokenizer: code points, 8 at most."""
    tokens = np.zeros((len(texts), 8), np.int64)
    for row, text in zip(tokens, texts):
        row[:len(text)] = [ord(letter) for letter in text][:8]
    return tokens


def jpeg(number):
    stream = io.BytesIO()
    Image.new("RGB", (10, 12), (number * 37 % 256, number * 11 % 256, 99)).save(stream, "JPEG")
    return stream.getvalue()


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def image_id(number):
    return f"image-{number}"


def write_pool(directory, shards=5, per_shard=7, texts=1, langs=("en", "fr"), seed=0):
    """Tars and matched pairs of shards * per_shard images with `texts` texts each. Returns (tars, files of pairs)."""
    chance, paths = random.Random(seed), []
    for shard in range(shards):
        members, lines = [], []
        for number in range(shard * per_shard, (shard + 1) * per_shard):
            members += [(f"{number:06}.jpg", jpeg(number)),
                        (f"{number:06}.json", orjson.dumps({"uid": image_id(number)}))]
            for text in range(texts):
                lang = chance.choice(langs)
                ids = sorted({min(int(chance.expovariate(1)), 2) for _ in range(chance.randrange(1, 3))})
                lines.append({"id": image_id(number), "text": f"{number}/{text}", "lang": lang,
                              "matched_entry_ids": ids if chance.random() < 0.9 else []})
        write_tar(directory / f"{shard:05}.tar", members)
        (directory / f"{shard:05}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        paths.append(str(directory / f"{shard:05}"))
    return [f"{path}.tar" for path in paths], [f"{path}.jsonl" for path in paths]


@pytest.fixture
def pool(tmp_path):
    """Data of 5 tars of 7 images with a text each."""
    tars, pairs = write_pool(tmp_path)
    return Data(tars, pairs, image_size=8)


@pytest.fixture
def online(toy):
    """Data of 5 tars of 60 images with 3 texts each, counted, with t = 40."""
    tars, pairs = write_pool(toy.directory, 5, 60, 3)
    toy.ok("mc2 count 0*.jsonl -m toy -o counts -q && mc2 thresholds counts --t-all 40 -o t.json -q")
    return Data(tars, pairs, "online", str(toy / "counts"), str(toy / "t.json"), image_size=8)


def loader(data, batch_size=5, **options):
    return Loader(data, {"letters": letters}, batch_size, **{"workers": 0, **options})


def take(made, n):
    return [next(made) for _ in range(n)]


def one_stream(data, number=0, streams=1, stream=0):
    """([pairs], tally) of one stream in a pass."""
    shards, _ = division.shards(data)
    sampler = sampling.Sampler(data.counts, data.thresholds, one_per_image=True) if data.curation == "online" else None
    dealt = division.Division(data, [name for name, _, _ in shards], streams)
    one, cursor = Stream(data, shards, sampler, {}, 1, dealt, 0, [], 0), division.Cursor.at_pass(number, data.open_tars)
    return list(one.pairs_of_pass(cursor, dealt.units(cursor, stream))), one.tally


def pairs_of_this_pass(made):
    """What is left of the pass for a loader without processes."""
    stream, cursor = made._loader.dataset, division.Cursor.of_state(made.state()["places"][0])
    return list(stream.pairs_of_pass(cursor, made._division.units(cursor, stream.first)))


def keys(batches):
    return [key for batch in batches for key in zip(batch.ids, batch.texts)]


def same(one, other):
    return one.ids == other.ids and one.texts == other.texts and one.langs == other.langs and one.tally == other.tally \
        and torch.equal(one.images, other.images) and torch.equal(one.tokens["letters"], other.tokens["letters"])


# ---------------------------------------------------------------- batches

def test_a_batch_holds_images_tokens_texts_and_what_happened(pool):
    batch = next(loader(pool, 6))
    assert batch.images.shape == (6, 3, 8, 8) and batch.images.dtype == torch.uint8
    assert batch.tokens["letters"].tolist() == letters(batch.texts).tolist()
    assert batch.tokens["letters"].dtype == torch.int64
    for pixels, its_id, text in zip(batch.images, batch.ids, batch.texts):
        number = int(its_id.removeprefix("image-"))
        assert text == f"{number}/0"
        assert np.array_equal(pixels, images.training(jpeg(number), ("0:0", its_id), 8))
    assert batch.tally["images"] == 6
    assert sum(batch.tally["kept", lang] for lang in ("en", "fr")) == 6


@pytest.mark.parametrize("shards, per_shard, world, workers", [(5, 7, 1, 0), (6, 4, 1, 2), (5, 8, 2, 1), (1, 12, 2, 2),
                                                               (3, 40, 4, 1), (7, 12, 3, 1)])
def test_a_pass_has_every_pair_once_whatever_the_number_of_processes(tmp_path, shards, per_shard, world, workers):
    data = Data(*write_pool(tmp_path, shards, per_shard), image_size=8, open_tars=2)
    streams = world * max(1, workers)
    for number in range(2):
        found = [[pair[1] for pair in one_stream(data, number, streams, stream)[0]] for stream in range(streams)]
        assert sorted(sum(found, [])) == sorted(map(image_id, range(shards * per_shard)))
        assert max(map(len, found)) - min(map(len, found)) <= 2 + per_shard * shards * 0.1
    made = [loader(data, 1, rank=rank, world=world, workers=workers) for rank in range(world)]
    firsts = [key for each in made for key in keys(take(each, max(1, workers)))]
    assert len(set(firsts)) == streams
    for each in made:
        each.close()


def test_passes_differ_in_order_and_seeds_differ(pool):
    passes = [keys(take(loader(pool, 35), 3))[start:start + 35] for start in (0, 35, 70)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert passes[0] != passes[1] != passes[2]
    pool.seed = 1
    assert keys(take(loader(pool, 35), 1)) not in passes


def test_tars_are_read_in_rotation(pool):
    pool.open_tars = 5
    assert len({int(its_id.removeprefix("image-")) // 7 for its_id in next(loader(pool, 5)).ids}) == 5
    pool.open_tars = 1
    assert len({int(its_id.removeprefix("image-")) // 7 for its_id in next(loader(pool, 5)).ids}) == 1


def test_offline_every_text_of_an_image_is_a_pair(tmp_path):
    data = Data(*write_pool(tmp_path, 3, 4, 3), image_size=8)
    expected = [(image_id(number), f"{number}/{text}") for number in range(12) for text in range(3)]
    assert sorted(keys(take(loader(data, 9), 4))) == sorted(expected)


def test_with_shuffled_texts_no_image_has_its_own(pool):
    plain = next(loader(pool, 7))
    pool.shuffle_texts = True
    shuffled = next(loader(pool, 7))
    assert shuffled.ids == plain.ids and torch.equal(shuffled.images, plain.images)
    assert sorted(zip(shuffled.texts, shuffled.langs)) == sorted(zip(plain.texts, plain.langs))
    assert all(text != f"{its_id.removeprefix('image-')}/0" for its_id, text in zip(shuffled.ids, shuffled.texts))
    assert shift_of(["a", "a", "b", "b"]) == 2 and shift_of(["a", "b", "a", "c"]) == 3
    with pytest.raises(BadUsage, match="batches of 2"):
        loader(pool, 1)


# ---------------------------------------------------------------- online curation

def passes_of(data, passes):
    """For each pass the (id, text) that it keeps, without images."""
    sampler = sampling.Sampler(data.counts, data.thresholds, one_per_image=True)
    stream = Stream(data, division.shards(data)[0], sampler, {}, 1, None, 0, [], 0)
    for number in range(passes):
        tables = [stream.table(path, f"{data.seed}:{number}", stream.tally) for path in data.pairs]
        yield [(its_id, text) for table in tables for its_id, found in table.items() for _, text, _ in found if text]


def test_a_pass_is_what_mc2_sample_keeps_with_one_per_image(online, toy):
    online.seed = 3
    found = [[(pair[1], pair[2]) for pair in one_stream(online, number)[0]] for number in range(2)]
    for number, tables in enumerate(passes_of(online, 2)):
        sampler = sampling.Sampler(online.counts, online.thresholds, f"3:{number}", one_per_image=True)
        expected = []
        for block in read_blocks(online.pairs, Stages([sampler]).whole_images):
            batch = block.batch(sampler.requires)
            sampler(batch)
            expected += zip(batch.column("id"), batch.texts)
        assert 30 < len(expected) < 290
        assert sorted(found[number]) == sorted(expected) == sorted(tables)


def test_over_many_passes_every_text_is_chosen_and_kept_at_its_rate(online):
    records = [orjson.loads(line) for path in online.pairs[:1] for line in open(path, "rb")]
    online.tars, online.pairs = online.tars[:1], online.pairs[:1]
    counts, _ = counting.load(online.counts)
    candidates = collections.Counter(record["id"] for record in records if record["matched_entry_ids"])
    passes = 400
    times = collections.Counter(key for kept in passes_of(online, passes) for key in kept)
    z = []
    for record in records:
        ids, lang = record["matched_entry_ids"], record["lang"]
        if ids:
            q = 1 - np.prod([1 - min(1, 40 / counts.entry_counts[lang][entry]) for entry in ids])
            rate = q / candidates[record["id"]]
            z.append((times[record["id"], record["text"]] - passes * rate) / (passes * rate * (1 - rate) + 1e-9) ** 0.5)
        else:
            assert times[record["id"], record["text"]] == 0
    assert len(z) > 140 and abs(np.mean(z)) < 0.35 and 0.8 < np.std(z) < 1.2 and np.abs(z).max() < 4.5


def test_kept_and_drawn_are_counted_by_language_and_add_up(online):
    made = loader(online, 10, workers=2)
    tally, batches = collections.Counter(), take(made, 60)
    made.close()
    for batch in batches:
        tally.update(batch.tally)
    langs = collections.Counter(lang for batch in batches for lang in batch.langs)
    assert {lang: tally["kept", lang] for lang in langs} == dict(langs) and set(langs) == {"en", "fr"}
    drawn = tally["drawn", "en"] + tally["drawn", "fr"]
    assert tally["not drawn"] == drawn - 600 and tally["images"] == drawn + tally["no match"]
    assert tally["not drawn"] > 0 and tally["never counted"] == 0


def test_pairs_that_match_what_was_never_counted_are_counted(online, toy):
    record = orjson.loads(open(online.pairs[0], "rb").readline())
    counted = counting.load(online.counts)[0].entry_counts["en"]
    never = next(entry for entry in range(6) if not counted[entry])
    open(online.pairs[0], "wb").write(orjson.dumps({**record, "lang": "en", "matched_entry_ids": [never]}) + b"\n")
    online.tars, online.pairs = online.tars[:1], online.pairs[:1]
    tally = next(loader(online, 3)).tally
    assert tally["never counted"] == 3 and tally["image without pair"] >= 2 * 59


def test_passes_in_which_nothing_is_drawn_are_passed_over_but_not_for_ever(online, monkeypatch):
    records = [orjson.loads(line) for line in open(online.pairs[0], "rb")]
    rare = next(record for record in records if record["matched_entry_ids"] == [0] and record["lang"] == "en")
    open(online.pairs[0], "wb").write(orjson.dumps(rare) + b"\n")
    online.tars, online.pairs = online.tars[:1], online.pairs[:1]
    batches = take(loader(online, 1), 8)
    drawn = sum(batch.tally["drawn", "en"] for batch in batches)
    assert drawn > 16 and sum(batch.tally["not drawn"] for batch in batches) == drawn - 8
    monkeypatch.setattr("mc2.training.stream.EMPTY_PASSES", 1)
    with pytest.raises(BadData, match="not drawn: 1"):
        take(loader(online, 1), 8)


def test_pairs_in_parquet_give_the_same_batches(online):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    offline = Data(online.tars, online.pairs, image_size=8)
    expected = [take(loader(data), 8) for data in (online, offline)]
    for path in online.pairs:
        records = [{**orjson.loads(line), "more": 1.5} for line in open(path, "rb")]
        pq.write_table(pa.Table.from_pylist(records), path.replace(".jsonl", ".parquet"))
    online.pairs = offline.pairs = [path.replace(".jsonl", ".parquet") for path in online.pairs]
    for data, theirs in zip((online, offline), expected):
        assert all(same(one, other) for one, other in zip(take(loader(data), 8), theirs))


def test_counts_of_another_pool_give_a_warning_and_other_metadata_an_error(online, toy):
    toy.ok("mkdir pool matched && mv 0*.jsonl pool && mc2 match pool/*.jsonl -m toy -O matched -q")
    toy.ok("mc2 count matched/*.jsonl -m toy -o counts -q && mc2 thresholds counts --t-all 40 -o t.json -q")
    online.pairs = [str(toy / f"matched/{shard:05}.jsonl") for shard in range(5)]
    assert samples.count_warnings(online) == []
    online.pairs = online.pairs[:2]
    assert samples.count_warnings(online) == [
        f"{online.counts}: counts of 900 pairs, but the pairs here are 360. The balance is that of the counted pool; "
        f"for one of these pairs run 'mc2 count' and 'mc2 thresholds' on them."]
    manifest = toy / "matched/00001.jsonl.manifest.json"
    changed = documents.read(manifest, "")
    changed["lineage"]["metadata"] = "0" * 64
    manifest.write_bytes(documents.dumped(changed))
    with pytest.raises(BadData, match="00001.jsonl: was made with metadata 000000000000"):
        samples.count_warnings(online)


# ---------------------------------------------------------------- texts in the tars themselves

def test_without_pairs_the_texts_come_from_the_tars(tmp_path):
    write_tar(tmp_path / "a.tar", [
        ("0.jpg", jpeg(0)), ("0.json", b'{"caption": "from json", "lang": "fr"}'),
        ("1.jpg", jpeg(1)), ("1.txt", "from txt ö".encode()),
        ("2.jpg", jpeg(2)),
        ("3.jpg", jpeg(3)), ("3.json", b'{"text": "named", "id": "x"}'),
        ("4.jpg", jpeg(4)), ("4.json", b"{")])
    batch = next(loader(Data([str(tmp_path / "a.tar")], image_size=8), 4))
    assert list(zip(batch.ids, batch.texts, batch.langs))[:3] == [
        ("0", "from json", "fr"), ("1", "from txt ö", "unknown"), ("x", "named", "unknown")]
    assert batch.tally["image without pair"] == 2


def test_pairs_find_images_by_keys_in_folders_and_ids_with_suffixes(tmp_path):
    write_tar(tmp_path / "a.tar", [(f"{key}.jpg", jpeg(1)) for key in ("./0", "x/1", "y/1", "x/2", "2", "3")])
    (tmp_path / "a.jsonl").write_bytes(b"".join(
        orjson.dumps({"id": each, "text": f"text {each}"}) + b"\n" for each in ("0", "1", "2", "./3.jpg", "y/1")))
    found, tally = one_stream(Data([str(tmp_path / "a.tar")], [str(tmp_path / "a.jsonl")], image_size=8))
    assert [(pair[1], pair[2]) for pair in found] == [
        ("0", "text 0"), ("y/1", "text y/1"), ("2", "text 2"), ("./3.jpg", "text ./3.jpg")]
    assert (tally["image without pair"], tally["missing image"]) == (2, 1)


def test_blank_texts_are_passed_over_and_counted(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.jpg", jpeg(0)), ("0.txt", b" \n"), ("1.jpg", jpeg(1)), ("1.txt", b"one"),
                                   ("2.jpg", jpeg(2)), ("2.json", b'{"caption": null}'), ("2.txt", b"")])
    (tmp_path / "a.jsonl").write_bytes(b'{"id": "0", "text": "zero"}\n{"id": "1", "text": ""}\n{"id": "1", "text": "uno"}\n')
    found, tally = one_stream(Data([str(tmp_path / "a.tar")], image_size=8))
    assert [pair[2] for pair in found] == ["one"] and tally["image without pair"] == 2
    found, tally = one_stream(Data([str(tmp_path / "a.tar")], [str(tmp_path / "a.jsonl")], image_size=8))
    assert [pair[2] for pair in found] == ["zero", "uno"] and tally["empty text"] == 1


def test_a_pass_in_which_almost_nothing_meets_stops_with_an_id_of_each_side(tmp_path, monkeypatch):
    tars, pairs = write_pool(tmp_path, 9, 40)
    for path in pairs:
        records = [orjson.loads(line) for line in open(path, "rb")]
        records[1:] = [{**record, "id": f"other-{record['id']}"} for record in records[1:]]
        open(path, "wb").write(b"".join(orjson.dumps(record) + b"\n" for record in records))
    expected = r"almost nothing meets: 1 of 40 images .* pair is other-image-\d+; an image is called image-\d+\."
    with pytest.raises(BadData, match=expected):
        take(loader(Data(tars[:1], pairs[:1], image_size=8), 1), 2)
    with pytest.raises(BadData, match="almost nothing meets: 8 of 320 images"):
        take(loader(Data(tars, pairs, image_size=8, open_tars=1), 1), 9)
    open(pairs[0], "wb").write(orjson.dumps({"id": "image-3", "text": "all that there are"}) + b"\n")
    assert len(take(loader(Data(tars[:1], pairs[:1], image_size=8), 1), 2)) == 2


def test_members_that_are_apart_are_found_in_the_first_pass(tmp_path):
    write_tar(tmp_path / "a.tar", [(f"{number}.jpg", jpeg(number)) for number in range(9)]
              + [(f"{number}.txt", b"text") for number in range(8, -1, -1)])
    data = Data([str(tmp_path / "a.tar")], image_size=8)
    with pytest.raises(BadData, match=r"a.tar: the members of 8 of its 9 samples are apart, those of 7 .* --sort=name"):
        take(loader(data, 1), 2)
    (tmp_path / "a.jsonl").write_bytes(b"".join(orjson.dumps({"id": str(number), "text": "x"}) + b"\n" for number in range(9)))
    data.pairs = [str(tmp_path / "a.jsonl")]                # with them the texts in the tar do not matter
    found, tally = one_stream(data)
    assert len(found) == 9 and tally["members apart"] == 8


def test_what_the_samples_have_is_said_where_none_has_an_image_or_a_text(tmp_path):
    for name, more in (("a.input.jpg", "without an image has input.jpg"), ("a.jpg", "without a text has jpg.")):
        write_tar(tmp_path / "a.tar", [(name, jpeg(1))])
        with pytest.raises(BadData, match=more):
            next(loader(Data([str(tmp_path / "a.tar")], image_size=8), 1))


def test_without_pairs_online_records_that_are_not_matched_pairs_are_counted(online, tmp_path):
    def record(**more):
        return orjson.dumps({"text": "a", "lang": "en", "matched_entry_ids": [0], **more})
    records = [record(), record(lang=3), record(lang="xx"), record(matched_entry_ids=[1, 0]),
               record(matched_entry_ids=[6]), record(matched_entry_ids="0"), b'{"text": "a"}', record(matched_entry_ids=[])]
    write_tar(tmp_path / "own.tar", [(name, data) for number, record in enumerate(records)
                                     for name, data in ((f"{number}.jpg", jpeg(number)), (f"{number}.json", record))])
    _, tally = one_stream(Data([str(tmp_path / "own.tar")], None, "online", online.counts, online.thresholds, image_size=8))
    assert {reason: number for reason, number in tally.items() if isinstance(reason, str) and reason != "not drawn"} == {
        "images": 8, "image without pair": 6, "no match": 1,
        'bad: "lang" is not a string.': 1, f'bad: "lang" is none of {online.counts}.': 1,
        'bad: "matched_entry_ids" is not an ascending list of entry ids.': 1,
        f"bad: an entry is outside {online.counts}.": 1,
        'bad: "matched_entry_ids" is not a list of integers.': 1, 'bad: no "lang" key.': 1}


def test_a_cursor_says_where_a_stream_is_and_goes_on_from_there():
    cursor = division.Cursor.at_pass(3, n_readers=2)
    assert cursor.is_at_beginning()
    assert [cursor.take_reader() for _ in range(3)] == [0, 1, 0]
    cursor.readers[1].unit_finished()
    cursor.readers[1].pair_given(sample=5, pairs=1)
    assert cursor.state() == {"pass": 3, "units": None, "turn": 1, "slots": [[0, 0, 0], [1, 5, 1]]}
    assert division.Cursor.of_state(cursor.state()) == cursor
    cursor.begin_next_pass()
    assert cursor == division.Cursor.at_pass(4, n_readers=2)


def test_without_pairs_online_draws_as_with_pairs(online, tmp_path):
    for path, its_pairs in zip(online.tars, online.pairs):
        records = {}
        for line in open(its_pairs, "rb"):
            records.setdefault(orjson.loads(line)["id"], orjson.loads(line))
        open(its_pairs, "wb").write(b"".join(orjson.dumps(record) + b"\n" for record in records.values()))
        write_tar(path, [(name, data) for number, record in enumerate(records.values())
                         for name, data in ((f"{number}.jpg", jpeg(number)), (f"{number}.json", orjson.dumps(record)))])
    theirs = take(loader(online), 20)
    online.pairs = None
    ours = take(loader(online), 20)
    assert all(same(one, other) for one, other in zip(ours, theirs))


# ---------------------------------------------------------------- going on

@pytest.mark.parametrize("workers, texts", [(0, 1), (2, 1), (3, 3)])
def test_after_a_resume_the_same_pixels_follow(tmp_path, workers, texts):
    data = Data(*write_pool(tmp_path, 5, 9, texts), image_size=8, open_tars=2)
    whole = loader(data, 4, workers=workers)
    expected = take(whole, 30)
    whole.close()
    for given in (1, 7, 20):
        first = loader(data, 4, workers=workers)
        take(first, given)
        state = orjson.loads(orjson.dumps(first.state()))           # plain data
        first.close()
        second = loader(data, 4, workers=workers, states=[state])
        assert second.state() == state
        again = take(second, 3)
        third_state = second.state()
        second.close()
        third = loader(data, 4, workers=workers, states=[third_state])
        assert all(same(one, other) for one, other in zip(again + take(third, 5), expected[given:given + 8]))
        third.close()
        assert not second.notes


def test_online_a_resume_is_exact_too(online):
    expected = take(loader(online), 40)
    first = loader(online)
    take(first, 13)
    assert all(same(one, other) for one, other in zip(take(loader(online, states=[first.state()]), 27), expected[13:]))


def test_with_other_ranks_the_pass_goes_on_with_the_tars_that_were_not_finished(tmp_path):
    data = Data(*write_pool(tmp_path, 12, 6), image_size=8, open_tars=1)
    ranks = [loader(data, 6, rank=rank, world=2) for rank in range(2)]
    before = [keys(take(each, 2)) for each in ranks]                # two tars each are finished
    states = [each.state() for each in ranks]
    after = [loader(data, 6, rank=rank, world=4, states=states) for rank in range(4)]
    assert "pass 0 goes on with the 10 tars that were not finished" in after[0].notes[0]
    assert "made with 2 ranks of 1 workers" in after[0].notes[0]
    rest = [pair[1] for each in after for pair in pairs_of_this_pass(each)]
    finished = {its_id for batches in before for its_id, _ in batches[:6]}
    assert sorted([*rest, *finished]) == sorted(map(image_id, range(72)))
    first = [take(each, 3) for each in after]
    again = [loader(data, 6, rank=rank, world=4, states=[each.state() for each in after]) for rank in range(4)]
    assert not any(each.notes for each in again) and len(first) == 4
    assert all(keys(take(one, 4)) == keys(take(other, 4)) for one, other in zip(after, again))
    other = Data(data.tars[:-1], data.pairs[:-1], image_size=8)
    assert loader(other, states=states).notes == [
        "the tars or the seed are not those of the checkpoint: pass 0 begins anew"]


# ---------------------------------------------------------------- what is wrong

def test_whatever_is_missing_or_damaged_is_counted_and_passed_over(tmp_path):
    tars, pairs = write_pool(tmp_path, 4, 5)
    write_tar(tars[0], [("a.jpg", jpeg(0)[:200]), ("a.json", b'{"uid": "image-0"}'), ("image-1.jpg", jpeg(1)),
                        ("again.jpg", jpeg(2)), ("again.json", b'{"uid": "image-1"}'), ("image-2.txt", b"no image"),
                        ("stranger.jpg", jpeg(4))])
    whole = open(tars[1], "rb").read()
    open(tars[1], "wb").write(whole[:6000])          # two whole samples
    open(tars[2], "wb").write(b"<html>" * 1000)
    os.remove(tars[3])
    os.mkdir(tars[3])
    pairs, tally = one_stream(Data(tars, pairs, image_size=8))
    assert [pair[1] for pair in pairs].count("image-1") == 1 and len(pairs) == 3
    assert {reason: count for reason, count in tally.items() if reason[0] != "kept"} == {
        "images": 7, "corrupt image: cut off": 1, "image twice": 1, "no image: has txt": 1, "image without pair": 1, "missing image": 15,
        ("cut off tar", tars[1]): 1, ("damaged tar", tars[2]): 1, ("unreadable tar", tars[3]): 1}


def test_texts_that_are_null_or_blank_are_counted_and_left_out(tmp_path):
    records = [("a", b'{"caption": null}', b""), ("b", b'{"caption": ""}', b" \n\t"), ("c", b'{"caption": " "}', b"from txt"),
               ("d", b"{}", b"\xef\xbb\xbf\xe3\x80\x80"), ("e", b'{"text": null, "caption": "a cat"}', None),
               ("f", b"{}", None), ("g", b'{"text": "\\u3000"}', None)]
    write_tar(tmp_path / "a.tar", [member for number, (key, record, text) in enumerate(records) for member in (
        (f"{key}.jpg", jpeg(number)), (f"{key}.json", record), *([(f"{key}.txt", text)] if text is not None else ()))])
    pairs, tally = one_stream(Data([str(tmp_path / "a.tar")], image_size=8))
    assert [pair[2] for pair in pairs] == ["from txt", "a cat"]
    assert tally == {"images": 7, "image without pair": 5, "empty text": 4}


def test_samples_without_an_image_are_counted_by_what_they_have(tmp_path):
    write_tar(tmp_path / "a.tar", [("1.input.jpg", jpeg(1)), ("1.outputs.txt", b"a"), ("2.jpg", jpeg(2)), ("2.txt", b"b"),
                                   *((f"{number}.v{number}", b"") for number in range(3, 9))])
    _, tally = one_stream(Data([str(tmp_path / "a.tar")], image_size=8))
    assert tally == {"images": 8, "no image: has input.jpg, outputs.txt": 1, "no image: has v3": 1, "no image: has v4": 1,
                     "no image": 4}


def test_images_are_counted_by_why_they_cannot_be_decoded(tmp_path):
    write_tar(tmp_path / "a.tar", [member for key, body in (("1", b""), ("2", b"<html>"), ("3", b""), ("4", jpeg(1)))
                                   for member in ((f"{key}.jpg", body), (f"{key}.txt", b"a"))])
    pairs, tally = one_stream(Data([str(tmp_path / "a.tar")], image_size=8))
    assert len(pairs) == 1 and tally == {
        "images": 4, "corrupt image: empty (0 bytes)": 2,
        "corrupt image: HTML or XML text": 1}


def test_tars_without_pairs_of_their_name_are_refused(pool, tmp_path):
    os.rename(pool.pairs[2], tmp_path / "other.jsonl")
    with pytest.raises(BadUsage, match="00002.tar has no pairs.* Run 'mc2 join'"):
        loader(Data(pool.tars, [*pool.pairs[:2], *pool.pairs[3:], str(tmp_path / "other.jsonl")]))
    with pytest.raises(BadUsage, match="two tars are called 00000"):
        loader(Data([*pool.tars, "x/00000.tar"], pool.pairs))
    assert loader(Data(pool.tars[:2], pool.pairs)).notes == ["3 of 5 files of pairs have no tar, 00002 for one"]
    with pytest.raises(BadUsage, match="no tars"):
        loader(Data([]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_without_any_pair_is_an_error_that_says_why(pool, workers):
    for path in pool.pairs:
        open(path, "w").close()
    made = loader(pool, workers=workers)
    with pytest.raises(BadData, match=r"nothing to train on .*image without pair: \d+"):
        next(made)
    made.close()


def test_an_error_in_a_process_arrives_as_it_is(pool):
    with open(pool.pairs[3], "a") as stream:
        stream.write("no pair\n")
    made = loader(pool, workers=2)
    with pytest.raises(BadLine, match="00003.jsonl:8: not JSON"):
        take(made, 40)
    made.close()


def test_a_signal_that_comes_before_a_process_ignores_it_is_ignored_too(pool, monkeypatch):
    from torch.utils.data._utils import signal_handling
    begin = signal_handling._set_worker_signal_handlers

    def begin_with_a_signal():
        begin()                                 # by which torch ends a process at SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(signal_handling, "_set_worker_signal_handlers", begin_with_a_signal)
    made = loader(Data(pool.tars, pool.pairs, image_size=8), workers=1)
    assert len(next(made).ids) > 0
    made.close()


def test_processes_ignore_signals_and_end_with_the_trainer(pool, tmp_path):
    script = textwrap.dedent(f"""
        import os, signal, sys, time
        from test_samples import *
        made = loader(Data({pool.tars!r}, {pool.pairs!r}, image_size=8), workers=2)
        next(made)
        pids = [process.pid for process in made._iterator._workers]
        for pid in pids:
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                os.kill(pid, each)
        take(made, 12)
        print(*pids, flush=True)
        if sys.argv[1] == "wait":
            time.sleep(60)
    """)
    started = {what: subprocess.Popen([sys.executable, "-c", script, what], cwd=os.path.dirname(__file__),
                                      stdout=subprocess.PIPE) for what in ("wait", "end")}
    for what, process in started.items():
        pids = list(map(int, process.stdout.readline().split()))
        assert len(pids) == 2
        if what == "wait":
            process.send_signal(signal.SIGKILL)
        process.wait(20)
        deadline = time.monotonic() + 10
        while any(map(_is_alive, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_that_is_killed_is_one_line(pool):
    made = loader(pool, workers=1)
    next(made)
    made._iterator._workers[0].kill()
    with pytest.raises(Mc2Error, match="a process that loads data was killed .*fewer workers"):
        take(made, 50)
    made.close()
