"""The tasks of `mc2 eval`: the files of each, where these come from, and the choices of its protocol. Plain data,
without torch; the module that carries a task out is imported when it runs.

Such a module has a function that takes a Bench and yields results of Bench.result.
"""
import importlib
import os
from typing import NamedTuple

from mc2.errors import BadUsage


PROTOCOLS = TEXT, PUBLISHED = "text", "published"      # see mc2/evaluation/suites.py


class Choice(NamedTuple):
    """A choice of a protocol that changes scores: an option of the task's command, and a key of its results' protocol.

    kind: int, float, str, bool or a tuple of the texts allowed. published: its value under the protocol `published`,
    where that is another one.
    """

    default: object
    help: str
    kind: object = str
    published: object = None


class Task(NamedTuple):
    function: str               # module of mc2.evaluation, and its function: "imagenet" or "retrieval:xm3600"
    title: str
    files: str                  # what --data holds
    source: str                 # where that comes from
    protocol: str               # in words
    choices: dict = {}          # {name: Choice}
    metric: str = "top1"        # the one to quote
    percent: bool = True        # whether tables show values times 100
    own_command: bool = False   # whether mc2/commands/eval/NAME.py takes the task's arguments
    inputs: tuple = ()          # names in --data, any of which it reads where it has no folder of its own there


TEMPLATES = Choice("openai", "Prompts: `openai` (open_clip's 80), `simple` (open_clip's 7), `none` (the bare name), or "
                             "a file with one per line, {} for the name.")
CLASSNAMES = Choice("openai", "Names of ImageNet's classes: `openai` (open_clip's), or a file with one per line.")

LANGS = Choice(None, "Comma-separated languages. Default: all in the data.")
PAIRS_FILES = 'pairs.jsonl ("image" or "id", "text") and images/'
PAIRS = Choice(5000, "Pairs that are read, from the first; 0: all.", int)

VIDEO_PROTOCOL = ("some frames of a video, evenly spaced; the mean of their normalised features, normalised; names x "
                  "templates; top-1, top-5")
VIDEO_CHOICES = {
    "frames": Choice(8, "Frames of a video that are encoded.", int),
    "templates": Choice("video", "Prompts: `video` (three of mc2's), `openai` (open_clip's 80 of ImageNet), `simple`, "
                                 "`none` (the bare name), or a file with one per line, {} for the name.")}

