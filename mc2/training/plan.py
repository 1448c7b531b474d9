"""The plan of a training run, computed from its preset: steps, pairs, memory, FLOPs, GPU hours. Nothing is started."""
from fractions import Fraction

from mc2.clip import architecture
from mc2.errors import BadData, BadUsage
from mc2.training import teachers

H100_TFLOPS = 989           # dense bfloat16 of an H100 SXM, from its data sheet
MFU = 0.45                  # model FLOPs utilisation: an assumption, to be replaced by a measured one
GPU_MEMORY = 80             # GB of 10^9 bytes


def make(preset, *, gpus=None, growth=None, mfu=MFU, gpu_tflops=H100_TFLOPS, gpu_memory=GPU_MEMORY):
    """The plan as a dict of plain data. Whole numbers are exact; None stands for what is not known.

    growth: as if the pool were that many times its English part; see schedule_of.
    """
    values, compute = preset.values, preset.values["compute"]
    gpus = compute["gpus"] if gpus is None else gpus
    schedule = schedule_of(preset, growth)
    batch = batch_of(schedule["global_batch"], gpus, compute["accum_freq"])
    distill = _distillation(preset)
    how = {"global_batch": schedule["global_batch"], "local_batch": batch["per_gpu"], "micro_batch": batch["at_a_time"],
           "precision": compute["precision"], "grad_checkpointing": compute["grad_checkpointing"]}
    whole, sharded = (architecture.memory(preset.architecture, **how, optimizer_shards=shards) for shards in (1, gpus))
    memory = _with_others(sharded if compute["zero_stage"] else whole, preset, distill,
                          {**how, "optimizer_shards": gpus if compute["zero_stage"] else 1})
    per_pair = architecture.flops(preset.architecture, schedule["global_batch"])
    others = _flops_of_others(preset, distill, schedule["global_batch"])
    total_flops = (per_pair["total"] + others) * schedule["seen_pairs"]
    gpu_hours = total_flops / (gpu_tflops * 1e12 * mfu) / 3600
    return {
        "preset": preset.name, "title": preset.title,
        "model": values["model"]["name"], "tokenizer": values["model"]["tokenizer"],
        "parameters": architecture.parameters(preset.architecture),
        "languages": values["data"]["languages"], "curation": values["data"]["curation"],
        "gpus": gpus, "batch": batch, "schedule": schedule,
        "optimizer": values["optimizer"],
        "distill": distill and {key: value for key, value in distill.items() if key != "architecture"},
        "shared_memory_per_gpu": _shared_memory(preset, distill, batch["per_gpu"]),
        "compute": {**compute, "gpus": gpus},
        "optimizer_state": _optimizer_state(preset, how, gpus),
        "memory_per_gpu": {**memory, "limit": round(gpu_memory * 1e9), "fits": memory["total"] <= gpu_memory * 1e9},
        "flops_per_pair": {**per_pair, "others": others}, "flops": total_flops,
        "cost": {"gpu_hours": gpu_hours, "hours": gpu_hours / gpus, "mfu": mfu, "gpu_tflops": gpu_tflops},
        "notes": list(_notes(preset, growth, gpus))}


def lines(plan):
    """The plan as lines of text."""
    count, schedule, batch = plan["parameters"], plan["schedule"], plan["batch"]
    optimizer, memory, cost = plan["optimizer"], plan["memory_per_gpu"], plan["cost"]
    rows = [
        ("model", f"{plan['model']}, {count['total']:,} parameters"),
        ("", f"vision {count['vision']:,}, text {count['text']:,}, token embedding {count['token_embedding']:,}, "
             f"projections {count['projections']:,}, logit scale {count['logit_scale']}"),
        ("data", f"{plan['languages']}, {plan['curation']} curation, tokenizer {plan['tokenizer']}"),
        *_batch_rows(schedule["global_batch"], plan["gpus"], batch, plan["compute"]["accum_freq"]),
        ("passes", f"{schedule['passes']} of {schedule['pairs_per_pass']:,} pairs, each "
                   f"{schedule['steps_per_pass']:,} whole batches"),
        ("steps", f"{schedule['steps']:,}, of them warm-up {schedule['warmup']:,}"),
        ("seen pairs", f"{schedule['seen_pairs']:,} in whole batches, of {schedule['planned_pairs']:,}"
                       + _growth(schedule["growth"])),
        ("English share", _english(schedule)),
        ("optimiser", f"{optimizer['opt']}, lr {optimizer['lr']:g} ({schedule['lr_scheduler']}), betas "
                      f"{optimizer['beta1']:g} {optimizer['beta2']:g}, eps {optimizer['eps']:g}, "
                      f"wd {optimizer['wd']:g}"),
        *_distill_rows(plan["distill"]),
        *_memory_rows(memory, plan["compute"]),
        *_state_rows(plan["optimizer_state"], plan["compute"]),
        *_shared_rows(plan["shared_memory_per_gpu"], plan["compute"]),
        ("FLOPs", f"{plan['flops']:.3g}: a pair takes {plan['flops_per_pair']['forward'] / 1e9:.3g} GFLOPs forward and "
                  "twice that backward" + _others(plan["flops_per_pair"]["others"])),
        ("cost", f"{_hours(cost['gpu_hours'])} GPU hours, {_hours(cost['hours'])} hours, assuming {cost['mfu']:.0%} of "
                 f"{cost['gpu_tflops']:g} TFLOPS a GPU (--mfu, --gpu-tflops)"),
        *(("note", note) for note in plan["notes"])]
    return [f"{label:<14} {text}" for label, text in rows]


