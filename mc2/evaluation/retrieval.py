"""Retrieval of images by texts and of texts by images: XM3600, Flickr30k-200, XTD, Flickr30k, COCO, Flickr30k-CN, and
anybody's pairs. Recall at k, in fp32; ties go to the first.

Scores are held for a part of the queries at a time, so memory grows with the number of images plus that of texts, never
with their product. Under torchrun every rank takes a part of the queries.
"""
import glob
import json
import os
import re
from typing import NamedTuple

import numpy as np

from mc2 import files, tars
from mc2.errors import BadData, BadLine, BadUsage
from mc2.evaluation import sources

SCORES = 1 << 25        # scores that are held at a time: 128 MB (twice where texts repeat), three masks of 32 MB
HEAD = re.compile(r"image\w*\s*,\s*\w+", re.IGNORECASE)    # image,caption
FLORES = re.compile(r"([a-z]{3}_[A-Z][a-z]{3})\.txt")      # language and script, e.g. eng_Latn


# ---------------------------------------------------------------- recall

def recall(images, texts, owners, ks=(1,), place=None):
    """{"t2i_r1": share of texts whose image is the first, "i2t_r1": of images one of whose texts is the first, ...}.

    images (n, d), texts (m, d): float32. owners: int (m,), the image of each text; images without one are found or not,
    but are no queries. place: int (m,), where texts repeat: the row of `texts` that each has.
    """
    owners = np.asarray(owners, np.int64)
    described, order = np.unique(owners), np.argsort(owners, kind="stable")
    queries = images if len(described) == len(images) else images[described]
    to_text = ranks(queries, texts, np.searchsorted(described, owners[order]), order, place)
    to_image = ranks(texts if place is None else texts[place], images, np.arange(len(owners)), owners)
    ways = {"t2i": to_image, "i2t": to_text}
    return {f"{way}_r{k}": float((found < k).mean()) for k in ks for way, found in ways.items()}


