"""The training loop: Meta CLIP 2, section 3.4, on one process or on all that torchrun started.

A step: the loader's batch to the device and normalised there; forward and backward (mc2/training/step.py); AdamW with
the learning rate of the step; logit_scale clamped to [0, ln 100]. Every `save_steps` steps, at the end, and when
SIGTERM, SIGUSR1, SIGHUP or Ctrl-C asks the run to stop, a checkpoint holds all that the next step depends on, so a
run that goes on is the run that was not disturbed.
"""
import collections
import hashlib
import tempfile
import time
from dataclasses import dataclass, field

import torch
from mc2.clip import checkpoints, loading, model
from mc2.clip.distributed import Ranks
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.meter import Meter
from mc2.terminal import say
from mc2.training import job, metrics, run_directory, samples, step, students
from mc2.training.signals import Stopped

LONGEST_UNLOGGED = 1000         # losses that wait on the device to be looked at


class ElsewhereError(Mc2Error):
    """Another rank has failed, and says why."""


def run(directory, signals, *, resume="latest", device="auto", quiet=False):
    """Train as the directory's config.json says, from its newest checkpoint (or `resume`, a checkpoint) on.

    signals: signals.Noted, which the run looks at after every step. Returns what happened, for the receipt: {"step",
    "steps", "seen_pairs", "loss", "seconds", "notes"}.
    """
    ranks = Ranks(device)
    try:
        trainer = _agreed(ranks, lambda: Trainer(job.read(directory), directory, ranks, resume, quiet))
        try:
            done = trainer.train(signals)
        finally:
            trainer.close()
        if signals.first:
            raise Stopped(signals.first, "after its last step; the run is complete")
        return done
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


@dataclass
class State:
    """Where a run goes on.

    step: steps done. samples: digest of this rank's pairs so far. tallies: what happened so far, on all ranks.
    loaders: states of the loaders of all ranks, or None. logged: the last step with a line in the log.
    """

    step: int = 0
    samples: bytes = b""
    tallies: dict = field(default_factory=dict)
    loaders: list = None
    notes: list = field(default_factory=list)
    logged: int = 0


def resume_from(path, config, its_students, ranks):
    """Load a checkpoint into the students of a run: the State to go on from."""
    content = checkpoints.load(path)
    if len(content["models"]) != len(its_students):
        raise BadData(f"{path}: holds {len(content['models'])} models, this run has {len(its_students)}.")
    is_imported = content["models"][0]["optimizer"] is None
    if not is_imported and content["config"] != config["values"]:
        if changed := job.differences({**config, "values": content["config"]}, config):
            raise BadUsage(f"{path}: is of another configuration ({'; '.join(changed[:4])}).")
    for student, state in zip(its_students, content["models"]):
        student.load(state, path)
    if is_imported:
        return State(notes=[f"begins with the weights of {path}"])
    of_ranks = content["data"]
    digest = bytes.fromhex(of_ranks[ranks.rank]["samples"]) if len(of_ranks) == ranks.world else b""
    return State(content["step"], digest, content["tallies"], [of_rank["loader"] for of_rank in of_ranks],
                 [f"goes on from step {content['step']:,} ({path})"], content.get("logged", 0))


