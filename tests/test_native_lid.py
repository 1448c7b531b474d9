"""The native language identification gives fastText's own answers, to the last bit, and mistrusts its input."""
import itertools
import random
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from conftest import DATA
from mc2.stages.cleaning import clean
from mc2.stages.lid_models import default_model
from shell import run_python

native = pytest.importorskip("mc2._native")
fasttext_pybind = pytest.importorskip("fasttext_pybind")


# ---------------------------------------------------------------- the two implementations side by side

class Both:
    """A model, read by mc2 and by the module `fasttext`."""

    def __init__(self, path):
        self.path = str(path)
        self.ours = native.LidModel(self.path)
        self.theirs = fasttext_pybind.fasttext()
        self.theirs.loadModel(self.path)

    def reference(self, text):
        predictions = self.theirs.predict(text + "\n", 1, 0.0, "strict")
        if not predictions:
            return None, 0.0
        (probability, label), = predictions
        return label.removeprefix("__label__"), probability

    def answers(self, texts):
        """What LidModel.predict gives, with labels for numbers; and predict_buffer gives the same."""
        label_ids, probabilities, known = self.ours.predict(texts)
        assert (label_ids.dtype, probabilities.dtype, known.dtype) == (np.int32, np.float32, np.int32)
        for column, again in zip((label_ids, probabilities, known), self.ours.predict_buffer(*buffer_of(texts))):
            assert column.tobytes() == again.tobytes()
        labels = [self.ours.labels[label_id] if label_id >= 0 else None for label_id in label_ids.tolist()]
        return list(zip(labels, probabilities.tolist())), known.tolist()

    def agree(self, texts):
        found, known = self.answers(texts)
        empty_line = self.reference("")
        for text, answer, rows in zip(texts, found, known, strict=True):
            assert answer == self.reference(text), text
            assert rows or answer == empty_line, text


def buffer_of(texts):
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), np.cumsum([0] + [len(text) for text in encoded])


@pytest.fixture(scope="module")
def lid176():
    return Both(default_model())


def lines_of_udhr():
    paths = sorted((DATA / "udhr").glob("*.txt"))
    if not paths:
        pytest.skip("no data")
    return [line for path in paths for line in path.read_text("utf-8").split("\n")]


# ---------------------------------------------------------------- lid.176.ftz

def test_what_the_model_is(lid176):
    model = lid176.ours
    assert (model.dim, model.loss, model.quantized, len(model.labels)) == (16, "hs", True, 176)
    assert model.labels[:3] == ["en", "ru", "de"]


def test_every_line_in_380_languages(lid176):
    lines = lines_of_udhr()
    lid176.agree(lines)
    lid176.agree([clean(line) for line in lines])


def test_short_cuts_of_lines(lid176):
    rng = random.Random(3)
    lid176.agree([line[start:start + rng.randrange(1, 40)] for line in rng.sample(lines_of_udhr(), 5000)
                  for start in [rng.randrange(len(line) + 1)]])


@pytest.mark.parametrize("text", [
    "", " ", "\t", "a red circle", "a\tred\vcircle\f.", "a\0b", "\0", "a\nb", "\na", "a\r\nb", "</s>", "a </s> b",
    "a</s>b", "__label__en", "__label__", "__label__xx chat", "de __label__en in", "😀", "x" * 5000, "ж" * 5000,
    "un chat noir " * 500, "é", "e\u0301", "\u00a0", "一只黑猫", "< >", "<", "a" * 29, "a" * 30, "猫" * 10,
])
def test_special_texts(lid176, text):
    lid176.agree([text])


PIECES = st.one_of(st.text(), st.text(st.sampled_from("abé猫ж😀 \t\n\r\v\f\0<>/s_"), max_size=40),
                   st.sampled_from(["</s>", "__label__x", "__label__en", "the", "de", "кот", " ", "\n", "\0",
                                    "x" * 300]))


@settings(max_examples=400)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=9))
def test_any_texts(lid176, texts):
    lid176.agree(texts)


def test_without_evidence_the_answer_is_that_of_the_empty_line(lid176):
    texts = ["", " ", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "</s>", "__label__en", "\n the cat"]
    found, known = lid176.answers(texts)
    assert known == [0] * len(texts)
    assert set(found) == {lid176.reference("")}


def test_known_counts_words_and_n_grams_but_not_the_end_of_the_line(lid176):
    _, known = lid176.answers(["the", "the the", "de \n the the the"])
    assert known[0] > 0 and known[1] == 2 * known[0]
    assert known[2] == lid176.answers(["de"])[1][0]


