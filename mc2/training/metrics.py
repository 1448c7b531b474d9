"""What a run reports: log.jsonl, TensorBoard and Weights & Biases where they are installed, and its receipt."""
import hashlib
import os

from mc2 import documents, files, own
from mc2.errors import BadData, BadUsage
from mc2.tables import duration

BY_LANG = ("seen", "drawn", "kept", "expected")


class Log:
    """run/log.jsonl, a line per logged step; after a resume the lines beyond its step are cut off."""

    def __init__(self, run, step, values, name, logged=0):
        """step: that the run goes on from. logged: the last step before it that has a line, as its checkpoint says"""
        self.path = os.path.join(run, "log.jsonl")
        cut_off(self.path, step, logged)
        self.stream, self.logged = open(own.open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab"), logged
        self.boards = [board for board in (_tensorboard(run, step), _wandb(run, values, name)) if board]

    def write(self, line):
        self.stream.write(documents.dumped_line(line))
        self.stream.flush()
        self.logged = line["step"]
        numbers = dict(_numbers(line))
        for board in self.boards:
            board(line["step"], numbers)

    def sync(self):
        """Have on disk what a checkpoint says is there."""
        os.fsync(self.stream.fileno())

    def close(self):
        self.stream.close()
        for board in self.boards:
            board.close()


def cut_off(path, step, logged=0):
    """Keep the lines up to this step: what was logged after the checkpoint will be logged again. Raises BadData where
    one of them is damaged, or that of the step `logged` is missing; the last line may be cut off, where a run was killed
    while it wrote."""
    if not os.path.exists(path):
        return
    kept, last = [], 0
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                its_step = documents.parsed_line(line)["step"]
                if its_step > step:
                    break
                last = its_step
            except (ValueError, KeyError, TypeError):
                if not line.endswith(b"\n"):                    # what a killed run was writing
                    break
                raise BadData(f"{path}:{number}: this line is damaged. Take it out, or put the file elsewhere, and the "
                              f"run goes on.") from None
            kept.append(line if line.endswith(b"\n") else line + b"\n")
    if last < logged:
        raise BadData(f"{path}: is cut off after step {last:,}; the checkpoint says that step {logged:,} is logged. Put "
                      f"the file elsewhere, and the run goes on.")
    files.write_bytes(path, b"".join(kept), is_own=True)


def total_of(before, tallies):
    """{event: {language or reason: number}}: the sum of the tallies of all ranks and of the run before it was
    resumed."""
    total = {what: dict(row) for what, row in before.items()}
    for tally in tallies:
        for key, number in tally.items():
            what, of_what = key if isinstance(key, tuple) and key[0] in BY_LANG \
                else ("images", " ".join(key) if isinstance(key, tuple) else key)
            row = total.setdefault(what, {})
            row[of_what] = row.get(of_what, 0) + number
    return total


def summary(total):
    """{"growth", "languages": {lang: {"seen", "drawn", "kept_share", "expected_share"}}, "images": {event: number}} of
    the run so far. growth: one over the share of English in the seen pairs, where there are other languages too: the
    factor by which batch and pairs must grow so that as many English pairs are seen as in a run on English alone.
    kept_share is that of the pairs that were drawn for, expected_share what Algorithm 1 says of these."""
    seen, drawn, kept, expected = (total.get(what, {}) for what in BY_LANG)
    languages = {}
    for lang in sorted({*seen, *drawn}):
        languages[lang] = {"seen": seen.get(lang, 0)}
        if drawn.get(lang):
            languages[lang] |= {"drawn": drawn[lang], "kept_share": round(kept.get(lang, 0) / drawn[lang], 6),
                                "expected_share": round(expected.get(lang, 0) / drawn[lang], 6)}
    growth = {"growth": round(sum(seen.values()) / seen["en"], 4)} if seen.get("en") and len(seen) > 1 else {}
    return {**growth, "languages": languages, "images": dict(sorted(total.get("images", {}).items()))}


def line_of(step, of_ranks, *, global_batch, loss, means, logit_scale, lr, other_losses, steps, seconds, seconds_of_run,
            before):
    """The line of log.jsonl after a step, as plain data.

    of_ranks:      of every rank {"samples": digest of its pairs so far, "ids": ids of its batch or None, "waited":
                   seconds that it waited for data, "tally": what happened since the run was started, or None where no
                   checkpoint is written}
    means:         {part of the loss: its mean over the ranks}
    other_losses:  {further student: its loss}
    steps, seconds: since the last line
    before:        total_of the run before it was started
    """
    seconds = max(seconds, 1e-9)
    line = {"step": step, "loss": loss, "logit_scale": logit_scale, "lr": lr, "seen_pairs": step * global_batch,
            "samples": hashlib.sha256("".join(rank["samples"] for rank in of_ranks).encode()).hexdigest()[:16], **means,
            **{f"loss_{name}": value for name, value in other_losses.items()}}
    if of_ranks[0]["ids"] is not None:
        line["ids"] = [pair_id for rank in of_ranks for pair_id in rank["ids"]]
    line |= {"pairs_per_second": round(steps * global_batch / seconds, 1),
             "data_wait": round(max(rank["waited"] for rank in of_ranks) / seconds, 4),
             "seconds": round(seconds_of_run, 3)}
    if of_ranks[0]["tally"] is not None:
        line |= summary(total_of(before, [rank["tally"] for rank in of_ranks]))
    return line


def receipt(done, output):
    """The last line of a run, for stderr."""
    usual = ("images", "not drawn")
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in done["images"].items()
                        if number and reason not in usual)
    found = ""
    if done["loss"] is not None:
        found = f", loss {done['loss'][0]:.4f}"
        if done.get("growth"):
            found += f"; {1 / done['growth']:.1%} of the pairs English (growth {done['growth']:.3f})"
    return f"train: {done['step']:,} of {done['steps']:,} steps, {done['seen_pairs']:,} pairs seen{found}" \
        + (f"; not trained on: {skipped}" if skipped else "") + f" -> {output} ({duration(done['seconds'])})"


def _numbers(line):
    for key, value in line.items():
        if key == "languages":
            for lang, row in value.items():
                for what, number in row.items():
                    if number is not None:
                        yield f"{what}/{lang}", number
        elif isinstance(value, (int, float)) and key != "step":
            yield key, value


class _TensorBoard:
    def __init__(self, writer):
        self.writer, self.close = writer, writer.close

    def __call__(self, step, numbers):
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)


def _tensorboard(run, step):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return _TensorBoard(SummaryWriter(os.path.join(run, "tensorboard"), purge_step=step + 1, flush_secs=30))


class _Wandb:
    def __init__(self, run):
        self.run, self.close = run, run.finish

    def __call__(self, step, numbers):
        self.run.log(numbers, step=step)


def _wandb(run, values, name):
    project = values["run"]["wandb"]
    if project is None:
        return None
    try:
        import wandb
    except ImportError:
        raise BadUsage("run.wandb is set, but wandb is not installed: pip install wandb, or leave the key out.") from None
    return _Wandb(wandb.init(project=project, name=name, dir=run, config=values, resume="allow",
                             id=os.path.basename(os.path.abspath(run))))
