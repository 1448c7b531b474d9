"""transformers' MetaClip2 and open_clip's folders: the same features there and back, and what is refused."""
import importlib.util
import json
import os
import resource
import shutil
import sys

import numpy as np
import pytest

from training_tools import require_train, require_transformers

require_train()
require_transformers()

import open_clip                                # noqa: E402
import torch                                    # noqa: E402
import transformers                             # noqa: E402

from conftest import ROOT                       # noqa: E402
from mc2.clip import architecture, checkpoints, metaclip2, to_transformers, tokenizer_files, tokenizers     # noqa: E402
from mc2.clip.load import load_model            # noqa: E402
from mc2.clip.weights import expected_shapes    # noqa: E402
from miniatures import images                   # noqa: E402
from miniatures import models as tiny           # noqa: E402
from shell import Shell                         # noqa: E402

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

TEXTS = ["a red circle", "ein blauer Kreis", "赤い円", "x" * 100, "", "ÀÉ ½"]
PHOTOS = "--images photos --classes classes.txt"
PREPROCESS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "image_interpolation": "bilinear"}
GELU_AND_CLIPS_WORDS = {
    "embed_dim": 24, "quick_gelu": False,
    "vision_cfg": {"image_size": 24, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8, "mlp_ratio": 4.9231},
    "text_cfg": {"vocab_size": 49408, "context_length": 16, "width": 16, "heads": 2, "layers": 2}}


def with_content(folder, **changes):
    """The run of the miniatures with changes of its checkpoint's content; its path."""
    run = tiny.write_run(folder)
    content = checkpoints.load(str(run))
    (run / "checkpoints/latest").unlink()
    held = content["models"][0] | changes.pop("model", {})
    checkpoints.write({**content, "models": [held], **changes}, str(run / "checkpoints/step-00000001.pt"))
    return run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A Shell with a run, photos in classes, and the run as `hf` and `oc`, folders of transformers and open_clip."""
    sh = Shell(tmp_path_factory.mktemp("place"))
    shutil.move(with_content(sh.directory / "made", config={"data": PREPROCESS}), sh / "run")
    for number in range(8):
        images.write(sh / f"photos/{'cat' if number % 2 else 'dog'}/{number}.png", number, (50 + 6 * number, 44))
    sh.write("classes.txt", "cat", "dog")
    sh.ok("mc2 checkpoint export run --format transformers -o hf -q")
    sh.ok("mc2 checkpoint export run --format open_clip -o oc -q")
    return sh


@pytest.fixture
def copy(place, tmp_path):
    """A copy of the folder of transformers, for a test to change."""
    return shutil.copytree(place / "hf", tmp_path / "hf")


def features(folder, pictures, texts):
    """(images, texts): float32, L2-normalised, by transformers alone."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    pil = to_transformers._image_processor(transformers, str(folder))
    with torch.inference_mode():
        found = model(**processor(text=texts, padding=True, truncation=True, return_tensors="pt"),
                      pixel_values=pil(images=pictures, return_tensors="pt")["pixel_values"])
    assert type(model).__name__ == "MetaClip2Model" and type(processor).__name__ == "CLIPProcessor"
    return found.image_embeds.numpy(), found.text_embeds.numpy()


def assert_same_features(folder, model, texts=TEXTS):
    pictures = [images.picture(number, size) for number, size in enumerate([(48, 36), (31, 91), (120, 60)])]
    ours = model.encode_images(torch.from_numpy(np.stack([model.transform(picture) for picture in pictures])))
    of_images, of_texts = features(folder, pictures, texts)
    np.testing.assert_allclose(of_images, ours, atol=2e-6)
    np.testing.assert_allclose(of_texts, model.encode_texts(texts), atol=2e-6)


# ---------------------------------------------------------------- there and back

def test_transformers_gives_the_features_of_the_run(place):
    assert_same_features(place / "hf", load_model(str(place / "run")))
    assert sorted(os.listdir(place / "hf")) == ["README.md", "config.json", "manifest.json", "model.safetensors",
                                                "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"]