def ranks(queries, candidates, of_query, of_candidate, place=None):
    """int64 (n,): how many candidates come before the first right one of each query.

    of_query (ascending), of_candidate: int (pairs,), which candidates are right for which query; every query has one.
    place: int (m,), the row of `candidates` that each candidate has, so that equal ones have equal scores.
    """
    rank, world = _ranks()
    begin, end = len(queries) * rank // world, len(queries) * (rank + 1) // world
    number = len(candidates) if place is None else len(place)
    part = max(1, SCORES // max(1, number))
    found = np.zeros(len(queries), np.int64)
    for start in range(begin, end, part):
        stop = min(start + part, end)
        low, high = np.searchsorted(of_query, [start, stop])
        found[start:stop] = _before(_scores(queries[start:stop], candidates, place), of_query[low:high] - start,
                                    of_candidate[low:high])
    return _of_all_ranks(found)


def _scores(queries, candidates, place):
    scores = np.asarray(queries, np.float32) @ candidates.T
    return scores if place is None else scores[:, place]


def _before(scores, rows, columns):
    """How many columns come before the first right one of each row: those that score higher, and those to the left that
    score the same."""
    values = scores[rows, columns]
    order = np.lexsort((columns, -values, rows))
    first = order[np.append(True, np.diff(rows[order]) > 0)]
    right = values[first][:, None]
    before = np.count_nonzero(scores > right, axis=1)
    equal = scores == right
    if np.count_nonzero(equal) > len(equal):
        before += np.count_nonzero(equal & (np.arange(scores.shape[1]) < columns[first][:, None]), axis=1)
    return before


def _ranks():
    import torch.distributed as dist
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _of_all_ranks(found):
    import torch
    import torch.distributed as dist
    if dist.is_initialized():
        dist.all_reduce(torch.from_numpy(found))
    return found


# ---------------------------------------------------------------- captions and their results

class Captions(NamedTuple):
    """texts of one language and the image of each."""

    texts: list
    owners: list


def encoded(bench, texts):
    """(features of the distinct texts, int (m,) the row of each text): encoded once, so that equal texts tie."""
    distinct = {}
    place = np.array([distinct.setdefault(text, len(distinct)) for text in texts], np.int64)
    return bench.texts(list(distinct)), place


def by_language(bench, source, captions, ks=(1,), gallery="all", **more):
    """Yield the recall of each language, then the mean over the languages where there are several.

    captions: pairs of a language and its Captions; gallery: the images to find, `all` or those with a text of the
    language.
    """
    images, kept = bench.images(source)
    row_of = np.full(len(source), -1)
    row_of[kept] = np.arange(len(kept))
    values = {}
    for lang, its in captions:
        owners = row_of[np.asarray(its.owners, np.int64)]
        texts, owners = [text for text, owner in zip(its.texts, owners) if owner >= 0], owners[owners >= 0]
        if not texts:
            raise BadData(f"{lang}: there are no texts of images that can be read.")
        shown, owners = (images, owners) if gallery == "all" else _only(images, owners)
        features, place = encoded(bench, texts)
        found = recall(shown, features, owners, ks, None if len(features) == len(texts) else place)
        number = {"t2i": len(texts), "i2t": len(np.unique(owners))}
        for metric, value in found.items():
            values.setdefault(metric, []).append((value, number[metric[:3]]))
            yield bench.result(metric, value, number[metric[:3]], lang=lang, images=len(shown), **more)
    if len(values["t2i_r1"]) > 1 or bench.name != "retrieval":
        for metric, found in values.items():
            yield bench.result(metric, np.mean([value for value, _ in found]), sum(number for _, number in found),
                               languages=len(found), **more)


def _only(images, owners):
    described = np.unique(owners)
    return images[described], np.searchsorted(described, owners)


def whole_number(bench, name, least):
    """A whole number of the protocol, or None. BadUsage below `least`."""
    found = bench.protocol[name]
    if found is not None and found < least:
        raise BadUsage(f"--{name.replace('_', '-')} {found}: give {least} or more.")
    return found


def chosen(choice, there, where):
    """The languages of a protocol's choice, all of `there` by default. BadUsage for one that is not there."""
    langs = listed(choice) if choice else list(there)
    absent = next((lang for lang in langs if lang not in there), None)
    if absent is not None or not langs:
        raise BadUsage(f"{where}: holds no captions in {absent or 'any language'}. "
                       f"It has {', '.join(there) or 'no caption files'}.")
    return langs


def listed(text):
    """The names of a comma-separated list, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


# ---------------------------------------------------------------- benchmarks

def xm3600(bench):
    """captions.jsonl: image/key, image/locale, and for each language {"caption": [...]}; images/KEY.jpg."""
    path = bench.path("captions.jsonl")
    lines = list(json_lines(path))
    keys = [_of_kind(path, number, line, "image/key", str) for number, line in lines]
    there = [key for key, value in lines[0][1].items() if isinstance(value, dict) and "caption" in value]
    langs = chosen(bench.protocol["langs"], there, path)
    source = sources.Files(bench.path("images"), [f"{key}.jpg" for key in keys])
    yield from by_language(bench, source, ((lang, _captions_in(path, lines, lang)) for lang in langs))


def _captions_in(path, lines, lang):
    texts, owners = [], []
    for image, (number, line) in enumerate(lines):
        found = _of_kind(path, number, line, lang, dict).get("caption")
        if not _are_texts(found):
            raise BadLine(path, number, f'"{lang}" has no list of captions.')
        texts += found
        owners += [image] * len(found)
    return Captions(texts, owners)


def flickr30k_200(bench):
    """filenames.txt and LANG.txt (eng_Latn.txt ...), a line for each image; images/."""
    yield from _one_caption(bench, "filenames.txt", _flores_files(bench))


def xtd_200(bench):
    """test_image_names.txt and LANG.txt (eng_Latn.txt ...), a line for each image; images/."""
    yield from _one_caption(bench, "test_image_names.txt", _flores_files(bench))


def xtd_10(bench):
    """test_image_names.txt and test_1kcaptions_LANG.txt, also in the folders XTD10, MIC and STAIR of the repository."""
    found = {}
    for folder in ("XTD10", "MIC", "STAIR", "."):
        for path in sorted(glob.glob(os.path.join(glob.escape(bench.data), folder, "test_1kcaptions_*.txt"))):
            found[os.path.basename(path)[len("test_1kcaptions_"):-len(".txt")]] = path
    names = "XTD10/test_image_names.txt"
    yield from _one_caption(bench, names if bench.path(names, optional=True) else "test_image_names.txt", found)


def _flores_files(bench):
    return {match[1]: os.path.join(bench.data, name) for name in sorted(os.listdir(bench.data))
            if (match := FLORES.fullmatch(name))}


def _one_caption(bench, names, found):
    """found: {lang: caption file}"""
    path = bench.path(*names.split("/"))
    names = text_lines(path)
    while names and not names[-1].strip():                      # blank lines at the end
        names.pop()
    if not names:
        raise BadData(f"{path}: names no images.")
    langs = chosen(bench.protocol["langs"], found, bench.data)
    source = located(bench.path("images"), names)
    yield from by_language(bench, source, ((lang, Captions(_as_many(found[lang], names, path), range(len(names))))
                                           for lang in langs))


def _as_many(path, names, of):
    texts = text_lines(path)
    while len(texts) > len(names) and not texts[-1].strip():    # a blank caption counts, one too many does not
        texts.pop()
    if len(texts) != len(names):
        raise BadData(f"{path}: has {len(texts):,} captions for the {len(names):,} images of {of}. Fetch both again.")
    return texts


class Preset(NamedTuple):
    """captions: names of the files that may hold them."""

    captions: tuple
    lang: str
    source: str


KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
PRESETS = {
    "flickr30k": Preset(("dataset_flickr30k.json", "flickr30k_test.json", "flickr30k_test_karpathy.txt"), "en",
                        KARPATHY),
    "coco": Preset(("dataset_coco.json", "coco_karpathy_test.json"), "en", KARPATHY),
    "flickr30k-cn": Preset(("flickr30k_cn_test.json", "flickr30k_cn_test.txt"), "zh",
                           "https://github.com/OpenGVLab/InternVL/releases/download/data/flickr30k_cn_test.txt"),
}


def retrieval(bench):
    """A preset from --data, or a file of captions or pairs and its images. R@1, R@5, R@10."""
    given, folders, preset = (bench.arguments.get(key) for key in ("pairs", "images", "preset"))
    if preset:
        place = os.path.join(bench.root, preset)
        bench.data = place if os.path.isdir(place) else bench.data
        given, folders = _captions_of(bench, PRESETS[preset]), folders or [bench.data]
    if given.endswith((".json", ".txt")):
        source, captions = _grouped(bench, given, folders, PRESETS[preset].lang if preset else None)
    else:
        source, captions = read_pairs(given, folders)
    if bench.protocol["langs"] or len(captions) > 1:
        captions = _named(captions)
    langs = chosen(bench.protocol["langs"], captions, given)
    yield from by_language(bench, source, ((lang or None, captions[lang]) for lang in langs), (1, 5, 10),
                           bench.protocol["gallery"], **{"of": preset} if preset else {})


def _named(captions):
    """The same with texts of no language as `und`, ISO 639's code for undetermined."""
    named = {}
    for lang, its in captions.items():
        texts, owners = named.get(lang or "und", ([], []))
        named[lang or "und"] = Captions([*texts, *its.texts], [*owners, *its.owners])
    return named


def _captions_of(bench, preset):
    for name in preset.captions:
        if found := bench.path(name, optional=True):
            return found
    raise BadUsage(f"{os.path.join(bench.data, preset.captions[0])}: is missing (or {', '.join(preset.captions[1:])}). "
                   f"It comes from {preset.source}.")


def _grouped(bench, path, folders, lang):
    """(source, {lang: Captions}) of a file with several captions for each image."""
    images = _listed(path) if path.endswith(".txt") else karpathy(path, bench.protocol["split"])
    most = whole_number(bench, "captions", 1)
    texts = [text for _, captions in images for text in captions[:most]]
    owners = [number for number, (_, captions) in enumerate(images) for _ in captions[:most]]
    if len(folders) != 1 or not os.path.isdir(folders[0]):
        raise BadUsage(f"{path}: --images names the folder with its images.")
    return located(folders[0], [name for name, _ in images]), {lang or "": Captions(texts, owners)}


def karpathy(path, split="test"):
    """[(name of the image, its captions)] of a JSON file: Karpathy's {"images": [{"filename", "filepath", "split",
    "sentences": [{"raw"}]}]}, or a list of {"image", "caption": [...]}, which is one split."""
    with files.open_read(path) as stream:
        try:
            content = json.loads(stream.read())
        except ValueError as error:
            raise BadData(f"{path}: is not JSON ({error}).") from None
    try:
        if isinstance(content, list):
            found = [(entry["image"], [entry["caption"]] if isinstance(entry["caption"], str) else entry["caption"])
                     for entry in content]
        else:
            found = [(os.path.join(entry.get("filepath", ""), entry["filename"]),
                      [sentence["raw"] for sentence in entry["sentences"]])
                     for entry in content["images"] if entry["split"] == split]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path}: is no file of captions in Karpathy's form ({type(error).__name__}: {error}).") from None
    wrong = next((name for name, captions in found if not isinstance(name, str) or not _are_texts(captions)), None)
    if wrong is not None or not found:
        raise BadData(f"{path}: has no " + (f"captions for {wrong}." if found else f"images of the split {split}."))
    return found


