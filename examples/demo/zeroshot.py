"""Zero-shot classification of pictures whose classes were never trained on, by language.

    python zeroshot.py out out/run --at-least 5         # exit 1 where a language is under 5 times chance
    python zeroshot.py out out/control --at-most 2      # exit 1 where the mean of the languages is over 2 times chance

Takes 20 s on one core. A picture of a held-out class gets the class whose name its language finds nearest, of all
classes that the language can name, held out or not; chance is one over their number. A class is the mean of its name
and of a few captions (what CLIP calls prompts), all in that language. `seen` is the same for pictures of the other
classes, which the pool shows.

Without knowing anything a model may still give all red pictures to one class, rightly or wrongly so: what it scores in
a single language scatters widely around chance. Hence --at-most looks at the mean.
"""
import argparse
import sys

import numpy as np
import orjson
import torch

import words
from draw import CLASSES
from mc2 import tars
from mc2.clip.load import load_model
from mc2.evaluation import plots, zeroshot
from mc2.tables import align

PROMPT = dict(size="large", place="left", background="white")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", metavar="OUT", help="directory of the demo")
    parser.add_argument("model", metavar="MODEL", help="run or checkpoint of mc2 train")
    parser.add_argument("--at-least", type=float, metavar="X", help="fail where a language is under X times chance")
    parser.add_argument("--at-most", type=float, metavar="X", help="fail where the mean is over X times chance")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the scores as JSON too")
    parser.add_argument("--plot", metavar="FILE.png", help="a plot by language (needs matplotlib)")
    parser.add_argument("--control", metavar="FILE", help="scores of the control, as -o writes them, for the plot")
    options = parser.parse_args()
    scores = scores_of(options.out, load_model(options.model))
    if options.output:
        with open(options.output, "wb") as file:
            file.write(orjson.dumps(scores, option=orjson.OPT_INDENT_2))
    print(f"Zero-shot classification of {options.model}, pictures of held-out classes\n")
    print(*align(list(table(scores))), sep="\n")
    if options.plot:
        control = {}
        if options.control:
            with open(options.control, "rb") as file:
                control = orjson.loads(file.read())
        plots.draw(records_of(scores), options.plot, {}, records_of(control))
        print(f"\nAs a plot: {options.plot}")
    failures = list(failing(scores, options.at_least, options.at_most))
    print(*failures, sep="\n", file=sys.stderr, end="\n" * bool(failures))
    sys.exit(1 if failures else 0)


def scores_of(out, model):
    """{lang: {"classes", "pictures", "chance", "held_out", "seen"}}: accuracies of both halves of the test pictures."""
    pictures, features = test_features(out, model)
    found = {}
    for lang, language in words.LANGUAGES.items():
        classes = [c for c in CLASSES if language.name(*c)]
        weights = zeroshot.normalized(np.stack([embedding(model, prompts(language, *c)) for c in classes]))
        predicted = zeroshot.predictions(features, weights)
        right = {True: [], False: []}
        for picture, number in zip(pictures, predicted.tolist()):
            if (shown := (picture["shape"], picture["colour"])) in classes:
                right[picture["held_out"]].append(classes[number] == shown)
        found[lang] = {"classes": len(classes), "pictures": len(right[True]), "chance": 1 / len(classes),
                       "held_out": float(np.mean(right[True])), "seen": float(np.mean(right[False]))}
    return found


def records_of(scores):
    """The scores of the held-out half, in the form that `mc2 eval` writes."""
    return [{"task": "held-out classes", "lang": lang, "metric": "top1", "value": row["held_out"], "n": row["pictures"],
             "protocol": {"classes": row["classes"]}} for lang, row in scores.items()]


def test_features(out, model):
    """([picture], float32 (n, d)) of the test pictures."""
    pictures, images = [], []
    for _, members in tars.samples(f"{out}/test/test-0000.tar"):
        pictures.append(orjson.loads(members["json"]))
        images.append(model.transform(members["png"]))
    parts = torch.from_numpy(np.stack(images)).split(64)
    return pictures, np.concatenate([model.encode_images(part).numpy() for part in parts])


def prompts(language, shape, colour):
    """The name of a class, and captions that name both shape and colour."""
    captions = language.captions(dict(shape=shape, colour=colour, **PROMPT))
    return [language.name(shape, colour), *(text for text in captions if language.noun(shape).lower() in text.lower())]


def embedding(model, texts):
    return zeroshot.normalized(model.encode_texts(texts).numpy()).mean(axis=0)


def table(scores):
    yield ["language", "classes", "pictures", "chance", "held out", "times chance", "seen"]
    for lang, row in scores.items():
        yield [lang, str(row["classes"]), str(row["pictures"]), f"{row['chance']:.1%}", f"{row['held_out']:.1%}",
               f"{row['held_out'] / row['chance']:.1f}", f"{row['seen']:.1%}"]
    mean = mean_of(scores)
    yield ["mean", "", "", f"{mean['chance']:.1%}", f"{mean['held_out']:.1%}",
           f"{mean['held_out'] / mean['chance']:.1f}", f"{mean['seen']:.1%}"]


def mean_of(scores):
    return {key: float(np.mean([row[key] for row in scores.values()])) for key in ("chance", "held_out", "seen")}


def failing(scores, at_least=None, at_most=None):
    """A line for every language that is under at_least times chance, and one where the mean is over at_most times."""
    for lang, row in scores.items():
        times = row["held_out"] / row["chance"]
        if at_least is not None and times < at_least:
            yield f"zeroshot: {lang}: {times:.1f} times chance, expected at least {at_least:g}."
    mean = mean_of(scores)
    if at_most is not None and mean["held_out"] > at_most * mean["chance"]:
        yield f"zeroshot: mean: {mean['held_out'] / mean['chance']:.1f} times chance, expected at most {at_most:g}."


if __name__ == "__main__":
    main()
