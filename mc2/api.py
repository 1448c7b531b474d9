"""mc2 from Python: `import mc2` gives what is in __all__. NumPy arrays in and out, the same answers as the commands.

    >>> import mc2
    >>> metadata = mc2.Metadata.of({"en": ["cat", "black cat", "dog"], "fr": ["chat"]})
    >>> offsets, ids = metadata.match(["a black cat", "un chat", "a dog"], ["en", "fr", "en"])
    >>> balanced = mc2.balance(["en", "fr", "en"], offsets, ids, metadata.n_entries, t_en=1)
    >>> balanced.thresholds
    {'en': 1, 'fr': 1}
    >>> balanced.kept.tolist()
    [True, True, True]

Errors are mc2.errors.Mc2Error (BadUsage, BadData), whose message says what to do next.
"""
import dataclasses
import enum
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import engines
from mc2.balancing import algorithm
from mc2.errors import BadLine
from mc2.metadata import compiled, matching
from mc2.metadata import release as releases
from mc2.metadata.spacing import PUBLISHED
from mc2.pairs import jsonl, shards
from mc2.pairs.batch import Labels, Strings, offsets_of
from mc2.pairs.columns import reading_of
from mc2.stages import lid, lid_models

__all__ = ["Balanced", "Identified", "Identifier", "Matcher", "Metadata", "Model", "balance", "draws", "read_pairs",
           "write_pairs"]
PIECE = 4096            # pairs that are written at a time


# ---------------------------------------------------------------- matching