TASKS = {
    "imagenet": Task(
        "imagenet", "ImageNet-1k validation", "val/WNID/*.JPEG: a folder per class",
        "https://image-net.org (ILSVRC2012_img_val.tar, sorted into a folder per class)",
        "names x 80 templates, mean of normalised embeddings, normalised; top-1, top-5",
        {"templates": TEMPLATES, "classnames": CLASSNAMES}),
    "slip26": Task(
        "slip26", "The 26 tasks of SLIP",
        "labels.json, templates.json, dataset_catalog.json and the data sets that the last names",
        "https://github.com/facebookresearch/MetaCLIP (clipeval/slip); the data sets from their own sites",
        "all synonyms x templates averaged; top-1, mean per class (Aircraft, Pets, Caltech101, Flowers102), mean of "
        "top-1 and top-5 (Kinetics700), ROC-AUC (HatefulMemes); plain mean",
        {"datasets": Choice(None, "Comma-separated data sets. Default: all in --data.")}, metric="mean"),
    "datacomp": Task(
        "datacomp", "The tasks of DataComp",
        "wds_NAME_test/ with test/*.tar, classnames.txt, zeroshot_classification_templates.txt",
        "https://huggingface.co/djghosh (wds_*_test), https://huggingface.co/nlphuji (retrieval, winogavil)",
        "templates of each data set; the main metric of each (tasklist.yml), by default top-1; plain mean, over all "
        "38 and over the 37 of the paper",
        {"datasets": Choice(None, "Comma-separated tasks, e.g. imagenet1k,vtab/dtd. Default: all in --data."),
         "camelyon17": Choice("acc1", "Main metric of Camelyon17: `acc1` as in DataComp's list, or `acc_wg`, its worst "
                              "slide.", ("acc1", "acc_wg")),
         "fmow_skip_other": Choice(False, "Leave the region `Other` out of FMoW's worst region, as WILDS does.", bool)},
        metric="mean"),
    "babel-imagenet": Task(
        "babel:babel_imagenet", "Babel-ImageNet, 298 languages",
        "babel_imagenet-298.json, nllb_dist13b_prompts.json, and ImageNet's val/ (in --data or --imagenet)",
        "https://github.com/gregor-ge/Babel-ImageNet (data/); images from https://image-net.org",
        "per language the images of its named classes; bare names in all languages but English (`text`), or "
        "translated prompts in all languages that have some (`published`); English with open_clip's names and 80 "
        "templates; top-1; mean over languages",
        {"langs": Choice(None, "Comma-separated languages, e.g. DE,SW; `prompted`: all that --prompts has. By default "
                         "all of the file but English (EN).", published="prompted"),
         "min_classes": Choice(1, "Languages with fewer named classes are left out.", int),
         "prompts": Choice(None, "Templates by language: a JSON file {LANG: [...]}, here or in --data; without it the "
                           "bare names.", published="nllb_dist13b_prompts.json"),
         "imagenet": Choice(None, "Folder of ImageNet's validation images.")}),
    "dollar-street": Task(
        "places:dollar_street", "Dollar Street, ImageNet's class names",
        "dataset_dollarstreet/ with images_v2_imagenet_train.csv, images_v2_imagenet_test.csv and the images",
        "https://www.kaggle.com/datasets/mlcommons/the-dollar-street-dataset",
        "80 templates; an image counts where any of its classes is found; top-1 and top-5",
        {"templates": TEMPLATES,
         "hits": Choice("once", "In top-5 an image counts `once`, however many of its classes are found, or `each` "
                        "class that is found counts, as in the published code.", ("once", "each"), "each")}),
    "geode": Task(
        "places:geode", "GeoDE, 40 objects", "geode/ with index.csv and images/",
        "https://geodiverse-data-collection.cs.princeton.edu", "80 templates over the names in index.csv; top-1",
        {"templates": TEMPLATES}),
    "gldv2": Task(
        "places:gldv2", "Google Landmarks v2",
        "retrieval_solution_v2.1.csv, index_image_to_landmark.csv, index_label_to_category.csv and test/",
        "https://github.com/cvdfoundation/google-landmark",
        "landmark of most index images of the solution; bare landmark names; top-1"),
    "zeroshot": Task(
        "own:zeroshot_own", "Zero-shot classification of your own images",
        "--images DIR: a folder per class; --classes FILE", "you",
        "names x templates as for ImageNet; top-1, top-5, mean per class",
        {"templates": TEMPLATES, "lang": Choice(None, "Language of the names, for the records.")}, own_command=True),
    "xm3600": Task(
        "retrieval:xm3600", "Crossmodal-3600, 36 languages", "captions.jsonl and images/KEY.jpg",
        "https://google.github.io/crossmodal-3600/ (captions.zip, images.tgz)",
        "all captions; an image finds any of its own; R@1, R@5, R@10 both ways; mean over the languages",
        {"langs": LANGS}, "t2i_r1"),
    "flickr30k-200": Task(
        "retrieval:flickr30k_200", "Flickr30k, 1,000 images in 200 languages",
        "filenames.txt, LANG.txt (eng_Latn.txt ...), images/; or clip_benchmark's flickr30k_200-LANG.json",
        "https://github.com/visheratin/nllb-clip (data/flickr30k-200)",
        "one caption per image; R@1, R@5, R@10 both ways; mean over the languages", {"langs": LANGS}, "t2i_r1"),
    "xtd-10": Task(
        "retrieval:xtd_10", "XTD, 1,000 images of COCO in 11 languages",
        "test_image_names.txt, test_1kcaptions_LANG.txt, images/ (captions also in XTD10/, MIC/, STAIR/); or "
        "clip_benchmark's xtd10-LANG.json",
        "https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10; images of https://cocodataset.org (2014)",
        "one caption per image; R@1, R@5, R@10 both ways; mean over 7 languages (`text`) or all 11 (`published`)",
        {"langs": Choice("es,it,ko,pl,ru,tr,zh", "Comma-separated languages.",
                         published="de,en,es,fr,it,jp,ko,pl,ru,tr,zh")}, "t2i_r1"),
    "xtd-200": Task(
        "retrieval:xtd_200", "XTD, 1,000 images of COCO in 200 languages",
        "test_image_names.txt, LANG.txt (eng_Latn.txt ...), images/; or clip_benchmark's xtd200-LANG.json",
        "https://github.com/visheratin/nllb-clip (data/xtd200)",
        "one caption per image; R@1, R@5, R@10 both ways; mean over the languages", {"langs": LANGS}, "t2i_r1"),
    "cvqa": Task(
        "cvqa", "CVQA: questions about images of many cultures", "data/*.parquet, with answers",
        "https://huggingface.co/datasets/afaji/cvqa",
        "`question option` for each of 4 options, the greatest cosine answers; English (translated) and local; over "
        "all rows, and per subset", metric="accuracy"),
    "kinetics-400": Task(
        "video:kinetics_400", "Kinetics-400, validation videos", "val/CLASS/VIDEO: a file, or a folder of frames",
        "https://github.com/cvdfoundation/kinetics-dataset (val, sorted into a folder per class)", VIDEO_PROTOCOL,
        VIDEO_CHOICES),
    "hmdb51": Task(
        "video:hmdb51", "HMDB51, test videos",
        "CLASS/VIDEO (a file, or a folder of frames) and testTrainMulti_7030_splits/",
        "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database", VIDEO_PROTOCOL,
        {**VIDEO_CHOICES, "split": Choice("1", "Which of its three splits.", ("1", "2", "3"))}),
    "ssv2": Task(
        "video:ssv2", "Something-Something v2, validation videos",
        "20bn-something-something-v2/ID.webm (or a folder ID of frames), labels.json, validation.json",
        "https://www.qualcomm.com/developer/software/something-something-v-2-dataset", VIDEO_PROTOCOL, VIDEO_CHOICES),
    "geo-localisation": Task(
        "geolocation:geo_localisation", "Few-shot geo-localisation: Dollar Street, GeoDE, XM3600",
        "the files of dollar-street, geode or xm3600, here or in their own folders of --data",
        "as for dollar-street, geode and xm3600",
        "least squares on features of k images of each class, standardised by them, bias 100, targets +-1; mean and "
        "std over the seeds",
        {"datasets": Choice(None, "Comma-separated: dollar-street, geode, xm3600. Default: all in --data."),
         "label": Choice("country", "What is predicted from an image.", ("country", "region")),
         "shots": Choice("1,5,10,25", "Comma-separated numbers of images of each class."),
         "seeds": Choice(3, "How often images are drawn.", int), "l2": Choice(1024.0, "Regularisation.", float),
         "train_images": Choice(None, "Images that shots are drawn from, where the release does not say which; the "
                                      "others are scored. Default: 20,000 of GeoDE, 1,800 of XM3600.", int)},
        "accuracy_10shot", inputs=("dollar-street", "geode", "xm3600")),
    "alignment": Task(
        "geometry:alignment", "Alignment of images and texts", PAIRS_FILES,
        "you, e.g. 5,000 pairs of the training data",
        "mean squared distance of normalised features of a pair (arXiv 2005.10242)",
        {"pairs": PAIRS}, "alignment", percent=False, inputs=("pairs.jsonl",)),
    "uniformity": Task(
        "geometry:uniformity", "Uniformity of images", PAIRS_FILES, "you, e.g. 5,000 pairs of the training data",
        "log of the mean of exp(-2 * squared distance) over pairs of distinct images (arXiv 2005.10242)",
        {"pairs": PAIRS}, "uniformity", percent=False, inputs=("pairs.jsonl",)),
    "retrieval": Task(
        "retrieval", "Retrieval in your own pairs; Flickr30k, COCO, Flickr30k-CN, DCI",
        "PAIRS.jsonl and --images; or --preset and the files of it in --data", "you; captions of the presets from "
        "https://cs.stanford.edu/people/karpathy/deepimagesent (Flickr30k, COCO)",
        "all captions; an image finds any of its own; R@1, R@5, R@10 both ways, by language",
        {"langs": LANGS,
         "gallery": Choice("lang", "Images to find: those with a text of the language, or all.", ("lang", "all")),
         "captions": Choice(None, "Captions of an image that are used, where it has several. Default: all.", int),
         "split": Choice("test", "Split of a file in Karpathy's form, or of DCI.")}, "t2i_r1", own_command=True),
    "embed": Task(
        "embed", "Features of your own images and texts", "--images and --texts", "you", "writes .npy files, no scores",
        own_command=True),
}