def _listed(path):
    """[(name of the image, its captions)] of lines `NAME.jpg,caption`, perhaps below a line `image,caption`, or of
    lines `NAME#0<tab>caption`."""
    found, lines = {}, text_lines(path)
    divider, head = "\t" if "\t" in lines[0] else ".jpg,", 1 if HEAD.fullmatch(lines[0].strip()) else 0
    for number, line in enumerate(lines[head:], head + 1):
        name, mark, text = line.partition(divider)
        if not line.strip():
            continue
        if not mark or not text.strip():
            raise BadLine(path, number, "is neither `NAME.jpg,caption` nor `NAME#0<tab>caption`.")
        found.setdefault(f"{name.partition('#')[0].removesuffix('.jpg')}.jpg", []).append(text.strip())
    if not found:
        raise BadData(f"{path}: holds no captions.")
    return list(found.items())


# ---------------------------------------------------------------- pairs

def read_pairs(path, folders, limit=None):
    """(source, {lang: Captions}) of JSON Lines with `image` (a path) or `id`, `text`, and perhaps `lang` ("" without).

    folders: a folder of images, or tars. An id is a file's name without its suffix, a sample's key, or the id in its
    json. limit: pairs that are read. BadLine, BadData where an image is missing.
    """
    number_of, captions = {}, {}
    for count, (number, line) in enumerate(json_lines(path)):
        if limit and count >= limit:
            break
        key = line.get("id") if line.get("image") is None else line["image"]
        if not isinstance(key, str) or not key:
            raise BadLine(path, number, 'has no "image" (a path) and no "id".')
        lang = line.get("lang") or ""
        its = captions.setdefault(lang, Captions([], []))
        its.texts.append(_of_kind(path, number, line, "text", str))
        its.owners.append(number_of.setdefault(key, len(number_of)))
    find = _in_tars if all(os.path.isfile(folder) for folder in folders) else _in_folder
    return find(list(number_of), folders), captions