def test_the_scores_of_all_forms_are_those_of_the_run(place):
    place.ok("mc2 checkpoint import hf -o back/start.pt -q && mc2 checkpoint import oc -o again/start.pt -q")
    scores = [[(record["metric"], record["value"], record["model"]["mean"], record["model"]["transform"])
               for record in map(json.loads, place.ok(
                   f"mc2 eval zeroshot {PHOTOS} --json --no-cache --workers 0 -q --model {model}"
               ).splitlines())] for model in ("run", "hf", "oc", "back/start.pt", "again/start.pt")]
    assert scores[0] and scores[0][0][2:] == ([0.5, 0.4, 0.3], "shortest 32 bilinear")
    assert all(found == scores[0] for found in scores[1:])


def test_every_weight_comes_back_as_it_was_with_tokenizer_and_preprocessing(place):
    before = checkpoints.load(str(place / "run"))
    for form in ("hf", "oc"):
        place.ok(f"mc2 checkpoint import {form} -o {form}-back/start.pt -q")
        after = checkpoints.load(str(place / f"{form}-back/start.pt"))
        assert checkpoints.preprocess_of(after) == {**checkpoints.preprocess_of(before), "resize_mode": "shortest"}
        was, held = before["models"][0], after["models"][0]
        assert list(was["state"]) == list(held["state"])
        assert all(torch.equal(weight, held["state"][name]) for name, weight in was["state"].items())
        assert held["tokenizer_fingerprint"] == was["tokenizer_fingerprint"]
        assert (place / f"{form}-back/tokenizer.json").read_bytes() == (place / "run/tokenizer.json").read_bytes()
    assert held["architecture"] == was["architecture"]              # open_clip's form says the same


def test_gelu_clips_own_words_and_squashed_images_are_carried_along(tmp_path, sh):
    run = with_content(
        tmp_path / "made", config={"data": {"image_resize_mode": "squash"}},
        model={"architecture": GELU_AND_CLIPS_WORDS, "tokenizer": "openai", "tokenizer_fingerprint": None,
               "state": tiny.network(GELU_AND_CLIPS_WORDS, 5).state_dict()})
    sh.ok(f"mc2 checkpoint export {run} --format transformers -o hf -q && mc2 checkpoint import hf -o start.pt -q")
    model, back = load_model(str(run)), load_model(str(sh / "start.pt"))
    texts = ["a Photo of a CAT's  toy", "naïve café 12345", "", "x " * 40, "猫!?"]
    assert_same_features(sh / "hf", model, texts)
    odd = [*texts, "Tom &amp; Jerry <end_of_text> x", "â€œquotedâ€\x9d"]          # cleaned, as CLIP does
    assert (back.encode_texts(odd) == model.encode_texts(odd)).all() and back.tokenizer.name == "openai"
    assert str(back.transform) == str(model.transform) == "squash 24 bicubic"


def test_when_images_become_rgb_comes_back_from_every_form(tmp_path, sh):
    run = with_content(tmp_path / "made", config={"data": {"image_rgb": "after-resize"}})
    shutil.copy(run / "tokenizer.json", sh / "own.json")
    done = sh(f"mc2 checkpoint export {run} --format transformers -o hf")
    assert "transformers makes images RGB before it resizes them, this model after that" in done.stderr
    sh.ok(f"mc2 checkpoint export {run} --format open_clip -o oc -q && mc2 checkpoint export {run} -o w/w.pt -q")
    for source, options in (("hf", ""), ("oc", ""), ("w/w.pt", "--tokenizer own.json")):
        sh.ok(f"mc2 checkpoint import {source} {options} -o back-{source[:2].strip('/')}/start.pt -q")
    for model in ("hf", "oc", "back-hf/start.pt", "back-oc/start.pt", "back-w/start.pt"):
        assert str(load_model(str(sh / model)).transform) == "shortest 32 bicubic, RGB after resize"


