"""mc2 eval and its tasks"""
import click

from mc2 import options
from mc2.commands.eval import shared


class Tasks(options.Group):
    """A command per task of mc2.evaluation.tasks: made from its description, or in a module of this package."""

    def list_commands(self, ctx):
        from mc2.evaluation.tasks import TASKS
        return list(TASKS)

    def get_command(self, ctx, name):
        return shared.command_of(name)


@click.group(name="eval", cls=Tasks, invoke_without_command=True, subcommand_metavar="[TASK] ...")
@click.option("--list", "list_tasks", is_flag=True, help="List the tasks: their files, source and protocol.")
@click.option("--suite", type=click.Choice(["table1", "table2", "table3", "table4", "all"]),
              help="Run what DIR holds of a table of the paper, beside the published numbers.")
@click.option("--beside", metavar="NAME", help="With --suite: the published row to compare, e.g. h14-english.")
@shared.follows("published with --suite")
@shared.evaluates(required=False)
@click.pass_context
def eval(ctx, list_tasks, suite, beside, follows, evaluation):
    """Score a model on the benchmarks of the paper, from local data.

    A model is a checkpoint or a run of mc2 train, open_clip:NAME@WEIGHTS with weights from a file or a published tag,
    or open_clip:NAME with random weights.

    \b
    mc2 eval --list
    mc2 eval imagenet --model run --data benchmarks
    mc2 eval --suite table1 --model open_clip:ViT-H-14-worldwide-quickgelu@metaclip2_worldwide --data benchmarks
    """
    before = [option for option in ctx.command.params if _is_given(ctx, option)]
    if ctx.invoked_subcommand is not None:
        if before:
            task = ctx.invoked_subcommand
            raise click.UsageError(f"{before[0].opts[-1]} stands before the task. Put options after it: "
                                   f"mc2 eval {task} {before[0].opts[-1]} ...")
        return
    if list_tasks:
        shared.show_tasks(evaluation.as_json)
    elif suite:
        from mc2.commands.eval.suite import run
        run(suite, evaluation, beside, follows or "published")
    elif before:
        raise click.UsageError(f"names no task. Put options after one: mc2 eval TASK {before[0].opts[-1]} ... "
                               "(mc2 eval --list), or give --suite.")
    else:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def _is_given(ctx, option):
    return ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
