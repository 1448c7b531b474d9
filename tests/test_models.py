"""Models for evaluation: what a name loads, that features are open_clip's, and what is refused."""
import json

import numpy as np
import pytest

from training_tools import require_train

require_train()

import open_clip                                # noqa: E402
import torch                                    # noqa: E402

from mc2 import models                          # noqa: E402
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
    model, same = models.load(str(run)), models.load(str(run / "checkpoints/latest"))
    assert model.fingerprint == same.fingerprint and model.image_size == 32
    assert model.logit_scale == pytest.approx(1 / 0.07)
    paths = [images.write(tmp_path / f"{number}.jpg", number) for number in (1, 2)]
    np.testing.assert_allclose(encoded(model), tiny.plain_images(paths), atol=1e-6)
    texts = ["a cat", "ein sehr langer Satz über eine Katze, der nicht hineinpasst", ""]
    np.testing.assert_allclose(model.encode_texts(texts).numpy(), tiny.plain_texts(texts), atol=1e-6)
    assert encoded(model).dtype == np.float32 and np.linalg.norm(encoded(model), axis=1) == pytest.approx([1, 1])


def test_bfloat16_is_near_fp32_and_its_features_are_fp32(run):
    exact = encoded(models.load(str(run)))
    for precision in ("amp_bf16", "bf16"):
        near = encoded(models.load(str(run), precision=precision))
        assert near.dtype == np.float32 and 1e-6 < abs(near - exact).max() < 0.05


def test_open_clip_weights_from_a_file_with_and_without_prefixes(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    torch.save({"epoch": 3, "state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}},
               tmp_path / "epoch_3.pt")
    plain = models.load(f"open_clip:mini-quickgelu@{weights}")
    prefixed = models.load(f"open_clip:mini-quickgelu@{tmp_path / 'epoch_3.pt'}")
    assert (encoded(plain) == encoded(prefixed)).all()
    paths = [images.write(tmp_path / f"{number}.jpg", number) for number in (1, 2)]
    np.testing.assert_allclose(encoded(plain), tiny.plain_images(paths, CLIP, seed=3), atol=1e-6)
    ids = open_clip.get_tokenizer("mini-quickgelu")(["a cat"])
    expected = torch.nn.functional.normalize(tiny.network(CLIP, seed=3).encode_text(ids), dim=-1).detach()
    np.testing.assert_allclose(plain.encode_texts(["a cat"]).numpy(), expected.numpy(), atol=1e-6)


def test_random_weights_are_the_same_each_time_and_said(tmp_path):
    first, second = models.load("open_clip:mini"), models.load("mini")
    assert first.fingerprint == second.fingerprint and (encoded(first) == encoded(second)).all()
    assert "the weights are random" in first.notes[0]


def test_the_same_weights_with_another_activation_are_another_model(weights):
    one, other = (models.load(f"open_clip:{name}@{weights}") for name in ("mini", "mini-quickgelu"))
    assert one.fingerprint != other.fingerprint and abs(encoded(one) - encoded(other)).max() > 1e-6


def test_a_remembered_hash_is_that_of_the_file(weights, tmp_path):
    cold = models.load(f"open_clip:mini@{weights}", cache=str(tmp_path)).fingerprint
    assert len(list(tmp_path.glob("*.sha256"))) == 1
    assert models.load(f"open_clip:mini@{weights}", cache=str(tmp_path)).fingerprint == cold
    assert models.load(f"open_clip:mini@{weights}").fingerprint == cold


@pytest.mark.parametrize("file, name, message", [
    ("metaclip2_h14_quickgelu_224px_worldwide.pt", "mini",
     "mini computes with GELU, but these weights were trained with QuickGELU (their file name)"),
    ("metaclip2_h14_378px_worldwide.pt", "mini-quickgelu", "trained with GELU (their file name)")])
def test_weights_of_another_activation_are_refused(weights, tmp_path, file, name, message):
    (tmp_path / file).write_bytes(weights.read_bytes())
    with pytest.raises(BadData) as error:
        models.load(f"open_clip:{name}@{tmp_path / file}")
    other = "mini-quickgelu" if name == "mini" else "mini"
    assert message in str(error.value) and f"open_clip:{other}@{tmp_path}" in str(error.value)


def test_the_activation_of_an_open_clip_export_is_that_of_its_configuration(weights, tmp_path):
    (tmp_path / "model.pt").write_bytes(weights.read_bytes())
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP}))
    models.load(f"open_clip:mini-quickgelu@{tmp_path / 'model.pt'}")
    with pytest.raises(BadData, match="open_clip_config.json beside them"):
        models.load(f"open_clip:mini@{tmp_path / 'model.pt'}")