class Trainer:
    """A run on this rank: students, loader, and where it is."""

    def __init__(self, config, directory, ranks, resume, quiet):
        values = config["values"]
        self.config, self.values, self.directory, self.ranks, self.quiet = config, values, directory, ranks, quiet
        self.steps, self.global_batch = config["schedule"]["steps"], config["schedule"]["global_batch"]
        if ranks.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.students = list(students.of_config(config, ranks))
        self.teacher = students.teacher_of(config, ranks.device)
        self.normalize = model.Normalizer(
            values["data"]["image_mean"], values["data"]["image_std"], ranks.device,
            torch.bfloat16 if values["compute"]["precision"] == "bf16" else torch.float32)
        self.autocast = model.autocast(values["compute"]["precision"], ranks.device)
        state = self._resume(resume)
        self.step, self.digest, self.before = state.step, state.samples, state.tallies
        self.tally = collections.Counter()
        self.loader = samples.Loader(
            samples.data_of(config, self._views()), {student.name: student.tokenizer for student in self.students},
            self.global_batch // ranks.world, rank=ranks.rank, world=ranks.world,
            workers=values["compute"]["workers"], prefetch=values["compute"]["prefetch"], states=state.loaders,
            pin_memory=ranks.device.type == "cuda")
        self.position = self.loader.state()
        self.notes = [*(self.teacher.notes if self.teacher else []), *state.notes, *self.loader.notes]
        self.log = None
        if ranks.is_first:
            self._begin(state.logged)

    def _views(self):
        """How the students and the teacher see images."""
        return [model.view for model in (*self.students, self.teacher) if model]

    def _resume(self, resume):
        """The State to go on from: of the newest checkpoint, or of the one that `resume` names."""
        path = checkpoints.find(self.directory) if resume == "latest" else resume
        if path is None:
            return State()
        state = resume_from(path, self.config, self.students, self.ranks)
        if not run_directory.holds(self.directory, path):
            state.logged = 0                            # in another run's log
        elif self.ranks.is_first and resume != "latest":
            if later := run_directory.remove_after(self.directory, state.step):
                state.notes.append(f"the checkpoints of later steps are removed: {', '.join(map(str, later))}")
        return state

    def _begin(self, logged):
        """What the first rank does for all."""
        if self.values["data"]["curation"] == "online":
            self.notes += samples.count_warnings(samples.data_of(self.config))
        if not self.quiet:
            for note in self.notes:
                say(f"train: {note}")
        for student in self.students:
            student.save_tokenizer(self.directory)
        self.log = metrics.Log(self.directory, self.step, self.values, self.config["name"], logged)

    def train(self, signals):
        """All steps that are left. Raises Stopped after a signal, Mc2Error where the loss is not a number."""
        self.started, self.first = time.monotonic(), self.step
        self.waited, self.losses, self.last_loss = 0.0, [], None
        self.logged = (self.started, self.step)
        saved = self.step
        self.meter = Meter("train", "steps", self.steps, self.step, quiet=self.quiet or not self.ranks.is_first)
        tempfile.gettempdir()       # it writes a file to try: a loading process that is ended meanwhile would leave that
        self.loader.is_asked = lambda: bool(signals.first)
        batches = iter(self.loader)
        self._stop_if_asked(signals, saved)             # before the processes of the loader start
        while self.step < self.steps:
            batch, error = self._next(batches)
            self._stop_if_asked(signals, saved, error)
            self._train_on(batch)
            if self._saves():
                self._write_log(batch)
                self._save()
                saved = self.step
            elif self.step % self.values["run"]["log_steps"] == 0:
                self._write_log(batch)
            elif len(self.losses) >= LONGEST_UNLOGGED:
                self._check_losses()
            batch = None                # its shared memory goes before the next one comes
        self.meter.close()
        summary = metrics.summary(metrics.total_of(self.before, [self.tally]))
        return {"step": self.step, "steps": self.steps, "seen_pairs": self.step * self.global_batch,
                "trained_pairs": (self.step - self.first) * self.global_batch, "loss": self.last_loss,
                "seconds": time.monotonic() - self.started, "notes": self.notes, "first": self.ranks.is_first,
                "images": summary["images"], "growth": summary.get("growth")}

    def _stop_if_asked(self, signals, saved, error=None):
        """Write a checkpoint and raise, where a signal or an error came on any rank. saved: step of the newest
        checkpoint."""
        failed, number = self.ranks.most(error is not None, signals.first)
        if not failed and not number:
            return
        if self.step > saved:
            self._save()
        if failed:
            raise error or ElsewhereError("another process of this run has failed.")
        when = f"after step {self.step:,} of {self.steps:,}; the checkpoint is written" if self.step \
            else "before its first step"
        raise Stopped(number, f"{when}, and the same command goes on")

    def _saves(self):
        """Whether a checkpoint is due after this step."""
        return self.step % self.values["run"]["save_steps"] == 0 or self.step == self.steps

    def _next(self, batches):
        """(the next batch, None), (None, the error that it raised), or (None, None) where the run is to stop."""
        began = time.monotonic()
        try:
            return next(batches), None
        except loading.Asked:
            return None, None
        except Mc2Error as error:
            return None, error
        finally:
            self.waited += time.monotonic() - began

    def _train_on(self, batch):
        images = {view: self.normalize(batch.images_in(view))
                  for view in dict.fromkeys(student.view for student in self.students)}
        teacher = self.teacher(batch) if self.teacher else None
        schedule, optimizer = self.config["schedule"], self.values["optimizer"]
        for student in self.students:
            tokens = batch.tokens[student.name].to(self.ranks.device, non_blocking=True)
            student.set_lr(model.lr_at(self.step, lr=student.lr, warmup=schedule["warmup"], steps=self.steps))
            parts = step.forward_backward(
                student.trained, images[student.view], tokens, accum_freq=self.values["compute"]["accum_freq"],
                autocast=self.autocast, teacher=teacher, distill_weight=self.values["distill"]["weight"])
            student.update(optimizer["grad_clip_norm"])
            student.parts = parts
        self.losses.append(torch.stack([student.parts["loss"].float() for student in self.students]))
        self.step += 1
        self.position = self.loader.state()
        self.tally.update(batch.tally)
        self.tally.update(("seen", lang) for lang in batch.langs)
        self.digest = _chained(self.digest, batch)
        self.meter.update(note=self.last_loss and f"loss {self.last_loss[0]:.3f}")

    def _check_losses(self):
        """The losses since the last look, mean over the ranks, (steps, students); an error where one is not a
        number."""
        losses = self.ranks.mean(torch.stack(self.losses)).cpu()
        self.losses = []
        bad = ~torch.isfinite(losses).all(1)
        if bad.any():
            at = self.step - len(losses) + 1 + int(bad.nonzero()[0])
            self._give_up(f"the loss of step {at:,} is {losses[bad][0].tolist()}")
        self.last_loss = losses[-1].tolist()
        return losses

    def _give_up(self, reason):
        path = checkpoints.find(self.directory)
        raise Mc2Error(f"{reason}: training cannot go on. " + (
            f"{path} is the last good checkpoint." if path else "There is no checkpoint yet.")
            + " A lower optimizer.lr, a longer schedule.warmup or optimizer.grad_clip_norm often helps.")

    def _write_log(self, batch):
        losses = self._check_losses()
        now = time.monotonic()
        since, at = self.logged
        names = [name for name in self.students[0].parts if name != "loss"]
        means = dict(zip(names, self.ranks.mean(torch.stack(
            [self.students[0].parts[name].float() for name in names])).tolist()))
        of_ranks = self.ranks.gather({
            "samples": self.digest.hex(), "ids": batch.ids if self.values["run"]["log_ids"] else None,
            "waited": self.waited, "tally": self.tally if self._saves() else None})
        self.logged, self.waited = (now, self.step), 0.0
        if not self.ranks.is_first:
            return
        first, *others = self.students
        self.log.write(metrics.line_of(
            self.step, of_ranks, global_batch=self.global_batch, loss=losses[-1, 0].item(), means=means,
            logit_scale=first.model.logit_scale.exp().item(), lr=first.optimizer.param_groups[0]["lr"],
            other_losses={student.name: losses[-1, 1 + k].item() for k, student in enumerate(others)},
            steps=self.step - at, seconds=now - since, seconds_of_run=now - self.started, before=self.before))

    def _save(self):
        if self.losses:
            self._check_losses()
        finite = all(model.is_finite(student.model) for student in self.students)
        if self.ranks.most(not finite)[0]:
            self._give_up(f"a weight is not a number after step {self.step:,}")
        parts = self.ranks.gather(({"loader": self.position, "samples": self.digest.hex()}, self.tally))
        states = [student.state() for student in self.students]
        if self.ranks.is_first:
            self.log.sync()
            run_directory.save(self.directory, {
                "step": self.step, "seen_pairs": self.step * self.global_batch, "config": self.values,
                "logged": self.log.logged,
                "models": states, "data": [state for state, _ in parts],
                "tallies": metrics.total_of(self.before, [tally for _, tally in parts])},
                self.values["run"]["keep_checkpoints"])
        self.ranks.most(0)          # nobody goes on, or ends, before it is written

    def close(self):
        self.loader.close()
        if self.log:
            self.log.close()


def _chained(digest, batch):
    """A digest of every pair since the run began, in order."""
    chain = hashlib.blake2b(digest, digest_size=16)
    for pair_id, text in zip(batch.ids, batch.texts):
        chain.update(f"{len(pair_id)} {pair_id} {len(text)} {text}".encode("utf-8", "surrogatepass"))
    return chain.digest()