def test_a_long_word_does_not_stand_for_its_beginning(lid176):
    """Words are remembered by their first 32 bytes, at places that a hash names: 1 of 32,768 pairs shares a place."""
    rng = random.Random(5)
    for _ in range(60):
        words = ["".join(rng.choices("0123456789", k=32)) for _ in range(1000)]
        lid176.agree([*(word + "ation" for word in words), *words])


@pytest.mark.parametrize("letter", "aé猫😀")
def test_words_of_any_length(lid176, letter):
    words = [mark * start + letter * count for start in range(4) for count in (*range(1, 70), 255, 256, 257, 1023, 1030)
             for mark in "bж"]
    lid176.agree([*words, " ".join(words), " ".join(words) * 2])


def test_texts_of_any_length_beside_each_other(lid176):
    rng = random.Random(6)
    words = "der kleine chat noir sitzt 一 只 чёрный кот </s>".split()
    lengths = [0, 1, 3, 31, 32, 33, 254, 255, 256, 257, 511, 512, 600, 20_000]
    lid176.agree([" ".join(rng.choices(words[:-1 if length > 40 else None], k=length))
                  for length in rng.choices(lengths[:-1], k=200) + [lengths[-1], 2, lengths[-1]]])


def test_many_at_once_is_one_by_one(lid176):
    texts = ["a red circle", "", "un chat noir", "ein Kreis", "ᏣᎳᎩ", "чёрный кот", "gatto"] * 3
    together = lid176.ours.predict(texts)
    for i, text in enumerate(texts):
        for column, alone in zip(together, lid176.ours.predict([text])):
            assert column[i] == alone[0]
    assert [column.shape for column in lid176.ours.predict([])] == [(0,)] * 3


# ---------------------------------------------------------------- models of every kind

LOSSES = {"hs": 1, "ns": 2, "softmax": 3, "ova": 4}
LETTERS = "abcdeéж猫"


def random_words(rng, count):
    words = {"</s>": None}
    while len(words) < count:
        words["".join(rng.choice(LETTERS) for _ in range(rng.randrange(1, 7)))] = None
    return list(words)


def plain_matrix(rng, rows, dim):
    """A matrix as fastText writes it: rows, columns, floats."""
    return struct.pack("<qq", rows, dim) + rng.normal(0, 1, (rows, dim)).astype("<f4").tobytes()


