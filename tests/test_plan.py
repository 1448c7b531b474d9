"""mc2 plan: what a run takes is computed from its preset, without torch."""
import json
import os
import re
import shlex
import subprocess
import sys
import types
from fractions import Fraction

import pytest

from conftest import ROOT
from mc2 import cli
from mc2.clip import architecture
from mc2.errors import BadData, BadUsage
from mc2.training import plan, presets, teachers

# preset: (parameters, global batch, steps per pass, steps, seen pairs in whole batches, lr, betas, wd)
H14, L14, B32 = (4e-4, 0.9, 0.95, 0.1), (4e-4, 0.9, 0.98, 0.2), (5e-4, 0.9, 0.98, 0.2)
RUNS = {
    "h14-worldwide": (1_858_783_745, 75_264, 12_223, 391_136, 29_438_459_904, H14),
    "h14-worldwide-1x": (1_858_783_745, 32_768, 12_207, 390_624, 12_799_967_232, H14),
    "h14-english": (986_109_441, 32_768, 12_207, 390_624, 12_799_967_232, H14),
    "h14-non-english": (1_858_783_745, 42_598, 12_207, 390_624, 16_639_801_152, H14),
    "l14-worldwide": (1_082_122_241, 75_264, 12_223, 391_136, 29_438_459_904, L14),
    "l14-english": (427_616_513, 32_768, 12_207, 390_624, 12_799_967_232, L14),
    "b32-xlmv": (587_614_465, 32_768, 12_207, 390_624, 12_799_967_232, B32),
    "b32-mt5": (253_980_417, 32_768, 12_207, 390_624, 12_799_967_232, B32),
    "b32-xlmr": (253_981_441, 32_768, 12_207, 390_624, 12_799_967_232, B32),
    "b32-gemma": (257_052_417, 32_768, 12_207, 390_624, 12_799_967_232, B32),
    **{f"b32-ablation-{row}": (253_980_417, 32_768, 12_207, 390_624, 12_799_967_232, B32) for row in range(1, 6)},
    "tiny": (1_315_969, 256, 39, 390, 99_840, (1e-3, 0.9, 0.98, 0.2)),
}
TOKENIZERS = {"i18n": ("timm/ViT-B-16-SigLIP-i18n-256", 250_000),
              "xlmv": ("facebook/xlm-v-base", 901_629), "mt5": ("google/mt5-base", 250_100),
              "xlmr": ("FacebookAI/xlm-roberta-base", 250_002), "gemma": ("google/gemma-2b", 256_000),
              "en": (None, 49_408)}
MT5_WITHOUT_SENTINELS = ("google/mt5-base", 250_000)        # as Meta CLIP 2's released models have it

# One block of width 2 and MLP width 8 a tower; an image of two by two pixels is four patches.
SMALL = {"embed_dim": 3, "quick_gelu": True,
         "vision_cfg": {"image_size": 2, "patch_size": 1, "layers": 1, "width": 2, "head_width": 1},
         "text_cfg": {"context_length": 4, "vocab_size": 10, "layers": 1, "width": 2, "heads": 1}}


def made(name, **options):
    return plan.make(presets.load(name), **options)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run("plan tiny") runs mc2 in this process, in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def run(arguments):
        status = cli.run(shlex.split(arguments))
        return types.SimpleNamespace(status=status, **capsys.readouterr()._asdict())
    return run


def text_of(name):
    return (ROOT / f"mc2/data/presets/{name}.toml").read_text("utf-8")


@pytest.fixture
def edited(tmp_path):
    """edited(old, new) gives the path of the preset `tiny` with one text in place of another."""
    def edit(old, new, name="mine.toml"):
        text = text_of("tiny")
        assert text.count(old) == 1, old
        path = tmp_path / name
        path.write_text(text.replace(old, new), "utf-8")
        return str(path)
    return edit


# The runs of the paper

