"""Gradient conflict beside two plain backward passes, and where the answer is known beforehand."""
import json
import math

import pytest
from training_tools import require_train

require_train()

import torch                                                # noqa: E402
import torch.nn.functional as F                             # noqa: E402

from mc2.errors import BadData, BadUsage                    # noqa: E402
from mc2.training import conflict                           # noqa: E402
from mc2.clip.model import build                        # noqa: E402

TINY = {"embed_dim": 8, "quick_gelu": True,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 2, "width": 16, "head_width": 8},
        "text_cfg": {"context_length": 5, "vocab_size": 20, "layers": 1, "width": 16, "heads": 2}}
LANGS = ["en", "fr", "en", "ja", "de", "en"]


def batch(seed, langs=LANGS):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(len(langs), 3, 8, 8, generator=generator),
            torch.randint(20, (len(langs), 5), generator=generator), langs)


def rows_of(measured):
    return {row["group"]: row for row in measured["groups"]}


def plain_gradient(images, tokens, rows):
    """The gradient of the loss of some rows by name, from a model and a backward pass of their own."""
    model = build(TINY, seed=0)
    out = model(images, tokens)
    logits = out["logit_scale"] * out["image_features"] @ out["text_features"].T
    own = torch.tensor(rows)
    value = (F.cross_entropy(logits[rows], own) + F.cross_entropy(logits.T[rows], own)) / 2
    value.backward()
    return value.item(), {name: weight.grad.double().flatten() for name, weight in model.named_parameters()}


def test_every_group_is_as_two_plain_backward_passes_have_it():
    images, tokens, langs = batch(1)
    measured = conflict.measure(build(TINY, seed=0), iter([batch(1)]), 1)
    english_loss, english = plain_gradient(images, tokens, [0, 2, 5])
    other_loss, others = plain_gradient(images, tokens, [1, 3, 4])
    assert measured["loss"] == pytest.approx({"english": english_loss, "others": other_loss}, rel=1e-5)
    assert measured["pairs"] == {"english": 3, "others": 3}
    expected = {
        "visual embeddings": ("visual.class_embedding", "visual.positional_embedding", "visual.conv1", "visual.ln_pre"),
        "visual block 0": ("visual.transformer.resblocks.0",), "visual block 1": ("visual.transformer.resblocks.1",),
        "visual projection": ("visual.ln_post", "visual.proj"), "token embedding": ("token_embedding",),
        "text positions": ("positional_embedding",), "text block 0": ("transformer.resblocks.0",),
        "text projection": ("ln_final", "text_projection"), "logit scale": ("logit_scale",), "all": ("",)}
    assert [row["group"] for row in measured["groups"]] == list(expected)
    for row in measured["groups"]:
        names = [name for name in english if name.startswith(expected[row["group"]])]
        a, b = (torch.cat([side[name] for name in names]) for side in (english, others))
        assert row["parameters"] == len(a), row["group"]
        assert row["cosine"]["mean"] == pytest.approx(F.cosine_similarity(a, b, dim=0).item(), abs=1e-4), row["group"]
        assert row["norm_ratio"]["mean"] == pytest.approx((a.norm() / b.norm()).item(), rel=1e-4), row["group"]
        assert row["cosine"]["std"] is None and row["undefined"] == 0


def test_mean_and_spread_are_those_of_the_batches():
    model = build(TINY, seed=0)
    alone = [rows_of(conflict.measure(model, iter([batch(seed)]), 1))["all"]["cosine"]["mean"] for seed in (1, 2, 3)]
    together = rows_of(conflict.measure(model, map(batch, (1, 2, 3)), 3))["all"]["cosine"]
    mean = sum(alone) / 3
    assert together["mean"] == pytest.approx(mean)
    assert together["std"] == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in alone) / 2))
    json.dumps(together)


def test_the_same_pairs_under_both_languages_do_not_conflict():
    images, tokens, _ = batch(1, ["en"] * 3)
    measured = conflict.measure(build(TINY, seed=0), iter([(images.repeat(2, 1, 1, 1), tokens.repeat(2, 1),
                                                            ["en"] * 3 + ["fr"] * 3)]), 1)
    for row in measured["groups"]:
        assert row["cosine"]["mean"] == pytest.approx(1.0, abs=1e-5), row["group"]
        assert row["norm_ratio"]["mean"] == pytest.approx(1.0, abs=1e-4), row["group"]


