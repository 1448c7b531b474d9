"""The models of a run: the students that are trained, each with its tokenizer and optimizer, and their teacher."""
import os

import torch

from mc2.clip import architecture, model, tokenizers
from mc2.errors import BadData
from mc2.training.zero import ShardedAdamW


class Student:
    """A model in training, with its optimizer."""

    def __init__(self, name, model_config, tokenizer, optimizer, config, ranks):
        """tokenizer: its name or path, as in the preset. optimizer: lr, beta1, beta2, eps, wd."""
        compute, schedule = config["values"]["compute"], config["values"]["schedule"]
        self.name, self.architecture, self.lr = name, model_config, optimizer["lr"]
        self.tokenizer_name = tokenizer
        self.tokenizer = tokenizers.load(tokenizer, model_config["text_cfg"])
        self.model = model.build(
            model_config, init_logit_scale=config["values"]["model"]["init_logit_scale"],
            precision=compute["precision"], grad_checkpointing=compute["grad_checkpointing"], device=ranks.device, seed=schedule["seed"])
        self.optimizer = model.optimizer_of(self.model, **optimizer)
        if compute["zero_stage"] and ranks.world > 1:
            self.optimizer = ShardedAdamW(self.optimizer, ranks.rank, ranks.world)
        self.trained = self.model
        if compute["torchcompile"]:
            self.trained = torch.compile(self.trained)
        if ranks.world > 1:
            self.trained = torch.nn.parallel.DistributedDataParallel(
                self.trained, device_ids=[ranks.local_rank] if ranks.device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                static_graph=compute["accum_freq"] == 1)        # pytorch/pytorch#187732: wrong with accumulation

    def state(self):
        """What a checkpoint holds of it. All ranks call this at the same time; that of the first is whole."""
        return {"name": self.name, "architecture": self.architecture, "tokenizer": self.tokenizer_name,
                "tokenizer_fingerprint": self.tokenizer.fingerprint,
                "state": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state, path):
        if not architecture.are_same(state["architecture"], self.architecture):
            raise BadData(f"{path}: holds a model of another architecture than this run's.")
        self.model.load_state_dict(state["state"])
        if state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])

    def set_lr(self, lr):
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def update(self, grad_clip_norm):
        if grad_clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), grad_clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        model.clamp_logit_scale(self.model)

    def save_tokenizer(self, run):
        """Keep the tokenizer in the run's directory, where it is not CLIP's own."""
        if self.tokenizer_name != "openai":
            name = "tokenizer.json" if self.name == "student" else f"tokenizer-{self.name}.json"
            self.tokenizer.save(os.path.join(run, name))


def of_config(config, ranks):
    """Yield the Students of a run: that of [model], then those of [[students]]."""
    values = config["values"]
    optimizer = {key: values["optimizer"][key] for key in ("lr", "beta1", "beta2", "eps", "wd")}
    yield Student("student", config["architecture"], values["model"]["tokenizer"], optimizer, config, ranks)
    size = config["architecture"]["vision_cfg"]["image_size"]
    for more in config["students"]:
        if more["architecture"]["vision_cfg"]["image_size"] != size:
            raise BadData(f"the student {more['name']} sees images of {more['architecture']['vision_cfg']['image_size']} "
                          f"pixels, the first one of {size}: all students share the images, so make them equal.")
        own = {key: more[key] for key in ("lr", "wd") if more[key] is not None}
        yield Student(more["name"], more["architecture"], more["tokenizer"], {**optimizer, **own}, config, ranks)


def teacher_of(config, device):
    """The model that the students of a run learn from, or None."""
    spec, precision = config["values"]["distill"]["teacher"], config["values"]["compute"]["precision"]
    if spec is None:
        return None
    from mc2.clip.load import load_model
    teacher = load_model(spec, device=device, precision=precision)
    size = config["architecture"]["vision_cfg"]["image_size"]
    if teacher.image_size != size:
        raise BadData(f"{spec}: this teacher sees images of {teacher.image_size} pixels, the student of {size}. Take a "
                      "student of the teacher's image_size.")
    return teacher