@pytest.mark.parametrize("activation, dtype", [("gelu", torch.float32), ("quick_gelu", torch.bfloat16)])
def test_what_transformers_saved_is_imported(sh, activation, dtype):
    """Random weights, none of them zero or alike, in several files; a processor that says the size in another way."""
    torch.manual_seed(1)
    common = {"hidden_act": activation, "projection_dim": 48}
    theirs = transformers.MetaClip2Model(transformers.MetaClip2Config(
        projection_dim=48,
        vision_config={**common, "hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
                       "intermediate_size": 200, "patch_size": 8, "image_size": 32},
        text_config={**common, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "intermediate_size": 256, "vocab_size": 259, "max_position_embeddings": 16, "eos_token_id": 2,
                     "bos_token_id": None, "pad_token_id": None}))
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    theirs.to(dtype).save_pretrained(sh / "saved", max_shard_size="200KB")
    sh.write("saved/tokenizer.json", tiny.tokenizer_json())
    made = transformers.PreTrainedTokenizerFast(tokenizer_file=str(sh / "saved/tokenizer.json"), pad_token="<pad>",
                                                eos_token="</s>", unk_token="<unk>", model_max_length=16,
                                                model_input_names=["input_ids", "attention_mask"])
    size = {"height": 32, "width": 32}
    processor = transformers.CLIPImageProcessor(size=size, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    transformers.CLIPProcessor(image_processor=processor, tokenizer=made).save_pretrained(sh / "saved")
    assert len(list((sh / "saved").glob("*.safetensors"))) > 1
    sh.ok("mc2 checkpoint import saved -o start.pt")
    model = load_model(str(sh / "start.pt"))
    assert str(model.transform) == "squash 32 bicubic" and model.mean == [0.5] * 3
    if dtype is torch.float32:
        assert_same_features(sh / "saved", model, TEXTS[:3] + TEXTS[4:])


def test_open_clip_reads_the_folder_as_it_is(place):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{place / 'oc'}")
    ours, picture = load_model(str(place / "run")), images.picture(3, (70, 44))
    ids = open_clip.get_tokenizer(f"local-dir:{place / 'oc'}")(TEXTS)
    with torch.inference_mode():
        np.testing.assert_allclose(model.eval().encode_text(ids, normalize=True), ours.encode_texts(TEXTS), atol=1e-6)
        np.testing.assert_allclose(model.encode_image(transform(picture)[None], normalize=True), ours.encode_images(
            torch.from_numpy(ours.transform(picture))[None]), atol=2e-6)


@pytest.mark.parametrize("name", ["ViT-bigG-14-xlmv-378", "ViT-S-16-mt5"])
def test_names_shapes_and_configuration_of_released_models_are_those_of_transformers(name):
    config = architecture.load(name)
    special = tokenizers.KNOWN[config["text_cfg"]["hf_tokenizer_name"]][1]
    content = metaclip2.config_to(config, special)
    shapes = expected_shapes(config)
    with torch.device("meta"):
        theirs = transformers.MetaClip2Model(transformers.MetaClip2Config(**content)).state_dict()
        made = metaclip2.weights_to({key: torch.empty(shape) for key, shape in shapes.items()}, config)
    assert {key: value.shape for key, value in made.items()} == \
        {key: value.shape for key, value in theirs.items() if not key.endswith("position_ids")}
    back = metaclip2.weights_from(made, config, name)
    assert {key: tuple(value.shape) for key, value in back.items()} == shapes
    again = metaclip2.config_from(json.loads(json.dumps(content)), name)
    assert expected_shapes(again) == shapes and architecture.are_same(again, config)


def test_a_text_with_a_word_like_the_end_of_texts_is_pooled_at_its_end(place):
    ids = transformers.AutoTokenizer.from_pretrained(place / "hf")("a</s>b")["input_ids"]
    assert ids.count(2) == 1 and ids[-1] == 2 and len(ids) == 7


def test_clip_model_would_be_wrong_without_any_error(place):
    """Why it is MetaClip2Model: where the end of texts is 2, transformers' CLIP pools at the highest id."""
    ours = load_model(str(place / "run")).encode_texts(TEXTS).numpy()
    content = {key: value for key, value in json.loads((place / "hf/config.json").read_text()).items()
               if key in ("projection_dim", "text_config", "vision_config")}
    for part in ("text_config", "vision_config"):
        content[part].pop("model_type")
    model = transformers.CLIPModel(transformers.CLIPConfig(**content)).eval()
    right = transformers.MetaClip2Model.from_pretrained(place / "hf").state_dict()
    model.load_state_dict(right, strict=False)
    with torch.inference_mode():
        tokenizer = transformers.AutoTokenizer.from_pretrained(place / "hf")
        ids = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
        found = model(**ids, pixel_values=torch.zeros(1, 3, 32, 32)).text_embeds.numpy()
    assert abs(found - ours).max() > 0.01


# ---------------------------------------------------------------- refused

def test_a_full_disk_is_named_and_nothing_is_left_behind(place, sh):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        done = sh(f"mc2 checkpoint export {place / 'run'} --format transformers -o hf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.status, done.stderr.strip().endswith("hf: File too large.")) == (1, True)
    assert not [name for name in os.listdir(sh.directory) if "hf" in name]


def test_a_difference_is_refused_and_nothing_is_left_behind(place, sh, monkeypatch):
    monkeypatch.setitem(metaclip2.ACTIVATIONS, True, "gelu")
    done = sh(f"mc2 checkpoint export {place / 'run'} --format transformers -o hf")
    assert done.status == 3 and "gives other features than mc2, by up to" in done.stderr
    assert "0.0001 is the most that is taken for the same. Nothing was written." in done.stderr
    assert not [name for name in os.listdir(sh.directory) if "hf" in name]


def test_what_transformers_cannot_read_is_said_and_nothing_is_left_behind(place, sh, monkeypatch):
    monkeypatch.setattr(metaclip2, "TRANSPOSED", metaclip2.TRANSPOSED[:1])
    done = sh(f"mc2 checkpoint export {place / 'run'} --format transformers -o hf")
    assert done.status == 1 and "cannot use what was to be exported" in done.stderr and not (sh / "hf").exists()


def test_a_missing_library_and_a_directory_of_others_are_refused_first(place, sh, monkeypatch):
    sh.write("mine/notes.txt", "mine")
    done = sh(f"mc2 checkpoint export {place / 'run'} --format transformers -o mine")
    assert done.status == 2 and "is not empty and holds no transformers model" in done.stderr
    done = sh(f"mc2 checkpoint export {place / 'run'} -o hf --licence mit")
    assert done.status == 2 and "--licence is for the model card" in done.stderr
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    done = sh(f"mc2 checkpoint export {place / 'run'} --format transformers -o hf")
    assert done.status == 2 and "needs transformers, which the extra [transformers] brings" in done.stderr


def changed(folder, name, **changes):
    content = json.loads((folder / name).read_text())
    for key, value in changes.items():
        section, _, key = key.rpartition("__")
        (content[section] if section else content)[key] = value
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("name, changes, message", [
    ("config.json", {"model_type": "clip"}, "is of the type clip; of transformers' folders, mc2 reads those of"),
    ("config.json", {"text_config__hidden_act": "gelu"}, "hidden_act is gelu and quick_gelu"),
    ("config.json", {"text_config__hidden_act": ["gelu"]}, "hidden_act is ['gelu'] and quick_gelu"),
    ("config.json", {"vision_config__layer_norm_eps": 1e-6}, "vision_config.layer_norm_eps is 1e-06"),
    ("config.json", {"vision_config__image_size": [32, 32]}, "image_size is [32, 32], and not a whole number from 1"),
    ("config.json", {"vision_config__num_attention_heads": 0}, "heads is 0, and not a whole number from 1"),
    ("config.json", {"vision_config__num_hidden_layers": 10**9}, "has 1,000,000,001 layers, and there are 46 weights"),
    ("config.json", {"text_config__vocab_size": 10**12}, "259 tokens, but the model's text_cfg.vocab_size is 1,000,"),
    ("config.json", {"text_config__max_position_embeddings": 10**12}, "no network of its configuration can be made"),
    ("config.json", {"vision_config__intermediate_size": 10**9}, "its weights are not those of the configuration"),
    ("config.json", {"vision_config__num_channels": 1}, "its images have 1 channels"),
    ("config.json", {"text_config__num_hidden_layers": 2}, "lacks 16 weights, e.g. text_model.encoder.layers.1."),
    ("config.json", {"text_config__num_hidden_layers": 0}, "num_hidden_layers is 0, and not a whole number from 1"),
    ("config.json", {"vision_config__patch_size": 4}, "its weights are not those of the configuration beside them"),
    ("config.json", {"text_config": []}, "text_cfg.vocab_size"),
    ("config.json", {"text_config": 7}, "is no object"),
    ("config.json", {"text_config__eos_token_id": 1}, "ends a text with id 2, but the model's text_cfg.eos_id is 1"),
    ("preprocessor_config.json", {"size": {"shortest_edge": 40}}, 'resized to {"shortest_edge": 40} and cropped to'),
    ("preprocessor_config.json", {"do_center_crop": False}, "and not cropped; mc2 makes squares of 32 pixels"),
    ("preprocessor_config.json", {"do_normalize": False}, "do_normalize is False"),
    ("preprocessor_config.json", {"rescale_factor": 1}, "rescale_factor is 1, not 1/255"),
    ("preprocessor_config.json", {"resample": 0}, "resample is 0; mc2 has 2 (bilinear) and 3 (bicubic)"),
    ("preprocessor_config.json", {"resample": [3]}, "resample is [3]"),
    ("preprocessor_config.json", {"image_std": [0.5, 0, 0.5]}, "those of image_std above 0"),
    ("preprocessor_config.json", {"image_std": [0.5, float("nan"), 0.5]}, "those of image_std above 0"),
    ("preprocessor_config.json", {"image_mean": 0.5}, "image_mean and image_std are three numbers each")])
def test_a_folder_that_mc2_cannot_compute_is_refused(sh, copy, name, changes, message):
    changed(copy, name, **changes)
    done = sh(f"mc2 checkpoint import {copy} -o start.pt")
    assert done.status == 3 and message in done.stderr, done.stderr
    assert not (sh / "start.pt").exists()


def test_a_folder_without_a_part_says_which_and_what_to_do(sh, copy):
    for name, status, message in [
            ("tokenizer.json", 2, "nothing says which tokenizer it was trained with. Name it with --tokenizer"),
            ("model.safetensors", 2, "holds no weights (model.safetensors or pytorch_model.bin)"),
            ("config.json", 2, "is no folder of transformers (config.json with a model_type) or of open_clip")]:
        os.rename(copy / name, sh / name)
        done = sh(f"mc2 checkpoint import {copy} -o start.pt")
        assert done.status == status and message in done.stderr, done.stderr
        os.rename(sh / name, copy / name)
    (copy / "preprocessor_config.json").unlink()
    done = sh(f"mc2 checkpoint import {copy} -o start.pt")
    assert done.status == 0 and "nothing says how images were prepared" in done.stderr
    done = sh(f"mc2 checkpoint import {copy} --model tiny -o start.pt")
    assert done.status == 2 and "says itself what model it is; leave out --model tiny" in done.stderr


def test_no_memory_is_taken_for_sizes_that_the_weights_do_not_have(place, copy):
    changed(copy, "config.json", vision_config__intermediate_size=10**9)
    done = place(f"mc2 eval zeroshot {PHOTOS} --model {copy}")
    assert done.status == 3 and "mlp.c_fc.weight is 128 x 32, not 1000000000 x 32" in done.stderr, done.stderr


def test_files_outside_of_the_folder_are_not_read(sh, copy):
    os.rename(copy / "model.safetensors", copy.parent / "out.safetensors")
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"logit_scale": "../out.safetensors"}}')
    done = sh(f"mc2 checkpoint import {copy} -o start.pt")
    assert done.status == 3 and "does not say which files of the folder hold the weights" in done.stderr