def quantizer(rng, dim, width):
    pieces = -(-dim // width)
    return (struct.pack("<iiii", dim, pieces, width, dim - (pieces - 1) * width)
            + rng.normal(0, 1, dim * 256).astype("<f4").tobytes())


def quantized_matrix(rng, rows, dim, norms, width=2):
    """The same, as codes of a product quantiser, and codes of the rows' norms."""
    pieces = -(-dim // width)
    data = struct.pack("<?qqi", norms, rows, dim, rows * pieces) + rng.bytes(rows * pieces) + quantizer(rng, dim, width)
    return data + (rng.bytes(rows) + quantizer(rng, 1, 1) if norms else b"")


def model_file(loss="softmax", dim=16, labels=20, words=50, word_ngrams=1, ngrams=(2, 4), buckets=300, pruned=False,
               quantized=False, quantized_output=False, norms=True, width=2, version=12, kind=3, end=True, seed=1,
               label_counts=None, more_words=()):
    """The bytes of a fastText model with random numbers. ngrams: shortest and longest n-gram of characters."""
    rng, vocabulary = np.random.default_rng(seed), [*random_words(random.Random(seed), words), *more_words]
    if not end:
        vocabulary.remove("</s>")
    header = struct.pack("<ii 12i d", 793712314, version, dim, 5, 5, 1, 5, word_ngrams, LOSSES[loss], kind, buckets,
                         *ngrams, 100, 1e-4)
    counts = label_counts or sorted(rng.integers(1, 1000, labels).tolist(), reverse=True)
    kept = sorted(rng.choice(buckets, buckets // 2, replace=False).tolist()) if pruned else []
    entries = [(word, 7, 0) for word in vocabulary] + [(f"__label__{i}", counts[i], 1) for i in range(labels)]
    dictionary = struct.pack("<iii qq", len(entries), len(vocabulary), labels, 1000, len(kept) if pruned else -1)
    dictionary += b"".join(word.encode() + b"\0" + struct.pack("<qb", *more) for word, *more in entries)
    dictionary += b"".join(struct.pack("<ii", bucket, row) for row, bucket in enumerate(kept))
    rows = len(vocabulary) + (len(kept) if pruned else buckets)
    matrix = quantized_matrix(rng, rows, dim, norms, width) if quantized else plain_matrix(rng, rows, dim)
    output = quantized_matrix(rng, labels, dim, norms, width) if quantized_output else plain_matrix(rng, labels, dim)
    return header + dictionary + bytes([quantized]) + matrix + bytes([quantized_output]) + output


def write(path, data):
    path.write_bytes(data)
    return path


def random_texts(count, seed=2):
    rng = random.Random(seed)
    words = random_words(rng, 100) + random_words(random.Random(1), 50) + ["__label__3", "unseen", "😀", "猫" * 20]
    words += ["a" * length for length in (31, 32, 33, 34)] + ["a" * 33 + "b", "a" * 32 + "猫"]
    return ["", "</s>"] + [" ".join(rng.choices(words, k=rng.randrange(12))) for _ in range(count)]


@pytest.mark.parametrize("loss, dim, word_ngrams", list(itertools.product(LOSSES, (1, 8, 16, 100), (1, 2, 3))))
def test_every_loss(tmp_path, loss, dim, word_ngrams):
    both = Both(write(tmp_path / "m.bin", model_file(loss, dim, word_ngrams=word_ngrams)))
    assert (both.ours.loss, both.ours.dim, both.ours.quantized) == (loss, dim, False)
    both.agree(random_texts(300))


@pytest.mark.parametrize("loss, dim, pruned, norms, quantized_output",
                         list(itertools.product(LOSSES, (16, 15), *[(False, True)] * 3)))
def test_quantised(tmp_path, loss, dim, pruned, norms, quantized_output):
    both = Both(write(tmp_path / "m.ftz", model_file(loss, dim, pruned=pruned, quantized=True, norms=norms,
                                                     quantized_output=quantized_output, word_ngrams=2)))
    assert both.ours.quantized
    both.agree(random_texts(300))


def test_a_large_quantised_matrix_is_read_in_place(tmp_path):
    both = Both(write(tmp_path / "m.ftz", model_file(dim=256, buckets=70_000, quantized=True, width=16)))
    both.agree(random_texts(200))


@pytest.mark.parametrize("options", [
    {"ngrams": (0, 0)}, {"ngrams": (0, 0), "buckets": 0}, {"ngrams": (0, 0), "word_ngrams": 2}, {"ngrams": (1, 1)},
    {"ngrams": (0, 3)}, {"ngrams": (4, 3)}, {"version": 11}, {"version": 11, "word_ngrams": 2}, {"end": False},
    {"end": False, "ngrams": (5, 6)}, {"end": False, "word_ngrams": 2}, {"buckets": 1}, {"words": 1},
    {"buckets": 2}, {"buckets": 256}, {"buckets": 99_991}, {"ngrams": (2, 2)}, {"ngrams": (3, 7)}, {"ngrams": (2, 12)},
    {"buckets": 256, "pruned": True, "quantized": True}, {"ngrams": (2, 5), "pruned": True, "quantized": True},
    {"more_words": ["a" * 31, "a" * 32, "a" * 33, "a" * 33 + "b", "猫" * 20, "a" * 32 + "猫"]},
], ids=str)
def test_dictionaries_and_features(tmp_path, options):
    for loss in ("hs", "softmax"):
        Both(write(tmp_path / f"{loss}.bin", model_file(loss, **options))).agree(random_texts(200))


@pytest.mark.parametrize("loss, labels", list(itertools.product(LOSSES, (1, 2, 15, 16, 17, 18, 33, 300))))
def test_numbers_of_labels(tmp_path, loss, labels):
    Both(write(tmp_path / "m.bin", model_file(loss, labels=labels))).agree(random_texts(200))


@pytest.mark.parametrize("counts", [[5] * 40, list(range(1, 41)), [2 ** i for i in range(40, 0, -1)], [0] * 40])
def test_trees_of_any_shape(tmp_path, counts):
    Both(write(tmp_path / "m.bin", model_file("hs", labels=40, label_counts=counts))).agree(random_texts(300))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e-2, 30.0, 1e4])
def test_ties_fall_as_in_fasttext(tmp_path, loss, scale):
    """Label rows that are all alike, nearly alike, or so large that probabilities are 0 and 1."""
    labels, dim = 50, 16
    data = model_file(loss, dim, labels=labels)
    rows = np.frombuffer(data[-4 * labels * dim:], "<f4") * np.float32(scale)
    both = Both(write(tmp_path / "m.bin", data[:-4 * labels * dim] + rows.tobytes()))
    both.agree(random_texts(500))


def test_a_path_less_likely_than_one_in_100_000_is_no_answer(tmp_path):
    """Twenty levels of even turns: fastText's threshold leaves every leaf out."""
    data = model_file("hs", dim=1, words=2, labels=1 << 17, label_counts=[1] * (1 << 17))
    data = data[:-4 << 17] + bytes(4 << 17)
    both = Both(write(tmp_path / "m.bin", data))
    both.agree(["", "a"])
    assert both.answers(["a"])[0] == [(None, 0.0)]


# ---------------------------------------------------------------- threads, and both instruction sets

def test_threads_share_a_model(lid176):
    texts = [" ".join(words) for words in itertools.permutations("der kleine chat noir sitzt".split(), 4)] * 20
    alone = [column.tobytes() for column in lid176.ours.predict(texts)]
    wrong = []

    def work():
        for _ in range(10):
            if [column.tobytes() for column in lid176.ours.predict(texts)] != alone:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_scalar_instructions_give_the_same_bits(tmp_path, lid176):
    models = [lid176.path] + [write(tmp_path / f"{loss}-{dim}.bin", model_file(loss, dim, word_ngrams=2))
                              for loss in LOSSES for dim in (8, 20, 100)]
    models += [write(tmp_path / f"{shortest}-{longest}-{buckets}.ftz",
                     model_file("hs", ngrams=(shortest, longest), buckets=buckets, pruned=True, quantized=True))
               for shortest, longest in ((2, 4), (2, 5), (3, 6)) for buckets in (256, 300, 60_000)]
    rng = random.Random(7)
    no_utf8 = [bytes(rng.choices(b"ab \x80\xbf\xc3\xe7\xf0\xff", k=rng.randrange(90))) for _ in range(500)]
    texts = [text.encode() for text in [*random_texts(500), "un chat noir", "a red circle"]] + no_utf8
    lengths = write(tmp_path / "lengths", np.cumsum([0] + [len(text) for text in texts]).tobytes())
    code = """
        import sys
        import numpy as np
        from mc2 import _native
        texts, offsets = open(sys.argv[1], "rb").read(), np.fromfile(sys.argv[2], np.int64)
        for path in sys.argv[3:]:
            for column in _native.LidModel(path).predict_buffer(texts, offsets):
                sys.stdout.buffer.write(column.tobytes())
    """
    texts = write(tmp_path / "texts", b"".join(texts))
    scalar, best = (run_python(code, texts, lengths, *models, MC2_SIMD=simd) for simd in ("scalar", ""))
    assert scalar == best


# ---------------------------------------------------------------- input is not trusted

@pytest.mark.parametrize("offsets", [[], [0, 2, 1], [-1, 2], [0, 6], [[0, 1]], [0, 2 ** 62]])
def test_wrong_offsets_are_refused(lid176, offsets):
    with pytest.raises(ValueError, match="offsets"):
        lid176.ours.predict_buffer(b"chats", np.array(offsets, np.int64))


def test_offsets_may_begin_anywhere_and_leave_texts_empty(lid176):
    found = lid176.ours.predict_buffer(bytearray(b"--un chat!"), np.array([2, 2, 9]))
    assert [column.tolist() for column in found] == [column.tolist() for column in lid176.ours.predict(["", "un chat"])]


@given(st.binary(max_size=200))
def test_bytes_need_not_be_utf8(lid176, data):
    label_ids, probabilities, _ = lid176.ours.predict_buffer(data, np.array([0, len(data)]))
    assert 0 <= label_ids[0] < 176 and 0 < probabilities[0] < 1.001


def test_a_lone_surrogate_is_three_bytes_as_in_the_matcher(lid176):
    data = "a\ud800".encode("utf-8", "surrogatepass")
    for found in lid176.ours.predict(["a\ud800"]), lid176.ours.predict_buffer(data, np.array([0, len(data)])):
        probability, label = lid176.theirs.predict(data + b"\n", 1, 0.0, "strict")[0]
        assert (lid176.ours.labels[found[0][0]], found[1][0]) == (label.removeprefix("__label__"), probability)


def test_texts_must_be_strings(lid176):
    for texts in (["a", b"b"], [None], "a"):
        with pytest.raises(TypeError):
            lid176.ours.predict(texts)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.bin"):
        native.LidModel(tmp_path / "none.bin")
    with pytest.raises(IsADirectoryError):
        native.LidModel(str(tmp_path))


def changed(data, position, number, form="<i"):
    return data[:position] + struct.pack(form, number) + data[position + struct.calcsize(form):]


HEADER = {name: 8 + 4 * i for i, name in enumerate(
    "dim window epochs min_count negatives word_ngrams loss kind buckets shortest longest".split())}


@pytest.mark.parametrize("data, reason", [
    (b"", "not a fastText model"),
    (b"\x00\x01", "not a fastText model"),
    (b"PK\x03\x04" + bytes(100), "not a fastText model"),
    (model_file()[:-1], "cut off"),
    (model_file()[:40], "cut off"),
    (model_file(quantized=True, quantized_output=True)[:-1], "cut off"),
    (model_file() + b"\n", "after its end"),
    (model_file(version=13), "format 13"),
    (model_file(kind=2), "word vectors"),
    (model_file(kind=9), "kind"),
    (changed(model_file(), HEADER["loss"], 7), "loss"),
    (changed(model_file(), HEADER["dim"], 0), "dimensions"),
    (changed(model_file(), HEADER["dim"], 17), "dimension"),
    (changed(model_file(), HEADER["buckets"], -1), "buckets"),
    (changed(model_file(), HEADER["buckets"], 2 ** 31 - 1), "rows"),
    (changed(model_file(), HEADER["buckets"], 301), "fewer rows"),
    (changed(model_file(), HEADER["longest"], 2 ** 31 - 1), "n-grams"),
    (changed(model_file(), HEADER["word_ngrams"], -1), "n-grams"),
    (changed(model_file(), 64, 2 ** 31 - 1), "add up"),
    (changed(model_file(), 68, -1), "add up"),
    (changed(changed(model_file(), 64, 2 ** 31 - 1), 68, 2 ** 31 - 21), "cut off"),
    (changed(model_file(quantized=True), 84, 2 ** 61, "<q"), "cut off"),
    (changed(model_file(), 84, 0, "<q"), "damaged"),
    (model_file(labels=0), "without labels"),
    (model_file()[:96].ljust(2000, b"x"), "without end"),
    (model_file("hs", label_counts=[-1] * 20), "label count"),
    (model_file("hs", label_counts=[2 ** 62] * 20), "label count"),
], ids=lambda value: None if isinstance(value, bytes) else value)
def test_damaged_files_are_refused(tmp_path, data, reason):
    path = write(tmp_path / "damaged.bin", data)
    with pytest.raises(ValueError, match=reason) as error:
        native.LidModel(path)
    assert str(path) in str(error.value)


def test_a_model_whose_numbers_are_none_is_refused_at_work(tmp_path):
    for loss in LOSSES:
        data = model_file(loss, dim=4)
        model = native.LidModel(write(tmp_path / "nan.bin", data[:-320] + np.full(80, np.nan, "<f4").tobytes()))
        with pytest.raises(ValueError, match="not numbers"):
            model.predict(["a"])
        assert len(native.LidModel(write(tmp_path / "good.bin", data)).predict(["a"])[0]) == 1


FUZZ = """
    import os, random, sys
    from mc2 import _native
    original, work, seed, rounds = open(sys.argv[1], "rb").read(), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):       # which reserves terabytes of addresses
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
    rng = random.Random(seed)
    # Where sizes and counts are: header and first words, and the surroundings of the two matrices.
    regions = [(0, 300), (0, len(original)), (len(original) - 12000, len(original))]
    texts = ["", "a red circle", "un chat noir", "ab bc cd de", "x" * 1000, "чёрный кот"]
    refused = 0
    for _ in range(rounds):
        data = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 8))):
            position = rng.randrange(*rng.choice(regions))
            data[position] = rng.choice((0, 255, 127, 128, rng.randrange(256), data[position] ^ 1 << rng.randrange(8)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)):]
        with open(work, "wb") as stream:
            stream.write(data)
        try:
            model = _native.LidModel(work)
            label_ids, probabilities, known = model.predict(texts)
            assert ((label_ids >= -1) & (label_ids < len(model.labels))).all() and (known >= 0).all()
        except ValueError:
            refused += 1
        os.remove(work)
    print(refused)
"""


@pytest.mark.parametrize("kind", ["lid.176", "hs", "softmax", "ova"])
def test_random_damage_is_refused_or_harmless(tmp_path, kind):
    path = default_model()
    if kind != "lid.176":
        path = write(tmp_path / "m.ftz", model_file(kind, dim=8, labels=30, pruned=True, quantized=True, word_ngrams=2,
                                                    quantized_output=True))
    refused = int(run_python(FUZZ, path, tmp_path / "damaged", 1, 500))
    assert 100 < refused < 500
