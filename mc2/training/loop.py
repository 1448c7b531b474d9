"""The training loop: Meta CLIP 2, section 3.4, on one process or on all that torchrun started.

A step: the loader's batch to the device and normalised there; forward and backward (mc2/training/step.py); AdamW with the
learning rate of the step; logit_scale clamped to [0, ln 100]. Every `save_steps` steps, at the end, and when SIGTERM, SIGUSR1
or Ctrl-C asks the run to stop, a checkpoint holds all that the next step depends on, so a run that goes on is the run that
was not disturbed.
"""
import collections
import hashlib
import os
import signal
import sys
import time

import torch
from tqdm import tqdm

from mc2.clip import checkpoints, model, tokens
from mc2.errors import Mc2Error
from mc2.training import job, metrics, samples, step
from mc2.training.ranks import Ranks

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
LONGEST_UNLOGGED = 1000         # losses that wait on the device to be looked at


class Stopped(Mc2Error):
    """A signal ended the run, after a checkpoint."""

    def __init__(self, message, number):
        super().__init__(message)
        self.status = 128 + number


class ElsewhereError(Mc2Error):
    """Another rank has failed, and says why."""


def run(directory, *, resume="latest", device="auto", quiet=False):
    """Train as the directory's config.json says, from its newest checkpoint (or `resume`, a checkpoint) on.

    Returns what happened, for the receipt: {"step", "steps", "seen_pairs", "loss", "seconds", "notes"}.
    """
    ranks = Ranks(device)
    try:
        with _Signals() as signals:
            trainer = _agreed(ranks, lambda: Trainer(job.read(directory), directory, ranks, resume, quiet))
            try:
                return trainer.train(signals)
            finally:
                trainer.close()
    finally:
        ranks.close()


def _agreed(ranks, function):
    """function() on every rank, or an error on every rank where one of them failed."""
    result = error = None
    try:
        result = function()
    except Mc2Error as found:
        error = found
    if ranks.most(error is not None)[0]:
        raise error or ElsewhereError("another process of this run has failed.")
    return result


class Student:
    """A model in training, with its optimizer."""

    def __init__(self, name, architecture, tokenizer, optimizer, config, ranks):
        """tokenizer: its place, as in the preset. optimizer: lr, beta1, beta2, eps, wd."""
        compute, schedule = config["values"]["compute"], config["values"]["schedule"]
        self.name, self.architecture, self.lr = name, architecture, optimizer["lr"]
        self.tokenizer_place = tokenizer
        self.tokenizer = tokens.load(tokenizer, architecture["text_cfg"])
        self.model = model.build(
            architecture, init_logit_scale=config["values"]["model"]["init_logit_scale"], precision=compute["precision"],
            grad_checkpointing=compute["grad_checkpointing"], device=ranks.device, seed=schedule["seed"])
        self.optimizer = model.optimizer_of(self.model, **optimizer)
        self.trained = self.model
        if compute["torchcompile"]:
            self.trained = torch.compile(self.trained)
        if ranks.world > 1:
            self.trained = torch.nn.parallel.DistributedDataParallel(
                self.trained, device_ids=[ranks.local_rank] if ranks.device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                static_graph=compute["accum_freq"] == 1)        # pytorch/pytorch#187732: wrong with accumulation

    def state(self):
        return {"name": self.name, "architecture": self.architecture, "tokenizer": self.tokenizer_place,
                "tokenizer_fingerprint": self.tokenizer.fingerprint,
                "state": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state, path):
        if state["architecture"] != self.architecture:
            raise job.BadData(f"{path}: holds a model of another architecture than this run's.")
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