def test_another_tokenizer_than_the_folders_is_refused(place, copy, tmp_path):
    other = json.loads(tiny.tokenizer_json())
    vocab = other["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (tmp_path / "other.json").write_text(json.dumps(other))
    done = place(f"mc2 eval zeroshot {PHOTOS} --model {copy} --tokenizer {tmp_path / 'other.json'}")
    assert done.status == 3 and "its ids would mean other words. Leave --tokenizer out." in done.stderr


def test_a_tokenizer_of_another_model_is_not_replaced(place, sh):
    sh.write("tokenizer.json", "{}")
    done = sh(f"mc2 checkpoint import {place / 'hf'} -o start.pt")
    assert done.status == 2 and "holds something else, and the model's tokenizer would go there" in done.stderr
    assert not (sh / "start.pt").exists()


def test_a_tokenizer_that_puts_no_end_gets_mc2s(tmp_path):
    """Gemma's adds the beginning alone; mc2 adds the end."""
    import tokenizers as library
    made = library.Tokenizer.from_str(tiny.tokenizer_json())
    made.post_processor = library.processors.TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 0)])
    made.enable_truncation(5)
    made.save(str(tmp_path / "plain.json"))
    ours = tokenizers.load(str(tmp_path / "plain.json"), tiny.ARCHITECTURE["text_cfg"])
    (tmp_path / "out").mkdir()
    tokenizer_files.write(ours, str(tmp_path / "out"))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs("abcdef")["input_ids"] == [id for id in ours(["abcdef"])[0].tolist() if id != 1]


