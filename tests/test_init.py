"""mc2 tokenizer, mc2 train --init, and the way from a folder of pictures to scores."""
import io
import json
import tomllib

import pytest
from training_tools import require_train

require_train()

from PIL import Image                                               # noqa: E402

from mc2.clip import tokenizers                                     # noqa: E402
from mc2.training import init, job, presets                         # noqa: E402

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200)}


def picture(colour):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photos(sh):
    """Eight pictures of each of three colours, a folder for each, with a caption beside each."""
    for name, colour in COLOURS.items():
        (sh / "photos" / name).mkdir(parents=True)
        for number in range(8):
            (sh / f"photos/{name}/{number}.PNG").write_bytes(picture(tuple(min(255, part + 5 * number) for part in colour)))
            (sh / f"photos/{name}/{number}.txt").write_text(f"A wall in {name}, number {number}\n")
    return sh


def test_from_a_folder_of_pictures_to_scores(photos):
    (photos / "c.txt").write_text("blue\ngreen\nred\n")
    photos.ok("mc2 images pack photos -O tars && mc2 train --init tiny run --set schedule.epochs=12")
    done = photos("mc2 train run/run.toml --device cpu")
    assert done.status == 0 and done.stderr.splitlines()[-1].startswith("train: 12 of 12 steps, 192 pairs seen, loss ")
    scores = photos.ok("mc2 eval zeroshot --images photos --classes c.txt --model run --json --workers 0 --no-cache "
                       "--device cpu")
    accuracy, *_ = map(json.loads, scores.splitlines())
    assert accuracy["metric"] == "top1" and accuracy["n"] == 24 and accuracy["value"] > 0.5
    photos.fails("mc2 train --init tiny run -f", 2, "run: a run has begun here. Name another directory.")


def test_init_writes_a_run_for_the_tars_that_are_there(photos):
    photos.ok("mc2 images pack photos -O tars -q")
    done = photos("mc2 train --init tiny run --lr 5e-4")
    assert done.stderr.splitlines()[1:] == ["train: 24 pairs: batches of 16, 390 passes",
                                            "train: run/run.toml is written. Next: mc2 train run/run.toml"]
    preset = presets.load(str(photos / "run/run.toml"))
    data, schedule = preset.values["data"], preset.values["schedule"]
    assert data["train_data"] == str(photos / "tars") and data["curation"] == "offline"
    assert preset.values["run"]["output"] == str(photos / "run") and preset.values["optimizer"]["lr"] == 5e-4
    assert [schedule[key] for key in ("global_batch", "train_num_samples", "epochs", "warmup")] == [16, 24, 390, 39]
    assert preset.values["compute"]["workers"] == 1
    tokenizer = tokenizers.load(str(photos / "run/tokenizer.json"), preset.architecture["text_cfg"])
    assert tokenizer.special == tokenizers.KNOWN["facebook/xlm-v-base"][1]
    assert not (tokenizer(["A wall in RED, number 7"]) != tokenizer(["a wall in red, number 7"])).any()
    assert job.configure(preset)["inputs"]["tars"] == [str(photos / "tars/00000.tar")]
    photos.fails("mc2 train --init tiny run", 2,
                 "run/run.toml: is there already. Name another directory, or replace it with -f.")
    photos.ok("mc2 train --init tiny run -f -q")
    photos.fails("mc2 train --init tiny photos", 2, "photos: this directory is not empty and holds no training run.")


def test_without_tars_init_writes_a_run_that_starts_when_they_are_named(sh):
    done = sh("mc2 train --init tiny new/run")
    assert "a tokenizer of bytes, as there are no texts yet" in done.stderr
    assert done.stderr.splitlines()[-1] == \
        "train: new/run/run.toml is written. Next: mc2 train new/run/run.toml --train-data 'tars/*.tar'"
    preset = presets.load(str(sh / "new/run/run.toml"))
    assert preset.values["schedule"] == presets.load("tiny").values["schedule"]
    assert preset.architecture["text_cfg"]["vocab_size"] == 260 and preset.architecture["text_cfg"]["context_length"] == 64
    tokenizers.load(preset.values["model"]["tokenizer"], preset.architecture["text_cfg"])
    sh.fails("mc2 train new/run/run.toml", 2, "names no images. Give data.train_data, or --train-data 'tars/*.tar'.")


