"""The stage of `mc2 filter score`: the keys that classifiers and word lists give to pairs."""
from mc2.execution.stage import Stage
from mc2.safety.models import BATCH
from mc2.safety.tar_images import TarImages

MOST_PIXELS = 1 << 25           # of images that are in memory together, beside the last one


class Score(Stage):
    """Gives each pair the keys of its scorers: of its image, which is in the tar of its shard, and of its text.

    A scorer has `keys`, `description`, and is called with Pictures, or texts: {key: values}. Of a pair without an image, or
    with one that cannot be decoded, the keys of the image are null, which `mc2 filter apply` does not let pass.
    """

    name = "filter score"

    def __init__(self, of_images, of_texts, words=None, tars=None):
        """words: WordLists or None. tars: Tars, where there are scorers of images"""
        self.of_images, self.of_texts, self.words, self.tars = of_images, of_texts, words, tars
        self.image_keys = [key for scorer in of_images for key in scorer.keys]
        text_keys = [*(words.keys if words else ()), *(key for scorer in of_texts for key in scorer.keys)]
        self.adds = (*self.image_keys, *text_keys)
        self.requires = ("lang",) if words and words.reads_langs else ()
        scorers = [*of_images, *([words] if words else []), *of_texts]
        self.options = {"scores": [{**scorer.description, "keys": list(scorer.keys)} for scorer in scorers]}
        self._forget()

    def _forget(self):
        self._images, self._values, self._met, self._pairs, self._stranger = None, {}, 0, 0, None

    def __getstate__(self):
        return {**self.__dict__, "_images": None, "_values": {}}

    def also_reads(self, shard):
        return [self.tars(shard)] if self.of_images else []

    def begin(self, shard):
        self._close()
        if self.of_images:
            self._images = TarImages(self.tars(shard))

    def _close(self):
        if self._images:
            self._images.close()
        self._forget()

    def __call__(self, batch):
        if self.of_images:
            self._score_images(batch)
        if self.words:
            langs = batch.column("lang") if self.words.reads_langs else None
            flags = self.words(batch.strings("text"), langs)
            batch.tally["pairs with text flags"] += sum(map(bool, flags))
            batch.add(self.words.keys[0], flags)
        for scorer in self.of_texts:
            for key, values in scorer(batch.texts).items():
                batch.add(key, values)

    # ------------------------------------------------------------ images

    def _score_images(self, batch):
        ids = batch.column("id")
        number_of = self._images.numbers(ids)
        numbers = [number_of.get(each, -1) for each in ids]
        missing = numbers.count(-1)
        if missing:
            batch.tally["pairs without an image"] += missing
            self._stranger = self._stranger or ids[numbers.index(-1)]
        self._pairs, self._met = self._pairs + len(ids), self._met + len(ids) - missing
        self._score([number for number in dict.fromkeys(numbers) if number >= 0 and number not in self._values],
                    batch.tally)
        none = (None,) * len(self.image_keys)
        rows = [self._values.get(number) or none for number in numbers]
        for position, key in enumerate(self.image_keys):
            batch.add(key, [row[position] for row in rows])

    def _score(self, numbers, tally):
        """Fill in the values of these images: a tuple for each, None for one that cannot be decoded."""
        from mc2.clip.images import Corrupt         # texts are scored without Pillow
        from mc2.safety import pictures
        waiting, pixels = {}, 0
        for number in numbers:
            tally["images"] += 1
            try:
                picture = pictures.opened(self._images.read(number))
            except Corrupt as error:
                tally[f"images that cannot be decoded: {error.reason}"] += 1
                self._values[number] = None
                continue
            waiting[number] = picture
            pixels += picture.image.width * picture.image.height
            if len(waiting) == BATCH or pixels > MOST_PIXELS:
                self._fill_in(waiting, tally)
                waiting, pixels = {}, 0
        if waiting:
            self._fill_in(waiting, tally)

    def _fill_in(self, waiting, tally):
        columns = {}
        for scorer in self.of_images:
            columns.update(scorer(list(waiting.values())))
        tally["images with faces"] += sum(map(bool, columns.get("faces", ())))
        self._values.update(zip(waiting, zip(*(columns[key] for key in self.image_keys))))

    # ------------------------------------------------------------ the end of a shard

    def finish(self, shard, description, tally):
        if not self._images:
            return {}
        images, met, pairs, stranger = self._images, self._met, self._pairs, self._stranger
        self._close()
        images.refuse_strangers(pairs, met, stranger)
        if images.damage:
            tally["damaged tars"] += 1
        return {"damaged": images.damage} if images.damage else {}

    def summary(self, tally):
        undecodable = sorted(what for what in tally if what.startswith("images that"))
        shown = ["images", "images with faces", *undecodable, "pairs without an image", "pairs with text flags", "damaged tars"]
        return f"{tally['out']:,} out" + "".join(f", {tally[what]:,} {what}" for what in shown if tally[what])
