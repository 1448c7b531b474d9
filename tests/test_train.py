"""mc2 train as a user runs it: a small model on small pictures, killed, resumed, on one process and on two."""
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time

import pytest
from conftest import Shell, pair
from training_tools import require_train

require_train()

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import mc2
from mc2.clip import checkpoints, images, loading, model
from mc2.errors import BadData, BadUsage
from mc2.training import job, launch, presets, samples, students

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "black": (10, 10, 10)}
RUN = """# a run of a test
[model]
name = "small.json"
tokenizer = "tokenizer.json"
init_logit_scale = 2.6593
[data]
languages = "worldwide"
curation = "online"
aug_scale = [0.9, 1.0]
image_interpolation = "bicubic"
image_mean = [0.5, 0.5, 0.5]
image_std = [0.25, 0.25, 0.25]
train_data = "tars/*.tar"
pairs = "pairs/*.jsonl"
counts = "counts"
thresholds = "thresholds.json"
open_tars = 2
[optimizer]
opt = "adamw"
lr = 1e-3
beta1 = 0.9
beta2 = 0.98
eps = 1e-6
wd = 0.2
[schedule]
epochs = 3
train_num_samples = 32
global_batch = 8
growth = 1.0
lr_scheduler = "cosine"
warmup = 2
seed = 0
[compute]
gpus = 1
precision = "fp32"
grad_checkpointing = false
accum_freq = 1
workers = 1
[run]
output = "run"
save_steps = 4
log_steps = 1
log_ids = true
"""
SMALL = {"embed_dim": 16, "quick_gelu": True,
         "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
         "text_cfg": {"vocab_size": 300, "pool_type": "eos", "eos_id": 2, "pad_id": 1, "context_length": 12, "width": 32,
                      "heads": 2, "layers": 1}}
torch.set_num_threads(1)                # as in the processes that the tests start: the same sums, to the last bit
TIMES = ("pairs_per_second", "data_wait", "seconds", "checksum")     # and what depends on them


@pytest.fixture(scope="module")
def template(tmp_path_factory, toy_template):
    """48 pictures in 3 tars, two texts each in English and French, matched, counted, with thresholds."""
    sh = Shell(tmp_path_factory.mktemp("train"))
    for shard in range(3):
        lines = [(number, f"a {list(COLOURS)[number % 4]} red circle {number}", f"un chat noir {number}")
                 for number in range(16 * shard, 16 * shard + 16)]
        write_tar(sh / f"tars/{shard:05d}.tar", [number for number, *_ in lines])
        sh.write(f"lid/{shard:05d}.jsonl", *(pair(number, text, lang) for number, en, fr in lines
                                             for text, lang in ((en, "en"), (fr, "fr"))))
    sh.ok(f"mc2 match lid/*.jsonl -m {toy_template}/toy -O pairs -q")
    sh.ok(f"mc2 count pairs/*.jsonl -m {toy_template}/toy -o counts -q")
    sh.ok("mc2 thresholds counts --t-all 30 -o thresholds.json -q")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["a red green blue black circle un chat noir 0123456789"], trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False))
    tokenizer.save(str(sh / "tokenizer.json"))
    SMALL["text_cfg"]["vocab_size"] = tokenizer.get_vocab_size()
    (sh / "small.json").write_text(json.dumps(SMALL))
    (sh / "run.toml").write_text(RUN)
    return sh


def write_tar(path, numbers):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            pixels = np.full((20, 24, 3), COLOURS[list(COLOURS)[number % 4]], "uint8")
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            member = tarfile.TarInfo(f"{number:024x}.png")
            member.size = len(stream.getvalue())
            tar.addfile(member, io.BytesIO(stream.getvalue()))


@pytest.fixture(scope="module")
def undisturbed(template):
    """The log of a run that nothing happened to."""
    train_here(template, "undisturbed")
    return log_of(template / "undisturbed")