def _in_folder(keys, folders):
    if len(folders) != 1 or not os.path.isdir(folders[0]):
        raise BadUsage(f"--images {' '.join(folders)}: name one folder, or tars.")
    return located(folders[0], keys)


def located(folder, names):
    """A source of images by name below a folder: as a path, else as the end of a path (train/1.jpg is never val/1.jpg),
    with or without its suffix. BadData for a name of several files and for a file of several names."""
    found = [name if os.path.isfile(os.path.join(folder, name)) else None for name in names]
    if None in found:
        below = _by_ending(folder, {name.count("/") + 1 for name, path in zip(names, found) if path is None})
        twice = next((name for name, path in zip(names, found) if path is None and len(below.get(name, ())) > 1), None)
        if twice is not None:
            raise BadData(f"{folder}: holds several images called {twice}. Give their paths.")
        found = [path or below.get(name, [name])[0] for name, path in zip(names, found)]
    _refuse_shared(names, map(os.path.normpath, found))
    return sources.Files(folder, found)


def _by_ending(folder, depths):
    """{the last parts of a path: its images} for these numbers of parts, with and without a suffix."""
    below = {}
    for path in sources.images_below(folder):
        parts = path.split("/")
        for ending in {"/".join(parts[-depth:]) for depth in depths if depth <= len(parts)}:
            for key in (ending, os.path.splitext(ending)[0]):
                below.setdefault(key, []).append(path)
    return below


