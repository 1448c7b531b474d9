"""Models by name: features are those of open_clip, and weights or tokenizers that do not belong to them are refused."""
import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from training_tools import require_train

require_train()

import open_clip                                # noqa: E402
import torch                                    # noqa: E402

from mc2.clip import checkpoints, exchange, fingerprints, trained_tokenizer      # noqa: E402
from mc2.clip.encoder import Transform          # noqa: E402
from mc2.clip.from_open_clip import Named, preprocess_of     # noqa: E402
from mc2.clip.load import load_model            # noqa: E402
from mc2.errors import BadData, BadUsage        # noqa: E402
from miniatures import images                   # noqa: E402
from miniatures import models as tiny           # noqa: E402

CLIP = {**tiny.ARCHITECTURE,
        "text_cfg": {"vocab_size": 49408, "context_length": 16, "width": 32, "heads": 2, "layers": 1}}


@pytest.fixture(scope="module", autouse=True)
def small_models(tmp_path_factory):
    """Two models that open_clip knows by name, which differ in their activation."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "mini-quickgelu.json").write_text(json.dumps(CLIP))
    (folder / "mini.json").write_text(json.dumps({**CLIP, "quick_gelu": False}))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    torch.save(tiny.network(CLIP, seed=3).state_dict(), path)
    return path


def encoded(model, numbers=(1, 2)):
    pixels = torch.from_numpy(np.stack([model.transform(images.encoded(number)) for number in numbers]))
    return model.encode_images(pixels).numpy()


def test_a_run_and_its_latest_checkpoint_are_the_same_model(run, tmp_path):
    model, same = load_model(str(run)), load_model(str(run / "checkpoints/latest"))
    assert model.fingerprint == same.fingerprint and model.image_size == 32
    assert model.logit_scale == pytest.approx(1 / 0.07)
    paths = [images.write(tmp_path / f"{number}.jpg", number) for number in (1, 2)]
    np.testing.assert_allclose(encoded(model), tiny.plain_images(paths), atol=1e-6)
    texts = ["a cat", "ein sehr langer Satz über eine Katze, der nicht hineinpasst", ""]
    np.testing.assert_allclose(model.encode_texts(texts).numpy(), tiny.plain_texts(texts), atol=1e-6)
    assert encoded(model).dtype == np.float32 and np.linalg.norm(encoded(model), axis=1) == pytest.approx([1, 1])


def test_bfloat16_is_near_fp32_and_its_features_are_fp32(run):
    exact = encoded(load_model(str(run)))
    for precision in ("amp_bf16", "bf16"):
        near = encoded(load_model(str(run), precision=precision))
        assert near.dtype == np.float32 and 1e-6 < abs(near - exact).max() < 0.05


def test_open_clip_weights_from_a_file_with_and_without_prefixes(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    torch.save({"epoch": 3, "state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}},
               tmp_path / "epoch_3.pt")
    plain = load_model(f"open_clip:mini-quickgelu@{weights}")
    prefixed = load_model(f"open_clip:mini-quickgelu@{tmp_path / 'epoch_3.pt'}")
    assert (encoded(plain) == encoded(prefixed)).all()
    paths = [images.write(tmp_path / f"{number}.jpg", number) for number in (1, 2)]
    np.testing.assert_allclose(encoded(plain), tiny.plain_images(paths, CLIP, seed=3), atol=1e-6)
    ids = open_clip.get_tokenizer("mini-quickgelu")(["a cat"])
    expected = torch.nn.functional.normalize(tiny.network(CLIP, seed=3).encode_text(ids), dim=-1).detach()
    np.testing.assert_allclose(plain.encode_texts(["a cat"]).numpy(), expected.numpy(), atol=1e-6)


def test_random_weights_are_the_same_each_time_and_said(tmp_path):
    first, second = load_model("open_clip:mini"), load_model("mini")
    assert first.fingerprint == second.fingerprint and (encoded(first) == encoded(second)).all()
    assert "the weights are random" in first.notes[0]


def test_the_same_weights_with_another_activation_are_another_model(weights):
    one, other = (load_model(f"open_clip:{name}@{weights}") for name in ("mini", "mini-quickgelu"))
    assert one.fingerprint != other.fingerprint and abs(encoded(one) - encoded(other)).max() > 1e-6


def test_a_hash_is_not_remembered_for_another_file(tmp_path):
    """One of the same size and time of change, as `cp -p` leaves it; nor taken from a note that is none."""
    path, cache = tmp_path / "w.pt", tmp_path / "cache"
    path.write_bytes(b"before")
    fingerprints.of_file(str(path), str(cache))
    times = os.stat(path)
    path.write_bytes(b"after!")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    expected = hashlib.sha256(b"after!").hexdigest()
    assert fingerprints.of_file(str(path), str(cache)) == expected
    for note in cache.glob("*.sha256"):
        note.write_bytes(b"\xff" * 64)
    assert fingerprints.of_file(str(path), str(cache)) == expected


def test_a_remembered_hash_is_that_of_the_file(weights, tmp_path):
    cold = load_model(f"open_clip:mini@{weights}", cache=str(tmp_path)).fingerprint
    assert len(list(tmp_path.glob("*.sha256"))) == 1
    assert load_model(f"open_clip:mini@{weights}", cache=str(tmp_path)).fingerprint == cold
    assert load_model(f"open_clip:mini@{weights}").fingerprint == cold


@pytest.mark.parametrize("file, name, message", [
    ("metaclip2_h14_quickgelu_224px_worldwide.pt", "mini",
     "mini computes with GELU, but these weights were trained with QuickGELU (their file name)"),
    ("metaclip2_h14_378px_worldwide.pt", "mini-quickgelu", "trained with GELU (their file name)"),
    ("ViT-B-32.pt", "mini", "trained with QuickGELU (ViT-B-32.pt is the name of published weights)"),
    ("vit_b_16-laion400m_e32-55e67d44.pt", "mini-quickgelu", "trained with GELU (vit_b_16-")])
def test_weights_of_another_activation_are_refused(weights, tmp_path, file, name, message):
    (tmp_path / file).write_bytes(weights.read_bytes())
    with pytest.raises(BadData) as error:
        load_model(f"open_clip:{name}@{tmp_path / file}")
    other = "mini-quickgelu" if name == "mini" else "mini"
    assert message in str(error.value) and f"open_clip:{other}@{tmp_path}" in str(error.value)


def test_weights_of_an_unknown_activation_are_noted(weights):
    note, = load_model(f"open_clip:mini@{weights}").notes
    assert "nothing says which activation these weights were trained with. mini computes with GELU" in note


def test_the_activation_of_exported_weights_is_that_of_the_configuration_beside(run, tmp_path):
    exchange.export(checkpoints.load(str(run)), "run", str(tmp_path / "b32.pt"))
    with pytest.raises(BadData, match="trained with QuickGELU .b32.json beside them"):
        load_model(f"open_clip:mini@{tmp_path / 'b32.pt'}")


def test_exported_weights_are_the_model_of_the_checkpoint(run, tmp_path):
    path, tokenizer = str(tmp_path / "exp.pt"), str(run / "tokenizer.json")
    exchange.export(checkpoints.load(str(run)), "run", path)
    model = load_model(path, tokenizer=tokenizer)
    assert (encoded(model) == encoded(load_model(str(run)))).all()
    assert (model.encode_texts(["a cat"]) == load_model(str(run)).encode_texts(["a cat"])).all()
    with pytest.raises(BadUsage, match="does not say which tokenizer it was trained with"):
        load_model(path)


def test_images_are_prepared_as_the_configuration_beside_says(weights, tmp_path):
    (tmp_path / "model.pt").write_bytes(weights.read_bytes())
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear", "resize_mode": "squash"}
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {"size": 32, **preprocess}}))
    model = load_model(f"open_clip:mini-quickgelu@{tmp_path / 'model.pt'}")
    transform = open_clip.image_transform(32, is_train=False, **preprocess)
    expected = tiny.network(CLIP, seed=3).encode_image(transform(images.picture(1))[None])
    pixels = torch.from_numpy(model.transform(images.encoded(1, "PNG")))[None]
    np.testing.assert_allclose(model.encode_images(pixels), torch.nn.functional.normalize(expected).detach(), atol=1e-5)
    assert model.description["mean"] == [0.5, 0.4, 0.3] and model.description["transform"] == "squash 32 bilinear"
    config.write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {"mean": "grey"}}))
    with pytest.raises(BadData, match="preprocess_cfg is not open_clip's"):
        load_model(f"open_clip:mini-quickgelu@{tmp_path / 'model.pt'}")


def test_images_prepared_in_an_unknown_way_are_noted():
    """LAION's weights of ViT-L-14 take a mean of 0.5, those of others CLIP's."""
    preprocess, (note,) = preprocess_of(Named("open_clip:ViT-L-14@mine.pt", "ViT-L-14", "mine.pt"))
    assert preprocess == {} and "nothing says how images were prepared" in note
    assert preprocess_of(Named("open_clip:ViT-B-16@mine.pt", "ViT-B-16", "mine.pt"))[1] == []


def test_weights_from_a_file_are_not_said_to_be_random(weights, caplog):
    load_model(f"open_clip:mini@{weights}")
    assert not caplog.records


def test_the_activation_of_an_open_clip_export_is_that_of_its_configuration(weights, tmp_path):
    (tmp_path / "model.pt").write_bytes(weights.read_bytes())
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP}))
    load_model(f"open_clip:mini-quickgelu@{tmp_path / 'model.pt'}")
    with pytest.raises(BadData, match="open_clip_config.json beside them"):
        load_model(f"open_clip:mini@{tmp_path / 'model.pt'}")


def test_a_published_tag_of_another_activation_is_refused_before_anything_is_fetched():
    with pytest.raises(BadData, match="Name open_clip:ViT-H-14-worldwide-quickgelu@metaclip2_worldwide"):
        load_model("open_clip:ViT-H-14-worldwide@metaclip2_worldwide")
    with pytest.raises(BadData, match="ViT-B-32 computes with GELU"):
        load_model("open_clip:ViT-B-32@metaclip_400m")


def test_weights_of_another_architecture_are_refused(run, weights):
    with pytest.raises(BadData, match="are of another architecture: .* of another shape "):
        load_model(f"open_clip:ViT-B-32@{weights}")
    with pytest.raises(BadUsage, match="is a checkpoint of mc2 train, which says itself what model it is"):
        load_model(f"open_clip:mini@{run / 'checkpoints/latest'}")


def test_a_cut_off_file_of_weights_is_refused(weights, tmp_path):
    (tmp_path / "cut.pt").write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(BadData, match="cut.pt"):
        load_model(f"open_clip:mini@{tmp_path / 'cut.pt'}")


def test_another_tokenizer_is_refused(run, weights, tmp_path):
    shuffled = json.loads(tiny.tokenizer_json())
    vocab = shuffled["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (tmp_path / "other.json").write_text(json.dumps(shuffled))
    with pytest.raises(BadData, match="its ids would mean other words"):
        load_model(str(run), tokenizer=str(tmp_path / "other.json"))
    assert load_model(str(run), tokenizer=str(run / "tokenizer.json")).fingerprint == load_model(str(run)).fingerprint
    with pytest.raises(BadData, match="259 tokens"):
        load_model(f"open_clip:mini@{weights}", tokenizer=str(run / "tokenizer.json"))


@pytest.fixture
def shuffled_tokenizer(tmp_path):
    made = json.loads(tiny.tokenizer_json())
    vocab = made["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(made))
    return tmp_path / "tokenizer.json"


def test_a_moved_checkpoint_takes_no_tokenizer_of_the_working_directory(run, shuffled_tokenizer, monkeypatch):
    moved = shuffled_tokenizer.parent / "elsewhere/step-00000001.pt"
    moved.parent.mkdir()
    shutil.copy(run / "checkpoints/step-00000001.pt", moved)
    monkeypatch.chdir(shuffled_tokenizer.parent)
    with pytest.raises(BadUsage, match="its tokenizer .tokenizer.json. is not kept beside it"):
        load_model(str(moved))
    with pytest.raises(BadData, match="its ids would mean other words"):
        load_model(str(moved), tokenizer="tokenizer.json")
    assert not load_model(str(moved), tokenizer=str(run / "tokenizer.json")).notes


def test_a_replaced_tokenizer_of_a_run_is_refused(shuffled_tokenizer):
    run = tiny.write_run(shuffled_tokenizer.parent / "other")
    shutil.copy(shuffled_tokenizer, run / "tokenizer.json")
    with pytest.raises(BadData, match="tokenizer.json: is another tokenizer than .* was trained with"):
        load_model(str(run))


def test_a_tokenizer_file_is_compared_with_the_one_fetched_from_the_hub(run, shuffled_tokenizer, monkeypatch):
    import huggingface_hub
    fetched = shuffled_tokenizer.parent / "models--facebook--xlm-v-base"
    (fetched / "snapshots/1").mkdir(parents=True)
    (fetched / "refs").mkdir()
    (fetched / "refs/main").write_text("1")
    (fetched / "snapshots/1/tokenizer.json").write_text(json.dumps(json.loads(tiny.tokenizer_json()), indent=1))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(fetched.parent))
    config = {"text_cfg": tiny.ARCHITECTURE["text_cfg"]}
    _, notes = trained_tokenizer.of_configuration(str(run / "tokenizer.json"), "facebook/xlm-v-base", config, "mine")
    assert not notes                            # the same one, with other white space
    with pytest.raises(BadData, match="its ids would mean other words"):
        trained_tokenizer.of_configuration(str(shuffled_tokenizer), "facebook/xlm-v-base", config, "mine")


def test_a_run_may_have_a_hash_sign_in_its_name(tmp_path):
    run = tiny.write_run(tmp_path / "batch#2")
    assert load_model(str(run)).image_size == load_model(f"{run}#student").image_size == 32


def test_a_worldwide_model_of_open_clip_takes_a_copy_of_its_tokenizer(run, tmp_path):
    """open_clip's configurations of these leave out pad_id, which their causal mask hides."""
    text_cfg = {"vocab_size": 259, "context_length": 32, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos",
                "eos_id": 2, "hf_tokenizer_name": "facebook/xlm-v-base"}
    (tmp_path / "mini-worldwide.json").write_text(json.dumps({**CLIP, "text_cfg": text_cfg}))
    open_clip.add_model_config(tmp_path)
    model = load_model("open_clip:mini-worldwide", tokenizer=str(run / "tokenizer.json"))
    assert model.tokenizer(["a"])[0, :3].tolist() == [*tiny.PlainTokenizer()(["a"])[0, :1].tolist(), 2, 1]
    assert model.encode_texts(["a", "b"]).shape == (2, 16)
    assert any("could not be compared with the tokenizer" in note for note in model.notes)


@pytest.mark.parametrize("spec, message", [
    ("nowhere/run", "neither a checkpoint nor a model"),
    ("open_clip:ViT-B-23", "Did you mean ViT-B-32"),
    ("open_clip:mini@", "names no weights after the @"),
    ("open_clip:mini@nothing.pt", "neither a file nor a tag of mini"),
    ("open_clip:ViT-B-32@metaclip2_worldwide", "The tag belongs to ViT-H-14-worldwide")])
def test_names_of_nothing_are_explained(spec, message):
    with pytest.raises(BadUsage, match=message):
        load_model(spec)


def test_a_student_is_named_after_the_path(run):
    assert load_model(f"{run}#student").image_size == 32
    with pytest.raises(BadUsage, match="has no student other. It has student"):
        load_model(f"{run}#other")


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(40, 36), (31, 90), (64, 64)])
def test_the_transform_is_open_clips(mode, size):
    expected = open_clip.image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
    pixels = Transform(32, "bicubic", mode)(images.encoded(7, "PNG", size))
    np.testing.assert_allclose(pixels / 255, expected(images.picture(7, size)).numpy(), atol=1e-6)