# ---------------------------------------------------------------- the model card

def test_the_card_says_the_data_the_recipe_and_the_licences(sh, toy):
    toy.write("pairs.jsonl", '{"id":"1","text":"a cat","lang":"en","matched_entry_ids":[0]}')
    toy.ok("mc2 match pairs.jsonl -m toy -o m.jsonl -q; mc2 count m.jsonl -m toy -o counts -q")
    manifest = json.loads((toy / "toy/manifest.json").read_text())
    manifest.pop("checksum")
    manifest["origins"] = [{"name": "lists <of> words", "licence": "CC-BY-SA-4.0", "url": "https://example.org",
                            "languages": ["en"]}]
    (toy / "toy/manifest.json").write_text(json.dumps(manifest))
    run = with_content(
        toy / "made", step=7, seen_pairs=1792,
        tallies={"seen": {"en": 1000, "no": 700, "other": 92}, "images": {"corrupt | image": 5}},
        config={"data": {**PREPROCESS, "counts": "counts", "train_data": ["tars/*.tar"], "curation": "online"},
                "optimizer": {"lr": 4e-4}, "schedule": {"global_batch": 256}})
    done = toy(f"mc2 checkpoint export {run} --format transformers -o hf --licence cc-by-4.0")
    assert done.status == 0 and "names no licence" not in done.stderr, done.stderr
    card = (toy / "hf/README.md").read_text()
    assert card.startswith('---\nlibrary_name: transformers\npipeline_tag: zero-shot-image-classification\n'
                           'license: "cc-by-4.0"\n') and 'language: ["en", "no"]\n---\n' in card
    for line in ("| optimizer.lr | 0.0004 |", "| schedule.global_batch | 256 |", "| en | 1,000 |",
                 "| train_data | tars/&#42;.tar |", "| corrupt \\| image | 5 |",
                 "| lists &#60;of&#62; words | CC-BY-SA-4.0 (https://example.org) |",
                 '| data.curation | "online" |', "The model: cc-by-4.0."):
        assert line in card, line
    assert "at step 7, after 1,792 seen pairs" in card


# ---------------------------------------------------------------- into a multimodal language model

def test_the_vision_tower_goes_into_a_language_model_and_the_loss_goes_down(place, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("llava", ROOT / "examples/mllm/llava.py")
    llava = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(llava)
    model, tower = llava.llava(place / "hf", -2), transformers.MetaClip2VisionModel.from_pretrained(place / "hf").eval()
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model.model.vision_tower.eval()(pixels).last_hidden_state, tower(pixels).last_hidden_state)
    monkeypatch.setattr(sys, "argv", ["llava.py", str(place / "hf"), "--steps", "40"])
    llava.main()
    projector, both, right = capsys.readouterr().out.splitlines()
    first, last = both.split("loss ")[1].split(" in ")[0].split(" -> ")
    assert float(last) < 0.5 * float(first) and int(right.split(": ")[1].split("%")[0]) > 80, (projector, both, right)
