"""Files of fastText models are checked before the module `fasttext` reads them, which crashes or hangs with damaged ones."""
import random
import subprocess
import sys

import numpy as np
import pytest
from shell import ROOT

from conftest import pair
from mc2 import engines
from mc2.errors import BadData
from mc2.stages import lid_file
from mc2.stages.lid_models import FastText, default_model
from test_native_lid import HEADER, changed, model_file, write

pytestmark = pytest.mark.skipif(not engines.native(), reason="the native core is not built")

FORMS = {f"{loss} {'quantised' if small else 'plain'}": dict(
    loss=loss, dim=8, labels=30, word_ngrams=2, pruned=small, quantized=small, quantized_output=small)
    for loss in ("hs", "softmax", "ova", "ns") for small in (False, True)}


def damages(data, number, seed):
    """Yield this many damaged copies, most of them where sizes and counts are."""
    chance = random.Random(seed)
    regions = [(0, 300), (0, len(data)), (max(0, len(data) - 12_000), len(data))]
    for _ in range(number):
        damaged, place = bytearray(data), chance.randrange(*chance.choice(regions))
        how = chance.choice(["flip", "set", "zero", "cut", "extend"])
        if how == "flip":
            damaged[place] ^= 1 << chance.randrange(8)
        elif how == "set":
            damaged[place] = chance.choice([0, 127, 128, 255])
        elif how == "zero":
            damaged[place:place + 64] = bytes(len(damaged[place:place + 64]))
        elif how == "cut":
            del damaged[place:]
        else:
            damaged += bytes(chance.choice([1, 64, 5000]))
        yield bytes(damaged)


def refusal(read, path):
    try:
        read(path)
    except (BadData, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("form", FORMS)
def test_what_the_native_core_refuses_is_refused_and_nothing_else_but_numbers_that_are_none(tmp_path, form):
    original = model_file(**FORMS[form])
    lid_file.check(write(tmp_path / "whole.bin", original))
    refused = 0
    for data in damages(original, 150, form):
        path = write(tmp_path / "m.bin", data)
        mine, native = refusal(lid_file.check, path), refusal(engines.native().LidModel, path)
        assert (mine is None) == (native is None) or "infinite or none" in mine or "no buckets" in mine, (mine, native)
        refused += mine is not None
    assert 30 < refused < 140


@pytest.mark.parametrize("data, reason", [
    (b"", "not a fastText model."), (b"<html>Not found</html>", "not a fastText model."),
    (model_file()[:-1], "damaged fastText model (the file is cut off). Fetch or make it again."),
    (model_file() + b"\0", "damaged fastText model (bytes after its end)"),
    (model_file(kind=2), "a model of word vectors"),
    (changed(model_file(), HEADER["dim"], 2**31 - 1), "damaged fastText model (a matrix of another dimension)"),
    (changed(model_file(), HEADER["buckets"], 0), "damaged fastText model (no buckets for n-grams)"),
    (changed(model_file(), len(model_file()) - 8, float("nan"), "<f"), "damaged fastText model (numbers that are infinite or none)"),
])
def test_a_damaged_model_is_named_with_the_reason(tmp_path, data, reason):
    path = write(tmp_path / "m.bin", data)
    with pytest.raises(BadData) as error:
        FastText(path)
    assert str(error.value).startswith(f"{path}: {reason}")


ENGINE = """
    import os, sys
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    from mc2.errors import BadData
    from mc2.stages.lid_models import FastText
    texts = ["", "a red circle", "un chat noir", "x" * 1000, "чёрный кот"]
    for name in sorted(os.listdir(sys.argv[1])):
        try:
            model = FastText(os.path.join(sys.argv[1], name))
            print(name, *map(model.identify, texts))
        except BadData as error:
            print(name, "refused")
"""


@pytest.mark.parametrize("form", ["lid.176", "hs quantised"])
def test_the_engine_fasttext_refuses_two_hundred_damages_or_answers(tmp_path, form):
    original = open(default_model(), "rb").read() if form == "lid.176" else model_file(**FORMS[form])
    write(tmp_path / "whole", original)
    for number, data in enumerate(damages(original, 200, 5)):
        write(tmp_path / f"{number}", data)
    code = "\n".join(line[4:] for line in ENGINE.split("\n"))
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout[-200:], done.stderr)
    answers = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    whole = answers.pop("whole")
    refused = sum(answer == "refused" for answer in answers.values())
    right = sum(answer == whole for answer in answers.values())
    assert len(answers) == 200 and refused > 60
    assert 200 - refused - right < 30               # numbers of the model: no reader can tell that these are others


@pytest.mark.parametrize("engine", ["native", "fasttext"])
@pytest.mark.parametrize("loss", ["softmax", "ova"])
def test_scores_that_are_no_numbers_end_the_run_with_the_name_of_the_model(sh, engine, loss):
    data, output = model_file(loss, labels=4), 1 + 16 + 4 * 16 * 4      # bytes: a flag, the numbers of rows, the rows
    huge = np.full(300 * 16, 3e38, "<f4").tobytes()                     # in the rows of n-grams, whose sums are infinite
    write(sh / "m.bin", data[:-output - len(huge)] + huge + data[-output:])
    sh.ok("mc2 inspect languages --model m.bin -o my.csv --engine native")
    sh.write("in.jsonl", pair(1, "a red circle"))
    sh.fails(f"mc2 lid in.jsonl --model m.bin --languages my.csv --engine {engine} -q", 3,
             "mc2 lid: m.bin: damaged fastText model (")


def test_a_model_of_the_published_size_but_not_of_its_content_is_said(sh):
    data = bytearray(open(default_model(), "rb").read())
    sh.write("in.jsonl", pair(1, "a red circle"))
    assert sh("mc2 lid in.jsonl -q").stderr == ""
    data[-5] ^= 1
    write(sh / "m.ftz", bytes(data))
    for engine in ("native", "fasttext"):
        done = sh(f"mc2 lid in.jsonl --model m.ftz -q --engine {engine}")
        assert done.status == 0 and done.stderr == (
            "warning: m.ftz: has the size of lid.176.ftz as fastText published it, but not its content. It is another model, "
            "or a damaged copy.\n")
