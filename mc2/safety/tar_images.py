"""The images of a tar, found by the ids of pairs (mc2/keys.py), while pairs are gone through shard by shard."""
import contextlib
import os
import shutil
import tempfile
from typing import NamedTuple

from mc2 import files, keys, tars
from mc2.errors import BadData, BadUsage
from mc2.terminal import say


class Sample(NamedTuple):
    """names: of its image, as mc2.keys gives them. key: in the tar. members: {extension: (offset, bytes)}. extension: of its
    image"""

    names: tuple
    key: str
    members: dict
    extension: str


class TarImages:
    """The samples of a tar that have an image, in order: `samples`. A tar at a URL is fetched to $TMPDIR. Of a damaged tar
    the whole samples before are given, and a warning is printed; `damage` says what is wrong."""

    def __init__(self, path):
        self.path, self.samples, self.damage, self.without_image, self.apart = path, [], None, [], tars.Apart()
        self._stack = contextlib.ExitStack()
        try:
            self._local = self._fetched() if files.is_remote(path) else path
            self._stream = self._stack.enter_context(open(self._local, "rb"))
            self._look_through()
        except BaseException:
            self.close()
            raise
        self._by_id = {}

    def close(self):
        self._stack.close()

    def _fetched(self):
        copy = self._stack.enter_context(tempfile.NamedTemporaryFile(prefix="mc2-", suffix=".tar"))
        with files.open_raw(self.path) as stream:
            shutil.copyfileobj(stream, copy, files.BLOCK)
        copy.flush()
        return copy.name

    def _look_through(self):
        try:
            for key, members in tars.samples(self._local):
                self.apart.see(key, members)
                if extension := tars.image(members):
                    names = keys.names(key, tars.record(members))
                    self.samples.append(Sample(names, key, {each: members.position(each) for each in members}, extension))
                else:
                    self.without_image = self.without_image or [key, sorted(members)]
        except tars.Damaged as damage:
            _, what, why = damage.args
            self.damage = str(tars.Damaged(self.path, what, why))
            say(f"warning: {self.damage} The {len(self.samples):,} images before are used.")
        if self.apart.is_usual():
            say(f"warning: {files.name_of(self.path)}: {self.apart}.")

    def numbers(self, ids):
        """{id: number of its sample}, of those ids that mean an image."""
        new = dict.fromkeys(each for each in ids if each not in self._by_id)
        if new:
            self._by_id.update(dict.fromkeys(new))
            for number, its in keys.ids_of_images([sample.names for sample in self.samples], new).items():
                self._by_id.update(dict.fromkeys(its, number))
        return {each: self._by_id[each] for each in ids if self._by_id[each] is not None}

    def read(self, number, extension=None):
        """The bytes of a member of a sample; of its image by default."""
        sample = self.samples[number]
        offset, size = sample.members[extension or sample.extension]
        self._stream.seek(offset)
        body = self._stream.read(size)
        if len(body) < size:
            raise BadData(f"{files.name_of(self.path)}: became shorter while it was read. Run again when it is complete.")
        return body

    def refuse_strangers(self, pairs, met, an_id):
        """Raise BadData where almost none of the pairs has an image here. met: how many have one. an_id: of one that has
        none"""
        if not pairs or not (self.samples or self.without_image) or not keys.almost_nothing(met, pairs, len(self.samples) or 1):
            return
        if not self.samples:
            raise BadData(f"{files.name_of(self.path)}: no sample has an image: {self.without_image[0]} has "
                          f"{', '.join(self.without_image[1])}. {tars.ABOUT_EXTENSIONS}")
        raise BadData(f"{met:,} of {pairs:,} pairs have an image in {files.name_of(self.path)}. The id of a pair is "
                      f"{files.printable(an_id)}; an image is called {' or '.join(self.samples[0].names)}. 'mc2 join' makes a "
                      "shard of pairs for each tar." + (f" Also {self.apart}." if self.apart.number else ""))


class Tars:
    """Which tar belongs to a shard of pairs: the one of its name among those given, else the one beside it."""

    def __init__(self, given=()):
        """given: paths. Raises BadUsage where two have one name."""
        self._of = {}
        for path in given:
            if (name := keys.shard(path)) in self._of:
                raise BadUsage(f"two tars are called {name}: {self._of[name]} and {path}. Rename one.")
            self._of[name] = path

    def __call__(self, shard):
        """The path of the tar of a shard."""
        name = keys.shard(shard)
        if self._of:
            return self._of[name]
        return os.path.join(os.path.dirname(shard), name + ".tar")

    def refuse_missing(self, shards, option="--tars"):
        """Raise BadUsage for a shard without a tar, and where two shards would have one tar."""
        owner = {}
        for shard in shards:
            if shard == "-":
                raise BadUsage("the images of pairs are in the tar of their shard: name files, not stdin.")
            if self._of and keys.shard(shard) not in self._of:
                raise BadUsage(f"{shard}: no tar is called {keys.shard(shard)}. 'mc2 join' makes a shard of pairs for each "
                               "tar.")
            if not self._of and not files.exists(self(shard)):
                raise BadUsage(f"{shard}: there is no {self(shard)} beside it. Name the tars with {option}.")
            if (tar := files.identity(self(shard))) in owner:
                raise BadUsage(f"{owner[tar]} and {shard} have one tar, {self(shard)}. Rename one, and its tar.")
            owner[tar] = shard

    def strangers(self, shards):
        """The given tars that no shard has, in order."""
        wanted = set(map(keys.shard, shards))
        return [path for name, path in self._of.items() if name not in wanted]