def schedule_of(preset, growth=None):
    """The numbers of batch, passes, steps and pairs, and how many pairs are English, as a dict.

    growth G, where given: the pool is G times its English part. Then batch and pairs are G times those of the
    English-only run (the preset's, divided by its own growth), and a 1/G part of them is English, so that as many
    English pairs are seen as in that run, whatever G is. Both are rounded to the nearest whole number.
    """
    schedule, data = preset.values["schedule"], preset.values["data"]
    own = Fraction(str(schedule["growth"]))
    factor = Fraction(1) if growth is None else Fraction(str(growth)) / own
    english_share = data["english_share"]
    if growth is not None:
        if data["languages"] == "non-english":
            raise BadUsage(f"{preset.name} sees no English pairs whose number could stay the same: --growth does not "
                           "apply.")
        english_share = float(1 / Fraction(str(growth)))
    batch, pairs = round(schedule["global_batch"] * factor), round(schedule["train_num_samples"] * factor)
    steps_per_pass = pairs // batch if batch else 0
    steps = steps_per_pass * schedule["epochs"]
    if not steps_per_pass:
        raise BadData(f"{preset.source}: schedule.global_batch ({batch:,}) is more than the pairs of a pass "
                      f"(schedule.train_num_samples, {pairs:,}): there is no whole batch.")
    if schedule["warmup"] >= steps:
        raise BadData(f"{preset.source}: schedule.warmup is {schedule['warmup']:,}, but the run has {steps:,} steps. "
                      f"Give a shorter warm-up: --warmup {steps // 10}.")
    return {"global_batch": batch, "passes": schedule["epochs"], "pairs_per_pass": pairs,
            "steps_per_pass": steps_per_pass, "steps": steps, "warmup": schedule["warmup"],
            "lr_scheduler": schedule["lr_scheduler"], "seed": schedule["seed"],
            "planned_pairs": pairs * schedule["epochs"], "seen_pairs": steps * batch,
            "growth": float(own * factor), "english_share": english_share,
            "english_pairs": None if english_share is None else round(steps * batch * english_share)}


def _distillation(preset):
    """The teacher and the further students of a run as a dict of plain data, or None. Of a teacher whose files do not
    say what it is, all but its name is None."""
    distill = preset.values["distill"]
    if distill["teacher"] is None:
        return None
    config = teachers.architecture_of(distill["teacher"])
    size = config and config["vision_cfg"]["image_size"]
    return {"teacher": distill["teacher"], "architecture": config, "image_size": size,
            "parameters": config and architecture.parameters(config)["total"],
            "teacher_images": config and teachers.images_of(distill, size, preset.architecture),
            "students": [{"name": student["name"], "parameters": architecture.parameters(its)["total"],
                          "image_size": its["vision_cfg"]["image_size"]} for student, its in preset.students]}


def _with_others(memory, preset, distill, how):
    """The memory of the first student with that of the others, which train one after another, and of the teacher."""
    lasting = ("weights", "gradients", "optimizer")
    others = [architecture.memory(config, **how) for _, config in preset.students]
    passing = [part["total"] - sum(part[name] for name in lasting) for part in (memory, *others)]
    students = sum(part[name] for part in others for name in lasting) + max(passing) - passing[0]
    teacher = architecture.inference_memory(distill["architecture"], micro_batch=how["micro_batch"],
                                            precision=how["precision"]) if distill and distill["architecture"] else 0
    return {**memory, "students": students, "teacher": teacher, "total": memory["total"] + students + teacher}


def _optimizer_state(preset, how, gpus):
    """Bytes on one GPU of the optimizer's state of all students, whole and divided over the GPUs."""
    configs = [preset.architecture, *(config for _, config in preset.students)]
    return {name: sum(architecture.memory(config, **how, optimizer_shards=shards)["optimizer"] for config in configs)
            for name, shards in (("whole", 1), ("sharded", gpus))}


def _flops_of_others(preset, distill, global_batch):
    """FLOPs of a pair in the teacher, forward, and in the further students."""
    teacher = architecture.flops(distill["architecture"], global_batch)["forward"] \
        if distill and distill["architecture"] else 0
    return teacher + sum(architecture.flops(config, global_batch)["total"] for _, config in preset.students)


