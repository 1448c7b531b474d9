"""The stage of `mc2 filter apply`: leaves out the pairs that rules name, and writes the tars of the images that
stay."""
from collections import Counter

import orjson

from mc2 import files, keys, manifests, tars
from mc2.errors import BadData
from mc2.execution.stage import Stage
from mc2.safety.rules import Blurred, are_boxes
from mc2.safety.tar_images import TarImages
from mc2.terminal import say

KIND = "filtered images"        # of the manifests of the tars
STOP, DROP = UNSCORED = "stop", "drop"          # what becomes of a pair that lacks what a rule asks for
NO_IMAGE = "no image in the tar"


class Apply(Stage):
    """Drops pairs by rules. Where there are tars, writes beside the pairs of each shard a tar with the images of those
    that stay, as they were or with their faces blurred.

    A new tar has the samples in the old order under their old keys: the image, its json and its txt. A text of the
    sample that is none of the pairs that stay becomes the first of these, and no other value of the json is a text that
    went. All other members are left out, as nobody looked at them.
    """

    name = "filter apply"

    def __init__(self, rules, unscored=STOP, tars_of=None, output=None, quality=None):
        """tars_of: Tars, or None. output: function from a shard to the path of its pairs, or None for a stream.
        quality: of JPEG and WebP that are encoded anew"""
        self.rules, self.unscored, self.tars_of, self.output, self.quality = rules, unscored, tars_of, output, quality
        self.is_blurring = any(isinstance(rule, Blurred) for rule in rules)
        self.reads = tuple({rule.key: None for rule in rules if rule.key in ("url",)})
        self.options = {"rules": [rule.description for rule in rules], "unscored": unscored,
                        "tars": tars_of is not None}
        if self.is_blurring:
            from mc2.safety.blurring import VERSION             # which needs Pillow
            self.options.update(quality=quality, blurring=VERSION)
        self._forget()

    def _forget(self):
        self._images, self._texts, self._kept, self._faces = None, {}, {}, {}
        self._blocked = {}                                      # {number of a rule: {number of an image: bool}}
        self._pairs, self._met, self._stranger = 0, 0, None

    def __getstate__(self):
        return {**self.__dict__, "_images": None, "_texts": {}, "_kept": {}, "_faces": {}, "_blocked": {}}

    # ------------------------------------------------------------ files of a shard

    def also_reads(self, shard):
        return [self.tars_of(shard)] if self.tars_of else []

    def tar_of(self, shard):
        """The path of the new tar of a shard."""
        return keys.SUFFIX_OF_SHARD.sub("", self.output(shard)) + ".tar"

    def also_writes(self, shard):
        return [self.tar_of(shard)] if self.tars_of else []

    def begin(self, shard):
        self._close()
        if self.tars_of:
            _refuse_another(shard, self.tars_of(shard))
            self._images = TarImages(self.tars_of(shard))
        elif self.output:
            _remove_earlier(self.tar_of(shard))

    def _close(self):
        if self._images:
            self._images.close()
        self._forget()

    def is_done(self, shard, description):
        return not self.tars_of or manifests.is_of(self.tar_of(shard), description) is not None

    # ------------------------------------------------------------ pairs

    def __call__(self, batch):
        if self._images:
            self._drop_without_image(batch)
        for rule in self.rules:
            if getattr(rule, "needs_images", False):
                self._drop_blocked(rule, batch)
                continue
            values, lacking, bad = rule.look(batch)
            if self.unscored == STOP and lacking:
                bad.update({index: (what, hint_of(rule)) for index, what in lacking.items()})
                lacking = {}
            reasons = {index: reason for index, value in enumerate(values)
                       if index not in bad and index not in lacking and (reason := rule.reason(value))}
            _leave_out(batch, {**lacking, **reasons}, bad)
        if self._images:
            self._keep(batch)

    def _drop_without_image(self, batch):
        ids = batch.column("id")
        number_of = self._images.numbers(ids)
        without = [index for index, each in enumerate(ids) if each not in number_of]
        if without:
            self._stranger = self._stranger or ids[without[0]]
        self._pairs, self._met = self._pairs + len(ids), self._met + len(ids) - len(without)
        batch.drop(dict.fromkeys(without, NO_IMAGE))
        self._note_texts_and_faces(batch, number_of)

    def _note_texts_and_faces(self, batch, number_of):
        """Note the texts and faces of each image, also of the pairs that will go."""
        for image_id, text in zip(batch.column("id"), batch.texts):
            self._texts.setdefault(number_of[image_id], set()).add(text)
        if self.is_blurring:
            for image_id, boxes in zip(batch.column("id"), batch.column("face_bboxes")):
                if are_boxes(boxes):
                    self._faces.setdefault(number_of[image_id], {}).update((tuple(box), None) for box in boxes)

    def _drop_blocked(self, rule, batch):
        ids = batch.column("id")
        number_of, blocked = self._images.numbers(ids), self._blocked.setdefault(self.rules.index(rule), {})
        for number in dict.fromkeys(number_of.values()):
            if number not in blocked:
                blocked[number] = rule.is_blocked(self._images.read(number), self._record(number))
        batch.drop({index: rule.name for index, each in enumerate(ids) if blocked[number_of[each]]})

    def _keep(self, batch):
        """Note the images and texts of the pairs that stay."""
        ids = batch.column("id")
        number_of = self._images.numbers(ids)
        for image_id, text in zip(ids, batch.texts):
            self._kept.setdefault(number_of[image_id], {})[text] = None

    # ------------------------------------------------------------ the tar

    def _record(self, number):
        sample = self._images.samples[number]
        return tars.record({"json": self._images.read(number, "json")} if "json" in sample.members else {})

    def refuse_strangers(self):
        """Raise BadData where almost none of the shard's pairs has an image in its tar."""
        self._images.refuse_strangers(self._pairs, self._met, self._stranger)

    def finish(self, shard, description, tally):
        if not self._images:
            return {}
        images = self._images
        self.refuse_strangers()
        counts, path = Counter(), self.tar_of(shard)
        with files.open_write(path, is_own=True) as stream:
            for number, sample in enumerate(images.samples):
                if number not in self._kept:
                    counts["images left out"] += 1
                    continue
                for name, body in self._members(number, sample, self._kept[number], self._faces.get(number), counts):
                    stream.write(tars.member(name, body))
                counts["images"] += 1
            stream.write(tars.END)
            described = {**manifests.describe_file(images.path), "name": files.printable(files.base_name(images.path))}
            if described not in description["also_reads"]:
                raise BadData(f"{images.path}: changed while it was read. Run again when it is complete.")
        if images.damage:
            counts["damaged tars"] += 1
        damage = {"damaged": images.damage} if images.damage else {}
        sampled = manifests.sampled([shard, images.path])
        manifests.write_for_file(path, manifests.describe_run(
            KIND, [images.path], self.options, counts, stage=self.name, lineage={}, description=description, **damage,
            **({"sampled": sampled} if sampled else {})))
        tally.update(counts)
        self._close()
        return damage

    def _members(self, number, sample, texts, faces, counts):
        """Yield (name, bytes) of the members of a sample that stays."""
        for extension in sample.members:
            if extension == sample.extension:
                body = self._images.read(number)
                if faces:
                    body, extension = self._without_faces(body, faces, sample)
                    counts["images blurred"] += 1
                    counts["faces blurred"] += len(faces)
            elif extension == "txt":
                body = self._images.read(number, "txt")
                if body.decode("utf-8-sig", "replace") not in texts:
                    body = next(iter(texts)).encode()
            elif extension == "json" and (record := self._record(number)):
                changed = with_texts(record, texts, self._texts[number] - texts.keys())
                body = self._images.read(number, "json") if changed == record else orjson.dumps(changed)
            else:
                counts["other members left out"] += 1
                continue
            yield f"{sample.key}.{extension}", body

    def _without_faces(self, body, faces, sample):
        from mc2.clip.images import Corrupt
        from mc2.safety.blurring import without_faces
        try:
            return without_faces(body, list(faces), sample.extension, self.quality)
        except Corrupt as error:
            raise BadData(f"{files.name_of(self._images.path)}: the image {files.printable(sample.names[0])} cannot be "
                          f"decoded ({error}), and its pairs say where its faces are: the tar is another one than was "
                          "scored. Run 'mc2 filter score' again.") from None

    def summary(self, tally):
        shown = ["images", "images left out", "images blurred", "faces blurred", "other members left out",
                 "damaged tars"]
        return f"{tally['out']:,} out" + "".join(f", {tally[what]:,} {what}" for what in shown if tally[what])