def test_every_preset_is_in_the_table_below():
    assert presets.names() == sorted(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_preset_is_the_run_of_the_paper(name):
    parameters, batch, steps_per_pass, steps, seen_pairs, (lr, beta1, beta2, wd) = RUNS[name]
    run = made(name)
    schedule, optimizer = run["schedule"], run["optimizer"]
    assert run["parameters"]["total"] == parameters
    assert (schedule["global_batch"], schedule["steps_per_pass"], schedule["steps"]) == (batch, steps_per_pass, steps)
    assert schedule["seen_pairs"] == seen_pairs
    assert [optimizer[key] for key in ("opt", "lr", "beta1", "beta2", "eps", "wd")] == \
        ["adamw", lr, beta1, beta2, 1e-6, wd]
    assert (schedule["warmup"], schedule["lr_scheduler"], schedule["seed"]) == (2000 if name != "tiny" else 40,
                                                                               "cosine", 0)
    assert run["compute"]["precision"] == ("fp32" if name == "tiny" else "amp_bf16")
    assert run["memory_per_gpu"]["fits"]


@pytest.mark.parametrize("name, planned", [("h14-worldwide", 29_440_000_000), ("l14-worldwide", 29_440_000_000),
                                           ("h14-non-english", 16_640_000_000), ("b32-xlmv", 12_800_000_000)])
def test_passes_and_pairs_of_a_pass_give_the_seen_pairs(name, planned):
    schedule = made(name)["schedule"]
    assert schedule["planned_pairs"] == planned == schedule["passes"] * schedule["pairs_per_pass"]
    assert 0 <= planned - schedule["seen_pairs"] < schedule["passes"] * schedule["global_batch"]


def test_the_main_model_sees_32_passes_of_920_million_pairs_in_whole_batches():
    run = made("h14-worldwide", gpus=384)
    assert (run["schedule"]["passes"], run["schedule"]["pairs_per_pass"]) == (32, 920_000_000)
    assert run["batch"] == {"per_gpu": 196, "at_a_time": 196, "divides": True, "nearest_down": 75_264,
                            "nearest_up": 75_264}


def test_the_rows_of_table_2_differ_in_data_alone():
    def without_data(name):
        return {section: values for section, values in presets.load(name).values.items() if section != "data"}
    assert all(without_data(f"b32-ablation-{row}") == without_data("b32-mt5") for row in range(1, 6))
    shares = [made(f"b32-ablation-{row}")["schedule"]["english_share"] for row in range(1, 6)]
    assert shares == [1.0, None, None, None, 0.4348]


def test_english_shares():
    shares = {name: made(name)["schedule"]["english_share"] for name in RUNS}
    assert (shares["h14-english"], shares["l14-english"], shares["h14-non-english"]) == (1, 1, 0)
    assert shares["h14-worldwide"] == shares["h14-worldwide-1x"] == 0.4348


@pytest.mark.parametrize("name", RUNS)
def test_a_preset_opens_with_title_cost_score_command_and_data(name):
    head = text_of(name).split("\n\n[model]")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    labels = [line.split(":")[0] for line in head[2:] if not line.startswith("#     ")]
    assert head[1] == "#" and labels[:4] == ["# Cost", "# Expect", "# Command", "# Data"]
    command = "mc2 train --init tiny run " if name == "tiny" else f"mc2 train {name} --train-data "
    assert f"# Command: {command}" in text_of(name)
    assert presets.load(name).title == head[0][2:]


@pytest.mark.parametrize("name", sorted(set(RUNS) - {"tiny"}))
def test_the_cost_in_the_comment_is_the_computed_one(name):
    run, head = made(name), " ".join(text_of(name).replace("\n#    ", "").split())
    hours, on_gpus, gpus, pairs, gflops = re.search(
        r"Cost: ([\d,]+) GPU hours on H100 \(([\d.,]+) hours on (\d+)\), estimated, not measured: ([\d,]+) pairs x "
        r"([\d,]+) GFLOPs", head).groups()
    assert float(hours.replace(",", "")) == pytest.approx(run["cost"]["gpu_hours"], rel=5e-3)
    assert float(on_gpus.replace(",", "")) == pytest.approx(run["cost"]["hours"], abs=0.06)
    assert (int(gpus), int(pairs.replace(",", ""))) == (run["gpus"], run["schedule"]["seen_pairs"])
    assert int(gflops.replace(",", "")) == round(run["flops_per_pair"]["total"] / 1e9)


@pytest.mark.parametrize("name", architecture.names())
def test_a_model_has_its_tokenizers_vocabulary(name):
    config = architecture.load(name)
    if name == "tiny":
        return
    _, size, patch, *parts = name.split("-")
    is_quick, text = parts[-1] == "quickgelu", config["text_cfg"]
    key = next((part for part in parts if part in TOKENIZERS), "en")
    expected = TOKENIZERS[key] if is_quick or key != "mt5" else MT5_WITHOUT_SENTINELS
    assert (text.get("hf_tokenizer_name"), text["vocab_size"]) == expected
    assert config["quick_gelu"] == is_quick and text["context_length"] == 77
    assert config["vision_cfg"]["patch_size"] == int(patch)
    assert config["vision_cfg"]["image_size"] == next((int(part) for part in parts if part.isdigit()), 224)


def test_a_presets_tokenizer_is_that_of_its_model():
    for name in sorted(set(RUNS) - {"tiny"}):
        preset = presets.load(name)
        assert preset.values["model"]["tokenizer"] == preset.architecture["text_cfg"].get("hf_tokenizer_name", "openai")


def test_every_worldwide_size_has_a_model_with_the_xlmv_vocabulary():
    assert {name for name in architecture.names() if name.endswith("-xlmv-quickgelu")} == \
        {f"ViT-{size}-xlmv-quickgelu" for size in ("H-14", "L-14", "B-32", "B-16", "M-16", "S-16")}


def test_presets_and_models_are_package_data():
    patterns = re.search(r'package_data=\{"mc2": \[(.*?)\]', (ROOT / "setup.py").read_text("utf-8"), re.DOTALL)[1]
    package = ROOT / "mc2"
    packed = {path for pattern in re.findall(r'"(.*?)"', patterns) for path in package.glob(pattern)}
    there = {path for path in (package / "data").rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert there <= packed and len(there) > len(RUNS)


# Batch and growth

def test_a_batch_that_does_not_divide_names_the_nearest_that_do(run):
    assert made("h14-non-english", gpus=256)["batch"] == {
        "per_gpu": 167, "at_a_time": 167, "divides": False, "nearest_down": 42_496, "nearest_up": 42_752}
    out = run("plan h14-non-english --gpus 256").out
    assert "42,598 does not divide over 256 GPUs; the nearest that do: 42,496 or 42,752" in out
    assert "below, the most on one GPU: 167" in out


def test_a_batch_smaller_than_the_gpus_has_only_a_larger_one_near_it():
    batch = made("tiny", gpus=1000)["batch"]
    assert (batch["nearest_down"], batch["nearest_up"], batch["per_gpu"]) == (None, 1000, 1)


def test_accumulated_batches_divide_once_more(edited):
    batch = made(edited("accum_freq = 1", "accum_freq = 8"), gpus=4)["batch"]
    assert batch == {"per_gpu": 64, "at_a_time": 8, "divides": True, "nearest_down": 256, "nearest_up": 256}


@pytest.mark.parametrize("name, growth, batch, planned", [
    ("h14-worldwide-1x", 2.3, 75_366, 29_440_000_000),      # the batch that the paper names
    ("h14-worldwide-1x", 1.8, 58_982, 23_040_000_000),
    ("h14-worldwide", 2.3, 75_264, 29_440_000_000),         # as it is
    ("h14-worldwide", 1, 32_723, 12_800_000_000),
    ("h14-english", 1, 32_768, 12_800_000_000),
    ("h14-english", 1.3, 42_598, 16_640_000_000)])
def test_growth_scales_batch_and_pairs_so_that_english_pairs_stay_the_same(name, growth, batch, planned):
    schedule = made(name, growth=growth)["schedule"]
    assert (schedule["global_batch"], schedule["planned_pairs"]) == (batch, planned)
    assert planned / Fraction(str(growth)) == 12_800_000_000
    assert schedule["english_share"] == pytest.approx(1 / growth)
    assert schedule["english_pairs"] == pytest.approx(12.8e9, rel=1e-4)     # less what fills no batch


def test_growth_of_an_english_run_says_that_the_model_stays_english(run):
    assert made("h14-english", growth=1)["notes"] == []
    assert "(openai) are those of the English-only run" in run("plan l14-english --growth 2.3").out


def test_growth_needs_english_pairs(run):
    done = run("plan h14-non-english --growth 2.3")
    assert done.status == 2 and "sees no English pairs" in done.err


# Architecture

def test_parameters_of_a_small_model_by_hand():
    block = (2 + 2) * 2 + (2 * 6 + 6) + (2 * 2 + 2) + (2 * 8 + 8) + (8 * 2 + 2)     # norms, qkv, out, MLP up, MLP down
    assert architecture.parameters(SMALL) == {
        "vision": 3 * 2 + 2 + 5 * 2 + 2 * (2 + 2) + block, "text": 4 * 2 + (2 + 2) + block, "token_embedding": 20,
        "projections": 6 + 6, "logit_scale": 1, "total": 26 + 12 + 2 * block + 20 + 12 + 1}


def test_flops_of_a_small_model_by_hand():
    def block(tokens):
        qkv, out, mlp = 2 * tokens * 2 * 6, 2 * tokens * 2 * 2, 2 * (2 * tokens * 2 * 8)
        return qkv + out + mlp + 2 * (2 * tokens * tokens * 2)                       # the last: scores, weighted sum
    patches = 2 * 4 * 3 * 2
    counted = architecture.flops(SMALL, global_batch=7)
    assert counted["vision"] == patches + block(5) + 2 * 2 * 3
    assert counted["text"] == block(4) + 2 * 2 * 3
    assert counted["loss"] == 2 * (2 * 7 * 3)
    assert counted["total"] == counted["forward"] + counted["backward"] == 3 * counted["forward"]


def memory(precision="fp32", grad_checkpointing=False, config=SMALL, optimizer_shards=1):
    return architecture.memory(config, global_batch=12, local_batch=6, micro_batch=3, precision=precision,
                               grad_checkpointing=grad_checkpointing, optimizer_shards=optimizer_shards)


def test_memory_of_a_small_model_by_hand():
    count = architecture.parameters(SMALL)
    values = (2 + 7) * 2 + 3 * 8                        # of a token in a block: 18 beside the MLP's
    activations = 3 * (3 * 2 * 2 * (1 + 4) + 4 * values * (5 + 4) + 4 * 2 * (5 + 4))
    parts = {"weights": 4 * count["total"], "gradients": 4 * count["total"], "optimizer": 8 * count["total"],
             "weight_copies": 0, "activations": activations, "gathered_features": 2 * 2 * 4 * 12 * 3,
             "logits": 2 * 3 * 4 * 6 * 12}
    assert memory() == {**parts, "total": sum(parts.values())}


def test_memory_by_precision():
    total, multiplied = architecture.parameters(SMALL)["total"], architecture.parameters(SMALL)["total"] - 20
    mixed, half = memory("amp_bf16"), memory("bf16")
    assert (mixed["weights"], mixed["optimizer"], mixed["weight_copies"]) == (4 * total, 8 * total, 2 * multiplied)
    assert (half["weights"], half["gradients"], half["optimizer"], half["weight_copies"]) == \
        (2 * total, 2 * total, 4 * total, 0)
    block = 4 * 2 * 2 + 2 * (7 * 2 + 3 * 8)             # of a token: norms in fp32, the rest in bfloat16
    assert mixed["activations"] == half["activations"] == 3 * (12 * (1 + 2) + block * (5 + 4) + 4 * 2 * (5 + 4))


def test_gradient_checkpointing_keeps_the_inputs_of_blocks_and_one_block():
    deep = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "layers": 10}}
    block = 4 * ((2 + 7) * 2 + 3 * 8)
    outside = 12 * (1 + 4) + 4 * 2 * (5 + 4)
    assert memory(config=deep)["activations"] == 3 * (outside + block * (10 * 5 + 4))
    assert memory(config=deep, grad_checkpointing=True)["activations"] == \
        3 * (outside + 4 * 2 * (10 * 5 + 4) + block * 5)