def train_here(sh, run, *changes, config="run.toml", resume="latest"):
    """`mc2 train` in this process, which has torch loaded."""
    before = os.getcwd()
    os.chdir(sh.directory)
    try:
        preset = presets.load(config, [("run", "output", run), *changes])
        return launch.start(job.configure(preset), launch.Layout(1), resume=resume, device="cpu", quiet=True)
    finally:
        os.chdir(before)


def log_of(run):
    with open(f"{run}/log.jsonl", "rb") as stream:
        return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in stream]


def start(sh, arguments):
    return subprocess.Popen([sh / ".bin/mc2", *f"train run.toml --device cpu {arguments}".split()], cwd=sh.directory,
                            env={**sh.environment, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process=None, seconds=100):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


def lines_in(run):
    path = run / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_run_leaves_its_configuration_log_checkpoints_and_tokenizer(template, undisturbed):
    run = template / "undisturbed"
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "config.json", "log.jsonl", "manifest.json", "tensorboard", "tokenizer.json"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "latest", "step-00000004.pt", "step-00000008.pt", "step-00000012.pt"]
    assert [line["step"] for line in undisturbed] == list(range(1, 13))
    assert undisturbed[-1]["seen_pairs"] == 12 * 8
    assert sum(row["seen"] for row in undisturbed[-1]["languages"].values()) == 12 * 8
    for row in undisturbed[-1]["languages"].values():           # of some 100 draws each
        assert 0 < row["expected_share"] < 1 and abs(row["kept_share"] - row["expected_share"]) < 0.2
    assert undisturbed[0]["lr"] == 5e-4 and undisturbed[1]["lr"] == 1e-3 and undisturbed[-1]["lr"] < 1e-4


def test_a_checkpoint_is_read_without_running_code_and_is_an_open_clip_model(template, undisturbed):
    content = checkpoints.load(template / "undisturbed/checkpoints/latest")
    assert content["step"] == 12 and content["seen_pairs"] == 96
    model.build(SMALL).load_state_dict(content["models"][0]["state"])


def test_a_run_killed_at_any_moment_goes_on_as_if_undisturbed(template, undisturbed):
    run = template / "killed"
    process = start(template, "-o killed -q")
    wait_for(lambda: lines_in(run) >= 6, process)
    process.kill()
    process.wait()
    template.ok("mc2 train run.toml -o killed --device cpu -q", OMP_NUM_THREADS="1")
    assert log_of(run) == undisturbed


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(template, undisturbed):
    run = template / "killed-writing"
    process = start(template, "-o killed-writing -q")
    temporary = run / "checkpoints/.step-00000008.pt.tmp"
    wait_for(temporary.exists, process)
    process.kill()
    process.wait()
    if not (run / "checkpoints/step-00000008.pt").exists():
        assert checkpoints.find(run).endswith("step-00000004.pt")
    train_here(template, "killed-writing")
    assert log_of(run) == undisturbed
    assert not temporary.exists()


TWO = "--nproc 2 --set schedule.epochs=20 --save-steps 20 --set run.keep_checkpoints=9"


@pytest.fixture(scope="module")
def two(template):
    """The log of a run on two processes that nothing happened to."""
    template.ok(f"mc2 train run.toml -o two --device cpu {TWO} -q", OMP_NUM_THREADS="1")
    return log_of(template / "two")


def test_two_processes_killed_go_on_as_if_undisturbed(template, two):
    run = template / "two-killed"
    process = start(template, f"-o two-killed {TWO} -q")
    wait_for(lambda: lines_in(run) >= 30, process)
    torchrun, = children_of(process.pid)
    left = [torchrun, *children_of(torchrun)]
    os.killpg(torchrun, signal.SIGKILL)
    process.kill()
    process.wait()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left))      # they end with it, but not at once
    before = lines_in(run)
    process = start(template, f"-o two-killed {TWO} --log-every 0.000001")
    wait_for(lambda: lines_in(run) > before, process)
    process.send_signal(signal.SIGUSR1)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 138 and "the same command goes on" in told, told
    assert re.search(r"^train: [1-9]\d* of \d+ steps, .* steps/s, about .* to go", told, re.MULTILINE), told
    template.ok(f"mc2 train run.toml -o two-killed --device cpu {TWO} -q", OMP_NUM_THREADS="1")
    assert log_of(run) == two