def with_texts(record, kept, gone):
    """The json of a sample with no text but those that stay. kept, gone: the texts of its pairs that stay, and of the
    others"""
    texts = {key: next(iter(kept)) for key in tars.TEXTS if key in record and record[key] not in kept}
    return {key: value for key, value in {**record, **texts}.items() if not (isinstance(value, str) and value in gone)}


def hint_of(rule):
    """What to do where pairs lack what a rule asks for: the end of a message."""
    what = "A list of hosts is given, so each pair needs its URL" if rule.key == "url" else \
        "It was not scored, or its image is missing or damaged. Run 'mc2 filter score' first"
    return f". {what}; --unscored drop leaves such pairs out."


def _leave_out(batch, reasons, bad):
    """Drop pairs and reject others of one batch, by their index in it."""
    if bad:
        rejected = sorted(bad)
        batch.reject(bad)                               # raises, unless bad lines are skipped
        left = sorted(set(range(len(batch) + len(rejected))) - set(rejected))
        place = {index: row for row, index in enumerate(left)}
        reasons = {place[index]: reason for index, reason in reasons.items()}
    batch.drop(reasons)


def _refuse_another(shard, tar):
    """Raise BadData where the pairs were scored with another tar of this name."""
    description = (manifests.read_of_input(shard) or {}).get("description") or {}
    for scored in description.get("also_reads", ()):
        now = manifests.describe_file(tar)
        if scored.get("name") == files.printable(files.base_name(tar)) and "bytes" in now \
                and scored.get("bytes") != now["bytes"]:
            raise BadData(f"{files.name_of(tar)}: has {now['bytes']:,} bytes, and had {scored.get('bytes', 0):,} when "
                          f"{files.name_of(shard)} was made. Run 'mc2 filter score' again.")


def _remove_earlier(path):
    """Remove a tar that this command wrote before, when it was given tars: its images are not those of the pairs
    now."""
    if (manifests.read_if_whole(path) or {}).get("kind") == KIND:
        say(f"filter apply: {path}: is of an earlier run with --tars, and is removed.")
        files.remove(files.manifest_name(path))
        files.remove(path)
