"""From tars and pairs to batches, for ever.

A pass goes once through all tars. Its order of tars, the text of each image, the draw that keeps it and its crop are
hashes of (seed, pass, name or id), so they do not depend on the number of processes, and where a run is within its
data is a few numbers for each process. Curation "online" is that of the paper: every pass draws the balanced subset
anew, as `mc2 sample --one-per-image --seed S:P` does; "offline" takes all pairs as they are.

What happened is counted (`Batch.tally`):

    images                          samples of tars that were looked at
    ("kept", lang)                  pairs that went into a batch
    ("drawn", lang)                 images with a text that matched, for which was drawn (online)
    ("expected", lang)              the sum of their probabilities
    not drawn                       of these, not kept in this pass
    no match                        images of which no text matched (online)
    image without pair              no pair has the image's id, or its tar has no text
    missing image                   ids among the pairs of a tar that the tar has no image of
    image twice                     images whose id came before in the tar
    not adjacent                    ids whose lines are not next to each other; the first ones count (online)
    no image                        samples without an image
    corrupt image                   images that cannot be decoded
    never counted                   pairs that match entries whose count is 0 (online)
    bad: ...                        tars' own records that are no pairs
    ("cut off tar", path), ("damaged tar", path), ("unreadable tar", path)
"""
import contextlib
import copy
import itertools
import os
import signal
import threading
import time
import warnings
import weakref
from collections import Counter
from dataclasses import dataclass

import numpy as np
import orjson
import torch

from mc2 import files, manifests, tars
from mc2.balance import algorithm, counting, sampling
from mc2.clip import images
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.pairs.batch import Block
from mc2.pairs.shards import read_blocks
from mc2.training import division

AHEAD = 2                       # batches that a process makes in advance
COLUMNS = ("id", "text", "lang", "matched_entry_ids")
EMPTY_PASSES = 100              # in which nothing was drawn, before that is an error
UNKNOWN = "unknown"             # language of pairs that do not say
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}       # the trainer decides what to do about these


@dataclass
class Data:
    """What is trained on.

    tars:          paths and URLs
    pairs:         files of pairs named like the tars (00012.tar, 00012.jsonl.zst), or None: the tars hold the texts
    counts, thresholds:  for online curation
    aug_scale:     (least, most) share of an image's area in a crop
    shuffle_texts: a control: every image gets the text of another image of its batch
    open_tars:     tars that a process reads in turns
    jpeg_scaling:  decode large JPEGs at a reduced scale
    """

    tars: list
    pairs: list = None
    curation: str = "offline"
    counts: str = None
    thresholds: str = None
    seed: int = 0
    image_size: int = 224
    aug_scale: tuple = (0.9, 1.0)
    interpolation: str = "bicubic"
    shuffle_texts: bool = False
    open_tars: int = 4
    jpeg_scaling: bool = False


@dataclass
class Batch:
    """Pairs of one rank for one step.

    images: uint8 (n, 3, S, S). tokens: {name of the tokenizer: int64 (n, context)}. tally: what happened in this
    batch's process since its last one.
    """

    images: torch.Tensor
    tokens: dict
    ids: list
    texts: list
    langs: list
    tally: Counter

    def pin_memory(self):
        self.images = self.images.pin_memory()
        self.tokens = {name: tokens.pin_memory() for name, tokens in self.tokens.items()}
        return self