def children_of(process):
    return launch._children(process)


def test_another_number_of_processes_goes_on_by_whole_shards_and_says_so(template, two):
    shutil.copytree(template / "two", template / "fewer", symlinks=True)
    os.unlink(template / "fewer/checkpoints/step-00000080.pt")
    done = train_here(template, "fewer", ("schedule", "epochs", 20), ("run", "save_steps", 20))
    assert done["notes"][0].startswith("goes on from step 60")
    assert "pass" in done["notes"][1] and "goes on with the" in done["notes"][1]
    assert [line["step"] for line in log_of(template / "fewer")] == list(range(1, 81))


@pytest.mark.heavy
def test_a_run_goes_on_with_zero_and_back_without_it(template, two):
    """On two processes to the last bit, in log and checkpoint; on one by whole shards, as any run."""
    shutil.copytree(template / "two", template / "two-zero", symlinks=True)
    for step in (60, 80):
        os.unlink(template / f"two-zero/checkpoints/step-000000{step}.pt")
    template.ok(f"mc2 train run.toml -o two-zero --device cpu {TWO} --zero-stage 1 -q", OMP_NUM_THREADS="1")
    assert log_of(template / "two-zero") == two
    (found,), (expected,) = (checkpoints.load(template / f"{run}/checkpoints/step-00000080.pt")["models"]
                             for run in ("two-zero", "two"))
    for what in ("state", "optimizer"):
        assert_same(found.pop(what), expected.pop(what))
    assert found == expected
    os.unlink(template / "two-zero/checkpoints/step-00000080.pt")
    done = train_here(template, "two-zero", ("schedule", "epochs", 20), ("run", "save_steps", 20))
    assert done["notes"][0].startswith("goes on from step 60") and done["trained_pairs"] == 20 * 8


def assert_same(found, expected):
    """The same keys, values and tensors, to the last bit."""
    assert type(found) is type(expected)
    if isinstance(found, torch.Tensor):
        assert found.dtype == expected.dtype and torch.equal(found, expected)
    elif isinstance(found, (dict, list)):
        keys = found if isinstance(found, dict) else range(len(found))
        assert len(found) == len(expected)
        for key in keys:
            assert_same(found[key], expected[key])
    else:
        assert found == expected


def test_a_loss_that_is_no_number_stops_before_the_next_checkpoint(template):
    done = template("mc2 train run.toml -o lost --device cpu --lr 1 --set schedule.warmup=11 --set optimizer.beta1=0 "
                    "--set optimizer.wd=1e30 --set run.save_steps=1 --set model.init_logit_scale=4.6", OMP_NUM_THREADS="1")
    assert done.status == 1
    assert "is the last good checkpoint" in done.stderr or "There is no checkpoint yet" in done.stderr
    path = checkpoints.find(template / "lost")
    assert path is None or all(torch.isfinite(weight).all() for weight in checkpoints.load(path)["models"][0]["state"].values())


def test_another_configuration_is_refused_and_named(template, undisturbed):
    done = template("mc2 train run.toml -o undisturbed --device cpu --lr 0.5 --set compute.workers=0")
    assert done.status == 2
    assert "holds a run of another configuration (optimizer.lr: 0.001, now 0.5)" in done.stderr