class Matcher:
    """The metadata entries of one language, ready to be found in texts. The id of an entry is its index.

    An entry is found where it stands as words of its own, in any language; upper and lower case differ
    (mc2/metadata/spacing.py).

        >>> import mc2
        >>> matcher = mc2.Matcher(["cat", "black cat", "dog"])
        >>> offsets, ids = matcher.match(["a black cat", "concatenation"])
        >>> offsets.tolist(), ids.tolist()
        ([0, 2, 2], [0, 1])
        >>> matcher.found("a black cat")
        ['cat', 'black cat']
    """

    def __init__(self, entries: Iterable[str], spacing: str = PUBLISHED, engine: str | None = None):
        """spacing: "published", or "wide" as `merge --spacing wide` has it. engine: "native" or "pyahocorasick", which
        find the same; by default the faster one there is. Raises ValueError for an entry that no text can hold."""
        if isinstance(entries, str):
            raise TypeError(f"entries are a list of texts, not one text: [{entries!r}]")
        self.entries = list(entries)
        for number, entry in enumerate(self.entries):
            if not isinstance(entry, str):
                raise TypeError(f"entry {number} is no text: {entry!r}")
            if not entry or entry != entry.strip():
                raise ValueError(f"entry {number} is empty, or has white space around it, and is never found: {entry!r}")
        if engines.choose("match", engine) == "native":
            self._matcher = compiled.in_memory(self.entries, spacing)
        else:
            self._matcher = matching.Matcher(self.entries, spacing)

    @classmethod
    def _of_release(cls, release, lang, engine):
        matcher = cls.__new__(cls)
        matcher.entries = release.entries(lang)
        matcher._matcher = matching.matcher_of(release, lang, engine)
        return matcher

    def match(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(offsets int64 (n+1,), ids uint32): the entries in each of n texts, ascending and unique per text. Those of
        text k are ids[offsets[k]:offsets[k + 1]]."""
        return self._matcher.match(list(texts))

    def found(self, text: str) -> list[str]:
        """The entries in one text, in the order of their ids."""
        return [self.entries[number] for number in self.match([text])[1].tolist()]


class Metadata:
    """The matchers of all languages of a metadata release: metadata[lang] is a Matcher.

        >>> import mc2
        >>> metadata = mc2.Metadata.of({"en": ["cat"], "fr": ["chat", "chat noir"]})
        >>> metadata.n_entries
        {'en': 1, 'fr': 2}
        >>> metadata["fr"].found("un chat noir")
        ['chat', 'chat noir']
    """

    def __init__(self, path: str | os.PathLike, engine: str | None = None):
        """path: the directory that `mc2 build-metadata merge` wrote. Languages are read when they are asked for."""
        release = releases.Release(path)
        self.n_entries: dict[str, int] = dict(release.n_entries)
        self._open = lambda lang: Matcher._of_release(release, lang, engine)
        self._matchers: dict[str, Matcher] = {}

    @classmethod
    def of(cls, entries: Mapping[str, Iterable[str]], spacing: str = PUBLISHED,
           engine: str | None = None) -> "Metadata":
        """Metadata of one's own, in memory. entries: {lang: its entries}"""
        metadata = cls.__new__(cls)
        metadata._matchers = {lang: Matcher(its, spacing, engine) for lang, its in entries.items()}
        metadata.n_entries = {lang: len(matcher.entries) for lang, matcher in metadata._matchers.items()}
        return metadata

    @property
    def langs(self) -> list[str]:
        return list(self.n_entries)

    def __getitem__(self, lang: str) -> Matcher:
        """Raises KeyError for a language that the metadata does not have."""
        if lang not in self.n_entries:
            raise KeyError(lang)
        if lang not in self._matchers:
            self._matchers[lang] = self._open(lang)
        return self._matchers[lang]

    def match(self, texts: Sequence[str], langs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(offsets int64 (n+1,), ids uint32): the entries in each of n texts, each of its language; see Matcher.match.

            >>> import mc2
            >>> metadata = mc2.Metadata.of({"en": ["cat"], "fr": ["chat", "chat noir"]})
            >>> metadata.match(["un chat noir", "a chat", "a cat"], ["fr", "en", "en"])[1].tolist()
            [0, 1, 0]

        Raises ValueError for a language that the metadata does not have.
        """
        texts = list(texts)
        labels = _labels(langs, len(texts))
        if unknown := [lang for lang in labels.names if lang not in self.n_entries]:
            raise ValueError(f"the metadata has no language {unknown[0]!r}. Add it, with an empty list if need be, or "
                             "leave these texts out")
        lists = [np.empty(0, np.uint32)] * len(texts)
        for number, lang in enumerate(labels.names):
            rows = np.flatnonzero(labels.numbers == number).tolist()
            offsets, ids = self[lang].match([texts[row] for row in rows])
            for row, its in zip(rows, np.split(ids, offsets[1:-1])):
                lists[row] = its
        return offsets_of(list(map(len, lists))), np.concatenate([np.empty(0, np.uint32), *lists])


def _labels(langs, n):
    langs = list(langs)
    if len(langs) != n:
        raise ValueError(f"there are {len(langs)} languages for {n} texts")
    names, numbers = np.unique(np.array(langs, object).astype(str), return_inverse=True)
    return Labels(numbers, names.tolist())


# ---------------------------------------------------------------- language identification

class Identified(NamedTuple):
    """The languages of n texts."""

    labels: np.ndarray              # str (n,): the model's own label, e.g. "fr"
    probs: np.ndarray               # float64 (n,): its probability, 4 decimals
    langs: np.ndarray               # str (n,): the metadata language that it stands for, or "other"


class Identifier:
    """Language identification as `mc2 lid` does it: with the same cleaning, the same model and the same answers.

        >>> import mc2
        >>> identified = mc2.Identifier()(["Ein Hund im Schnee", "ギリシャの島"])
        >>> identified.langs.tolist()
        ['de', 'ja']
    """

    def __init__(self, model: str | None = None, *, metadata: str | None = None, scheme: str | None = None,
                 languages: str | None = None, min_prob: float = 0.0, no_evidence: str = "keep", by_script: bool = True,
                 engine: str | None = None):
        """model: a fastText model, by default lid.176.ftz. metadata, scheme, languages: as `-m`, `--scheme` and
        `--languages` of `mc2 lid` name the mapping from labels to languages; the others are its options, too."""
        mapping = releases.mapping_of(metadata, scheme, languages)
        self._stage = lid.Identifier(model or lid_models.default_model(), mapping, min_prob=min_prob,
                                     no_evidence=no_evidence, by_script=by_script, engine=engine)

    def __call__(self, texts: Iterable[str]) -> Identified:
        lines = b"".join(orjson.dumps({"id": "", "text": text}) + b"\n" for text in texts)
        batch = jsonl.Block("texts", 1, lines).batch()
        self._stage(batch)
        return Identified(np.array(batch.column("lid"), str), np.array(batch.column("lid_prob"), np.float64),
                          np.array(batch.column("lang"), str))


# ---------------------------------------------------------------- balancing

class Balanced(NamedTuple):
    """What Algorithm 1 made of n pairs."""

    kept: np.ndarray                        # bool (n,)
    probs: np.ndarray                       # float64 (n,): with which each pair is kept; 0 without a match
    thresholds: dict[str, int]              # t of each language
    entry_counts: dict[str, np.ndarray]     # uint64 (entries,): in how many texts each entry was found


def balance(langs: Sequence[str], offsets: np.ndarray, ids: np.ndarray, n_entries: Mapping[str, int], *,
            t_en: int | None = None, p: float | None = None, t_all: int | None = None, min_t: int | None = None,
            draws: np.ndarray | None = None, seed: int = 0) -> Balanced:
    """Algorithm 1 of Meta CLIP 2 (arXiv:2507.22062) on n pairs: count, derive thresholds, sample.

    langs: the language of each pair. offsets, ids: the matched entries, as Metadata.match gives them. n_entries:
    {lang: number of its entries}. One of: t_en, the English threshold from which the others follow (the paper: 20,000);
    p, the tail share of all languages; t_all, one threshold for all. min_t: raise each threshold to at least that.
    draws: float64 (n,), uniform in [0, 1). With `mc2.draws(ids, texts, seed)` pairs are drawn as `mc2 sample` draws
    them; by default by NumPy's generator with this seed.

        >>> import mc2, numpy as np
        >>> texts = ["a cat"] * 90 + ["an axolotl"] * 10
        >>> metadata = mc2.Metadata.of({"en": ["cat", "axolotl"]})
        >>> offsets, ids = metadata.match(texts, ["en"] * 100)
        >>> balanced = mc2.balance(["en"] * 100, offsets, ids, metadata.n_entries, t_en=30)
        >>> balanced.entry_counts["en"].tolist(), balanced.probs[[0, 99]].round(3).tolist()
        ([90, 10], [0.333, 1.0])
        >>> balanced.kept[90:].all(), bool(balanced.kept[:90].all())
        (np.True_, False)
    """
    if sum(given is not None for given in (t_en, p, t_all)) != 1:
        raise ValueError("give one of t_en, p and t_all")
    offsets, ids = np.asarray(offsets, np.int64), np.asarray(ids)
    labels = _labels(langs, len(offsets) - 1)
    if unknown := sorted(set(labels.names) - n_entries.keys()):
        raise ValueError(f"n_entries has no language {unknown[0]!r}")
    of_match = np.repeat(labels.numbers, np.diff(offsets))          # the language of each match
    numbers = {name: number for number, name in enumerate(labels.names)}
    entry_counts = {lang: np.bincount(ids[of_match == numbers.get(lang, -1)], minlength=n).astype(np.uint64)
                    for lang, n in n_entries.items()}
    for lang, counts in entry_counts.items():
        if len(counts) > n_entries[lang]:
            raise ValueError(f"an entry id of {lang!r} is not below its {n_entries[lang]} entries")
    if t_en is not None and not entry_counts.get("en", np.empty(0)).any():
        raise ValueError("no English pair matched anything, so t_en gives no tail share; give p or t_all")
    thresholds, _, _ = algorithm.t_per_language(entry_counts, t_en=t_en, p=p, t_all=t_all, min_t=min_t)
    matched_probs = np.empty(len(ids))
    for lang, number in numbers.items():
        is_lang = of_match == number
        matched_probs[is_lang] = algorithm.entry_probs(entry_counts[lang], thresholds[lang])[ids[is_lang]]
    probs = algorithm.keep_probs(offsets, matched_probs)
    if draws is None:
        draws = np.random.default_rng(seed).random(len(probs))
    return Balanced(np.asarray(draws) < probs, probs, thresholds, entry_counts)


def draws(ids: Sequence[str], texts: Sequence[str], seed: int = 0) -> np.ndarray:
    """float64 (n,), uniform in [0, 1), fixed by (seed, id, text): the draws of `mc2 sample`, in any order of the pairs.

        >>> import mc2
        >>> mc2.draws(["1"], ["a cat"], seed=7) == mc2.draws(["0", "1"], ["a dog", "a cat"], seed=7)[1:]
        array([ True])
    """
    columns = [Strings.of(list(ids)), Strings.of(list(texts))]
    if len(columns[0]) != len(columns[1]):
        raise ValueError(f"there are {len(columns[0])} ids for {len(columns[1])} texts")
    return algorithm.draws(seed, *columns, np.arange(len(columns[0])))


# ---------------------------------------------------------------- files of pairs

def read_pairs(*paths: str | os.PathLike, on_error: str = "stop", columns: Mapping[str, str] | None = None,
               format: str | None = None, header: Sequence[str] | None = None) -> Iterator[dict]:
    """The pairs of files of any format that the commands read, one dict after another, in memory of some megabytes.

    on_error: "stop" at a line that is no pair (BadLine), or "skip" it. columns: which columns are id, text, url and
    lang, e.g. {"id": "auto", "text": "caption"}, where they are called otherwise and not in a known form. format: that
    of files whose names do not tell it. header: names of the columns of tables in text that do not name them in their
    first line. Pairs whose id or text is null are left out.

        >>> import mc2, tempfile
        >>> path = tempfile.mkdtemp() + "/pairs.jsonl.zst"
        >>> mc2.write_pairs(path, [{"id": "1", "text": "a cat", "url": "https://a.org"}])
        1
        >>> list(mc2.read_pairs(path))
        [{'id': '1', 'text': 'a cat', 'url': 'https://a.org'}]
    """
    if on_error not in ("stop", "skip"):
        raise ValueError(f'on_error is "stop" or "skip", not {on_error!r}')
    paths = list(map(os.fspath, paths))
    reading = reading_of([f"{key}={name}" for key, name in (columns or {}).items()], format=format,
                         header=",".join(header) if header else None)
    shards.refuse_unopenable(paths, [], reading)
    for block in shards.read_blocks(paths, reading=reading):
        batch = block.batch(skip_bad=on_error == "skip")
        for index in range(len(batch)):
            yield orjson.loads(batch.line(index))


def write_pairs(path: str | os.PathLike, pairs: Iterable[Mapping]) -> int:
    """Write pairs, each with `id` and `text`, in the format of the path's suffix. The file appears when it is whole.

    Returns how many were written. Raises BadLine for one that is no pair.
    """
    path, written, pairs = os.fspath(path), 0, iter(pairs)
    shards.refuse_unopenable([], [path])
    encode = shards.encoder_of(path)
    with shards.open_write(path) as stream:
        while piece := list(itertools.islice(pairs, PIECE)):
            lines = b"".join(_line(pair, number) for number, pair in enumerate(piece, written + 1))
            batch = jsonl.Block("pairs", written + 1, lines).batch()
            if len(batch) < len(piece):
                number = min({*range(written + 1, written + 1 + len(piece))} - {*batch.numbers.tolist()})
                raise BadLine("pairs", number, "its id or its text is no value.")
            stream.write(encode(batch))
            written += len(piece)
    return written


def _line(pair, number):
    """A pair as a line of JSON. Raises BadLine for a value that JSON does not have, such as NaN, NumPy's too, or a
    set."""
    try:
        json.dumps(pair := dict(pair), allow_nan=False, default=_plain)
        return orjson.dumps(pair, _listed, orjson.OPT_SERIALIZE_NUMPY) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise BadLine("pairs", number, f"cannot be written as JSON ({error}).") from None


def _plain(value):
    """What orjson writes for a value that is none of JSON's, so that NaN is found in it too; None for one that orjson
    knows as a whole, or refuses."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _listed(value):
    """An array that orjson does not write by itself, such as one of strings, as a list."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


# ---------------------------------------------------------------- a trained model

class Model:
    """A CLIP model that makes features: a run or a checkpoint of `mc2 train`, an export, or `open_clip:NAME@WEIGHTS`.

    Needs the extra [train].

        model = mc2.Model("run")
        similarities = model.images(["a.jpg", "b.jpg"]) @ model.texts(["a cat", "ein Hund"]).T
    """

    def __init__(self, name: str | os.PathLike, device: str = "auto", precision: str = "fp32",
                 tokenizer: str | None = None, batch_size: int = 64):
        from mc2 import extras
        extras.need("train", "torch", "open_clip", "tokenizers")
        from mc2.clip.distributed import device_of
        from mc2.clip.load import load_model
        self._model, self._batch_size = load_model(os.fspath(name), device_of(device), precision, tokenizer), batch_size

    @property
    def logit_scale(self) -> float:
        return self._model.logit_scale

    def images(self, images: Sequence) -> np.ndarray:
        """float32 (n, d), L2-normalised. images: paths, encoded images (bytes) or PIL images. Raises BadData for one
        that cannot be decoded."""
        import torch
        pixels = map(self._pixels, images)
        return self._features(lambda piece: self._model.encode_images(torch.from_numpy(np.stack(piece))), pixels)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, d), L2-normalised."""
        return self._features(self._model.encode_texts, texts)

    def _pixels(self, image):
        from mc2.clip.images import Corrupt
        from mc2.errors import BadData
        name = image if isinstance(image, (str, os.PathLike)) else "an image"
        if name is image:
            with open(image, "rb") as stream:
                image = stream.read()
        try:
            return self._model.transform(image)
        except Corrupt as corrupt:
            raise BadData(f"{name}: cannot be decoded as an image: {str(corrupt).rstrip('.')}.") from None

    def _features(self, encode, items):
        items, parts = iter(items), []
        while piece := list(itertools.islice(items, self._batch_size)):
            parts.append(encode(piece).cpu().numpy())
        return np.concatenate(parts) if parts else self.texts([""])[:0]