class Bench:
    """A task's model, data and protocol.

    data: directory; protocol: {choice: value}, where `follows` names one of PROTOCOLS, by default `text`; encoder:
    mc2.evaluation.encoding.Encoder; root: the directory that holds other benchmarks beside this one, or None.
    """

    def __init__(self, name, encoder, data=None, protocol=None, root=None, arguments=None):
        self.name, self.task, self.encoder, self.data, self.root = name, TASKS[name], encoder, data, root
        follows = (protocol or {}).get("follows") or TEXT
        self.protocol = {} if self.task.own_command else {"follows": follows}
        for key, choice in self.task.choices.items():
            is_other = follows == PUBLISHED and choice.published is not None
            self.protocol[key] = choice.published if is_other else choice.default
        unknown = [key for key in protocol or {} if key not in self.protocol]
        if unknown:
            raise BadUsage(f"{name}: its protocol has no {unknown[0]}. It has {', '.join(self.protocol) or 'none'}.")
        self.protocol.update({key: value for key, value in (protocol or {}).items() if value is not None})
        self.arguments = arguments or {}

    def images(self, source):
        """(features, kept) of a source of mc2.evaluation.sources; see Encoder.images."""
        return self.encoder.images(source)

    def texts(self, texts):
        """Features of texts, float32 (n, d)."""
        return self.encoder.texts(texts)

    def whole_number(self, choice, least):
        """A whole number of the protocol, or None. BadUsage below `least`."""
        found = self.protocol[choice]
        if found is not None and found < least:
            raise BadUsage(f"--{choice.replace('_', '-')} {found}: give {least} or more.")
        return found

    def path(self, *parts, optional=False):
        """The path of a file or folder of the benchmark. BadUsage where it is missing, or None if it is optional."""
        path = os.path.join(self.data, *parts)
        if os.path.exists(path):
            return path
        if optional:
            return None
        raise BadUsage(f"{path}: is missing. {self.name} reads {self.task.files}; it comes from {self.task.source}.")

    def result(self, metric, value, n, lang=None, of=None, **protocol):
        """A score. value: a number; n: over how many images, texts or questions; lang: a language, or None; of: a part
        of the task, e.g. one of its data sets; protocol: choices beyond the task's."""
        skipped = self.encoder.skipped if of else self.encoder.tally["images skipped"]
        reasons = self.encoder.skipped_for if of else self.encoder.all_skipped_for
        more = {"images_skipped": skipped, "images_skipped_for": dict(sorted(reasons.items()))} if skipped else {}
        return {"task": self.name if of is None else f"{self.name}/{of}", "lang": lang, "metric": metric,
                "value": float(value), "n": int(n), "protocol": {**self.protocol, **protocol, **more}}

    def results(self):
        """Run the task: yield its results as complete records."""
        from mc2 import __version__
        for result in function_of(self.task)(self):
            yield {**result, "model": self.encoder.model.description, "mc2": __version__}


def listed(text):
    """The names of a comma-separated list, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def function_of(task):
    """The function that carries out a task."""
    module, _, function = task.function.partition(":")
    return getattr(importlib.import_module(f"mc2.evaluation.{module}"), function or module)


def folder_of(name, root):
    """The folder of a task below --data, or None."""
    folder = os.path.join(root, name)
    return folder if os.path.isdir(folder) else None


def folder_or_root(name, root):
    """The folder that a task of a suite reads: its own below --data; else --data where that has an input; or None."""
    beside = any(os.path.exists(os.path.join(root, found)) for found in TASKS[name].inputs)
    return folder_of(name, root) or (root if beside else None)
