"""mc2 eval zeroshot"""
import click

from mc2.commands.eval import shared


@click.command()
@click.option("--images", required=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="A folder of images for each class.")
@click.option("--classes", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Names of the classes: a line for each folder in sorted order, or FOLDER<tab>NAME; synonyms are "
                   "divided by |. Default: the folders' names.")
@shared.choices("zeroshot")
@shared.evaluates()
def zeroshot(images, classes, evaluation, protocol):
    """Classify your own images by the names of their classes, in any language.

    \b
    mc2 eval zeroshot --images animals --classes animaux.txt --templates prompts-fr.txt --lang fr --model run
    """
    evaluation.score("zeroshot", protocol, {"images": images, "classes": classes})