class Trainer:
    """A run on this rank: students, loader, and where it is."""

    def __init__(self, config, directory, ranks, resume, quiet):
        values = config["values"]
        self.config, self.values, self.directory, self.ranks, self.quiet = config, values, directory, ranks, quiet
        self.steps, self.global_batch = config["schedule"]["steps"], config["schedule"]["global_batch"]
        self.notes = []
        if ranks.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.students = list(_students(config, ranks))
        self.teacher = _teacher(config, ranks.device)
        self.notes += self.teacher.notes if self.teacher else []
        self.normalize = model.Normalizer(
            values["data"]["image_mean"], values["data"]["image_std"], ranks.device,
            torch.bfloat16 if values["compute"]["precision"] == "bf16" else torch.float32)
        self.autocast = model.autocast(values["compute"]["precision"], ranks.device)
        self.step, self.digest, states = 0, b"", None
        self.tally, self.before = collections.Counter(), {}
        path = checkpoints.find(directory) if resume == "latest" else resume
        if path is not None:
            states = self._resume(path)
            if ranks.is_first and resume != "latest" and checkpoints.is_of(path, directory):
                later = checkpoints.remove_after(directory, self.step)
                self.notes += [f"the checkpoints of later steps are removed: {', '.join(map(str, later))}"] if later else []
        self.loader = self._loader(states)
        self.position = self.loader.state()
        self.notes += self.loader.notes
        if ranks.is_first and values["data"]["curation"] == "online":
            self.notes += samples.count_warnings(samples.data_of(config))
        if ranks.is_first and not quiet:
            for note in self.notes:
                print(f"train: {note}", file=sys.stderr, flush=True)
        self._save_tokenizers()
        self.log = metrics.Log(directory, self.step, values, config["name"]) if ranks.is_first else None

    def _resume(self, path):
        content = checkpoints.load(path)
        if len(content["models"]) != len(self.students):
            raise job.BadData(f"{path}: holds {len(content['models'])} models, this run has {len(self.students)}.")
        if content["models"][0]["optimizer"] is None:
            for student, state in zip(self.students, content["models"]):
                student.load(state, path)
            self.notes.append(f"begins with the weights of {path}")
            return None
        if resumed := content["config"] != self.values and job.differences(
                {**self.config, "values": content["config"]}, self.config):
            raise job.BadUsage(f"{path}: is of another configuration ({'; '.join(resumed[:4])}).")
        for student, state in zip(self.students, content["models"], strict=True):
            student.load(state, path)
        self.step, self.before = content["step"], content["tallies"]
        states = content["data"]
        if len(states) == self.ranks.world:
            self.digest = bytes.fromhex(states[self.ranks.rank]["samples"])
        self.notes.append(f"goes on from step {self.step:,} ({path})")
        return [state["loader"] for state in states]

    def _loader(self, states):
        return samples.Loader(
            samples.data_of(self.config), {student.name: student.tokenizer for student in self.students},
            self.global_batch // self.ranks.world, rank=self.ranks.rank, world=self.ranks.world,
            workers=self.values["compute"]["workers"], states=states, pin_memory=self.ranks.device.type == "cuda")

    def _save_tokenizers(self):
        if not self.ranks.is_first:
            return
        for student in self.students:
            if student.tokenizer_place != "openai":
                student.tokenizer.save(tokenizer_path(self.directory, student.name))

    def train(self, signals):
        """All steps that are left. Raises Stopped after a signal, Mc2Error where the loss is no number."""
        self.started, self.first = time.monotonic(), self.step
        self.waited, self.losses, self.last_loss = 0.0, [], None
        self.logged = (self.started, self.step)
        saved = self.step
        self.progress = tqdm(total=self.steps, initial=self.step, unit="step", disable=None if self._shown() else True)
        batches = iter(self.loader)
        while self.step < self.steps:
            batch, error = self._next(batches)
            failed, number = self.ranks.most(error is not None, signals.number)
            if failed or number:
                if self.step > saved:
                    self._save()
                if failed:
                    raise error or ElsewhereError("another process of this run has failed.")
                done = f"after step {self.step:,} of {self.steps:,}; the checkpoint is written" if self.step \
                    else "before its first step"
                raise Stopped(f"stopped by {signal.Signals(number).name} {done}, and the same command goes on.", number)
            self._train_on(batch)
            if self.step % self.values["run"]["save_steps"] == 0 or self.step == self.steps:
                self._write_log(batch)
                self._save()
                saved = self.step
            elif self.step % self.values["run"]["log_steps"] == 0:
                self._write_log(batch)
            elif len(self.losses) >= LONGEST_UNLOGGED:
                self._check_losses()
        self.progress.close()
        return {"step": self.step, "steps": self.steps, "seen_pairs": self.step * self.global_batch,
                "trained_pairs": (self.step - self.first) * self.global_batch, "loss": self.last_loss,
                "seconds": time.monotonic() - self.started, "notes": self.notes, "first": self.ranks.is_first,
                "images": metrics.told(metrics.total_of(self.before, [self.tally]))["images"]}

    def _shown(self):
        return self.ranks.is_first and not self.quiet

    def _next(self, batches):
        """(the next batch, None) or (None, the error that it raised)."""
        began = time.monotonic()
        try:
            return next(batches), None
        except Mc2Error as error:
            return None, error
        finally:
            self.waited += time.monotonic() - began

    def _train_on(self, batch):
        images = self.normalize(batch.images)
        teacher = self._teach(batch) if self.teacher else None
        schedule, optimizer = self.config["schedule"], self.values["optimizer"]
        for student in self.students:
            student.set_lr(model.lr_at(self.step, lr=student.lr, warmup=schedule["warmup"], steps=self.steps))
            parts = step.forward_backward(
                student.trained, images, batch.tokens[student.name].to(self.ranks.device, non_blocking=True),
                accum_freq=self.values["compute"]["accum_freq"], autocast=self.autocast, teacher=teacher,
                distill_weight=self.values["distill"]["weight"])
            student.update(optimizer["grad_clip_norm"])
            student.parts = parts
        self.losses.append(torch.stack([student.parts["loss"].float() for student in self.students]))
        self.step += 1
        self.position = self.loader.state()
        self.tally.update(batch.tally)
        self.tally.update(("seen", lang) for lang in batch.langs)
        self.digest = _chained(self.digest, batch)
        self.progress.update()

    def _teach(self, batch):
        image_features = self.teacher.encode_images(batch.images)
        text_features = self.teacher.encode_texts(batch.texts)
        return image_features, text_features, self.values["distill"]["teacher_logit_scale"]

    def _check_losses(self):
        """The losses since the last look, mean over the ranks, (steps, students); an error where one is no number."""
        losses = self.ranks.mean(torch.stack(self.losses)).cpu()
        self.losses = []
        bad = ~torch.isfinite(losses).all(1)
        if bad.any():
            at = self.step - len(losses) + 1 + int(bad.nonzero()[0])
            self._stop_here(f"the loss of step {at:,} is {losses[bad][0].tolist()}")
        self.last_loss = losses[-1].tolist()
        self.progress.set_postfix_str(f"loss {self.last_loss[0]:.3f}")
        return losses

    def _stop_here(self, what):
        path = checkpoints.find(self.directory)
        raise Mc2Error(f"{what}: training cannot go on. " + (
            f"{path} is the last good checkpoint." if path else "There is no checkpoint yet.")
            + " A lower optimizer.lr, a longer schedule.warmup or optimizer.grad_clip_norm often helps.")

    def _write_log(self, batch):
        losses = self._check_losses()
        now = time.monotonic()
        since, at = self.logged
        saves = self.step % self.values["run"]["save_steps"] == 0 or self.step == self.steps
        names = [name for name in self.students[0].parts if name != "loss"]
        means = dict(zip(names, self.ranks.mean(torch.stack(
            [self.students[0].parts[name].float() for name in names])).tolist()))
        parts = self.ranks.gather({
            "samples": self.digest.hex(), "ids": batch.ids if self.values["run"]["log_ids"] else None,
            "waited": self.waited, "tally": self.tally if saves else None})
        self.logged, self.waited = (now, self.step), 0.0
        if not self.ranks.is_first:
            return
        first, *others = self.students
        line = {"step": self.step, "loss": losses[-1, 0].item(), "logit_scale": first.model.logit_scale.exp().item(),
                "lr": first.optimizer.param_groups[0]["lr"], "seen_pairs": self.step * self.global_batch,
                "samples": hashlib.sha256("".join(part["samples"] for part in parts).encode()).hexdigest()[:16]}
        line |= means
        line |= {f"loss_{student.name}": losses[-1, 1 + k].item() for k, student in enumerate(others)}
        if self.values["run"]["log_ids"]:
            line["ids"] = [pair_id for part in parts for pair_id in part["ids"]]
        seconds = max(now - since, 1e-9)
        line |= {"pairs_per_second": round((self.step - at) * self.global_batch / seconds, 1),
                 "data_wait": round(max(part["waited"] for part in parts) / seconds, 4), "seconds": round(now - self.started, 3)}
        if saves:
            line |= metrics.told(metrics.total_of(self.before, [part["tally"] for part in parts]))
        self.log.write(line)

    def _save(self):
        if self.losses:
            self._check_losses()
        finite = all(model.is_finite(student.model) for student in self.students)
        if self.ranks.most(not finite)[0]:
            self._stop_here(f"a weight is no number after step {self.step:,}")
        parts = self.ranks.gather(({"loader": self.position, "samples": self.digest.hex()}, self.tally))
        if self.ranks.is_first:
            checkpoints.save(self.directory, {
                "step": self.step, "seen_pairs": self.step * self.global_batch, "config": self.values,
                "models": [student.state() for student in self.students], "data": [state for state, _ in parts],
                "tallies": metrics.total_of(self.before, [tally for _, tally in parts])}, self.values["run"]["keep_checkpoints"])
        self.ranks.most(0)          # nobody goes on, or ends, before it is written

    def close(self):
        self.loader.close()
        if self.log:
            self.log.close()