def test_a_published_tag_of_another_activation_is_refused_before_anything_is_fetched():
    with pytest.raises(BadData, match="Name open_clip:ViT-H-14-worldwide-quickgelu@metaclip2_worldwide"):
        models.load("open_clip:ViT-H-14-worldwide@metaclip2_worldwide")
    with pytest.raises(BadData, match="ViT-B-32 computes with GELU"):
        models.load("open_clip:ViT-B-32@metaclip_400m")


def test_weights_of_another_architecture_are_refused(run, weights):
    with pytest.raises(BadData, match="are of another architecture .*other shapes: "):
        models.load(f"open_clip:ViT-B-32@{weights}")
    with pytest.raises(BadUsage, match="is a checkpoint of mc2 train, which says itself what model it is"):
        models.load(f"open_clip:mini@{run / 'checkpoints/latest'}")


def test_a_cut_off_file_of_weights_is_refused(weights, tmp_path):
    (tmp_path / "cut.pt").write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(BadData, match="cut.pt"):
        models.load(f"open_clip:mini@{tmp_path / 'cut.pt'}")


def test_another_tokenizer_is_refused(run, weights, tmp_path):
    shuffled = json.loads(tiny.tokenizer_json())
    vocab = shuffled["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (tmp_path / "other.json").write_text(json.dumps(shuffled))
    with pytest.raises(BadData, match="its ids would mean other words"):
        models.load(str(run), tokenizer=str(tmp_path / "other.json"))
    assert models.load(str(run), tokenizer=str(run / "tokenizer.json")).fingerprint == models.load(str(run)).fingerprint
    with pytest.raises(BadData, match="259 tokens"):
        models.load(f"open_clip:mini@{weights}", tokenizer=str(run / "tokenizer.json"))


def test_a_worldwide_model_of_open_clip_takes_a_copy_of_its_tokenizer(run, tmp_path):
    """open_clip's configurations of these leave out pad_id, which their causal mask hides."""
    text_cfg = {"vocab_size": 259, "context_length": 32, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos",
                "eos_id": 2, "hf_tokenizer_name": "facebook/xlm-v-base"}
    (tmp_path / "mini-worldwide.json").write_text(json.dumps({**CLIP, "text_cfg": text_cfg}))
    open_clip.add_model_config(tmp_path)
    model = models.load("open_clip:mini-worldwide", tokenizer=str(run / "tokenizer.json"))
    assert model.tokenizer(["a"])[0, :3].tolist() == [*tiny.PlainTokenizer()(["a"])[0, :1].tolist(), 2, 1]
    assert model.encode_texts(["a", "b"]).shape == (2, 16)


@pytest.mark.parametrize("spec, message", [
    ("nowhere/run", "neither a checkpoint nor a model"),
    ("open_clip:ViT-B-23", "Did you mean ViT-B-32"),
    ("open_clip:mini@", "names no weights after the @"),
    ("open_clip:mini@nothing.pt", "neither a file nor a tag of mini"),
    ("open_clip:ViT-B-32@metaclip2_worldwide", "The tag belongs to ViT-H-14-worldwide")])
def test_names_of_nothing_are_explained(spec, message):
    with pytest.raises(BadUsage, match=message):
        models.load(spec)


def test_a_student_is_named_after_the_path(run):
    assert models.load(f"{run}#student").image_size == 32
    with pytest.raises(BadUsage, match="has no student other. It has student"):
        models.load(f"{run}#other")


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(40, 36), (31, 90), (64, 64)])
def test_the_transform_is_open_clips(mode, size):
    expected = open_clip.image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
    pixels = models.Transform(32, "bicubic", mode)(images.encoded(7, "PNG", size))
    np.testing.assert_allclose(pixels / 255, expected(images.picture(7, size)).numpy(), atol=1e-6)
