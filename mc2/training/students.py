"""The models of a run: the students that are trained, each with its tokenizer and optimizer, and their teacher."""
import dataclasses
import os

import torch

from mc2.clip import architecture, images, model, tokenizers
from mc2.errors import BadData
from mc2.training import teachers
from mc2.training.zero import ShardedAdamW


class Student:
    """A model in training, with its optimizer."""

    def __init__(self, name, model_config, tokenizer, optimizer, config, ranks):
        """tokenizer: its name or path, as in the preset. optimizer: lr, beta1, beta2, eps, wd."""
        compute, schedule, data = (config["values"][section] for section in ("compute", "schedule", "data"))
        size = model_config["vision_cfg"]["image_size"]
        self.view = images.View(size, data["image_interpolation"], data["image_rgb"])
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
    for more in config["students"]:
        own = {key: more[key] for key in ("lr", "wd") if more[key] is not None}
        yield Student(more["name"], more["architecture"], more["tokenizer"], {**optimizer, **own}, config, ranks)


class Teacher:
    """The frozen model that the students of a run learn from. view: how it sees images; notes: for people."""

    def __init__(self, encoder, view, logit_scale, parts):
        """encoder: a mc2.clip.encoder.Model. parts: in which a batch goes through it."""
        what = "crops" if view.resize_mode == "crop" else f"whole pictures ({view.resize_mode})"
        self.view, self.notes = view, [*encoder.notes, f"the teacher sees {what} of {view.size} pixels"]
        self._encoder, self._logit_scale, self._parts = encoder, logit_scale, parts

    def __call__(self, batch):
        """(image features, text features, logit scale) of a stream.Batch, as loss.contrastive takes them."""
        n = -(-len(batch.texts) // self._parts)
        texts = [batch.texts[first:first + n] for first in range(0, len(batch.texts), n)]
        return (torch.cat([self._encoder.encode_images(part) for part in batch.images_in(self.view).split(n)]),
                torch.cat([self._encoder.encode_texts(part) for part in texts]), self._logit_scale)


def teacher_of(config, device):
    """The Teacher of a run, or None."""
    distill, compute = config["values"]["distill"], config["values"]["compute"]
    if distill["teacher"] is None:
        return None
    from mc2.clip.load import load_model
    encoder = load_model(distill["teacher"], device=device, precision=compute["precision"])
    view = encoder.transform.view
    if teachers.images_of(distill, encoder.image_size, config["architecture"]) == "crop":
        view = dataclasses.replace(view, resize_mode="crop")
    return Teacher(encoder, view, distill["teacher_logit_scale"], compute["accum_freq"])

