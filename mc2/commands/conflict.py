"""mc2 conflict"""
import json

import click

from mc2 import options
from mc2.commands import preset_options
from mc2.terminal import say


@click.command()
@preset_options.reads_preset()
@click.argument("checkpoint", metavar="CHECKPOINT")
@options.output
@click.option("--batches", type=click.IntRange(1), default=16, show_default=True, metavar="N",
              help="Batches to average over.")
@click.option("--plot", metavar="FILE", help="Draw it, too: a .png, .svg or .pdf (needs the extra [plot]).")
@preset_options.DEVICE
@options.quiet
@options.verbose
def conflict(preset, growth, checkpoint, output, batches, plot, device, quiet):
    """Compare the gradients of the English and the other pairs' loss at a checkpoint, as JSON.

    The cosine of the two is given for each group of parameters, on pairs of the run CONFIG: where it is below 0, a
    step for English is a step against the other languages. CONFIG is as for mc2 train. Needs the extra [train].

    \b
    mc2 conflict run.toml run/checkpoints/latest
    mc2 conflict run.toml run/checkpoints/latest --batches 64 -o conflict.json --plot conflict.png
    """
    from mc2 import extras, files
    from mc2.training import job
    extras.need("train", "torch", "open_clip", "tokenizers")
    if plot:
        extras.need("plot", "matplotlib")
    preset.values["run"]["output"] = "-"            # nothing is trained
    configured = job.configure(preset, growth)
    from mc2.training import conflict as gradients
    found = gradients.at_checkpoint(configured, checkpoint, batches=batches, device=device)
    files.write_bytes(output, (json.dumps(found, indent=2) + "\n").encode())
    if plot:
        gradients.plot(found, plot)
    if not quiet:
        cosine = next(row["cosine"]["mean"] for row in found["groups"] if row["group"] == gradients.ALL)
        say(f"conflict: gradients of {found['batches']} batches at step {found['step']:,}, cosine of all weights "
            f"{cosine:.4f} -> {'stdout' if output == '-' else output}")