class Loader:
    """Batches of one rank, for ever, made by `workers` processes in turns (0: by this one).

    data: Data. tokenizers: {name: function from texts to int64 (n, context)}. batch_size: pairs of this rank in a
    step. states: those of all ranks at a checkpoint, from which to go on; exactly so with the same number of ranks
    and processes, else with the tars that were not finished, which `notes` says. Raises BadUsage where tars and pairs
    do not go together; what goes wrong in a process is raised here.
    """

    def __init__(self, data, tokenizers, batch_size, *, rank=0, world=1, workers=2, states=None, pin_memory=False):
        if data.shuffle_texts and batch_size < 2:
            raise BadUsage("shuffle_texts needs batches of 2 pairs or more on every GPU.")
        self.notes = []
        self.rank, self.world, self.workers = rank, world, workers
        self._streams = max(1, workers)
        shards, notes = division.shards(data)
        self.notes += notes
        self._division = division.Division(data, [name for name, _, _ in shards], world * self._streams)
        self._places, self._given = self._resume(states)
        sampler = sampling.Sampler(data.counts, data.thresholds, one_per_image=True) \
            if data.curation == "online" else None
        stream = _Stream(data, shards, sampler, tokenizers, batch_size, self._division, rank * self._streams,
                         copy.deepcopy(self._places), self._given % self._streams)
        with _without_advice():
            self._loader = torch.utils.data.DataLoader(
                stream, batch_size=None, num_workers=workers, collate_fn=_unchanged, pin_memory=pin_memory,
                **({"worker_init_fn": _begin, "prefetch_factor": AHEAD, "multiprocessing_context": "fork"}
                   if workers else {}))
        self._iterator = None

    def __iter__(self):
        return self

    def __next__(self):
        if self._iterator is None:
            self._start()
        try:
            made = next(self._iterator)
        except (RuntimeError, EOFError, OSError) as error:      # the last two: it ended while it handed over a batch
            if type(error) is RuntimeError and "DataLoader worker (pid" not in str(error):
                raise
            raise Mc2Error(f"a process that loads data was killed (out of memory?): {' '.join(repr(error).split())}. "
                           f"Run again, with fewer workers.") from error
        if isinstance(made, Mc2Error):
            raise made
        if isinstance(made, Exception):                 # of the system: a file that is gone, no memory
            place = f"{made.filename}: " if getattr(made, "filename", None) else ""
            raise Mc2Error(f"{place}{getattr(made, 'strerror', None) or made or type(made).__name__}.") from made
        batch, stream, place = made
        self._places[stream] = place
        self._given += 1
        return batch

    def _start(self):
        before, on_end = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS), signal.getsignal(signal.SIGCHLD)
        try:
            with _without_advice():
                self._iterator = iter(self._loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)              # the processes ignore them by then
            if signal.getsignal(signal.SIGCHLD) is not on_end:              # it would raise wherever the trainer is
                signal.signal(signal.SIGCHLD, on_end or signal.SIG_DFL)
        if self.workers:                # those that do not end when they are asked to, and all when Python exits
            weakref.finalize(self._iterator, _kill, self._iterator._workers)

    def state(self):
        """Where to go on after the batches that were given out: plain data."""
        return {"world": self.world, "workers": self._streams, "batches": self._given,
                "open_tars": self._division.open_tars, "data": self._division.fingerprint,
                "places": copy.deepcopy(self._places)}

    def close(self):
        """End the processes."""
        iterator, self._iterator = self._iterator, None
        if self.workers and iterator is not None:
            iterator._shutdown_workers()

    def _resume(self, states):
        """([place of every stream], number of batches given out) at the beginning of this run."""
        fresh = [self._division.beginning(0) for _ in range(self._streams)]
        if not states:
            return fresh, 0
        old = states[0]
        if old["data"] != self._division.fingerprint:
            number = min(place["pass"] for state in states for place in state["places"])
            self.notes.append(f"the tars or the seed are not those of the checkpoint: pass {number} begins anew")
            return [self._division.beginning(number) for _ in fresh], 0
        if (old["world"], old["workers"], old["open_tars"]) == (self.world, self._streams, self._division.open_tars):
            return copy.deepcopy(states[self.rank]["places"]), states[self.rank]["batches"]
        number, rest = division.rest(states, self._division)
        self.notes.append(
            f"the checkpoint was made with {old['world']} ranks of {old['workers']} workers and {old['open_tars']} "
            f"open tars, these are {self.world} of {self._streams} and {self._division.open_tars}: pass {number} goes "
            f"on with the {len(rest):,} tars that were not finished, from their beginnings")
        first = self.rank * self._streams
        return [{**self._division.beginning(number), "units": rest[first + stream::self._division.n]}
                for stream in range(self._streams)], 0


def data_of(config):
    """The Data of a run's configuration."""
    data, inputs = config["values"]["data"], config["inputs"]
    return Data(
        tars=inputs["tars"], pairs=inputs["pairs"], curation=data["curation"], counts=data["counts"],
        thresholds=data["thresholds"], seed=config["values"]["schedule"]["seed"],
        image_size=config["architecture"]["vision_cfg"]["image_size"], aug_scale=tuple(data["aug_scale"]),
        interpolation=data["image_interpolation"], jpeg_scaling=data["jpeg_scaling"],
        shuffle_texts=data["shuffle_texts"], open_tars=data["open_tars"])


def count_warnings(data):
    """What to know before training with online curation: lines about counts that are not those of these pairs.

    Raises BadData for pairs of other metadata than the counts.
    """
    if data.curation != "online":
        return []
    stage = sampling.Sampler(data.counts, data.thresholds)
    files.map_places(stage.check_input, data.pairs or [])
    counted = sum(counting.load(data.counts, samples=False, check=False)[0].pairs.values())
    found = [(manifests.read(path) or {}).get("counts", {}).get("out") for path in data.pairs or []]
    if not found or None in found or sum(found) == counted:
        return []
    return [f"{data.counts}: counts of {counted:,} pairs, but the pairs here are {sum(found):,}. The balance is that "
            f"of the counted pool; for one of these pairs run 'mc2 count' and 'mc2 thresholds' on them."]


