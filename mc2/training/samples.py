"""From tars and pairs to batches, for ever.

A pass goes once through all tars. Its order of tars, the text of each image, the draw that keeps it and its crop are
hashes of (seed, pass, name or id), so they do not depend on the number of processes, and where a run is within its
data is a few numbers for each process (mc2/training/division.py). Curation "online" is that of the paper: every pass
draws the balanced subset anew, as `mc2 sample --one-per-image --seed S:P` does; "offline" takes all pairs as they
are.
"""
import copy
from dataclasses import dataclass

from mc2 import files, manifests
from mc2.balancing import counting, sampling
from mc2.clip import images, loading
from mc2.errors import BadUsage, Mc2Error
from mc2.training import division
from mc2.training.division import Cursor
from mc2.training.stream import Stream



@dataclass
class Data:
    """The tars and pairs of a run, and how they are read.

    tars:          paths and URLs
    pairs:         files of pairs named like the tars (00012.tar, 00012.jsonl.zst), or None: the tars hold the texts
    counts, thresholds:  for online curation
    aug_scale:     (least, most) share of an image's area in a crop
    rgb:           whether an image becomes RGB "before-resize" or "after-resize" (mc2/clip/images.py)
    shuffle_texts: a control: every image gets the text of another image of its batch
    open_tars:     tars that a process reads in rotation
    jpeg_scaling:  decode large JPEGs at a reduced scale
    more_views:    further Views (mc2/clip/images.py) of every image, each once
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
    rgb: str = "before-resize"
    shuffle_texts: bool = False
    open_tars: int = 4
    jpeg_scaling: bool = False
    more_views: tuple = ()

    @property
    def views(self):
        """All Views of an image: a crop of image_size, then the further ones."""
        return [images.View(self.image_size, self.interpolation, self.rgb), *self.more_views]


class Loader:
    """Batches of one rank, for ever, made by `workers` processes in rotation (0: by this one).

    data: Data. tokenizers: {name: function from texts to int64 (n, context)}. batch_size: pairs of this rank in a
    step. prefetch: batches that each process makes in advance. states: those of all ranks at a checkpoint, from which to
    go on; exactly so with the same number of ranks and processes, else with the tars that were not finished, which
    `notes` says. Raises BadUsage where tars and pairs do not fit together, loading.NoSpace where /dev/shm is too small
    for all batches that may wait there; an error in a process is raised in this one.
    """

    def __init__(self, data, tokenizers, batch_size, *, rank=0, world=1, workers=2, prefetch=loading.AHEAD,
                 states=None, pin_memory=False):
        if data.shuffle_texts and batch_size < 2:
            raise BadUsage("shuffle_texts needs batches of 2 pairs or more on every GPU.")
        self.notes = []
        self.rank, self.world, self.workers = rank, world, workers
        self._streams = max(1, workers)
        shards, notes = division.shards(data)
        self.notes += notes
        self._division = division.Division(data, [name for name, _, _ in shards], world * self._streams)
        self._states, self._given = self._resume(states)
        sampler = sampling.Sampler(data.counts, data.thresholds, one_per_image=True) \
            if data.curation == "online" else None
        stream = Stream(data, shards, sampler, tokenizers, batch_size, self._division, rank * self._streams,
                        list(self._states), self._given % self._streams)
        self.is_asked = lambda: False       # whether the run is to stop; asked while a batch is waited for
        batch_bytes = batch_size * (sum(3 * view.size ** 2 for view in data.views)
                                    + sum(8 * length for length in _lengths(tokenizers)))
        loading.refuse_too_little_space(batch_bytes, workers, prefetch, less="--set compute.prefetch=1")
        self._loader = loading.loader_of(stream, workers, prefetch, batch_size=None, collate_fn=_unchanged,
                                         pin_memory=pin_memory)
        self._iterator = None

    def __iter__(self):
        return self

    def __next__(self):
        if self._iterator is None:
            self._iterator = loading.start(self._loader)
        made = loading.next_of(self._iterator, self.is_asked)
        if isinstance(made, Mc2Error):
            raise made
        if isinstance(made, Exception):                 # of the system: a file that is gone, no memory
            name = f"{made.filename}: " if getattr(made, "filename", None) else ""
            raise Mc2Error(f"{name}{getattr(made, 'strerror', None) or made or type(made).__name__}.") from made
        batch, stream, state = made
        self._states[stream] = state
        self._given += 1
        return batch

    def state(self):
        """Where to go on after the batches that were given out: plain data."""
        return {"world": self.world, "workers": self._streams, "batches": self._given,
                "open_tars": self._division.open_tars, "data": self._division.fingerprint,
                "places": copy.deepcopy(self._states)}

    def close(self):
        """End the processes."""
        iterator, self._iterator = self._iterator, None
        if iterator is not None:
            loading.end(iterator)

    def _resume(self, states):
        """([state of every stream's cursor], number of batches given out) at the beginning of this run."""
        n = self._division.open_tars

        def at_pass(number):
            return [Cursor.at_pass(number, n).state() for _ in range(self._streams)]
        if not states:
            return at_pass(0), 0
        old = states[0]
        if old["data"] != self._division.fingerprint:
            number = min(cursor.pass_number for cursor in division.cursors_of(states))
            self.notes.append(f"the tars or the seed are not those of the checkpoint: pass {number} begins anew")
            return at_pass(number), 0
        if (old["world"], old["workers"], old["open_tars"]) == (self.world, self._streams, n):
            return copy.deepcopy(states[self.rank]["places"]), states[self.rank]["batches"]
        number, rest = division.rest(states, self._division)
        self.notes.append(
            f"the checkpoint was made with {old['world']} ranks of {old['workers']} workers and {old['open_tars']} "
            f"open tars, these are {self.world} of {self._streams} and {n}: pass {number} goes "
            f"on with the {len(rest):,} tars that were not finished, from their beginnings")
        first = self.rank * self._streams
        return [Cursor.at_pass(number, n, units=rest[first + stream::self._division.n]).state()
                for stream in range(self._streams)], 0


def data_of(config, views=()):
    """The Data of a run's configuration, with these further Views of every image."""
    data, inputs = config["values"]["data"], config["inputs"]
    found = Data(
        tars=inputs["tars"], pairs=inputs["pairs"], curation=data["curation"], counts=data["counts"],
        thresholds=data["thresholds"], seed=config["values"]["schedule"]["seed"],
        image_size=config["architecture"]["vision_cfg"]["image_size"], aug_scale=tuple(data["aug_scale"]),
        interpolation=data["image_interpolation"], rgb=data["image_rgb"],
        jpeg_scaling=data["jpeg_scaling"], shuffle_texts=data["shuffle_texts"], open_tars=data["open_tars"])
    found.more_views = tuple(view for view in dict.fromkeys(views) if view not in found.views)
    return found


def count_warnings(data):
    """[warning] for online curation with counts that are not those of these pairs.

    Raises BadData for pairs of other metadata than the counts.
    """
    if data.curation != "online":
        return []
    stage = sampling.Sampler(data.counts, data.thresholds)
    files.map_paths(stage.check_input, data.pairs or [])
    counted = sum(counting.load(data.counts, samples=False, check=False)[0].pairs.values())
    found = [(manifests.read(path) or {}).get("counts", {}).get("out") for path in data.pairs or []]
    if not found or None in found or sum(found) == counted:
        return []
    return [f"{data.counts}: counts of {counted:,} pairs, but the pairs here are {sum(found):,}. The balance is that "
            f"of the counted pool; for one of these pairs run 'mc2 count' and 'mc2 thresholds' on them."]


def _unchanged(item):
    return item


def _lengths(tokenizers):
    """The number of ids of a text, of each tokenizer."""
    return [len(tokenize([""])[0]) for tokenize in tokenizers.values()]