def _refuse_shared(names, places):
    name_of = {}
    for name, place in zip(names, places):
        other = name_of.setdefault(place, name)
        if other != name:
            raise BadData(f"{other} and {name} are one image. Give every image one name.")


def _in_tars(keys, paths):
    samples = sources.tar_samples(paths)
    wanted, found = set(keys), {}
    for key, members in samples:
        image = tars.image(members)
        if image is None:
            continue
        for name in {key, os.path.basename(key), _id_of(paths, key, members)} & wanted:
            if name in found:
                raise BadData(f"{name}: is a key or an id of several samples ({_tar_of(paths, found[name])}, "
                              f"{_tar_of(paths, members[image])}). Name the images by ids that come once.")
            found[name] = members[image]
    missing = [key for key in keys if key not in found]
    if missing:
        raise BadData(f"{missing[0]}: no such image in the tars"
                      + (f", nor {len(missing) - 1:,} others" if len(missing) > 1 else "") + f" of {len(keys):,}.")
    _refuse_shared(keys, (found[key] for key in keys))
    return sources.TarMembers(paths, keys, [found[key] for key in keys])


def _tar_of(paths, place):
    return files.name_of(paths[place[0]])


def _id_of(paths, key, members):
    if "json" not in members:
        return key
    return tars.image_id(key, tars.record({"json": sources.TarMembers(paths, [key], [members["json"]]).read(0)}))


def json_lines(path):
    """Yield (line number, object). BadLine, BadData where there are none."""
    is_empty = True
    for number, line in files.read_lines(path):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise BadLine(path, number, f"not JSON ({error}).") from None
        if not isinstance(found, dict):
            raise BadLine(path, number, "not a JSON object.")
        is_empty = False
        yield number, found
    if is_empty:
        raise BadData(f"{path}: holds no lines.")


def text_lines(path):
    """The lines of a UTF-8 text file, where every line counts. BadData."""
    found = [line.rstrip("\r") for _, line in files.read_lines(path)]
    if not found:
        raise BadData(f"{path}: is empty.")
    return [found[0].removeprefix("\ufeff"), *found[1:]]


def _of_kind(path, number, line, key, kind):
    if not isinstance(line.get(key), kind):
        raise BadLine(path, number, f'has no "{key}", or of another kind than it should be.')
    return line[key]


def _are_texts(found):
    return isinstance(found, list) and bool(found) and all(isinstance(text, str) for text in found)
