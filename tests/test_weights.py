"""Checkpoints to open_clip and back: every weight, its name and its shape; refusals; interrupted writing."""
import errno
import io
import json
import os
import pickle
import re
import signal

import pytest
from training_tools import require_train

require_train()

import open_clip                                            # noqa: E402
import torch                                                # noqa: E402
from safetensors.torch import save_file                     # noqa: E402

from mc2 import __version__, cli, signals # noqa: E402
from mc2.errors import BadData                              # noqa: E402
from mc2.clip import architecture, checkpoints, exchange, torch_files       # noqa: E402
from mc2.clip.load import load_model                        # noqa: E402
from mc2.clip.released import RELEASED                      # noqa: E402
from mc2.clip.weights import expected_shapes                # noqa: E402
from mc2.clip.model import build                            # noqa: E402
from mc2.training import run_directory                      # noqa: E402
from miniatures import models as miniatures                 # noqa: E402

TINY = {"embed_dim": 8, "quick_gelu": True,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 2, "width": 16, "head_width": 8},
        "text_cfg": {"context_length": 5, "vocab_size": 20, "layers": 1, "width": 16, "heads": 2, "pool_type": "eos",
                     "eos_id": 2, "pad_id": 1, "hf_tokenizer_name": "facebook/xlm-v-base"}}


def student(name, seed=0, config=TINY, tokenizer="facebook/xlm-v-base"):
    return {"name": name, "architecture": config, "tokenizer": tokenizer, "optimizer": None,
            "state": build(config, seed=seed).state_dict()}


@pytest.fixture
def run(tmp_path):
    """A run of two students at step 7."""
    run_directory.save(str(tmp_path / "run"), {
        "step": 7, "seen_pairs": 1792, "config": {}, "models": [student("first"), student("second", 1)],
        "data": [{"shard": 3}, {"shard": 4}], "tallies": {"images": {"corrupt image": 5}}}, keep=1)
    return str(tmp_path / "run")


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    return str(path)


class Here:
    """Runs mc2 in this process, in a directory of its own, which saves importing torch each time."""

    def __init__(self, directory, capsys):
        self.directory, self.capsys = directory, capsys

    def __call__(self, command):
        self.capsys.readouterr()
        status = cli.run(command.split()[1:])
        return status, *self.capsys.readouterr()

    def ok(self, command):
        status, stdout, stderr = self(command)
        assert status == 0, stderr
        return stdout

    def __truediv__(self, name):
        return self.directory / name


@pytest.fixture
def here(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path, capsys)


def state_of(path, **options):
    return exchange.import_(str(path), **options)[0]["models"][0]["state"]


def assert_same(one, other):
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- there and back

@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_open_clip_loads_what_is_exported(here, run, suffix):
    here.ok(f"mc2 checkpoint export {run} -o mine.{suffix}")
    open_clip.add_model_config(here / "mine.json")
    loaded = open_clip.create_model("mine", pretrained=str(here / f"mine.{suffix}"))
    assert_same(loaded.state_dict(), student("first")["state"])
    images, tokens = torch.randn(2, 3, 8, 8), torch.tensor([[3, 4, 2, 1, 1], [5, 2, 1, 1, 1]])
    own = build(TINY, seed=0)(images, tokens)["image_features"]
    assert torch.equal(loaded.encode_image(images, normalize=True), own)


def test_exported_and_imported_again_every_weight_is_the_same(here, run):
    here.ok(f"mc2 checkpoint export {run} --student second -o mine.pt")
    here.ok("mc2 checkpoint import mine.pt --model mine.json -o start.pt")
    content = checkpoints.load(str(here / "start.pt"))
    assert (content["step"], content["seen_pairs"], content["data"], content["tallies"]) == (0, 0, [], {})
    held, = content["models"]
    assert (held["name"], held["architecture"], held["tokenizer"], held["optimizer"]) == \
        ("mine", TINY, "facebook/xlm-v-base", None)
    assert_same(held["state"], student("second", 1)["state"])


def test_what_open_clip_trained_is_imported(tmp_path, tiny):
    """open_clip_train saves the state of its wrapped model beside epoch, name and optimizer."""
    network = build(TINY, seed=3)
    optimizer = torch.optim.AdamW(network.parameters())
    torch.save({"epoch": 1, "name": "run", "optimizer": optimizer.state_dict(),
                "state_dict": {f"module._orig_mod.{name}": value for name, value in network.state_dict().items()}},
               tmp_path / "epoch_1.pt")
    assert_same(state_of(tmp_path / "epoch_1.pt", model=tiny), network.state_dict())


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_prefixes_and_wrappings_make_no_difference(tmp_path, tiny, key, prefix):
    state = build(TINY, seed=3).state_dict()
    named = {prefix + name: value for name, value in state.items()}
    torch.save({key: named} if key else named, tmp_path / "file.pt")
    assert_same(state_of(tmp_path / "file.pt", model=tiny), state)


