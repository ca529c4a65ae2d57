"""`headrace bench`: the benchmarks and comparisons of a checkout.

Exit codes: 0 measured, 1 a benchmark failed, or a goal was missed and --check was given, 2 wrong usage, or
what a benchmark needs is not here.
"""

import json
import os
import pathlib
import shlex
import sys
from typing import Annotated, List, Optional

import typer

import headrace
from headrace import _quiet
from headrace.commands.common import Format, FormatOption, fail
from headrace.errors import HeadraceError

VERSION = 1  # of --format json
NEEDED = ("bench/registry.py", "models", "examples/common")  # of a checkout


def checkout():
    """The checkout of Headrace whose benchmarks run: one that the working directory is in, or the one that
    this package is in. None: there is none."""
    here = pathlib.Path.cwd()
    for folder in (here, *here.parents, *pathlib.Path(headrace.__file__).resolve().parents[2:3]):
        if all((folder / name).exists() for name in NEEDED):
            return folder
    return None


def _require_checkout():
    folder = checkout()
    if folder is None:
        fail("benchmarks are no part of the installed package: they need Headrace's repository (bench/, "
             f"models/ and examples/). Clone it at version {headrace.__version__}, build it "
             "(scripts/setup.sh), and run `headrace bench` inside it", 2)
    version = (folder / "python/headrace/_version.py").read_text(encoding="utf-8")
    if f'"{headrace.__version__}"' not in version:
        fail(f"{folder} is another version than the installed Headrace, {headrace.__version__}: check out "
             "that one, or install this one (pip install . --no-build-isolation)", 2)
    sys.path.insert(0, str(folder))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return folder


def _require_library():
    try:
        with _quiet.stderr():
            headrace.load()
    except HeadraceError as error:
        fail(error, 2)


def bench(
    comparisons: Annotated[
        Optional[List[str]],
        typer.Argument(metavar="[COMPARISON]...", help="Which; default: all. See --list."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: all in less than 10 minutes, not 60.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say what there is, and measure nothing.")] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Measure nothing: write tables, pictures, RESULTS.md from the JSON."),
    ] = False,
    out: Annotated[
        Optional[str],
        typer.Option(help="Folder of RESULTS.md and results/; default: bench/ of the checkout."),
    ] = None,
    figures: Annotated[
        Optional[str], typer.Option(help="Folder of the pictures; default: OUT/figures.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where a goal is missed.")] = False,
    accelerator: Annotated[
        str, typer.Option(help="Of the comparison 'accelerator': stand-in, which only waits, or gpu.")
    ] = "stand-in",
    set_: Annotated[
        Optional[List[str]],
        typer.Option(
            "--set", metavar="[NAME.]SIZE=VALUE", help="Change a size; may be repeated. See --list."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of orders and of drawn data.")] = 1,
    format: FormatOption = Format.text,
):
    """Measure Headrace against what else one could use, contenders in turns, and write tables and
    pictures."""
    folder = _require_checkout()
    try:
        with _quiet.stderr():
            from bench import registry, suite
    except ImportError as error:
        fail(f"benchmarks need TensorFlow 2.21 and Keras: {error} (`headrace doctor` says more)", 2)
    from bench.environment import Unfit
    from bench.report import Folder, ReportError
    from bench.sizes import SizeError

    if accelerator not in registry.ACCELERATORS:
        fail(f"--accelerator is '{accelerator}', and must be {' or '.join(registry.ACCELERATORS)}", 2)
    if accelerator != "stand-in" and comparisons and "accelerator" not in comparisons:
        fail("--accelerator is of the comparison 'accelerator', which is not asked for", 2)
    if report and (comparisons or quick or set_ or check or list_):
        fail("--report measures nothing: leave comparisons, --quick, --set, --check and --list out", 2)
    try:
        modules = registry.chosen(comparisons or [], accelerator)
        sizes = suite.sizes_of(modules, quick, set_ or [])
    except KeyError as error:
        fail(f"no such comparison: {error.args[0]}; there are {', '.join(registry.BENCHMARKS)}", 2)
    except SizeError as error:
        fail(error, 2)
    if list_:
        _show_list(modules, sizes, format)
        return
    where = Folder(out or folder / "bench", figures)
    try:
        results = []
        if report:
            where.show_again(registry.MODULES)
        else:
            _require_library()
            command = shlex.join(["headrace", *sys.argv[1:]])
            results = suite.run(modules, sizes, quick, seed, where, command, sys.stderr)
        path = where.write_all(registry.MODULES)
    except Unfit as error:
        fail(error, 2)
    except (ReportError, HeadraceError, OSError, RuntimeError) as error:
        fail(error, 1)
    _show_results(results, path, format)
    from bench.report import missed

    if check and any(map(missed, results)):
        raise typer.Exit(1)


def _show_list(modules, sizes, format):
    if format is Format.json:
        typer.echo(json.dumps({"version": VERSION, "comparisons": [
            {"name": module.NAME, "question": module.QUESTION, "sizes": sizes[module.NAME].as_json()}
            for module in modules]}, indent=2))
        return
    from bench.progress import in_words

    for module in modules:
        size = sizes[module.NAME]
        typer.echo(f"{module.NAME} (about {in_words(size.expected_s)})\n    {module.QUESTION}")
        typer.echo("    " + " ".join(f"{name}={_as_text(value)}" for name, value in size.as_json().items()
                                     if name != "expected_s") + "\n")


def _as_text(value):
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _show_results(results, path, format):
    from bench import registry
    from bench.report import missed, table, texts

    if format is Format.json:
        typer.echo(json.dumps({"version": VERSION, "results": results, "report": str(path),
                               "missed": [r["benchmark"] for r in results if missed(r)]}, indent=2))
        return
    for result in results:
        name, columns = result["benchmark"], registry.BENCHMARKS[result["benchmark"]].COLUMNS
        if sys.stdout.isatty():
            _print_table(name, *texts(columns, result["rows"]))
        else:
            typer.echo(f"{name}\n\n{table(columns, result['rows'])}\n")
    typer.echo(f"written: {path}")


def _print_table(name, headings, rows):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=name, title_justify="left", show_lines=True)
    for heading in headings:
        table.add_column(Text(heading, overflow="fold"))
    for row in rows:
        table.add_row(*(Text(text, overflow="fold") for text in row))
    Console().print(table)


def register(app):
    app.command()(bench)