def test_accumulation_is_the_same_run(template, undisturbed):
    train_here(template, "parts", ("compute", "accum_freq", 4))
    ours = log_of(template / "parts")
    assert [line["samples"] for line in ours] == [line["samples"] for line in undisturbed]
    np.testing.assert_allclose([line["loss"] for line in ours], [line["loss"] for line in undisturbed], rtol=1e-4)


@pytest.mark.parametrize("precision", ["amp_bf16", "bf16"])
def test_bfloat16_and_gradient_checkpointing_stay_near_the_run_in_fp32(template, undisturbed, precision):
    run = f"run-{precision}"
    train_here(template, run, ("compute", "precision", precision), ("compute", "grad_checkpointing", True))
    ours = log_of(template / run)
    assert [line["samples"] for line in ours] == [line["samples"] for line in undisturbed]
    np.testing.assert_allclose([line["loss"] for line in ours], [line["loss"] for line in undisturbed], rtol=0.05)


def test_two_students_learn_from_one_teacher(template, undisturbed):
    (template / "students.toml").write_text(RUN + """
[distill]
teacher = "undisturbed/checkpoints/latest"
teacher_logit_scale = 200
weight = 2.0
[[students]]
name = "other"
model = "small.json"
tokenizer = "openai"
""".replace('"small.json"\ntokenizer = "openai"', '"wide.json"\ntokenizer = "openai"'))
    wide = {**SMALL, "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}}
    (template / "wide.json").write_text(json.dumps(wide))
    train_here(template, "students", config="students.toml")
    last = log_of(template / "students")[-1]
    assert last["distill"] > 0 and last["loss_other"] > 0
    assert [entry["name"] for entry in checkpoints.load(template / "students")["models"]] == ["student", "other"]


LARGER = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "image_size": 24, "patch_size": 6}}
OF_ANOTHER_SIZE = RUN.replace('"small.json"', '"larger.json"').replace("online", "offline") + """
[distill]
teacher = "undisturbed"
[[students]]
name = "other"
model = "small.json"
tokenizer = "tokenizer.json"
"""