def test_half_precision_becomes_fp32(tmp_path, tiny):
    state = build(TINY, seed=3).half().state_dict()
    save_file(state, tmp_path / "file.safetensors")
    assert_same(state_of(tmp_path / "file.safetensors", model=tiny), {name: v.float() for name, v in state.items()})


def test_buffers_and_a_sigmoid_bias_are_left_out_and_named(tmp_path, tiny):
    state = build(TINY, seed=3).state_dict()
    more = {"attn_mask": torch.zeros(5, 5), "logit_bias": torch.tensor(-10.0), "vocab_size": torch.tensor(20)}
    torch.save({**state, **more, "logit_scale": state["logit_scale"].reshape(1)}, tmp_path / "file.pt")
    content, (unknown, note), _ = exchange.import_(str(tmp_path / "file.pt"), tiny)
    assert_same(content["models"][0]["state"], state)
    assert note == "left out attn_mask, logit_bias, vocab_size: no weights of this architecture"
    assert "nothing says which activation these weights were trained with" in unknown


def test_a_text_tower_of_its_own_is_put_where_clip_has_it(tmp_path, tiny):
    network = open_clip.model.CustomTextCLIP(**TINY)
    torch.save(network.state_dict(), tmp_path / "file.pt")
    state = state_of(tmp_path / "file.pt", model=tiny)
    assert torch.equal(state["token_embedding.weight"], network.text.token_embedding.weight)
    assert list(state) == list(build(TINY).state_dict())


def test_files_of_torch_before_1_6_are_read(tmp_path, tiny):
    state = build(TINY, seed=3).state_dict()
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert_same(state_of(tmp_path / "old.pt", model=tiny), state)


@pytest.mark.parametrize("name, theirs", [
    ("ViT-H-14-quickgelu", "ViT-H-14-quickgelu"), ("ViT-H-14-xlmv-quickgelu", "ViT-H-14-worldwide-quickgelu"),
    ("ViT-B-32-quickgelu", "ViT-B-32-quickgelu"), ("ViT-L-14-quickgelu", "ViT-L-14-quickgelu")])
def test_names_and_shapes_are_those_of_open_clips_models(name, theirs):
    if (config := open_clip.get_model_config(theirs)) is None:
        pytest.skip(f"this open_clip has no {theirs}")
    with torch.device("meta"):
        network = open_clip.model.CLIP(**config)
    assert expected_shapes(architecture.load(name)) == \
        {key: tuple(value.shape) for key, value in network.state_dict().items()}


# ---------------------------------------------------------------- what weights do not say themselves

GELU = {**TINY, "quick_gelu": False}


@pytest.fixture
def both(tmp_path):
    """tiny.json with QuickGELU and gelu.json with GELU; weights that either takes."""
    for name, config in (("tiny", TINY), ("gelu", GELU)):
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    return build(TINY, seed=3).state_dict()


@pytest.mark.parametrize("name, model, reason", [
    ("metaclip2_b32_224px_worldwide.pt", "tiny", "trained with GELU (their file name)"),
    ("metaclip2_h14_quickgelu_224px_worldwide.pt", "gelu", "trained with QuickGELU (their file name)"),
    ("ViT-B-32.pt", "gelu", "trained with QuickGELU (ViT-B-32.pt is the name of published weights)")])
def test_weights_of_another_activation_are_not_imported(here, both, name, model, reason):
    torch.save(both, here / name)
    status, _, stderr = here(f"mc2 checkpoint import {name} --model {model}.json -o start.pt")
    assert status == 3 and reason in stderr and "their features would be wrong" in stderr
    assert not (here / "start.pt").exists()
    here.ok(f"mc2 checkpoint import {name} --model {'gelu' if model == 'tiny' else 'tiny'}.json -o start.pt")


def test_metas_weights_are_refused_with_the_name_of_their_architecture(here):
    """Before the file is read: it is one of 1.8 GB."""
    torch.save({"text_projection": torch.zeros(512, 512)}, here / "metaclip2_b32_224px_worldwide.pt")
    name, model = "metaclip2_b32_224px_worldwide.pt", "ViT-B-32-xlmv-quickgelu"
    status, _, stderr = here(f"mc2 checkpoint import {name} --model {model} -o x.pt")
    assert (status, stderr) == (3, (
        f"mc2 checkpoint import: {name}: {model} computes with QuickGELU, but these weights were trained with GELU "
        "(their file name): their features would be wrong. Name --model ViT-B-32-xlmv.\n"))


