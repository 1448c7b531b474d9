"""mc2 checkpoint"""
import json

import click

from mc2 import options, terminal


def _say(quiet, command, notes, receipt):
    if not quiet:
        for note in notes:
            terminal.say(f"note: {note}")
        terminal.say(f"checkpoint {command}: {receipt}")


def _need_torch():
    from mc2 import extras
    extras.need("train", "torch", "open_clip")


@click.group(cls=options.Group)
def checkpoint():
    """Show checkpoints of mc2 train, and exchange their weights with open_clip.

    A checkpoint is a file, or a run's directory: then its newest.

    \b
    mc2 checkpoint show run
    mc2 checkpoint export run -o weights.pt         # and weights.json
    mc2 checkpoint import metaclip.pt --model ViT-H-14-quickgelu -o metaclip/step-00000000.pt
    """


@checkpoint.command()
@click.argument("path", metavar="CHECKPOINT")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.verbose
def show(path, as_json):
    """Show the step of CHECKPOINT, its seen pairs, models, tokenizers and tallies."""
    _need_torch()
    from mc2.clip import checkpoints
    description = checkpoints.describe(checkpoints.load(path))
    if as_json:
        print(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        terminal.show(*checkpoints.lines(description))


@checkpoint.command()
@click.argument("path", metavar="CHECKPOINT")
@click.option("-o", "--output", required=True, metavar="FILE",
              help="The weights: a state dict; as safetensors with that suffix. Beside it goes FILE's .json.")
@click.option("--student", metavar="NAME", help="Which of several students. Default: the first.")
@options.quiet
@options.verbose
def export(path, output, student, quiet):
    """Write the weights of CHECKPOINT as open_clip reads them, and its configuration of the model beside.

    \b
    mc2 checkpoint export run -o mine.pt
    python -c "import open_clip
    open_clip.add_model_config('mine.json')
    model = open_clip.create_model('mine', pretrained='mine.pt')"
    """
    _need_torch()
    from mc2.clip import checkpoints, exchange
    content = checkpoints.load(path)
    config, notes = exchange.export(content, path, output, student)
    _say(quiet, "export", notes,
         f"step {content['step']:,}, {content['seen_pairs']:,} seen pairs -> {output}, {config}")


@checkpoint.command("import")
@click.argument("path", metavar="WEIGHTS", type=click.Path(exists=True, dir_okay=False))
@click.option("--model", required=True, metavar="NAME",
              help="The architecture: a name as in a preset's model.name, or a .json file of open_clip's form.")
@click.option("--tokenizer", metavar="NAME", help="Default: the one that the architecture names.")
@click.option("-o", "--output", required=True, metavar="FILE", help="The checkpoint.")
@options.quiet
@options.verbose
def import_(path, model, tokenizer, output, quiet):
    """Make a checkpoint of step 0 from WEIGHTS of open_clip or of a published Meta CLIP.

    Every weight must be one of the architecture, and of its shape.

    \b
    mc2 checkpoint import weights.pt --model ViT-B-32-quickgelu -o start.pt
    """
    _need_torch()
    from mc2.clip import checkpoints, exchange
    content, notes = exchange.import_(path, model, tokenizer)
    checkpoints.write(content, output)
    count = sum(weight.numel() for weight in content["models"][0]["state"].values())
    _say(quiet, "import", notes, f"{count:,} parameters of {model}, tokenizer {content['models'][0]['tokenizer']} -> "
                                 f"{output}")
