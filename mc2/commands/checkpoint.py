"""mc2 checkpoint"""
import click

from mc2 import options, terminal

FORMATS = ("weights", "open_clip", "transformers")


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
    """Show checkpoints of mc2 train, and exchange their weights with open_clip and transformers.

    A checkpoint is a file, or a run's directory: then its newest.

    \b
    mc2 checkpoint show run
    mc2 checkpoint export run -o weights.pt                         # and weights.json
    mc2 checkpoint export run --format transformers -o hf           # for AutoModel.from_pretrained("hf")
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
        terminal.show_json(description, pretty=True)
    else:
        terminal.show(*checkpoints.lines(description))


@checkpoint.command()
@click.argument("path", metavar="CHECKPOINT")
@click.option("-o", "--output", required=True, metavar="FILE|DIR",
              help="The weights: a state dict, as safetensors with that suffix; beside it goes FILE's .json. A "
                   "directory for open_clip and transformers.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="weights", show_default=True,
              help="A file of weights; or a directory with all that open_clip or transformers needs.")
@click.option("--student", metavar="NAME", help="Which of several students. Default: the first.")
@click.option("--tokenizer", metavar="FILE",
              help="The model's tokenizer.json, where it is not kept beside the checkpoint.")
@click.option("--licence", "--license", "licence", metavar="ID",
              help="Of the model, for its card, as the Hub calls it: apache-2.0, cc-by-nc-4.0.")
@options.quiet
@options.verbose
def export(path, output, form, student, tokenizer, licence, quiet):
    """Write the weights of CHECKPOINT for open_clip or transformers.

    `weights` writes a file, and open_clip's configuration of the model beside. `open_clip` and `transformers` write a
    directory that also has the tokenizer and how images are prepared. That of transformers has a model card
    (README.md), and is compared with the model before it appears: features must be the same to 1e-4. It needs the
    extra [transformers].

    \b
    mc2 checkpoint export run -o mine.pt
    python -c "import open_clip
    open_clip.add_model_config('mine.json')
    model = open_clip.create_model('mine', pretrained='mine.pt')"
    mc2 checkpoint export run --format open_clip -o oc          # open_clip.create_model_and_transforms('local-dir:oc')
    mc2 checkpoint export run --format transformers -o hf --licence apache-2.0
    """
    if form == "weights" and tokenizer:
        raise click.UsageError("--tokenizer goes into a directory: give --format open_clip or transformers.")
    if form != "transformers" and licence:
        raise click.UsageError("--licence is for the model card: give --format transformers.")
    _need_torch()
    from mc2.clip import checkpoints, exchange
    if form == "transformers":
        from mc2 import extras
        extras.need("transformers", "transformers", "safetensors")
    content = checkpoints.load(path)
    if form == "weights":
        config, notes = exchange.export(content, path, output, student)
        output = f"{output}, {config}"
    else:
        notes = exchange.export_folder(content, path, output, form, student, tokenizer, licence)
    _say(quiet, "export", notes, f"step {content['step']:,}, {content['seen_pairs']:,} seen pairs -> {output}")


@checkpoint.command("import")
@click.argument("path", metavar="WEIGHTS", type=click.Path(exists=True))
@click.option("--model", metavar="NAME",
              help="The architecture: a name as in a preset's model.name, or a .json file of open_clip's form. "
                   "Default: that of a directory, or of the configuration beside a file.")
@click.option("--tokenizer", metavar="NAME",
              help="Default: that of the directory, or the one that the architecture names.")
@click.option("-o", "--output", required=True, metavar="FILE", help="The checkpoint.")
@options.quiet
@options.verbose
def import_(path, model, tokenizer, output, quiet):
    """Make a checkpoint of step 0 from WEIGHTS of open_clip or of a published Meta CLIP.

    WEIGHTS is a file, or a directory that transformers (MetaClip2) or open_clip saved. Every weight must be one of the
    architecture, and of its shape; the activation must be the one that the weights were trained with. A tokenizer in a
    file goes beside the checkpoint.

    \b
    mc2 checkpoint import weights.pt --model ViT-B-32-quickgelu -o start.pt
    mc2 checkpoint import metaclip2_b32_224px_worldwide.pt --model ViT-B-32-xlmv -o b32/step-00000000.pt
    mc2 checkpoint import hf -o start/step-00000000.pt
    """
    _need_torch()
    from mc2.clip import exchange
    imported = exchange.import_(path, model, tokenizer)
    exchange.write(imported, output)
    held, = imported.content["models"]
    count = sum(weight.numel() for weight in held["state"].values())
    _say(quiet, "import", imported.notes,
         f"{count:,} parameters of {model or path}, tokenizer {held['tokenizer']} -> {output}")