def test_a_configuration_beside_the_weights_is_asked_and_may_stand_for_the_model(here, both):
    torch.save(both, here / "mine.pt")
    (here / "mine.json").write_text(json.dumps(GELU))
    status, _, stderr = here("mc2 checkpoint import mine.pt --model tiny.json -o start.pt")
    assert status == 3 and "trained with GELU (mine.json beside them)" in stderr
    here.ok("mc2 checkpoint import mine.pt -o start.pt")
    held, = checkpoints.load(str(here / "start.pt"))["models"]
    assert (held["name"], held["architecture"]) == ("mine", GELU)
    os.rename(here / "mine.pt", here / "other.pt")
    status, _, stderr = here("mc2 checkpoint import other.pt -o start.pt")
    assert status == 2 and "nothing beside it says which architecture it is of. Name it with --model." in stderr


def test_how_images_are_prepared_is_taken_from_the_configuration_beside(here, both):
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear", "resize_mode": "squash"}
    torch.save(both, here / "epoch_1.pt")
    (here / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": preprocess}))
    here.ok("mc2 checkpoint import epoch_1.pt -o out/start.pt")
    assert checkpoints.preprocess_of(checkpoints.load(str(here / "out/start.pt"))) == preprocess
    _, _, stderr = here("mc2 checkpoint export out/start.pt -o out/mine.pt")
    assert ('this model has mean [0.5, 0.4, 0.3], std [0.2, 0.3, 0.4], interpolation "bilinear", resize_mode "squash"'
            in stderr)
    here.ok("mc2 checkpoint import out/mine.pt -o again/start.pt")      # the manifest beside mine.pt says it
    assert checkpoints.preprocess_of(checkpoints.load(str(here / "again/start.pt"))) == preprocess


def test_images_that_mc2_cannot_prepare_are_refused_with_the_file_that_names_them(here, both):
    torch.save(both, here / "epoch_1.pt")
    for changes, what in (({"resize_mode": "longest"}, "resize_mode 'longest'; mc2 prepares images by shortest and squash"),
                          ({"interpolation": "nearest"}, "interpolation 'nearest'; mc2 prepares images by bicubic and bilinear")):
        (here / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": changes}))
        status, _, stderr = here("mc2 checkpoint import epoch_1.pt -o start.pt")
        assert status == 3 and f"open_clip_config.json: its preprocess_cfg has {what} only." in stderr
        assert not (here / "start.pt").exists()


def test_configurations_that_say_defaults_and_those_that_do_not_are_of_the_same_model():
    def changed(part, **changes):
        return {**TINY, part: {**TINY[part], **changes}}
    assert architecture.are_same(TINY, changed("text_cfg", mlp_ratio=4.0, hf_tokenizer_name="other/name", pad_id=7))
    assert architecture.are_same(changed("vision_cfg", head_width=64), {**TINY, "vision_cfg": {
        key: value for key, value in TINY["vision_cfg"].items() if key != "head_width"}})
    assert architecture.are_same(changed("text_cfg", pool_type="argmax"), changed("text_cfg", eos_id=19))
    for other in ({**TINY, "quick_gelu": False}, changed("text_cfg", eos_id=3), changed("vision_cfg", mlp_ratio=3.0),
                  changed("vision_cfg", head_width=4)):
        assert not architecture.are_same(TINY, other)


def test_a_tokenizer_in_a_file_goes_beside_the_checkpoint(here):
    (here / "words.json").write_text(miniatures.tokenizer_json())
    config = miniatures.ARCHITECTURE
    (here / "mini.json").write_text(json.dumps(config))
    torch.save(build(config, seed=3).state_dict(), here / "mini.pt")
    here.ok("mc2 checkpoint import mini.pt --tokenizer words.json -o out/start.pt")
    assert (here / "out/tokenizer.json").read_bytes() == (here / "words.json").read_bytes()
    assert load_model(str(here / "out/start.pt")).encode_texts(["a cat"]).shape == (1, 16)


@pytest.mark.parametrize("file", RELEASED)
def test_a_released_file_has_a_model_of_its_activation_size_and_tokenizer(file):
    released = RELEASED[file]
    config = architecture.load(released.model)
    size, pixels = re.fullmatch(r"metaclip2_([a-zA-Z]+)\d+(?:_quickgelu)?_(\d+)px(?:_mt5)?_worldwide.pt", file).groups()
    assert config["quick_gelu"] == ("quickgelu" in file) and config["vision_cfg"]["image_size"] == int(pixels)
    assert (config["text_cfg"]["vocab_size"] == 250_000) == ("mt5" in file) == ("mt5" in released.hub)
    assert released.model.split("-")[1].lower() == size.lower()
    assert (released.resize_mode == "squash") == (pixels == "378")


def test_there_are_16_released_models():
    assert len(RELEASED) == len({released.model for released in RELEASED.values()}) == 16


# ---------------------------------------------------------------- refused

def test_weights_of_another_architecture_are_refused_by_name_and_shape(tmp_path, tiny):
    state = build({**TINY, "vision_cfg": {**TINY["vision_cfg"], "layers": 3}}).state_dict()
    state["text_projection"] = torch.zeros(16, 9)
    del state["ln_final.weight"]
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(BadData) as error:
        state_of(tmp_path / "file.pt", model=tiny)
    assert str(error.value) == (
        f"{tmp_path}/file.pt: its weights are not those of {tiny}: 1 missing (ln_final.weight), 12 unexpected "
        "(visual.transformer.resblocks.2.ln_1.weight; visual.transformer.resblocks.2.ln_1.bias; "
        "visual.transformer.resblocks.2.attn.in_proj_weight; ...), 1 of another shape (text_projection is 16 x 9, not "
        "16 x 8). Name the architecture they were trained with (--model).")


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_code_in_a_pickle_is_refused_and_not_run(sh, tiny):
    torch.save({"state_dict": build(TINY).state_dict(), "more": Harmful()}, sh / "harmful.pt")
    done = sh(f"mc2 checkpoint import harmful.pt --model {tiny} -o start.pt")
    assert done.status == 3 and "could run code when loaded; it is refused" in done.stderr
    assert not (sh / "harmed").exists() and not (sh / "start.pt").exists()


def test_a_torchscript_program_is_refused(tmp_path, tiny):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "program.pt")
    with pytest.raises(BadData, match="a TorchScript program, which could run code"):
        state_of(tmp_path / "program.pt", model=tiny)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1, 2]), b"PK\x03\x04 and no more"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_damaged_files_are_bad_data(tmp_path, tiny, content, suffix):
    (tmp_path / f"file.{suffix}").write_bytes(content)
    with pytest.raises(BadData, match=f"file.{suffix}"):
        state_of(tmp_path / f"file.{suffix}", model=tiny)