# ---------------------------------------------------------------- in a process

class _Stream(torch.utils.data.IterableDataset):
    """Yields (Batch, number of the stream within its rank, place after it); an error comes last, as an item."""

    def __init__(self, data, shards, sampler, tokenizers, batch_size, division, first, places, turn):
        """first: number of the rank's first stream among those of all ranks. turn: the stream that is due first."""
        self.data, self.shards, self.sampler, self.tokenizers = data, shards, sampler, tokenizers
        self.batch_size, self.division, self.first, self.places, self.turn = batch_size, division, first, places, turn
        self.tally = Counter()

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        stream = ((info.id if info else 0) + self.turn) % len(self.places)
        place = self.places[stream]
        pairs = self._pairs(place, self.first + stream)
        try:
            while True:
                batch = self._batch(list(itertools.islice(pairs, self.batch_size)))
                yield batch, stream, copy.deepcopy(place)
        except (Mc2Error, OSError, MemoryError) as error:
            yield error

    def _batch(self, pairs):
        pixels, ids, texts, langs = map(list, zip(*pairs))
        if self.data.shuffle_texts:
            shift = _shift(ids)
            texts, langs = texts[shift:] + texts[:shift], langs[shift:] + langs[:shift]
        for lang in langs:
            self.tally["kept", lang] += 1
        tally, self.tally = self.tally, Counter()
        return Batch(torch.from_numpy(np.stack(pixels)),
                     {name: torch.from_numpy(tokenize(texts)) for name, tokenize in self.tokenizers.items()},
                     ids, texts, langs, tally)

    def _pairs(self, place, stream):
        """Yield (pixels, id, text, lang) for ever; `place` moves along."""
        empty = 0
        while True:
            is_whole = place == self.division.beginning(place["pass"])
            found = 0
            for pair in self._pass(place, self.division.units(place, stream)):
                found += 1
                yield pair
            empty = empty + 1 if is_whole and not found else 0
            if empty and empty >= (EMPTY_PASSES if self.tally["not drawn"] else 1):
                reasons = ", ".join(f"{' '.join(reason) if isinstance(reason, tuple) else reason}: {count:,}"
                                    for reason, count in sorted(self.tally.items(), key=str))
                raise BadData(f"nothing to train on in a whole pass of the tars of one loading process "
                              f"({reasons or 'they hold no samples'}). Look at tars and pairs, or use fewer workers.")
            place.update(self.division.beginning(place["pass"] + 1))

    def _pass(self, place, units):
        """Yield the pairs of a pass, from its slots in turns."""
        n = self.division.open_tars
        slots = {slot: self._slot(units[slot::n], place["slots"][slot], place["pass"]) for slot in range(n)}
        while slots:
            slot = place["turn"]
            place["turn"] = (slot + 1) % n
            pair = next(slots[slot], None) if slot in slots else None
            if pair is None:
                slots.pop(slot, None)
            else:
                yield pair

    def _slot(self, units, here, number):
        """Yield the pairs of units, one after another. here: [units finished, sample, its pairs done], which moves."""
        while here[0] < len(units):
            yield from self._unit(units[here[0]], here, number)
            here[:] = [here[0] + 1, 0, 0]

    def _unit(self, unit, here, number):
        shard, low, _, _ = unit
        _, path, its_pairs = self.shards[shard]
        _, start, done = here
        seed = f"{self.data.seed}:{number}"
        tally = self.tally if low == 0 and start == done == 0 else Counter()    # what concerns the shard as a whole
        table = None if its_pairs is None else self._table(its_pairs, seed, tally)
        seen = set()
        try:
            for index, (key, members) in enumerate(_opened(path)):
                record = tars.record(members)
                image_id = tars.image_id(key, record)
                is_new = image_id not in seen
                seen.add(image_id)
                if index < start or not division.is_in(unit, index):
                    continue
                if index > start:
                    done = 0
                pairs = self._pairs_of(image_id, is_new, record, members, table, seed, done == 0)
                for pair in self._decoded(pairs, members, image_id, seed, done):
                    done += 1
                    here[1:] = [index, done]
                    yield pair
        except tars.Damaged as damage:
            self._report(f"{damage.what} tar", path, low)
        except OSError:
            self._report("unreadable tar", path, low)
        if table and low == 0 and (missing := table.keys() - seen):
            self.tally["missing image"] += len(missing)

    def _report(self, what, path, low):
        if low == 0:                        # once for all parts of a shard
            self.tally[what, files.name_of(path)] += 1

    def _pairs_of(self, image_id, is_new, record, members, table, seed, is_first):
        """[(lang, text, probability)] of an image that are to be trained on; counts why there are none, if it comes up first."""
        tally = self.tally if is_first else Counter()
        tally["images"] += 1
        if not is_new:
            tally["image twice"] += 1
            return []
        if tars.image(members) is None:
            tally["no image"] += 1
            return []
        pairs = table.get(image_id) if table is not None else self._own_pairs(image_id, record, members, seed, tally)
        if pairs is None:
            tally["image without pair"] += 1
        elif not pairs:
            tally["no match"] += 1
        elif self.sampler:
            (lang, text, prob), = pairs
            tally["drawn", lang] += 1
            tally["expected", lang] += prob
            if text is None:
                tally["not drawn"] += 1
                return []
        return pairs or []

    def _decoded(self, pairs, members, image_id, seed, done):
        """Yield (pixels, id, text, lang) for the pairs of an image from number `done` on."""
        if len(pairs) <= done:
            return
        data = self.data
        try:
            pixels = images.training(members[tars.image(members)], (seed, image_id), data.image_size, data.aug_scale,
                                     data.interpolation, data.jpeg_scaling)
        except images.Corrupt:
            self.tally["corrupt image"] += 1
            return
        for lang, text, _ in pairs[done:]:
            yield pixels, image_id, text, lang

    def _table(self, path, seed, tally):
        """{id: [(lang, text, probability)]} of a file of pairs; online at most one of an image, with None for a text not
        drawn."""
        table = {}
        if self.sampler is None:
            for block in read_blocks([path], columns=COLUMNS[:3]):
                batch = block.batch()
                for image_id, text, lang in zip(batch.column("id"), batch.texts, batch.column("lang")):
                    table.setdefault(image_id, []).append((lang or UNKNOWN, text, 1))
            return table
        for block in read_blocks([path], whole_images=True, columns=COLUMNS):
            self._draw(block.batch(self.sampler.requires), seed, table, tally)
        return table

    def _draw(self, batch, seed, table, tally):
        """Add the outcome of a batch of pairs to a table."""
        self.sampler.seed = seed
        found = {}
        q = self.sampler.keep_probs(batch).tolist()
        for image_id, text, lang, prob in zip(batch.column("id"), batch.texts, batch.column("lang"), q):
            chosen = found.setdefault(image_id, [])
            if prob > 0 and chosen:
                tally["not adjacent"] += 1
            elif prob > 0:
                kept = prob >= 1 or algorithm.draw(seed, image_id, text) < prob
                chosen.append((lang, text if kept else None, prob))
        for image_id, chosen in found.items():
            if image_id in table:
                tally["not adjacent"] += 1
            else:
                table[image_id] = chosen
        for reason, count in batch.tally.items():
            if count and (reason == "never counted" or reason.startswith("bad: ")):
                tally[reason] += count

    def _own_pairs(self, image_id, record, members, seed, tally):
        """The pair in a tar's own json or txt, as an item of a table; None where there is none."""
        text = next((record[key] for key in ("text", "caption") if isinstance(record.get(key), str)), None)
        if text is None and "txt" in members:
            text = members["txt"].decode("utf-8", "replace")
        if text is None:
            return None
        lang = record.get("lang")
        if self.sampler is None:
            return [(lang if isinstance(lang, str) else UNKNOWN, text, 1)]
        line = orjson.dumps({**{key: record[key] for key in self.sampler.requires if key in record},
                             "id": image_id, "text": text})
        table = {}
        self._draw(Block(image_id, 1, line).batch(self.sampler.requires, skip_bad=True), seed, table, tally)
        return table.get(image_id)


def _opened(path):
    """The samples of a tar; where a library cannot read it, that is an OSError too."""
    try:
        yield from tars.samples(path)
    except tars.Damaged:
        raise
    except Mc2Error as error:
        raise OSError(str(error)) from None


def _shift(ids):
    """By how many places to turn texts so that none is with its own image, half of them if possible."""
    n = len(ids)
    return next((shift for shift in [*range(n // 2, n), *range(1, n // 2)]
                 if all(ids[place] != ids[(place + shift) % n] for place in range(n))), n // 2)


def _unchanged(item):
    return item


@contextlib.contextmanager
def _without_advice():
    """Without torch's warning that these are more processes than cores: their number was chosen."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")
        yield


def _kill(processes):
    for process in processes:
        process.kill()


def _begin(number):
    """In a new process: leave signals to the trainer, end with it, and take one core."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.1)             # what it inherited, the lock of the run among it, must go soon
    os._exit(1)
