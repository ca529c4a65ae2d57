"""The command `headrace`. Exit codes: 0 done, 1 it failed or does not fit, 2 wrong usage."""

import dataclasses
import json
import sys
from typing import Annotated, List, Optional

import typer

from headrace import _quiet
from headrace._checks import AUTOTUNE
from headrace._version import __version__
from headrace.commands import bench, data, jobs
from headrace.commands.common import MARKUP, Format, FormatOption
from headrace.commands.common import fail as _fail
from headrace.errors import HeadraceError, OptionError
from headrace.options import StageOptions

app = typer.Typer(
    name="headrace",
    help="Runs the input part of a TensorFlow graph ahead of the training step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
)
app.add_typer(data.app, name="data")
jobs.register(app)
bench.register(app)


def _version(value: bool):
    if value:
        typer.echo(f"headrace {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
):
    """Runs the input part of a TensorFlow graph ahead of the training step."""


@app.command()
def doctor(format: FormatOption = Format.text):
    """Say what is installed and whether it fits together. Exit code 1 if it does not."""
    from headrace import doctor as checks

    found = checks.examine()
    ok = all(check.ok for check in found)
    if format is Format.json:
        report = {"version": 1, "ok": ok, "checks": [dataclasses.asdict(check) for check in found]}
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_checks(found, ok)
    raise typer.Exit(0 if ok else 1)


def _print_checks(found, ok):
    if sys.stdout.isatty():
        _print_table(found)
    else:
        for check in found:
            typer.echo(f"{'ok' if check.ok else 'FAIL':<6}{check.name + ':':<12} {check.found}")
    for check in found:
        if not check.ok:
            typer.echo(f"{check.name}: expected {check.expected}; to mend: {check.fix}")
    typer.echo("Headrace and TensorFlow fit." if ok else "Headrace cannot work here; see FAIL.")


def _print_table(found):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found")
    for check in found:
        mark = Text("ok", "green") if check.ok else Text("FAIL", "bold red")
        table.add_row(mark, Text(check.name), Text(check.found, overflow="fold"))
    Console().print(table)


@app.command()
def explain(
    file: Annotated[
        str,
        typer.Argument(
            help="A GraphDef or MetaGraph (text if it ends in .pbtxt), or a SavedModel's directory."
        ),
    ],
    format: FormatOption = Format.text,
    tags: Annotated[
        Optional[str],
        typer.Option(help="Comma-separated tags of the SavedModel's graph, if it has several."),
    ] = None,
    smart: Annotated[
        bool, typer.Option(help="Grow stages as far as is legal, or only up to tf.staged marks.")
    ] = True,
    cut: Annotated[
        str, typer.Option(help="auto: by cost; largest: all that may be staged.")
    ] = "auto",
    exclude: Annotated[
        Optional[List[str]], typer.Option(help="Operation that stays out; may be repeated.")
    ] = None,
    capacity: Annotated[
        int, typer.Option(help="Finished results that may wait; 0: none; -1: chosen from measurement.")
    ] = AUTOTUNE,
    num_threads: Annotated[
        int, typer.Option(help="Threads that run the body, >= 1; -1: chosen from measurement.")
    ] = AUTOTUNE,
    stage_subgraph_on_cpu: Annotated[
        bool, typer.Option("--stage-subgraph-on-cpu", help="Pin the stage to the host.")
    ] = False,
    dump_graph: Annotated[
        Optional[str],
        typer.Option(help="Also write the rewritten graph here (text if it ends in .pbtxt)."),
    ] = None,
):
    """Say what a session would stage, what would cross, and why the rest stays. Runs nothing."""
    try:
        options = StageOptions(
            smart=smart,
            cut=cut,
            exclude=tuple(exclude or ()),
            capacity=capacity,
            num_threads=num_threads,
            stage_subgraph_on_cpu=stage_subgraph_on_cpu,
        )
    except OptionError as error:
        _fail(error, 2)
    chosen = tags.split(",") if tags else None
    try:
        _explain(file, options, chosen, format, dump_graph)
    except (HeadraceError, OSError) as error:
        _fail(error, 1)


def _explain(file, options, tags, format, dump_graph):
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet.stderr():
        from headrace import graphs, plans

    graph_def = graphs.to_graph_def(file, tags)
    explanation = plans.explain(graph_def, options)
    if format is Format.json:
        typer.echo(json.dumps(explanation.json, indent=2))
    else:
        typer.echo(str(explanation).rstrip("\n"))
    if dump_graph:
        plans.write_graph(plans.rewrite(graph_def, options), dump_graph)


def main():
    """Entry point of the console script."""
    try:
        app()
    except BrokenPipeError:
        # The reader of a pipe has gone, as with `headrace explain ... | head`.
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
