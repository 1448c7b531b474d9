"""Zero-shot classification of videos: Kinetics-400, HMDB51, Something-Something v2.

A video is a file, which needs PyAV, or a folder with its frames as images, in the order of their names. Some frames are
taken, evenly spaced; the features of a video are the mean of the normalised features of its frames, normalised.
"""
import os
import re

import numpy as np

from mc2 import extras, parsing
from mc2.errors import BadData
from mc2.evaluation import readers, sources, zeroshot

EXTENSIONS = (".mp4", ".avi", ".webm", ".mkv", ".mov")
PROMPTS = ["a video of {}.", "a video of a person doing {}.", "{}"]
SPLITS = "testTrainMulti_7030_splits"           # of HMDB51: CLASS_test_splitN.txt, where 2 stands for a test video


def kinetics_400(bench):
    """Yield top-1 and top-5. val/CLASS/VIDEO, or CLASS/VIDEO: a folder per class, with its name."""
    folder = bench.path("val", optional=True) or bench.path()
    videos = _by_class(folder)
    classes = sorted({name for name, _ in videos})
    labels = [classes.index(name) for name, _ in videos]
    yield from _scored(bench, folder, [path for _, path in videos], labels, list(map(_spoken, classes)))


def hmdb51(bench):
    """Yield top-1 and top-5 of the test videos of a split. CLASS/VIDEO and the folder with the splits."""
    splits, number = bench.path(SPLITS), bench.protocol["split"]
    videos = {(name, _stem(path)): path for name, path in _by_class(bench.path(), leave_out=SPLITS)}
    classes = sorted(match[1] for name in os.listdir(splits)
                     if (match := re.fullmatch(f"(.+)_test_split{number}\\.txt", name)))
    if not classes:
        raise BadData(f"{splits}: holds no CLASS_test_split{number}.txt.")
    chosen, labels = [], []
    for label, name in enumerate(classes):
        path = os.path.join(splits, f"{name}_test_split{number}.txt")
        for line in readers.lines(path):
            video, _, which = line.strip().rpartition(" ")
            if which == "2":
                if (name, _stem(video.strip())) not in videos:
                    raise BadData(f"{os.path.join(bench.data, name, video.strip())}: no such video, of {path}. A score "
                                  "over fewer videos would be another score.")
                chosen.append(videos[name, _stem(video.strip())])
                labels.append(label)
    if not chosen:
        raise BadData(f"{splits}: split {number} has no test videos (lines `NAME.avi 2`).")
    yield from _scored(bench, bench.data, chosen, labels, list(map(_spoken, classes)))


def ssv2(bench):
    """Yield top-1 and top-5 of the validation videos: ID.webm, or a folder ID, of validation.json and labels.json."""
    annotations, names = _file_of(bench, "validation.json"), _file_of(bench, "labels.json")
    folder = next((path for name in ("20bn-something-something-v2", "videos", "frames")
                   if (path := bench.path(name, optional=True))), None) or bench.path("20bn-something-something-v2")
    number_of = {name: int(number) for name, number in readers.json_object(names, "label").items()
                 if str(number).isdecimal()}
    if sorted(number_of.values()) != list(range(len(number_of))) or not number_of:
        raise BadData(f"{names}: is not {{label: number}} with the numbers from 0.")
    there = {_stem(entry): entry for entry in sorted(os.listdir(folder))}
    chosen, labels = [], []
    for entry in _array(annotations):
        video, label = str(entry.get("id")), re.sub(r"[\[\]]", "", str(entry.get("template")))
        if label not in number_of:
            raise BadData(f"{annotations}: the video {video} has the label {label!r}, which is not in {names}.")
        if video not in there:
            raise BadData(f"{os.path.join(folder, video)}: no such video, of {annotations}. A score over fewer videos "
                          "would be another score.")
        chosen.append(there[video])
        labels.append(number_of[label])
    yield from _scored(bench, folder, chosen, labels, sorted(number_of, key=number_of.get))