@pytest.fixture
def of_another_size(template, undisturbed):
    """Pictures of noise, and the configuration of a run whose first student sees 24 pixels, while its teacher and the
    other student see 16."""
    (template / "larger.json").write_text(json.dumps(LARGER))
    (template / "sizes.toml").write_text(OF_ANOTHER_SIZE)
    pictures = {}
    with tarfile.open(template / "noise.tar", "w") as tar:
        for number in range(8):
            stream = io.BytesIO()
            pixels = np.random.default_rng(number).integers(256, size=(20 + number, 40, 3), dtype="uint8")
            Image.fromarray(pixels).save(stream, "PNG")
            pictures[f"{number:024x}"] = stream.getvalue()
            for suffix, data in (("png", stream.getvalue()), ("txt", b"a red circle")):
                member = tarfile.TarInfo(f"{number:024x}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

    def configured(*changes):
        """A run on these pictures, whose texts are beside them in the tar."""
        config = job.configure(presets.load(str(template / "sizes.toml"), [("run", "output", "-"), *changes]))
        return {**config, "inputs": {"tars": [str(template / "noise.tar")], "pairs": None}}
    return pictures, configured


def test_a_teacher_of_another_resolution_sees_pictures_by_its_own_preprocessing(template, of_another_size):
    pictures, configure = of_another_size
    config = configure()
    teacher = students.teacher_of(config, "cpu")
    batch = next(samples.Loader(samples.data_of(config, [teacher.view]), {}, 8, workers=0))
    image_features, text_features, logit_scale = teacher(batch)
    alone = mc2.Model(template / "undisturbed", device="cpu")
    assert batch.images.shape[2:] == (24, 24) and batch.images_in(teacher.view).shape[2:] == (16, 16)
    assert np.array_equal(image_features, alone.images([pictures[its_id] for its_id in batch.ids]))
    assert np.array_equal(text_features, alone.texts(batch.texts)) and logit_scale == 200
    assert teacher.notes == ["the teacher sees whole pictures (shortest) of 16 pixels"]


def test_a_teacher_can_see_the_crops_of_the_students_at_its_own_resolution(of_another_size):
    pictures, configure = of_another_size
    config = configure(("distill", "teacher_images", "crop"), ("compute", "accum_freq", 4))
    teacher = students.teacher_of(config, "cpu")
    batch = next(samples.Loader(samples.data_of(config, [teacher.view]), {}, 8, workers=0))
    crops = [images.training(pictures[its_id], ("0:0", its_id), 16) for its_id in batch.ids]
    assert np.array_equal(batch.images_in(teacher.view), crops)
    in_parts, _, _ = teacher(batch)
    torch.testing.assert_close(in_parts, students.teacher_of(configure(), "cpu")._encoder.encode_images(
        torch.from_numpy(np.stack(crops))))
    assert teacher.notes == ["the teacher sees crops of 16 pixels"]


def test_students_and_teacher_of_different_resolutions_train_together(template, of_another_size):
    train_here(template, "sizes", ("schedule", "epochs", 1), ("compute", "workers", 2), config="sizes.toml")
    last = log_of(template / "sizes")[-1]
    assert last["step"] == 4 and last["distill"] > 0 and last["loss_other"] > 0
    held = {entry["name"]: entry["architecture"] for entry in checkpoints.load(template / "sizes")["models"]}
    assert held == {"student": LARGER, "other": SMALL}


def test_shared_memory_is_counted_for_every_resolution(of_another_size, monkeypatch):
    _, configure = of_another_size
    config = configure(("compute", "workers", 3))
    monkeypatch.setattr(loading, "_free", lambda: 1000)
    view = images.View(16, resize_mode="shortest")
    of_a_pair = 3 * 24 ** 2 + 3 * 16 ** 2 + 8 * 12
    with pytest.raises(loading.NoSpace, match=f"for 7 batches of {8 * of_a_pair / 1e6:.1f} MB"):
        samples.Loader(samples.data_of(config, [view, view]), {"student": lambda texts: np.zeros((len(texts), 12))}, 8,
                       workers=3)


def test_the_conflict_of_english_and_the_others_is_measured_at_a_checkpoint(template, undisturbed):
    pytest.importorskip("matplotlib")
    template.ok("mc2 conflict run.toml undisturbed/checkpoints/latest --device cpu --batches 2 -o conflict.json "
                "--plot conflict.png -q", OMP_NUM_THREADS="1")
    found = json.loads((template / "conflict.json").read_bytes())
    assert found["step"] == 12 and found["batches"] == 2
    assert all(-1 <= row["cosine"]["mean"] <= 1 for row in found["groups"] if row["cosine"]["mean"] is not None)
    assert (template / "conflict.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("change, status, message", [
    ("--set schedule.global_batch=7 --nproc 2", 2, "the global batch of 7 does not divide over 2 processes; the nearest"),
    ("--train-data none.tar", 2, "none.tar: no such files."),
    ("-c nowhere", 2, "nowhere: no such counts."),
    ("--set data.nothing=1", 2, "data.nothing=1: is not SECTION.KEY=VALUE"),
    ("--lr -1", 3, "optimizer.lr is -1.0, not a number from 0 to 1"),
    ("--zero-stage 1", 2, "and this run has one. Start more (--nproc N), or give --zero-stage 0"),
])
def test_what_cannot_start_says_why(template, change, status, message):
    done = template(f"mc2 train run.toml -o refused --device cpu {change}")
    assert done.status == status and message in done.stderr
    assert not (template / "refused").exists()


@pytest.mark.parametrize("processes", ["", "--nproc 2"])
def test_a_run_that_fails_before_its_first_step_leaves_no_directory_in_the_way(template, undisturbed, processes):
    wrong = "--set model.tokenizer=undisturbed/config.json"
    done = template(f"mc2 train run.toml -o failed --device cpu {processes} {wrong}", OMP_NUM_THREADS="1")
    assert done.status == 3 and "undisturbed/config.json: is not a tokenizer.json" in done.stderr
    assert not (template / "failed").exists()