def test_a_file_cut_in_half_is_bad_data(tmp_path, tiny):
    torch.save(build(TINY).state_dict(), tmp_path / "file.pt")
    whole = (tmp_path / "file.pt").read_bytes()
    (tmp_path / "file.pt").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(BadData, match="is cut off"):
        state_of(tmp_path / "file.pt", model=tiny)


@pytest.mark.parametrize("content", [[1], {"state_dict": {}}, {"epoch": 3}])
def test_a_file_without_weights_is_bad_data(tmp_path, tiny, content):
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(BadData, match="holds no state dict"):
        state_of(tmp_path / "file.pt", model=tiny)


def test_what_cannot_be_carried_out_is_refused_with_the_way_out(here, run, tiny):
    (here / "unnamed.json").write_text(json.dumps({**TINY, "text_cfg": {
        key: value for key, value in TINY["text_cfg"].items() if key != "hf_tokenizer_name"}}))
    torch.save(build(TINY).state_dict(), here / "file.pt")
    for command, message in [
            (f"export {run} -o a.pt --student third", "has no student third. It has first, second."),
            ("export nowhere -o a.pt", "nowhere: no such checkpoint."),
            (f"export {run} -o {run}/config.pt", "config.json: holds something else"),
            (f"import {run}/checkpoints/latest --model {tiny} -o a.pt", "is a checkpoint of mc2 train already."),
            ("import file.pt --model ViT-Z -o a.pt", "ViT-Z: no such model. There are ViT-B-16-mt5-quickgelu, "),
            ("import file.pt --model none.json -o a.pt", "none.json: no such file."),
            ("import file.pt --model unnamed.json -o a.pt", "Name it with --tokenizer.")]:
        if "config.pt" in command:
            (here / run / "config.json").write_text("{}")
        status, _, stderr = here(f"mc2 checkpoint {command}")
        assert status == 2 and message in stderr, stderr
        assert not (here / "a.pt").exists()


