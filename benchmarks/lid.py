"""Language identification: the native engine beside the module `fasttext`.

    python benchmarks/lid.py [--quick]
    python benchmarks/lid.py --accuracy         how many texts get their language (lid_accuracy.py)

Costs a minute, 0.5 GB of memory and 0.2 GB of disk; a quarter of that with --quick.

Expect of lid.176.ftz 15 to 25 times fasttext, whether that is called for one text or for many (`multilinePredict`). The
table that remembers words makes up for a part of it, so few texts over and over (--quick) look better than many.
The large model has random weights in the shape of GlotLID (dim 256, 2,000 labels, softmax; fewer n-grams), of which
the time depends on the output layer. Labels and probabilities are compared to the last bit.
"""
import argparse
import os
import statistics
import struct
import tempfile

import numpy as np

import corpus
import lid_accuracy
import timing
from mc2 import engines
from mc2.pairs.batch import Strings
from mc2.stages import cleaning, lid_models

FASTTEXT_MAGIC, FASTTEXT_VERSION, SOFTMAX, SUPERVISED = 793712314, 12, 3, 3
ONE_BY_ONE, BATCHED, NATIVE = "fasttext, one by one", "fasttext, multilinePredict", "mc2 native"


class Alternatives:
    """A model, opened by fasttext and by the native core; functions of lines, fresh ones in every pass."""

    def __init__(self, path):
        self.load_seconds, self.memory = {}, {}
        self.fasttext = self._open("fasttext", lambda: lid_models.FastText(path).model)
        self.native = engines.native() and self._open(NATIVE, lambda: engines.native().LidModel(path))

    def _open(self, name, load):
        before = timing.memory()["private"]
        self.load_seconds[name], model = timing.wall_seconds(load)
        self.memory[name] = timing.memory()["private"] - before
        return model

    def calls(self, texts):
        """{name: function without arguments}. Strings are made anew, since they keep their UTF-8 once asked for."""
        def fresh():
            return [text + "\n" for text in texts]

        calls = {ONE_BY_ONE: lambda: [self.fasttext.predict(line, 1, 0.0, "strict") for line in fresh()],
                 BATCHED: lambda: self.fasttext.multilinePredict(fresh(), 1, 0.0, "strict")}
        if self.native:
            calls[NATIVE] = lambda: self.native.predict(fresh())
        return calls

    def check(self, calls):
        """All give the same labels, and those that give probabilities the same ones, to the last bit."""
        expected = [predictions[0] for predictions in calls[ONE_BY_ONE]()]
        expected_labels = [label for _, label in expected]
        batch = calls[BATCHED]()
        batch = batch[1] if isinstance(batch, tuple) else batch     # fasttext also gives probabilities
        assert [labels[0] for labels in batch] == expected_labels, "fasttext differs from itself"
        if self.native:
            ids, probabilities, _ = calls[NATIVE]()
            assert ["__label__" + self.native.labels[index] for index in ids] == expected_labels, "labels differ"
            assert probabilities.tolist() == [probability for probability, _ in expected], "probabilities differ"


def compare(models, kinds, repeats):
    """One table for every model: a row for each alternative on each kind of text."""
    for title, alternatives, n_texts in models:
        rows = []
        for data in kinds:
            texts = [cleaning.clean(text) for text in data.texts(n_texts)]
            calls = alternatives.calls(texts)
            alternatives.check(calls)
            seconds = timing.interleaved(calls, repeats)
            n_bytes = statistics.mean(len(text.encode()) for text in texts)
            rows.append([f"{data.name} ({data.origin}), {len(texts):,} texts of {n_bytes:.0f} bytes", "", "", ""])
            rows += [[f"  {name}", *timing.speed_cells(seconds[name], seconds[ONE_BY_ONE], len(texts))]
                     for name in calls]
        timing.show(title, ["", *timing.SPEED], rows)


def compare_cleaning(kinds, n_texts, repeats):
    """How long it takes to clean texts: the definition in Python, and the native core."""
    rows = []
    for data in kinds:
        texts = data.texts(n_texts)
        column = Strings.of(texts)
        calls = {"Python": lambda: [cleaning.clean(text) for text in texts], NATIVE: lambda: cleaning.clean_all(column)}
        assert calls["Python"]() == calls[NATIVE]().tolist(), "cleaned otherwise"
        seconds = timing.interleaved(calls, repeats)
        rows.append([f"{data.name} ({data.origin}), {len(texts):,} texts", "", "", ""])
        rows += [[f"  {name}", *timing.speed_cells(its, seconds["Python"], len(texts))] for name, its in seconds.items()]
    timing.show("Cleaning texts", ["", *timing.SPEED], rows)


def show_loading(models):
    timing.show("Loading a model", ["", "time", "private memory"],
                [[f"{title}, {name}", f"{1000 * seconds:,.1f} ms", f"{alternatives.memory[name]:,.1f} MB"]
                 for title, alternatives, _ in models for name, seconds in alternatives.load_seconds.items()])


def write_large_model(path, words, labels=2000, dim=256, buckets=100_000):
    """A fastText model with random weights: n-grams of 2 to 5 characters, softmax, nothing quantised."""
    rng = np.random.default_rng(5)
    dictionary = [("</s>", 0), *((word, 0) for word in words), *((f"__label__{i}", 1) for i in range(labels))]
    with open(path, "wb") as stream:
        # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
        stream.write(struct.pack("<14id", FASTTEXT_MAGIC, FASTTEXT_VERSION, dim, 5, 5, 1, 5, 1, SOFTMAX, SUPERVISED,
                                 buckets, 2, 5, 100, 1e-4))
        stream.write(struct.pack("<3i2q", len(dictionary), len(words) + 1, labels, 1_000_000, -1))
        for word, kind in dictionary:
            stream.write(word.encode() + b"\0" + struct.pack("<qb", 10, kind))
        for rows in (len(words) + 1 + buckets, labels):
            stream.write(struct.pack("<?qq", False, rows, dim))
            stream.write(rng.standard_normal((rows, dim), np.float32).tobytes())
    return path


def show_command(texts, repeats, directory):
    timing.compare_commands(["lid"], ["fasttext", "native"], corpus.pairs(texts), directory, repeats)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer texts and rounds")
    parser.add_argument("--accuracy", action="store_true", help="how many texts get their language, and nothing else")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds; default 5, 3 with --quick")
    return parser.parse_args()


def main():
    options = arguments()
    if options.accuracy:
        lid_accuracy.show()
        return
    repeats = options.repeats or (3 if options.quick else 5)
    kinds = [make() for make in (*corpus.ALL.values(), corpus.worldwide)]
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 1)
        words = [word for word in kinds[0].words if " " not in word][:20_000]
        large = write_large_model(os.path.join(directory, "large.bin"), words)
        models = [("lid.176.ftz", Alternatives(lid_models.default_model()), 4000 if options.quick else 40_000),
                  ("softmax, dim 256, 2,000 labels", Alternatives(large), 200 if options.quick else 500)]
        compare(models, kinds, repeats)
        if engines.native():
            compare_cleaning(kinds, 2000 if options.quick else 10_000, repeats)
        show_loading(models)
        if not engines.native():
            print("\nThe native core is not built here.")
            return
        show_command(kinds[-1].texts(20_000 if options.quick else 100_000), 1 if options.quick else 3, directory)
    print("\nAll alternatives gave the same labels and probabilities for every text.")


if __name__ == "__main__":
    main()
