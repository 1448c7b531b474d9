"""Batches of one loading process: tars, their pairs, the draws of a pass, and the crops of its images.

What happened is counted (`Batch.tally`):

    images                          samples of tars that were looked at
    ("kept", lang)                  pairs that went into a batch
    ("drawn", lang)                 images with a text that matched, for which a draw was made (online)
    ("expected", lang)              the sum of their probabilities
    not drawn                       of these, not kept in this pass
    no match                        images of which no text matched (online)
    image without pair              no pair has the image's id, or its tar has no text for it
    missing image                   ids among the pairs of a tar that the tar has no image of
    image twice                     images whose id came before in the tar
    not adjacent                    ids whose lines are not next to each other; the first ones count (online)
    no image: has ...               samples without an image, by what they have (the first few kinds of them; `no image`)
    corrupt image: ...              images that cannot be decoded, by reason (mc2/clip/images.py)
    never counted                   pairs that match entries whose count is 0 (online)
    bad: ...                        tars' own records that are not pairs
    empty text                      pairs whose text is nothing but white space, in files (offline) or tars: img2dataset
                                    writes such ones where a caption was null
    members apart                   samples whose members are not next to each other in the tar
    ("cut off tar", path), ("damaged tar", path), ("unreadable tar", path)

Where almost nothing meets, of all tars of a pass or of the first LOOKED_AT, or the members of a tar's samples are apart
as a rule, that is an error: training would go on with the few that are left, many times over.
"""
import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch

from mc2 import files, keys, tars
from mc2.balancing import algorithm
from mc2.clip import images, loading
from mc2.errors import BadData, Mc2Error
from mc2.execution.stage import Stages
from mc2.pairs.batch import Labels
from mc2.pairs.shards import read_blocks
from mc2.training import division
from mc2.training.division import Cursor

COLUMNS = ("id", "text", "lang", "matched_entry_ids")
EMPTY_PASSES = 100              # in which nothing was drawn, before that is an error
KINDS = 3                       # of samples without an image that are counted apart
LOOKED_AT = 8                   # tars of a stream, before it is an error that almost nothing meets
UNKNOWN = "unknown"             # language of pairs that do not say


@dataclass
class Batch:
    """Pairs of one rank for one step.

    images: uint8 (n, 3, S, S), in the first view. tokens: {name of the tokenizer: int64 (n, context)}. tally: what
    happened in this batch's process since its last one. more_images: {further View: uint8 (n, 3, S, S)}.
    """

    images: torch.Tensor
    tokens: dict
    ids: list
    texts: list
    langs: list
    tally: Counter
    more_images: dict = field(default_factory=dict)

    def images_in(self, view):
        """The images in a View of the run's Data."""
        return self.more_images.get(view, self.images)

    def pin_memory(self):
        self.images = self.images.pin_memory()
        self.more_images = {view: pixels.pin_memory() for view, pixels in self.more_images.items()}
        self.tokens = {name: tokens.pin_memory() for name, tokens in self.tokens.items()}
        return self


@dataclass
class Meeting:
    """How images and pairs meet in the tars that a stream has read. ids: of the pairs; met: images that have one;
    strangers: (id of a pair, name of an image) that met nothing, or None where there is none yet."""

    tars: int = 0
    images: float = 0
    ids: float = 0
    met: float = 0
    strangers: list = field(default_factory=lambda: [None, None])

    def refuse_strangers(self, least):
        """Raise BadData where, after so many tars, almost nothing meets."""
        if self.tars < least or not keys.almost_nothing(self.met, self.images, self.ids):
            return
        of_pair, of_image = self.strangers
        raise BadData(f"almost nothing meets: {self.met:,.0f} of {self.images:,.0f} images have pairs, in the first "
                      f"{self.tars:,} tars of a loading process. The id of a pair is {of_pair}; an image is called "
                      f"{of_image}. Run 'mc2 join' to give every tar the pairs of its images.")