def test_a_directory_of_a_run_without_a_step_is_taken_by_another_configuration(template):
    before = os.getcwd()
    os.chdir(template.directory)
    try:
        for lr in (0.5, 0.1):           # as a kill before the first step leaves it
            job.begin(job.configure(presets.load("run.toml", [("run", "output", "begun"), ("optimizer", "lr", lr)])))
        assert job.read("begun")["values"]["optimizer"]["lr"] == 0.1
    finally:
        os.chdir(before)


def test_a_missing_tokenizer_is_said_before_anything_is_written(template):
    template.fails("mc2 train run.toml -o none --device cpu --set model.tokenizer=mine.json", 2,
                   "run.toml: there is no tokenizer mine.json. Make one with 'mc2 tokenizer PAIRS... -o mine.json'")


def test_a_second_run_in_the_same_directory_is_refused(template):
    process = start(template, "-o busy -q")
    wait_for(lambda: (template / "busy/config.json").exists(), process)
    done = template("mc2 train run.toml -o busy --device cpu")
    assert done.status == 1 and "another run is training in this directory" in done.stderr
    process.kill()
    process.wait()


def test_an_older_checkpoint_is_gone_on_from_and_later_ones_go(template, undisturbed):
    shutil.copytree(template / "undisturbed", template / "older", symlinks=True)
    done = train_here(template, "older", resume="older/checkpoints/step-00000004.pt")
    assert any("steps are removed: 8, 12" in note for note in done["notes"])
    assert log_of(template / "older") == undisturbed
    assert os.readlink(template / "older/checkpoints/latest") == "step-00000012.pt"


def test_force_does_not_remove_the_checkpoint_that_is_named(template, undisturbed):
    done = template("mc2 train run.toml -o undisturbed --device cpu -f --resume undisturbed/checkpoints/latest")
    assert done.status == 2 and "undisturbed/checkpoints/latest among them" in done.stderr
    assert (template / "undisturbed/checkpoints/latest").exists()


def test_another_tokenizer_under_the_same_name_is_another_run(template, undisturbed):
    definition = (template / "tokenizer.json").read_bytes()
    (template / "tokenizer.json").write_bytes(definition + b"\n")
    try:
        with pytest.raises(BadUsage, match="a tokenizer changed"):
            train_here(template, "undisturbed")
    finally:
        (template / "tokenizer.json").write_bytes(definition)


def test_the_same_run_from_another_directory_is_the_same(template, undisturbed, monkeypatch):
    monkeypatch.chdir("/")
    done = template.ok(f"cd / && mc2 train {template / 'run.toml'} -o {template / 'undisturbed'} --device cpu 2>&1")
    assert "12 of 12 steps" in done


def test_imported_weights_begin_a_run(template, undisturbed):
    template.ok("mc2 checkpoint export undisturbed -o exported.pt -q && "
                "mc2 checkpoint import exported.pt --model small.json --tokenizer tokenizer.json -o begin.pt -q")
    done = train_here(template, "begun", resume="begin.pt")
    assert done["step"] == 12 and any("begins with the weights of begin.pt" in note for note in done["notes"])
    assert log_of(template / "begun")[0]["loss"] < undisturbed[0]["loss"]


def test_show_describes_a_trained_checkpoint(template, undisturbed):
    shown = template.ok("mc2 checkpoint show undisturbed")
    assert "step           12" in shown and "images         images: " in shown
    table = [line.split() for line in shown.partition("\n\n")[2].splitlines()]
    assert table[0] == ["language", "drawn", "expected", "kept", "seen"] and table[1][0] == "en"
    assert all(row[3] == row[4] for row in table[1:])                   # all pairs that were kept were trained on