def _scored(bench, folder, videos, labels, classes):
    """Yield the accuracies of videos (paths below a folder), by their classes' names."""
    frames = bench.whole_number("frames", 1)
    source = Frames(folder, videos, frames)
    prompts = PROMPTS if bench.protocol["templates"] == "video" else zeroshot.templates(bench.protocol["templates"])
    weights = zeroshot.classifier(bench, classes, prompts)
    features, kept = bench.images(source)
    rows, videos_kept = means(features, np.asarray(kept) // frames)
    labels = np.asarray(labels)[videos_kept]
    yield from zeroshot.accuracies(bench, rows, labels, weights, lang="en", classes=len(classes))


def means(features, videos):
    """(float32 (m, d) rows of length 1, int64 (m,) which videos): the mean of the features of each video's frames.
    videos: int (n,), ascending, the video of each frame."""
    found, starts = np.unique(videos, return_index=True)
    sums = np.add.reduceat(np.asarray(features, np.float32), starts, axis=0)
    return zeroshot.normalized(sums), found


# ---------------------------------------------------------------- frames

def evenly(number, total):
    """[index] of so many of `total` frames, in the middles of parts of one length; some twice where there are fewer."""
    return [int((part + 0.5) * total / number) for part in range(number)]


class Frames:
    """The frames of videos, as a source of images: `number` of each, one video after another.

    videos: paths below a folder, of files or of folders with frames.
    """

    def __init__(self, folder, videos, number):
        self.folder, self.videos, self.number = folder, list(videos), number
        self.names = [f"{name} (frame {part} of {number})" for name in videos for part in range(1, number + 1)]
        self._files = {name: _frames_in(os.path.join(folder, name)) for name in dict.fromkeys(videos)
                       if os.path.isdir(os.path.join(folder, name))}
        if len(self._files) < len(set(videos)):
            extras.need("video", "av")
        self._name, self._decoded = None, []

    def __len__(self):
        return len(self.names)

    def read(self, index):
        name, part = self.videos[index // self.number], index % self.number
        if name in self._files:
            its = self._files[name]
            with open(os.path.join(self.folder, name, its[evenly(self.number, len(its))[part]]), "rb") as stream:
                return stream.read()
        if self._name != name:                      # the frames of a video are asked for one after another
            self._name, self._decoded = name, decoded(os.path.join(self.folder, name), self.number)
        return self._decoded[part] if self._decoded else b""

    def fingerprint(self):
        paths = []
        for name in dict.fromkeys(self.videos):
            paths += [os.path.join(name, frame) for frame in self._files[name]] if name in self._files else [name]
        return f"{sources.Files(self.folder, paths).fingerprint()} {self.number} frames"

    def __getstate__(self):
        return {**self.__dict__, "_name": None, "_decoded": []}


def _frames_in(folder):
    frames = sources.images_below(folder)
    if not frames:
        raise BadData(f"{folder}: is a folder without frames. A video is a file, or a folder with its frames as "
                      "images.")
    return frames


def decoded(path, number):
    """[PIL image] of so many frames of a video file, or none where it cannot be decoded."""
    import av
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            total = sum(packet.size > 0 for packet in container.demux(stream))
        found = _at(path, evenly(number, total)) if total else {}
        if found and len(found) < len(set(evenly(number, total))):      # some packets have no frame: count the frames
            with av.open(path) as container:
                total = sum(1 for _ in container.decode(video=0))
            found = _at(path, evenly(number, total)) if total else {}
        return [found[index] for index in evenly(number, total)] if found else []
    except (av.error.FFmpegError, IndexError, KeyError, ValueError, MemoryError):
        return []


def _at(path, indices):
    """{index: PIL image} of these frames of a video, as far as it has them."""
    import av
    with av.open(path) as container:
        wanted, found = set(indices), {}
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                found[index] = frame.to_image()
            if len(found) == len(wanted):
                break
        return found


# ---------------------------------------------------------------- what is in the folders

def _by_class(folder, leave_out=None):
    """[(class, path of a video below the folder)] of a folder per class, sorted. A class holds files of videos, or a
    folder of frames for each. stderr names what is neither."""
    found, others = [], []
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name != leave_out
                       and not entry.name.startswith(".")):
        for entry in sorted(os.scandir(os.path.join(folder, name)), key=lambda entry: entry.name):
            is_video = entry.is_dir() or entry.name.lower().endswith(EXTENSIONS)
            path = os.path.join(name, entry.name)
            (found if is_video else others).append((name, path) if is_video else path)
    sources.tell(folder, len(others), "are no videos and are left out", others)
    if not found:
        raise BadData(f"{folder}: holds no folders of videos, one for each class. A video is a file "
                      f"({' '.join(EXTENSIONS)}), or a folder with its frames as images.")
    return found


def _stem(path):
    name = os.path.basename(path)
    return name[:-4] if name.lower().endswith((".avi", ".mp4", ".mkv", ".mov")) else name.removesuffix(".webm")


def _spoken(name):
    """A class as a folder calls it, as words: `ride_bike`."""
    return name.replace("_", " ")


def _file_of(bench, name):
    """validation.json or labels.json, under the short name or the one of the release."""
    return bench.path(f"something-something-v2-{name}", optional=True) or bench.path("labels", name, optional=True) \
        or bench.path(name)


def _array(path):
    try:
        with open(path, encoding="utf-8") as stream:
            content = parsing.json_value(stream.read())
    except ValueError as error:
        raise BadData(f"{path}: is not JSON ({error}).") from None
    if not isinstance(content, list) or not content or not all(isinstance(entry, dict) for entry in content):
        raise BadData(f"{path}: is no list of objects with \"id\" and \"template\".")
    return content