class Stream(torch.utils.data.IterableDataset):
    """Yields (Batch, number of the stream within its rank, state of its cursor after it); an error comes last, as an
    item.

    data: samples.Data. shards: as from division.shards. states: of the cursors of the rank's streams.
    """

    def __init__(self, data, shards, sampler, tokenizers, batch_size, division, first, states, first_due):
        """first: number of the rank's first stream among those of all ranks. first_due: the stream that gives the first
        batch."""
        self.data, self.shards, self.sampler, self.tokenizers = data, shards, sampler, tokenizers
        self.batch_size, self.division, self.first = batch_size, division, first
        self.states, self.first_due = states, first_due
        self.tally, self.meeting = Counter(), Meeting()
        self.example = None                     # sentences on the first sample without an image or a text
        self.kinds = set()                      # of samples without an image: what they have

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        stream = ((info.id if info else 0) + self.first_due) % len(self.states)
        cursor = Cursor.of_state(self.states[stream])
        pairs = self.pairs(cursor, self.first + stream)
        try:
            while True:
                yield self._batch(list(itertools.islice(pairs, self.batch_size))), stream, cursor.state()
        except (Mc2Error, OSError, MemoryError) as error:
            yield error

    def _batch(self, pairs):
        pixels, ids, texts, langs = map(list, zip(*pairs))
        if self.data.shuffle_texts:
            shift = shift_of(ids)
            texts, langs = texts[shift:] + texts[:shift], langs[shift:] + langs[:shift]
        for lang in langs:
            self.tally["kept", lang] += 1
        tally, self.tally = self.tally, Counter()
        images, *more = (loading.shared(torch.from_numpy(np.stack(of_view))) for of_view in zip(*pixels))
        return Batch(images,
                     {name: loading.shared(torch.from_numpy(tokenize(texts))) for name, tokenize in self.tokenizers.items()},
                     ids, texts, langs, tally, dict(zip(self.data.views[1:], more)))

    def pairs(self, cursor, stream):
        """Yield ([pixels in each view], id, text, lang) for ever; the cursor moves along."""
        empty = 0
        while True:
            is_whole, found = cursor.is_at_beginning(), 0
            for pair in self.pairs_of_pass(cursor, self.division.units(cursor, stream)):
                found += 1
                yield pair
            if cursor.pass_number == 0:
                self.meeting.refuse_strangers(least=1)
            empty = empty + 1 if is_whole and not found else 0
            if empty and empty >= (EMPTY_PASSES if self.tally["not drawn"] else 1):
                reasons = ", ".join(f"{' '.join(reason) if isinstance(reason, tuple) else reason}: {count:,}"
                                    for reason, count in sorted(self.tally.items(), key=str))
                raise BadData(f"nothing to train on in a whole pass of the tars of one loading process "
                              f"({reasons or 'they hold no samples'}). Look at tars and pairs, or use fewer workers."
                              + (self.example or ""))
            cursor.begin_next_pass()

    def pairs_of_pass(self, cursor, units):
        """Yield the pairs of a pass, one from each reader in rotation."""
        n = len(cursor.readers)
        readers = {number: self._read(units[number::n], reader, f"{self.data.seed}:{cursor.pass_number}")
                   for number, reader in enumerate(cursor.readers)}
        while readers:
            number = cursor.take_reader()
            pair = next(readers[number], None) if number in readers else None
            if pair is None:
                readers.pop(number, None)
            else:
                yield pair

    def _read(self, units, reader, seed):
        """Yield the pairs of units, one after another."""
        while reader.finished < len(units):
            yield from self._read_unit(units[reader.finished], reader, seed)
            reader.unit_finished()

    def _read_unit(self, unit, reader, seed):
        shard, low, _, _ = unit
        _, path, its_pairs = self.shards[shard]
        start, done = reader.sample, reader.pairs
        tally = self.tally if low == 0 and start == done == 0 else Counter()    # what concerns the shard as a whole
        table = None if its_pairs is None else self.table(its_pairs, seed, tally)
        names_of = Names(path, table)
        seen, apart = set(), tars.Apart()
        try:
            for index, (key, members) in enumerate(_opened(path)):
                record = tars.record(members)
                image_id = names_of(key, record)
                is_new = image_id not in seen
                seen.add(image_id)
                if apart.see(key, members):
                    tally["members apart"] += 1
                if index < start or not division.is_in(unit, index):
                    continue
                if index > start:
                    done = 0
                pairs = self._pairs_of(image_id, is_new, record, members, table, seed, done == 0)
                for pair in self._decoded(pairs, members, image_id, seed, done):
                    done += 1
                    reader.pair_given(index, done)
                    yield pair
        except tars.Damaged as damage:
            self._report(f"{damage.what} tar", path, low)
        except OSError:
            self._report("unreadable tar", path, low)
        if table and low == 0 and (missing := table.keys() - seen):
            self.tally["missing image"] += len(missing)
        self._look_at(path, apart, table, seen)

    def _look_at(self, path, apart, table, seen):
        """Raise BadData where the members of this tar are apart, or where almost nothing meets in those read so far.
        seen: names of the tar's images"""
        met = None if table is None else len(table.keys() & seen)
        if apart.is_usual() and (met is None or 2 * met < min(len(table), apart.keys)):
            raise BadData(f"{files.name_of(path)}: {apart}.")
        if table is None:
            return
        meeting = self.meeting
        meeting.tars, meeting.met = meeting.tars + 1, meeting.met + met
        meeting.images, meeting.ids = meeting.images + len(seen), meeting.ids + len(table)
        for number, (some, others) in enumerate(((table.keys(), seen), (seen, table.keys()))):
            if meeting.strangers[number] is None:
                meeting.strangers[number] = next((each for each in some if each not in others), None)
        meeting.refuse_strangers(least=LOOKED_AT)

    def _report(self, what, path, low):
        if low == 0:                        # once for all parts of a shard
            self.tally[what, files.name_of(path)] += 1

    def _pairs_of(self, image_id, is_new, record, members, table, seed, is_first):
        """[(lang, text, probability)] of an image that are to be trained on; counts why there are none, when the
        image comes up first."""
        tally = self.tally if is_first else Counter()
        tally["images"] += 1
        if not is_new:
            tally["image twice"] += 1
            return []
        if tars.image(members) is None:
            its_members = ", ".join(map(files.printable, sorted(members)))
            if len(self.kinds) < KINDS:
                self.kinds.add(its_members)
            tally[f"no image: has {its_members}" if its_members in self.kinds else "no image"] += 1
            self.example = self.example or f" A sample without an image has {its_members}. {tars.ABOUT_EXTENSIONS}"
            return []
        pairs = table.get(image_id) if table is not None else self._own_pairs(image_id, record, members, seed, tally)
        if pairs is None:
            tally["image without pair"] += 1
            if table is None and tars.has_empty_text(members, record):
                tally["empty text"] += 1
            elif table is None:
                self.example = self.example or (
                    f" A sample without a text has {', '.join(sorted(members))}. Texts are in a sample's txt or in `text` "
                    "or `caption` of its json, or in files of pairs (--pairs).")
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
        """Yield ([pixels in each view], id, text, lang) for the pairs of an image from number `done` on."""
        if len(pairs) <= done:
            return
        data = self.data
        try:
            pixels = images.all_views(members[tars.image(members)], (seed, image_id), data.views, data.aug_scale,
                                      data.jpeg_scaling)
        except images.Corrupt as corrupt:
            self.tally[f"corrupt image: {corrupt.reason}"] += 1
            return
        for lang, text, _ in pairs[done:]:
            yield pixels, image_id, text, lang

    def table(self, path, seed, tally):
        """{id: [(lang, text, probability)]} of a file of pairs; online at most one of an image, with None for a text
        not drawn."""
        table = {}
        if self.sampler is None:
            for block in read_blocks([path], columns=COLUMNS[:3], longest=None):
                batch = block.batch()
                _count_dropped(batch, tally)
                for image_id, text, lang in zip(batch.column("id"), batch.texts, batch.column("lang")):
                    if text.strip():
                        table.setdefault(image_id, []).append((lang or UNKNOWN, text, 1))
                    else:
                        tally["empty text"] += 1
            return table
        for block in read_blocks([path], Stages([self.sampler]).whole_images, COLUMNS, longest=None):
            self._draw(block.batch(self.sampler.requires), seed, table, tally)
        return table

    def _draw(self, batch, seed, table, tally):
        """Add the outcome of a batch of pairs to a table."""
        found = {}
        _count_dropped(batch, tally)
        q = self.sampler.keep_probs(batch, seed).tolist()
        for image_id, text, lang, prob in zip(batch.column("id"), batch.texts, batch.column("lang"), q):
            chosen = found.setdefault(image_id, [])
            if prob > 0 and chosen:
                tally["not adjacent"] += 1
            elif prob > 0:
                chosen.append(_drawn(image_id, text, lang, prob, seed))
        for image_id, chosen in found.items():
            if image_id in table:
                tally["not adjacent"] += 1
            else:
                table[image_id] = chosen
        if never_counted := batch.tally["never counted"]:
            tally["never counted"] += never_counted

    def _own_pairs(self, image_id, record, members, seed, tally):
        """The pair in a tar's own json or txt, as an item of a table; None where there is none."""
        if (text := tars.text(members, record)) is None:
            return None
        lang, ids = record.get("lang"), record.get("matched_entry_ids")
        if self.sampler is None:
            return [(lang if isinstance(lang, str) else UNKNOWN, text, 1)]
        if problem := self._problem(lang, ids):
            tally[f"bad: {problem}"] += 1
            return None
        (prob,), (never_counted,) = self.sampler.pair_probs(
            Labels(np.zeros(1, np.int64), [lang]), np.array([0, len(ids)]), np.array(ids, np.uint32))
        if never_counted:
            tally["never counted"] += 1
        return [_drawn(image_id, text, lang, float(prob), seed)] if ids else []

    def _problem(self, lang, ids):
        """Why no draw can be made for a pair of this language with these matched ids, or None."""
        n_entries, counts = self.sampler.n_entries, self.sampler.counts_path
        if not isinstance(lang, str):
            return 'no "lang" key.' if lang is None else '"lang" is not a string.'
        if not isinstance(ids, list):
            return 'no "matched_entry_ids" key.' if ids is None else '"matched_entry_ids" is not a list of integers.'
        if not all(type(entry) is int and entry >= 0 for entry in ids) or sorted(set(ids)) != ids:
            return '"matched_entry_ids" is not an ascending list of entry ids.'
        if lang not in n_entries:
            return f'"lang" is none of {counts}.'
        if ids and ids[-1] >= n_entries[lang]:
            return f"an entry is outside {counts}."
        return None