class Tables(torch.nn.Module):
    """A trained vector for every image and text in place of towers."""

    def __init__(self, images, texts):
        super().__init__()
        self.visual = torch.nn.Module()
        self.visual.proj, self.text_projection = torch.nn.Parameter(images), torch.nn.Parameter(texts)
        self.logit_scale = torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, images, tokens):
        return {"image_features": self.visual.proj[images], "text_features": self.text_projection[tokens],
                "logit_scale": self.logit_scale.exp()}


FOUR = torch.arange(4), torch.arange(4), ["en", "en", "fr", "de"]


def test_sides_that_share_nothing_are_orthogonal():
    """Across the sides all similarities are -100, so no softmax sees the other side's vectors."""
    vectors = torch.cat([torch.eye(4), torch.tensor([[10.0], [10.0], [-10.0], [-10.0]])], dim=1)
    rows = rows_of(conflict.measure(Tables(vectors, vectors.clone()), iter([FOUR]), 1))
    assert rows["visual projection"]["cosine"]["mean"] == rows["text projection"]["cosine"]["mean"] == 0.0
    assert rows["visual projection"]["norm_ratio"]["mean"] == pytest.approx(1.0)


def test_what_one_side_wants_larger_and_the_other_smaller_is_opposed():
    """English pairs are matched well and would like a larger scale; those of the others are swapped."""
    rows = rows_of(conflict.measure(Tables(torch.eye(4), torch.eye(4)[[0, 1, 3, 2]]), iter([FOUR]), 1))
    assert rows["logit scale"]["cosine"]["mean"] == -1.0


def test_a_group_without_gradient_has_no_cosine():
    same = torch.ones(4, 1)
    rows = rows_of(conflict.measure(Tables(same, same.clone()), iter([FOUR]), 1))
    assert rows["logit scale"]["cosine"] == {"mean": None, "std": None} and rows["logit scale"]["undefined"] == 1


def test_batches_of_one_side_are_counted_and_passed_over():
    batches = iter([batch(1), batch(2, ["en"] * 4), batch(3, ["fr"] * 4), batch(4, ["de"] * 4), batch(5)])
    measured = conflict.measure(build(TINY, seed=0), batches, 10)
    assert measured["batches"] == 2 and measured["passed_over"] == {"without_english": 2, "without_others": 1}


def test_no_more_batches_are_read_than_asked_for():
    def endless():
        while True:
            yield batch(1, ["fr"] * 2)
    with pytest.raises(BadData, match="none of 3 batches has pairs of both sides: 3 are without en"):
        conflict.measure(build(TINY, seed=0), endless(), 3)


def test_gradients_of_the_model_are_left_alone():
    model = build(TINY, seed=0)
    conflict.measure(model, iter([batch(1)]), 1)
    assert all(weight.grad is None for weight in model.parameters())


def test_checkpointing_and_frozen_parameters_are_allowed():
    plain = rows_of(conflict.measure(build(TINY, seed=0), iter([batch(1)]), 1))
    model = build(TINY, seed=0, grad_checkpointing=True)
    model.logit_scale.requires_grad_(False)
    rows = rows_of(conflict.measure(model, iter([batch(1)]), 1))
    assert "logit scale" not in rows
    block = rows["visual block 0"]["cosine"]
    assert block["mean"] == pytest.approx(plain["visual block 0"]["cosine"]["mean"], abs=1e-5)


@pytest.mark.parametrize("kind, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_plot_is_drawn(tmp_path, kind, start):
    pytest.importorskip("matplotlib")
    measured = conflict.measure(build(TINY, seed=0), map(batch, (1, 2)), 2)
    conflict.plot(measured, tmp_path / f"conflict.{kind}")
    assert (tmp_path / f"conflict.{kind}").read_bytes().startswith(start)


def test_a_model_of_another_form_is_refused():
    with pytest.raises(BadUsage, match="text.logit_bias: not a parameter of a CLIP"):
        conflict.group_of("text.logit_bias")


def test_a_plot_of_another_kind_is_refused():
    with pytest.raises(BadUsage, match="plots are .png, .svg or .pdf"):
        conflict.plot({"groups": []}, "conflict.xlsx")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    import importlib.util
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with pytest.raises(BadUsage, match=r"pip install '\.\[plot\]' in the checkout of mc2"):
        conflict.plot({"groups": []}, tmp_path / "conflict.png")
