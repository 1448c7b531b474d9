"""Retrieval of images by texts and of texts by images: XM3600, Flickr30k-200, XTD, Flickr30k, COCO, Flickr30k-CN, and
people's own pairs. Recall at k, in fp32; ties go to the first.

Scores are held for a part of the queries at a time, so memory grows with the number of images plus that of texts, never
with their product. Under torchrun every rank takes a part of the queries.
"""
import glob
import os
import re
from typing import NamedTuple

import numpy as np

from mc2.clip import distributed
from mc2.errors import BadData, BadLine, BadUsage
from mc2.evaluation import languages, readers, sources
from mc2.evaluation.readers import Captions
from mc2.evaluation.tasks import listed

SCORES = 1 << 25        # scores that are held at a time: 128 MB (twice where texts repeat), three masks of 32 MB
KS = (1, 5, 10)         # of recall at k
FLORES = re.compile(r"([a-z]{3}_[A-Z][a-z]{3})\.txt")      # language and script, e.g. eng_Latn


# ---------------------------------------------------------------- recall

def recall(images, texts, owners, ks=(1,), rows=None):
    """{"t2i_r1": share of texts whose image is the first, "i2t_r1": of images one of whose texts is the first, ...}.

    images (n, d), texts (m, d): float32. owners: int (m,), the image of each text; images without one can be found, but
    are no queries. rows: int (m,), where texts repeat: the row of `texts` that each has.
    """
    owners = np.asarray(owners, np.int64)
    described, order = np.unique(owners), np.argsort(owners, kind="stable")
    queries = images if len(described) == len(images) else images[described]
    to_text = ranks(queries, texts, np.searchsorted(described, owners[order]), order, rows)
    to_image = ranks(texts if rows is None else texts[rows], images, np.arange(len(owners)), owners)
    ways = {"t2i": to_image, "i2t": to_text}
    return {f"{way}_r{k}": float((found < k).mean()) for k in ks for way, found in ways.items()}