def _shared_memory(preset, distill, per_gpu):
    """Bytes of /dev/shm for one GPU: all batches that may wait there, as mc2/clip/loading.py counts them."""
    compute, configs = preset.values["compute"], [preset.architecture, *(config for _, config in preset.students)]
    sizes = {config["vision_cfg"]["image_size"] for config in configs}
    image = sum(3 * size ** 2 for size in sizes)
    if distill and distill["image_size"]:
        if distill["image_size"] not in sizes or distill["teacher_images"] == "whole":
            image += 3 * distill["image_size"] ** 2
    pair = image + sum(8 * config["text_cfg"]["context_length"] for config in configs)
    return per_gpu * pair * (compute["workers"] * compute["prefetch"] + 1) if compute["workers"] else 0


def batch_of(global_batch, gpus, accum_freq):
    """The batch of a GPU, as a dict; where the global batch does not divide, that of the GPU with the most pairs."""
    share = gpus * accum_freq
    down = global_batch // share * share
    divides = down == global_batch
    return {"per_gpu": -(-global_batch // gpus), "at_a_time": -(-global_batch // share), "divides": divides,
            "nearest_down": down or None, "nearest_up": down if divides else down + share}


def _batch_rows(global_batch, gpus, batch, accum_freq):
    over = f"{gpus:,} GPU{'s' if gpus > 1 else ''}" + (f" x {accum_freq} accumulated" if accum_freq > 1 else "")
    yield "global batch", f"{global_batch:,}"
    if batch["divides"]:
        yield "batch per GPU", f"{batch['per_gpu']:,}, over {over}"
        return
    nearest = " or ".join(f"{number:,}" for number in (batch["nearest_down"], batch["nearest_up"]) if number)
    yield "batch per GPU", f"{global_batch:,} does not divide over {over}; the nearest that do: {nearest}"
    yield "", f"below, the most on one GPU: {batch['per_gpu']:,}"


def _english(schedule):
    if schedule["english_share"] is None:
        return "not known: the preset gives no data.english_share"
    return f"{schedule['english_share']:.1%} of the seen pairs, {schedule['english_pairs']:,}"


def _memory_rows(memory, compute):
    def gb(number):
        return f"{number / 1e9:.1f}"
    verdict = "fits" if memory["fits"] else "does NOT fit"
    how = compute["precision"] + (", gradient checkpointing" if compute["grad_checkpointing"] else "")
    yield "GPU memory", f"{gb(memory['total'])} of {gb(memory['limit'])} GB estimated ({how}): {verdict}"
    yield "", (f"weights {gb(memory['weights'] + memory['weight_copies'])}, gradients {gb(memory['gradients'])}, "
               f"optimiser {gb(memory['optimizer'])}, activations {gb(memory['activations'])}, gathered features "
               f"{gb(memory['gathered_features'])}, logits {gb(memory['logits'])}"
               + (f", further students {gb(memory['students'])}" if memory["students"] else "")
               + (f", teacher {gb(memory['teacher'])}" if memory["teacher"] else ""))
    yield "", "not counted: CUDA's own memory, buffers of the network, fragmentation (a few GB)"


def _state_rows(state, compute):
    """The optimizer's state with and without ZeRO."""
    if compute["gpus"] == 1:
        return
    whole, sharded = (f"{number / 1e9:.2f} GB" for number in (state["whole"], state["sharded"]))
    over = f"divided over {compute['gpus']:,} GPUs"
    if compute["zero_stage"]:
        yield "ZeRO", f"stage 1: the optimiser's state is {over}, {sharded} on each; whole it is {whole}"
    else:
        yield "ZeRO", f"off: the optimiser's state is {whole} on each GPU; {over} (--zero-stage 1), {sharded}"


def _shared_rows(shared, compute):
    """What the processes that load data need in /dev/shm."""
    if compute["workers"]:
        yield "shared memory", (f"{shared / 1e9:.2f} GB of /dev/shm for each GPU of a machine: images and texts of "
                                f"{compute['workers'] * compute['prefetch'] + 1} batches")


def _distill_rows(distill):
    if distill is None:
        return
    name, count, sees = distill["teacher"], distill["parameters"], distill["teacher_images"]
    if count is None:
        yield "teacher", f"{name}: its size is known once it is loaded; it is in no number below"
    else:
        what = {"crop": "the crops of the students", "whole": "whole pictures"}[sees]
        yield "teacher", f"{name}, {count:,} parameters, sees {what} of {distill['image_size']} pixels"
    for student in distill["students"]:
        yield "student", f"{student['name']}: {student['parameters']:,} parameters, {student['image_size']} pixels"


def _others(flops):
    return f"; teacher and further students {flops / 1e9:,.0f} GFLOPs more" if flops else ""


def _growth(growth):
    return "" if growth == 1 else f" ({growth:.4g} times those of the English-only run)"


def _hours(hours):
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _notes(preset, growth, gpus):
    if preset.values["compute"]["zero_stage"] and gpus == 1:
        yield "compute.zero_stage = 1 has no effect on one GPU, and mc2 train refuses it there"
    if growth is not None and growth > 1 and preset.values["data"]["languages"] == "english":
        yield (f"the pool is more than English then, but model and tokenizer ({preset.values['model']['tokenizer']}) "
               "are those of the English-only run")