@pytest.mark.parametrize("name", presets.names())
def test_init_writes_a_run_of_every_preset_with_its_values_and_comments(sh, name):
    more = "" if name == "tiny" else ("-c some/counts -t /t.json --train-data 's3://b/{0..9}.tar::s3://b/x.tar' "
                                      "--pairs 'p/*.parquet'")
    done = sh(f"mc2 train --init {name} run {more}")
    assert done.status == 0 and ("note: p/*.parquet: no such files." in done.stderr) == bool(more)
    text, before = (sh / "run/run.toml").read_text(), presets.load(name)
    preset = presets.load(str(sh / "run/run.toml"))
    changed = {"model": {"name", "tokenizer"} if name == "tiny" else set(), "run": {"output"},
               "data": {"train_data", "pairs", "counts", "thresholds", "curation"}}
    for section, values in before.values.items():
        assert {key for key in values if preset.values[section][key] != values[key]} <= changed.get(section, set())
    assert all(line in text for line in before.text.split("\n") if line.startswith("# "))
    if more:
        assert preset.values["data"]["counts"] == str(sh / "some/counts") and preset.values["data"]["curation"] == "online"
        assert tomllib.loads(text)["data"]["pairs"] == ["../p/*.parquet"]
        assert preset.architecture == before.architecture


def test_values_replace_those_of_a_text_and_comments_stay():
    text = '# top\n\n[a]\nx = 1          # one\ny = "a # b"\n\n[b]\nz = [1, 2]\n'
    assert init.with_values(text, {("a", "x"): 2, ("a", "new"): "é", ("c", "w"): True}, {("a", "new"): "new one"}) == (
        '# top\n\n[a]\nx = 2                               # one\ny = "a # b"\nnew = "é"                           # new one\n\n'
        '[b]\nz = [1, 2]\n\n[c]\nw = true\n')


# ---------------------------------------------------------------- mc2 tokenizer

TEXTS = ["a red circle on a red wall", "un cercle rouge", "红色的圆", "a red square"]


def test_a_tokenizer_is_trained_from_pairs_lines_and_tars_alike(photos):
    texts = [(photos / f"photos/{name}/{number}.txt").read_text().strip() for name in COLOURS for number in range(8)]
    photos.write("pairs.jsonl", *[{"id": str(number), "text": text} for number, text in enumerate([*texts, " "])])
    (photos / "lines.txt").write_text("\r\n".join(["\ufeff" + texts[0], "", *texts[1:]]))
    photos.ok("mc2 images pack photos -O tars -q")
    for number, source in enumerate(("pairs.jsonl", "lines.txt", "tars/00000.tar", "tars/00000.jsonl.zst")):
        done = photos(f"mc2 tokenizer {source} -o {number}.json")
        assert done.status == 0 and "tokenizer: 24 texts in, " in done.stderr
        assert "Set text_cfg.vocab_size of the model to" in done.stderr
    made = [json.loads((photos / f"{number}.json").read_bytes()) for number in range(4)]
    assert made[0] == made[1] and made[0]["model"]["vocab"].keys() == made[2]["model"]["vocab"].keys()
    assert made[2] == made[3]
    manifest = json.loads((photos / "0.json.manifest.json").read_bytes())
    assert manifest["kind"] == "tokenizer" and manifest["counts"]["in"] == 24


def test_only_matched_texts_and_only_the_first_ones_if_wanted(sh):
    sh.write("m.jsonl", *[{"id": "a", "text": text, "matched_entry_ids": ids}
                          for text, ids in zip(TEXTS, ([1], [], [2], []))])
    assert "2 texts in" in sh("mc2 tokenizer m.jsonl --matched -o t.json").stderr
    assert "3 texts in" in sh("mc2 tokenizer m.jsonl --limit 3 -o t.json").stderr


def test_a_vocabulary_is_as_large_as_asked_and_keeps_capitals_if_wanted(sh):
    sh.write("p.jsonl", *[{"id": "a", "text": f"{text} {number}"} for number in range(60) for text in TEXTS])
    sh.ok("mc2 tokenizer p.jsonl --vocab-size 270 -o small.json")
    sh.ok("mc2 tokenizer p.jsonl --vocab-size 270 --keep-case -o case.json")
    text_cfg = {"vocab_size": 270, "pool_type": "eos", "eos_id": 2, "pad_id": 1, "context_length": 16}
    small, case = (tokenizers.load(str(sh / f"{name}.json"), text_cfg) for name in ("small", "case"))
    assert small(["A"]).tolist() == small(["a"]).tolist() and case(["A"]).tolist() != case(["a"]).tolist()


@pytest.mark.parametrize("content, options, status, message", [
    ("", "", 3, "p.jsonl: no texts. Name the files of pairs of these images"),
    ('{"id": "a", "text": "a"}', "--matched", 3, 'no "matched_entry_ids" key.'),
    ('{"id": "a"}', "", 3, 'no "text" key.'),
    ('{"id": "a", "text": "a"}', "--vocab-size 100", 2, "100 is not in the range x>=260")])
def test_what_gives_no_tokenizer_says_why(sh, content, options, status, message):
    (sh / "p.jsonl").write_text(content)
    sh.fails(f"mc2 tokenizer p.jsonl -o t.json {options}", status, message)