# ---------------------------------------------------------------- ended in the middle of writing

class Disturbed:
    """A stream that counts its writes and calls `disturb` within the one of that number."""

    def __init__(self, stream, number=None, disturb=None):
        self.stream, self.number, self.disturb, self.writes = stream, number, disturb, 0

    def write(self, data):
        if self.writes == self.number:
            self.disturb()
        self.writes += 1
        return self.stream.write(data)

    def flush(self):
        self.stream.flush()


@pytest.fixture
def disturbed(monkeypatch):
    """disturbed(number, disturb): in the next run, torch.save is disturbed within its write of that number."""
    save = torch.save
    return lambda number, disturb: monkeypatch.setattr(
        torch, "save", lambda content, stream: save(content, Disturbed(stream, number, disturb)))


@pytest.mark.parametrize("command", ["export {run}", "import start.pt --model {tiny}"])
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_at_any_write_ends_it_with_its_status_and_leaves_nothing(here, run, tiny, disturbed, number, status,
                                                                         command, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")           # which main sets for the workers: not for the tests that follow
    torch.save(build(TINY).state_dict(), here / "start.pt")
    counted = Disturbed(io.BytesIO())
    torch_files.save(build(TINY).state_dict(), counted)
    arguments = [*command.format(run=run, tiny=tiny).split(), "-o", str(here / "out/mine.pt")]
    for at in [*range(0, counted.writes, 7), counted.writes - 1]:
        disturbed(at, lambda: os.kill(os.getpid(), number))
        with signals.handled(), pytest.raises(SystemExit) as end:
            cli.main(["checkpoint", *arguments])
        assert end.value.code == status, at
        assert os.listdir(here / "out") == [], at


@pytest.mark.parametrize("at", [0, 1, 50])
def test_a_full_disk_is_said_as_such(here, run, disturbed, at):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "mine.pt")
    disturbed(at, full)
    status, _, stderr = here(f"mc2 checkpoint export {run} -o mine.pt")
    assert (status, stderr) == (1, "mc2 checkpoint export: mine.pt: No space left on device.\n")
    assert not [name for name in os.listdir(here.directory) if "mine" in name]


# ---------------------------------------------------------------- show

def test_show_says_what_a_checkpoint_is(here, run):
    assert here.ok(f"mc2 checkpoint show {run}").splitlines() == [
        "step           7",
        "seen pairs     1,792",
        f"written by     mc2 {__version__}, 2 ranks",
        "model          first, 11,457 parameters (float32), no optimizer state",
        "tokenizer      facebook/xlm-v-base, 20 embeddings",
        "image size     8",
        "logit scale    14.29",
        "model          second, 11,457 parameters (float32), no optimizer state",
        "tokenizer      facebook/xlm-v-base, 20 embeddings",
        "image size     8",
        "logit scale    14.29",
        "images         corrupt image: 5"]
    shown = json.loads(here.ok(f"mc2 checkpoint show {run} --json"))
    assert shown["step"] == 7 and [model["name"] for model in shown["models"]] == ["first", "second"]
    assert here.ok(f"mc2 inspect {run}") == here.ok(f"mc2 checkpoint show {run}")
    assert json.loads(here.ok(f"mc2 inspect {run} --json")) == {"kind": "checkpoint", **shown}


def test_receipts_say_what_was_written_and_what_to_mind(here, run):
    _, stdout, stderr = here(f"mc2 checkpoint export {run} -o mine.pt")
    assert stdout == "" and stderr.splitlines() == [
        "note: this is first; there are also second (--student)",
        "checkpoint export: step 7, 1,792 seen pairs -> mine.pt, mine.json"]
    _, _, stderr = here("mc2 checkpoint import mine.pt --model mine.json -o start.pt")
    assert stderr.splitlines() == [
        "checkpoint import: 11,457 parameters of mine.json, tokenizer facebook/xlm-v-base -> start.pt"]
    assert here("mc2 checkpoint import mine.pt --model mine.json -o start.pt -q") == (0, "", "")


def test_a_tokenizer_that_open_clip_cannot_know_is_pointed_out():
    plain = {**TINY, "text_cfg": {**TINY["text_cfg"]}}
    del plain["text_cfg"]["hf_tokenizer_name"]
    held = student("only", config=plain, tokenizer="run/tokenizer.json")
    assert list(exchange._export_notes({"models": [held], "config": {}}, held)) == [
        "open_clip.get_tokenizer would give CLIP's own tokenizer; this model was trained with run/tokenizer.json"]
