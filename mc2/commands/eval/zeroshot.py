"""mc2 eval zeroshot"""
import click

from mc2.commands.eval import shared


@click.command()
@click.option("--images", required=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="A folder of images for each class.")
@click.option("--classes", metavar="FILE", type=click.Path(exists=True, dir_okay=False), multiple=True,
              help="Names of the classes: a line for each folder in sorted order, or FOLDER<tab>NAME; synonyms are "
                   "divided by |. Default: the folders' names. May be given several times, with files whose names end in "
                   "their languages (fr.txt, names.fr.txt): each is scored, and their mean.")
@shared.choices("zeroshot")
@shared.evaluates()
def zeroshot(images, classes, evaluation, protocol):
    """Classify your own images by the names of their classes, in any language.

    \b
    mc2 eval zeroshot --images animals --classes animaux.txt --templates prompts-fr.txt --lang fr --model run
    mc2 eval zeroshot --images animals --classes en.txt --classes fr.txt --templates none --model run -o scores.jsonl
    """
    evaluation.score("zeroshot", protocol, {"images": images, "classes": classes})