def ranks(queries, candidates, of_query, of_candidate, rows=None):
    """int64 (n,): how many candidates come before the first right one of each query.

    of_query (ascending), of_candidate: int (pairs,), which candidates are right for which query; every query has one.
    rows: int (m,), the row of `candidates` that each candidate has, so that equal ones have equal scores.
    """
    begin, end = distributed.own_share(len(queries))
    number = len(candidates) if rows is None else len(rows)
    part = max(1, SCORES // max(1, number))
    found = np.zeros(len(queries), np.int64)
    for start in range(begin, end, part):
        stop = min(start + part, end)
        low, high = np.searchsorted(of_query, [start, stop])
        found[start:stop] = _before(_scores(queries[start:stop], candidates, rows), of_query[low:high] - start,
                                    of_candidate[low:high])
    return distributed.sum_of_all(found)


def _scores(queries, candidates, rows):
    scores = np.asarray(queries, np.float32) @ candidates.T
    return scores if rows is None else scores[:, rows]


def _before(scores, queries, columns):
    """int (n,): how many columns come before the first right one of each row: those that score higher, and those to the
    left that score the same. queries (ascending), columns: which columns are right for which row."""
    values = scores[queries, columns]
    order = np.lexsort((columns, -values, queries))
    first = order[np.append(True, np.diff(queries[order]) > 0)]
    right = values[first][:, None]
    before = np.count_nonzero(scores > right, axis=1)
    equal = scores == right
    if np.count_nonzero(equal) > len(equal):
        before += np.count_nonzero(equal & (np.arange(scores.shape[1]) < columns[first][:, None]), axis=1)
    return before


# ---------------------------------------------------------------- results by language

def encoded(bench, texts):
    """(features of the distinct texts, int (m,) the row of each text): encoded once, so that equal texts tie."""
    distinct = {}
    rows = np.array([distinct.setdefault(text, len(distinct)) for text in texts], np.int64)
    return bench.texts(list(distinct)), rows


def by_language(bench, source, captions, gallery="all", **more):
    """Yield the recall of each language, then the mean over the languages where there are several.

    captions: pairs of a language and its Captions; gallery: the images to find, `all` or those with a text of the
    language.
    """
    images, kept = bench.images(source)
    row_of = np.full(len(source), -1)
    row_of[kept] = np.arange(len(kept))
    values = {}
    for lang, (texts, owners) in captions:
        owners = row_of[np.asarray(owners, np.int64)]
        texts, owners = [text for text, owner in zip(texts, owners) if owner >= 0], owners[owners >= 0]
        if not texts:
            raise BadData(f"{lang}: there are no texts of images that can be read.")
        shown, owners = (images, owners) if gallery == "all" else _only(images, owners)
        features, rows = encoded(bench, texts)
        found = recall(shown, features, owners, KS, None if len(features) == len(texts) else rows)
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


def chosen(choice, there, where):
    """The languages of a protocol's choice, all of `there` by default. BadUsage for one that is not there."""
    langs = listed(choice) if choice else list(there)
    absent = next((lang for lang in langs if lang not in there), None)
    if absent is not None or not langs:
        raise BadUsage(f"{where}: holds no captions in {absent or 'any language'}. "
                       f"It has {', '.join(there) or 'no caption files'}.")
    return langs


# ---------------------------------------------------------------- benchmarks

def xm3600(bench):
    """captions.jsonl: image/key, image/locale, and for each language {"caption": [...]}; images/KEY.jpg."""
    path = bench.path("captions.jsonl")
    lines = list(readers.json_lines(path))
    keys = [readers.value_of(path, number, line, "image/key", str) for number, line in lines]
    there = [key for key, value in lines[0][1].items() if isinstance(value, dict) and "caption" in value]
    langs = chosen(bench.protocol["langs"], there, path)
    source = sources.Files(bench.path("images"), [f"{key}.jpg" for key in keys])
    yield from by_language(bench, source, ((lang, _captions_in(path, lines, lang)) for lang in langs))


def _captions_in(path, lines, lang):
    texts, owners = [], []
    for image, (number, line) in enumerate(lines):
        found = readers.value_of(path, number, line, lang, dict).get("caption")
        if not readers.are_texts(found):
            raise BadLine(path, number, f'"{lang}" has no list of captions.')
        texts += found
        owners += [image] * len(found)
    return Captions(texts, owners)


def flickr30k_200(bench):
    """filenames.txt and LANG.txt (eng_Latn.txt ...), a line for each image; images/."""
    yield from _one_caption(bench, "filenames.txt", _flores_files(bench), {"flickr30k_200": "flickr30k-200"})


def xtd_200(bench):
    """test_image_names.txt and LANG.txt (eng_Latn.txt ...), a line for each image; images/."""
    yield from _one_caption(bench, "test_image_names.txt", _flores_files(bench), {"xtd200": "xtd200"})


def xtd_10(bench):
    """test_image_names.txt and test_1kcaptions_LANG.txt, also in the folders XTD10, MIC and STAIR of the repository."""
    found = {}
    for folder in ("XTD10", "MIC", "STAIR", "."):
        for path in sorted(glob.glob(os.path.join(glob.escape(bench.data), folder, "test_1kcaptions_*.txt"))):
            found[os.path.basename(path)[len("test_1kcaptions_"):-len(".txt")]] = path
    names = "XTD10/test_image_names.txt"
    yield from _one_caption(bench, names if bench.path(names, optional=True) else "test_image_names.txt", found,
                            {"multilingual_mscoco_captions": "multilingual_mscoco", "xtd10": "xtd10"})


def _flores_files(bench):
    return {match[1]: os.path.join(bench.data, name) for name in sorted(os.listdir(bench.data))
            if (match := FLORES.fullmatch(name))}


def _one_caption(bench, names, found, of_clip_benchmark):
    """found: {lang: caption file}. of_clip_benchmark: {what the files of clip_benchmark begin with, STEM-LANG.json: the
    folder of its images}, for where there is no file of names."""
    if bench.path(*names.split("/"), optional=True) is None:
        for stem, folder in of_clip_benchmark.items():
            if theirs := _files_of_clip_benchmark(bench, stem):
                yield from _by_image_paths(bench, theirs, folder)
                return
    path = bench.path(*names.split("/"))
    names = readers.text_lines(path)
    while names and not names[-1].strip():                      # blank lines at the end
        names.pop()
    if not names:
        raise BadData(f"{path}: names no images.")
    langs = chosen(bench.protocol["langs"], found, bench.data)
    source = sources.in_folder(bench.path("images"), names)
    yield from by_language(bench, source, ((lang, Captions(_as_many(found[lang], names, path), range(len(names))))
                                           for lang in langs))


def _files_of_clip_benchmark(bench, stem):
    """{lang: file} of STEM-LANG.json, in the folder of the benchmark or, as clip_benchmark has it, in the one above."""
    return {lang: path for folder in filter(None, (bench.root, bench.data))
            for path in sorted(glob.glob(os.path.join(glob.escape(folder), f"{stem}-*.json")))
            if (lang := readers.language_in(path))}


def _by_image_paths(bench, found, folder):
    """Results of files with image_paths and annotations.

    found: {lang: file}. folder: where clip_benchmark has images/"""
    langs = chosen(bench.protocol["langs"], found, bench.data)
    captions = {lang: readers.karpathy(found[lang]) for lang in langs}
    number_of = {}
    for name, _ in (each for its in captions.values() for each in its):
        number_of.setdefault(name, len(number_of))
    folders = [os.path.join(bench.data, "images"),
               *(os.path.join(root, folder, "images") for root in (bench.root, bench.data) if root)]
    images = next(filter(os.path.isdir, folders), folders[0])
    source = sources.in_folder(images, sources.from_folder(images, list(number_of)))
    yield from by_language(bench, source, ((lang, Captions(
        [text for _, its in captions[lang] for text in its],
        [number_of[name] for name, its in captions[lang] for _ in its])) for lang in langs))


def _as_many(path, names, of):
    texts = readers.text_lines(path)
    while len(texts) > len(names) and not texts[-1].strip():    # a blank caption counts, one too many does not
        texts.pop()
    if len(texts) != len(names):
        raise BadData(f"{path}: has {len(texts):,} captions for the {len(names):,} images of {of}. Fetch both again.")
    return texts


class Preset(NamedTuple):
    """captions: names of the files or folders that may hold them."""

    captions: tuple
    lang: str
    source: str


KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
PRESETS = {
    "flickr30k": Preset(("dataset_flickr30k.json", "flickr30k_test.json", "flickr30k_test_karpathy.txt"), "en",
                        KARPATHY),
    "coco": Preset(("dataset_coco.json", "coco_karpathy_test.json"), "en", KARPATHY),
    "dci": Preset(("complete", "annotations"), "en", "https://github.com/facebookresearch/DCI (data.tar.gz), the "
                  "images from https://ai.meta.com/datasets/segment-anything"),
    "flickr30k-cn": Preset(("flickr30k_cn_test.json", "flickr30k_cn_test.txt"), "zh",
                           "https://github.com/OpenGVLab/InternVL/releases/download/data/flickr30k_cn_test.txt"),
}


def retrieval(bench):
    """A preset from --data, or a file of captions or pairs and its images. R@1, R@5, R@10."""
    given, folders, preset = (bench.arguments.get(key) for key in ("pairs", "images", "preset"))
    if preset:
        folder = os.path.join(bench.root, preset)
        bench.data = folder if os.path.isdir(folder) else bench.data
        given, folders = _captions_of(bench, PRESETS[preset]), folders or [bench.data]
    if preset == "dci":
        images = readers.densely_captioned(given, os.path.join(bench.data, "splits.json"), bench.protocol["split"])
        source, captions = _of_images(bench, given, folders, images, PRESETS[preset].lang)
    elif given.endswith((".json", ".txt")):
        source, captions = _grouped(bench, given, folders, PRESETS[preset].lang if preset else None)
    else:
        source, captions = readers.pairs(given, folders)
    if bench.protocol["langs"] or len(captions) > 1:
        captions = _named(captions)
    langs = chosen(bench.protocol["langs"], captions, given)
    yield from by_language(bench, source, ((lang or None, captions[lang]) for lang in langs),
                           bench.protocol["gallery"], **{"of": preset} if preset else {})


def _named(captions):
    """{lang: Captions} with `und` for texts of no language: ISO 639's code for undetermined."""
    named = {}
    for lang, (texts, owners) in captions.items():
        before = named.get(lang or "und", Captions([], []))
        named[lang or "und"] = Captions([*before.texts, *texts], [*before.owners, *owners])
    return named


def _captions_of(bench, preset):
    for name in preset.captions:
        if found := bench.path(name, optional=True):
            return found
    raise BadUsage(f"{os.path.join(bench.data, preset.captions[0])}: is missing (or {', '.join(preset.captions[1:])}). "
                   f"It comes from {preset.source}.")


def _grouped(bench, path, folders, lang):
    """(source, {lang: Captions}) of a file with several captions for each image."""
    images = readers.captions_by_line(path) if path.endswith(".txt") \
        else readers.karpathy(path, bench.protocol["split"])
    return _of_images(bench, path, folders, images, lang)


def _of_images(bench, path, folders, images, lang):
    """(source, {lang: Captions}) of images [(name, its captions)] of a file."""
    most = bench.whole_number("captions", 1)
    texts = [text for _, captions in images for text in captions[:most]]
    owners = [number for number, (_, captions) in enumerate(images) for _ in captions[:most]]
    if len(folders) != 1 or not os.path.isdir(folders[0]):
        raise BadUsage(f"{path}: --images names the folder with its images.")
    names = sources.from_folder(folders[0], [name for name, _ in images])
    if not lang and (named := readers.language_in(path)) and languages.name_of(named):     # not of coco-val.json
        lang = named
    return sources.in_folder(folders[0], names), {lang or "": Captions(texts, owners)}