def test_bad_pairs_late_in_a_pass_leave_a_checkpoint_of_what_was_trained(template, tmp_path):
    (template / "bad-pairs").mkdir()
    for path in sorted((template / "pairs").glob("*.jsonl")):
        shutil.copy(path, template / "bad-pairs" / path.name)
    (template / "bad-pairs/00001.jsonl").write_bytes(b"not JSON\n")
    with pytest.raises(BadData, match="bad-pairs/00001.jsonl:1: not JSON"):
        train_here(template, "bad", ("data", "pairs", "bad-pairs/*.jsonl"), ("data", "open_tars", 1),
                   ("run", "save_steps", 1000))
    found = checkpoints.find(template / "bad")
    assert found is None or checkpoints.load(found)["step"] > 0


@pytest.mark.parametrize("arguments, message", [
    ("--gpus 3", "--gpus goes with --slurm."),
    ("--node-rank 0", "--node-rank goes with --nnodes."),
    ("--slurm --nnodes 2", "--nnodes is for machines that start 'mc2 train' themselves"),
    ("--slurm -f", "leave -f and --resume out"),
])
def test_an_option_that_would_do_nothing_is_refused(template, arguments, message):
    done = template(f"mc2 train run.toml -o refused --device cpu {arguments}")
    assert done.status == 2 and message in done.stderr


def test_a_signal_ends_a_launch_that_waits_for_its_other_machine(template):
    process = start(template, "-o waits --nnodes 2 --nproc 1 --node-rank 0 --rdzv-endpoint localhost:29733")
    wait_for(lambda: (template / "waits/config.json").exists() and children_of(process.pid), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143


def test_the_learning_rate_rises_then_falls_as_a_cosine():
    rates = [model.lr_at(step, lr=1.0, warmup=2, steps=6) for step in range(6)]
    np.testing.assert_allclose(rates, [0.5, 1.0, 1.0, (1 + 2**-0.5) / 2, 0.5, (1 - 2**-0.5) / 2])


def test_in_bf16_the_logit_scale_stays_in_fp32():
    built = model.build(SMALL, init_logit_scale=2.6593, precision="bf16")
    assert built.visual.conv1.weight.dtype == torch.bfloat16 and built.logit_scale.dtype == torch.float32
    assert abs(built.logit_scale.item() - 2.6593) < 1e-6


@pytest.mark.parametrize("content", [b"", b"plain text", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "step-00000001.pt").write_bytes(content)
    with pytest.raises(BadData, match="step-00000001.pt: cannot be read as a checkpoint"):
        checkpoints.load(tmp_path / "step-00000001.pt")


def test_vectors_and_the_logit_scale_do_not_decay():
    built = model.build(SMALL)
    decayed, others = model.optimizer_of(built, lr=1, beta1=0.0, beta2=0.0, eps=1.0, wd=0.3).param_groups
    names = {id(weight): name for name, weight in built.named_parameters()}
    assert decayed["weight_decay"] == 0.3 and others["weight_decay"] == 0
    undecayed = {names[id(weight)] for weight in others["params"]}
    assert {"logit_scale", "visual.class_embedding", "ln_final.weight", "visual.ln_pre.bias"} <= undecayed
    assert "token_embedding.weight" not in undecayed and "visual.conv1.weight" not in undecayed


def test_the_slurm_script_is_bash_and_runs_the_same_command(template):
    script = template.ok("mc2 train run.toml --slurm --gpus 8 --nproc=4 -o run --set compute.workers=6 --grad-checkpointing",
                         MC2_TRAIN_WARMUP="3")
    assert "#SBATCH --nodes=2" in script and "#SBATCH --signal=USR1@300" in script
    assert "mc2 train run.toml --warmup 3 --grad-checkpointing -o run --set compute.workers=6 --nproc 4\n" in script
    template.ok("bash -n", stdin=script.encode())