def tokenizer_path(directory, student="student"):
    """Where a run keeps a student's tokenizer."""
    return os.path.join(directory, "tokenizer.json" if student == "student" else f"tokenizer-{student}.json")


def _students(config, ranks):
    values = config["values"]
    optimizer = {key: values["optimizer"][key] for key in ("lr", "beta1", "beta2", "eps", "wd")}
    yield Student("student", config["architecture"], values["model"]["tokenizer"], optimizer, config, ranks)
    size = config["architecture"]["vision_cfg"]["image_size"]
    for more in config["students"]:
        if more["architecture"]["vision_cfg"]["image_size"] != size:
            raise job.BadData(f"the student {more['name']} sees images of {more['architecture']['vision_cfg']['image_size']} "
                              f"pixels, the first one of {size}: all students share the images, so make them equal.")
        own = {key: more[key] for key in ("lr", "wd") if more[key] is not None}
        yield Student(more["name"], more["architecture"], more["tokenizer"], {**optimizer, **own}, config, ranks)


def _teacher(config, device):
    spec, precision = config["values"]["distill"]["teacher"], config["values"]["compute"]["precision"]
    if spec is None:
        return None
    from mc2.clip import models
    teacher = models.load(spec, device=device, precision=precision)
    size = config["architecture"]["vision_cfg"]["image_size"]
    if teacher.image_size != size:
        raise job.BadData(f"{spec}: this teacher sees images of {teacher.image_size} pixels, the student of {size}. Take a "
                          "student of the teacher's image_size.")
    return teacher


def _chained(digest, batch):
    """A digest of every pair since the run began, in order."""
    chain = hashlib.blake2b(digest, digest_size=16)
    for pair_id, text in zip(batch.ids, batch.texts):
        chain.update(f"{len(pair_id)} {pair_id} {len(text)} {text}".encode("utf-8", "surrogatepass"))
    return chain.digest()


class _Signals:
    """Notes the signals that ask the run to stop. A second Ctrl-C ends it at once."""

    def __enter__(self):
        self.number = 0
        self.before = {number: signal.signal(number, self._note) for number in STOPPING
                       if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}       # nohup
        return self

    def _note(self, number, frame):
        if number == signal.SIGINT and self.number == signal.SIGINT and "RANK" not in os.environ:
            raise KeyboardInterrupt         # under torchrun the process that started it sees to this
        if not self.number and os.environ.get("RANK", "0") == "0":
            print(f"train: {signal.Signals(number).name}: writing a checkpoint, then stopping"
                  + (" (Ctrl-C again: at once)" if number == signal.SIGINT else ""), file=sys.stderr, flush=True)
        self.number = self.number or int(number)

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