def _count_dropped(batch, tally):
    """Count the pairs of a batch that were dropped as they were read: without an id or a text."""
    for reason, count in batch.tally.items():
        if reason.startswith("dropped: "):
            tally[f"pair {reason.removeprefix('dropped: ')}"] += count


def _drawn(image_id, text, lang, prob, seed):
    """(lang, text, probability), with None for a text that the draw does not keep."""
    is_kept = prob >= 1 or algorithm.draw(seed, image_id, text) < prob
    return lang, text if is_kept else None, prob


class Names:
    """What the images of a tar are called by its pairs: names_of(key, record) -> an id of the pairs, or the image's
    first name where none of them means it (mc2/keys.py).

    The first names of a sample are looked up as they come. Where a lesser one is found, all names of the tar are read,
    because another image may have a better right to it.
    """

    def __init__(self, path, table):
        self.path, self.table, self._numbers, self._ids = path, table or {}, itertools.count(), None
        self._plain = {keys.plain(image_id) for image_id in self.table}

    def __call__(self, key, record):
        number, names = next(self._numbers), keys.names(key, record)
        if not self.table or names[0] in self.table:
            return names[0]
        if self._ids is None and any(name in self.table or name in self._plain for name in names):
            self._ids = keys.ids_of_images(self._all_names(), self.table)
        found = (self._ids or {}).get(number)
        return found[0] if found else names[0]

    def _all_names(self):
        """[names] of every sample, without any where it has no image."""
        found = []
        with contextlib.suppress(tars.Damaged):         # which the one who reads the tar for its images reports
            for key, members in _opened(self.path):
                found.append(keys.names(key, tars.record(members)) if tars.image(members) else ())
        return found


def _opened(path):
    """The samples of a tar; where a library cannot read it, that is an OSError too."""
    try:
        yield from tars.samples(path)
    except (tars.Damaged, tars.Compressed):
        raise
    except Mc2Error as error:
        raise OSError(str(error)) from None


def shift_of(ids):
    """By how much to shift texts so that none is with its own image, by half of their number if possible."""
    n = len(ids)
    return next((shift for shift in [*range(n // 2, n), *range(1, n // 2)]
                 if all(ids[index] != ids[(index + shift) % n] for index in range(n))), n // 2)