def test_without_quick_gelu_the_mlp_keeps_less():
    plain = {key: value for key, value in SMALL.items() if key != "quick_gelu"}
    assert memory()["activations"] - memory(config=plain)["activations"] == 3 * 4 * 8 * (5 + 4)


def test_the_full_matrix_of_logits_is_never_counted_as_memory():
    logits = made("h14-worldwide")["memory_per_gpu"]["logits"]
    assert logits == 2 * 3 * 4 * 196 * 75_264 and logits < 75_264 ** 2 * 4 / 50


def test_zero_divides_the_optimizers_state_and_nothing_else():
    total = architecture.parameters(SMALL)["total"]
    whole, sharded = memory(), memory(optimizer_shards=3)
    assert (whole["optimizer"], sharded["optimizer"]) == (8 * total, -(-8 * total // 3))
    assert whole["total"] - sharded["total"] == whole["optimizer"] - sharded["optimizer"]
    assert {**sharded, "optimizer": 0, "total": 0} == {**whole, "optimizer": 0, "total": 0}


def test_the_plan_has_the_optimizers_state_with_and_without_zero(run):
    off = ("ZeRO           off: the optimiser's state is 14.87 GB on each GPU; divided over 384 GPUs (--zero-stage 1), "
           "0.04 GB")
    on = "ZeRO           stage 1: the optimiser's state is divided over 384 GPUs, 0.04 GB on each; whole it is 14.87 GB"
    assert off in run("plan h14-worldwide --gpus 384").out.splitlines()
    assert on in run("plan h14-worldwide --gpus 384 --zero-stage 1").out.splitlines()
    plain, zero = (json.loads(run(f"plan h14-worldwide --gpus 384 --json -q {more}").out)
                   for more in ("", "--zero-stage 1"))
    assert plain["optimizer_state"] == zero["optimizer_state"] == {"whole": 14_870_269_960, "sharded": 38_724_662}
    assert plain["memory_per_gpu"]["optimizer"] == 14_870_269_960 and zero["memory_per_gpu"]["optimizer"] == 38_724_662


def test_zero_on_one_gpu_is_noted(run):
    assert "note           compute.zero_stage = 1 has no effect on one GPU" in run("plan tiny --zero-stage 1").out
    assert "ZeRO" not in run("plan tiny --gpus 1").out


def test_cost_follows_from_flops_and_the_utilisation_given():
    run = made("h14-worldwide", mfu=0.5, gpu_tflops=1000, gpus=384)
    assert run["cost"]["gpu_hours"] == pytest.approx(run["flops"] / 5e14 / 3600)
    assert run["cost"]["hours"] == pytest.approx(run["cost"]["gpu_hours"] / 384)
    assert run["flops"] == run["flops_per_pair"]["total"] * run["schedule"]["seen_pairs"]


@pytest.mark.parametrize("name", architecture.names())
def test_counts_are_those_of_open_clip_on_the_meta_device(name):
    torch, open_clip = pytest.importorskip("torch"), pytest.importorskip("open_clip")
    from torch.utils.flop_counter import FlopCounterMode
    config = architecture.load(name)
    with torch.device("meta"):
        model = open_clip.model.CLIP(**config)
    count = architecture.parameters(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == count["total"]
    assert model.token_embedding.weight.numel() == count["token_embedding"]
    assert model.visual.proj.numel() + model.text_projection.numel() == count["projections"]
    assert sum(p.numel() for p in model.visual.parameters()) - model.visual.proj.numel() == count["vision"]
    side, length = config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"]
    with FlopCounterMode(display=False) as counter:
        model.encode_image(torch.empty(1, 3, side, side, device="meta"))
        model.encode_text(torch.zeros(1, length, dtype=torch.long, device="meta"))
    counted = architecture.flops(config, global_batch=1)
    assert counter.get_total_flops() == counted["vision"] + counted["text"]


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_activations_are_what_autograd_keeps(quick_gelu):
    """In fp32 on a CPU; the estimate is a little above, because this kernel's output needs no copy."""
    torch, open_clip = pytest.importorskip("torch"), pytest.importorskip("open_clip")
    config = {**architecture.load("tiny"), "quick_gelu": quick_gelu}
    model = open_clip.model.CLIP(**config)
    ours = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in ours:
            kept[storage.data_ptr()] = (storage.nbytes(), storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model.encode_image(torch.zeros(8, 3, 32, 32)), model.encode_text(torch.ones(8, 16, dtype=torch.long))
    estimate = architecture.memory(config, global_batch=8, local_batch=8, micro_batch=8, precision="fp32",
                                   grad_checkpointing=False)["activations"]
    assert len(outputs) == 2 and 0.93 < sum(size for size, _ in kept.values()) / estimate <= 1


# Distillation

STUDENT = """
[distill]
teacher = "{}"
[[students]]
name = "small"
model = "ViT-S-16-mt5"
tokenizer = "google/mt5-base"
"""


def distilled(tmp_path, teacher):
    """The plan of b32-mt5 with this teacher and a further student."""
    (tmp_path / "mine.toml").write_text(text_of("b32-mt5") + STUDENT.format(teacher), "utf-8")
    return plan.make(presets.load(str(tmp_path / "mine.toml")), gpus=64)


def test_teacher_and_further_students_are_in_memory_and_flops(tmp_path):
    alone, found = made("b32-mt5", gpus=64), distilled(tmp_path, "open_clip:ViT-B-16-xlmv-384@weights.pt")
    small, teacher = architecture.load("ViT-S-16-mt5"), architecture.load("ViT-B-16-xlmv-384")
    memory, before = found["memory_per_gpu"], alone["memory_per_gpu"]
    its = architecture.memory(small, global_batch=32_768, local_batch=512, micro_batch=512, precision="amp_bf16",
                              grad_checkpointing=False)
    lasting = its["weights"] + its["gradients"] + its["optimizer"]
    assert memory["students"] >= lasting and memory["students"] - lasting < its["total"]
    assert memory["teacher"] == architecture.inference_memory(teacher, micro_batch=512, precision="amp_bf16")
    assert memory["total"] == before["total"] + memory["students"] + memory["teacher"]
    assert found["flops_per_pair"]["others"] == architecture.flops(small, 32_768)["total"] \
        + architecture.flops(teacher, 32_768)["forward"]
    assert found["flops"] == (found["flops_per_pair"]["total"] + found["flops_per_pair"]["others"]) \
        * found["schedule"]["seen_pairs"]
    assert found["shared_memory_per_gpu"] == 512 * (3 * 224 ** 2 + 3 * 384 ** 2 + 8 * 77 + 8 * 77) * 9
    assert alone["shared_memory_per_gpu"] == 512 * (3 * 224 ** 2 + 8 * 77) * 9 and alone["distill"] is None
    count = architecture.parameters(teacher)["total"]
    assert f"teacher        open_clip:ViT-B-16-xlmv-384@weights.pt, {count:,} parameters, sees whole pictures of 384 pixels" \
        in plan.lines(found)


def test_the_optimizers_state_is_that_of_all_students(tmp_path):
    numbers = [architecture.parameters(architecture.load(name))["total"] for name in ("ViT-B-32-mt5", "ViT-S-16-mt5")]
    state = distilled(tmp_path, "unknown")["optimizer_state"]
    assert state == {"whole": sum(8 * number for number in numbers),
                     "sharded": sum(-(-8 * number // 64) for number in numbers)}


def test_the_memory_of_a_teacher_by_hand():
    total, block = architecture.parameters(SMALL)["total"], 5 * (2 * 4 * 2 + 2 * 3 * 8)
    assert architecture.inference_memory(SMALL, micro_batch=3, precision="amp_bf16") == \
        4 * total + 2 * (total - 20) + 3 * (12 * (1 + 2) + block)


def test_a_teacher_that_only_loading_tells_of_is_named_and_not_counted(tmp_path):
    found = distilled(tmp_path, "nowhere.pt")
    assert found["distill"]["parameters"] is None and found["memory_per_gpu"]["teacher"] == 0
    assert "teacher        nowhere.pt: its size is known once it is loaded; it is in no number below" \
        in plan.lines(found)


def test_the_architecture_of_a_teacher_is_found_in_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = {**SMALL, "embed_dim": 5}
    for name, content in {
            "run/config.json": {"architecture": SMALL, "students": [{"name": "other", "architecture": other}]},
            "oc/open_clip_config.json": {"model_cfg": SMALL}, "model.json": SMALL, "bad/config.json": [1]}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "run/checkpoints").mkdir()
    for weights in ("run/checkpoints/step-00000004.pt", "model.pt", "lonely.pt"):
        (tmp_path / weights).touch()
    for name in ("run", "run/checkpoints/step-00000004.pt", "oc", "model.pt"):
        assert teachers.architecture_of(name) == SMALL, name
    assert teachers.architecture_of("run#other") == other
    assert teachers.architecture_of("open_clip:ViT-H-14-xlmv-378@a.pt") == architecture.load("ViT-H-14-xlmv-378")
    for name in ("lonely.pt", "bad", "nowhere", "open_clip:coca_ViT-B-32", "open_clip:../x"):
        assert teachers.architecture_of(name) is None, name


# Files of one's own

def test_a_preset_of_ones_own_is_a_file(edited):
    run = made(edited("global_batch = 256", "global_batch = 1_000", "grown.toml"))
    assert (run["preset"], run["schedule"]["steps_per_pass"]) == ("grown", 10)


def test_a_model_of_ones_own_lies_beside_its_preset(edited, tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    assert made(edited('name = "tiny"', 'name = "small.json"'))["parameters"] == architecture.parameters(SMALL)


@pytest.mark.parametrize("old, new, message", [
    ("lr = 1e-3", "lr = 1e-3\nlearning_rate = 1e-3",
     "unknown key optimizer.learning_rate. Allowed in [optimizer]: opt, lr, beta1, beta2, eps, wd, grad_clip_norm."),
    ("[compute]", "[wandb]\nproject = 1\n[compute]", "unknown section [wandb]. Sections: [model], [data], [optimizer], "
     "[schedule], [compute], [run], [distill]."),
    ("[model]", "batch_size = 1\n[model]", "unknown key batch_size outside of a section."),
    ("[model]", "schedule = 1\n[model]", "is not TOML"),
    ("lr = 1e-3", "", "no optimizer.lr: a number from 0 to 1."),
    ("lr = 1e-3", 'lr = "1e-3"', 'optimizer.lr is "1e-3", not a number from 0 to 1.'),
    ("lr = 1e-3", "lr = nan", "optimizer.lr is nan, not a number from 0 to 1."),
    ("wd = 0.2", "wd = inf", "optimizer.wd is inf, not a number from 0."),
    ("epochs = 10", "epochs = 10.0", "schedule.epochs is 10.0, not a whole number from 1."),
    ("epochs = 10", "epochs = true", "schedule.epochs is true, not a whole number from 1."),
    ("epochs = 10", "epochs = 0", "schedule.epochs is 0, not a whole number from 1."),
    ("grad_checkpointing = false", "grad_checkpointing = 0", "compute.grad_checkpointing is 0, not true or false."),
    ('precision = "fp32"', 'precision = "fp8"', 'compute.precision is "fp8", not "fp32" or "amp_bf16" or "bf16".'),
    ("aug_scale = [0.9, 1.0]", "aug_scale = [0.9]", "data.aug_scale is [0.9], not a list of 2 numbers from 0 to 1."),
    ('name = "tiny"', 'name = "ViT-Z-1"', 'model.name is "ViT-Z-1", which is not a model. Allowed: a .json file in '
     "the current directory or beside the preset, or ViT-B-16-mt5-quickgelu,"),
    ('name = "tiny"', 'name = "none.json"', 'model.name is "none.json", but there is no '),
    ("global_batch = 256", "global_batch = 20_000", "schedule.global_batch (20,000) is more than the pairs of a pass "
     "(schedule.train_num_samples, 10,000)"),
    ("warmup = 40", "warmup = 390", "schedule.warmup is 390, but the run has 390 steps. Give a shorter warm-up: --warmup 39."),
    ("warmup = 40", "warmup = ", "is not TOML"),
])
def test_a_wrong_preset_is_refused_with_file_key_and_what_is_allowed(edited, old, new, message):
    path = edited(old, new)
    with pytest.raises(BadData) as error:
        made(path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


def test_a_model_of_ones_own_is_looked_for_here_and_beside_the_preset(edited, monkeypatch, tmp_path):
    beside, here = edited('name = "tiny"', 'name = "mine.json"'), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    set_here = [presets.change("model.name=mine.json")]

    def width():
        return presets.load(beside).architecture["embed_dim"], presets.load(beside, set_here).architecture["embed_dim"]
    with pytest.raises(BadData, match=f'"mine.json", but there is no mine.json and no {os.path.dirname(beside)}/mine.json'):
        presets.load(beside, set_here)
    with pytest.raises(BadData, match="there is no mine.json."):
        presets.load("tiny", set_here)
    config = architecture.load("tiny")
    (here / "mine.json").write_text(json.dumps({**config, "embed_dim": 64}))
    assert width() == (64, 64) and presets.load("tiny", set_here).architecture["embed_dim"] == 64
    with open(os.path.join(os.path.dirname(beside), "mine.json"), "w") as stream:
        json.dump({**config, "embed_dim": 32}, stream)
    assert width() == (32, 64)


@pytest.mark.parametrize("change, message", [
    ({"embed_dim": None}, "no embed_dim: a whole number from 1."),
    ({"embed_dim": 0}, "embed_dim is 0, not a whole number from 1."),
    ({"embed_dim": "3"}, 'embed_dim is "3", not a whole number from 1.'),
    ({"quick_gelu": 1}, "quick_gelu is 1, not true or false."),
    ({"text_cfg": []}, "text_cfg is [], not an object."),
    ({"custom_text": True}, "unknown key custom_text."),
    ({"vision_cfg": {**SMALL["vision_cfg"], "timm_model_name": "x"}}, "unknown key vision_cfg.timm_model_name."),
    ({"vision_cfg": {**SMALL["vision_cfg"], "width": 3, "head_width": 2}}, "vision_cfg.width is 3, not a multiple"),
    ({"vision_cfg": {**SMALL["vision_cfg"], "patch_size": 4}}, "vision_cfg.image_size is smaller"),
    ({"text_cfg": {**SMALL["text_cfg"], "heads": 4}}, "text_cfg.width is 2, not a multiple"),
    ({"text_cfg": {**SMALL["text_cfg"], "eos_id": 10}}, "text_cfg.eos_id is 10, outside the vocabulary of 10."),
    ({"text_cfg": {**SMALL["text_cfg"], "mlp_ratio": float("nan")}}, "is not JSON (NaN is no number)"),
])
def test_a_wrong_model_is_refused_with_its_key(change, message):
    config = {key: value for key, value in {**SMALL, **change}.items() if value is not None}
    with pytest.raises(BadData, match="^m.json: ") as error:
        architecture.parse(json.dumps(config), "m.json")
    assert message in str(error.value)


def test_a_preset_that_is_not_there_names_those_that_are():
    with pytest.raises(BadUsage, match="nope: neither a preset nor a file. Presets: b32-ablation-1, .*, tiny."):
        presets.load("nope")


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"# \xff\n")
    with pytest.raises(BadData, match="x.toml: is not UTF-8"):
        presets.load(str(tmp_path / "x.toml"))


def test_tomli_reads_presets_where_python_has_no_tomllib(monkeypatch):
    pytest.importorskip("tomli")
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert made("h14-worldwide")["schedule"]["steps"] == 391_136


# The command

def test_the_plan_of_the_main_model_for_people(run):
    done = run("plan h14-worldwide --gpus 384")
    assert done.status == 0
    for line in ["model          ViT-H-14-xlmv-quickgelu, 1,858,783,745 parameters",
                 "global batch   75,264",
                 "batch per GPU  196, over 384 GPUs",
                 "passes         32 of 920,000,000 pairs, each 12,223 whole batches",
                 "steps          391,136, of them warm-up 2,000",
                 "optimiser      adamw, lr 0.0004 (cosine), betas 0.9 0.95, eps 1e-06, wd 0.1"]:
        assert line in done.out.splitlines()
    assert re.search(r"^English share  43.5% of the seen pairs, 12,799,842,366$", done.out, re.MULTILINE)
    assert re.search(r"^GPU memory     [\d.]+ of 80.0 GB estimated \(amp_bf16, gradient checkpointing\): fits$",
                     done.out, re.MULTILINE)
    assert re.search(r"^cost           21,056 GPU hours, 54.8 hours, assuming 45% of 989 TFLOPS a GPU", done.out,
                     re.MULTILINE)
    assert done.err == "plan: h14-worldwide, 391,136 steps on 384 GPUs; nothing was started\n"


def test_memory_that_does_not_fit_is_said(run):
    out = run("plan h14-worldwide --gpus 8 -q").out
    assert "does NOT fit" in out and "not divide" not in out


def test_the_plan_as_json_is_the_plan(run):
    done = run("plan h14-worldwide-1x --growth 1.8 --gpus 256 --mfu 0.3 --json -q")
    assert json.loads(done.out) == made("h14-worldwide-1x", growth=1.8, gpus=256, mfu=0.3)
    assert done.err == ""


def test_the_list_has_one_line_for_each_preset(run):
    lines = run("plan --list").out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(RUNS)
    assert "h14-worldwide     ViT-H/14 on worldwide pairs, 2.3x seen pairs: the paper's main model (Table 1)" in lines
    assert {entry["preset"] for entry in json.loads(run("plan --list --json").out)} == set(RUNS)


@pytest.mark.parametrize("arguments, status, message", [
    ("", 2, "name a preset or a TOML file"),
    ("nope", 2, "neither a preset nor a file"),
    (".", 2, "neither a preset nor a file"),
    ("--list tiny", 2, "--list goes with --json alone."),
    ("tiny --gpus 0", 2, "--gpus"),
    ("tiny --growth 0.5", 2, "--growth"),
    ("tiny --growth inf", 2, "--growth"),
    ("tiny --mfu nan", 2, "--mfu"),
    ("tiny --mfu 1.5", 2, "--mfu"),
    ("wrong.toml", 3, "wrong.toml: no section [model]. It holds name, tokenizer, init_logit_scale."),
])
def test_exit_status_and_message(run, tmp_path, arguments, status, message):
    (tmp_path / "wrong.toml").write_text("[data]\n")
    done = run(f"plan {arguments}")
    assert (done.status, done.out) == (status, "") and message in done.err


@pytest.mark.parametrize("arguments, command", [
    ("train --plan h14-worldwide --mfu 0.3", "mc2 plan NAME"), ("train --list --json", "mc2 plan --list"),
    ("train run.toml --gradient-conflict run --batches 2", "mc2 conflict CONFIG CHECKPOINT"),
    ("train run.toml --gradient-conflict=run", "mc2 conflict CONFIG CHECKPOINT")])
def test_options_that_became_commands_name_them(run, arguments, command):
    done = run(arguments)
    assert done.status == 2 and f"'{command}' does that now." in done.err


def test_the_command_assumes_what_the_plan_assumes():
    from mc2.commands.plan import plan as command
    defaults = {param.name: param.default for param in command.params}
    assert (defaults["mfu"], defaults["gpu_tflops"], defaults["gpu_memory"]) == \
        (plan.MFU, plan.H100_TFLOPS, plan.GPU_MEMORY)


@pytest.mark.parametrize("arguments", [["train", "--help"], ["plan", "--list"], ["plan", "h14-worldwide"]])
def test_the_plan_needs_the_base_install_alone(arguments):
    heavy = ("torch", "open_clip", "numpy", "orjson", "ahocorasick", "zstandard", "tqdm")
    code = f"import sys, mc2.cli; mc2.cli.run({arguments}); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]" and len(done.stdout.splitlines()) > 5
