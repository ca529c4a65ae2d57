"""`headrace data`: count, index, verify, convert and generate record files."""

import contextlib
import enum
import json
import os
import subprocess
import sys
from typing import Annotated, List, Optional

import typer

from headrace.commands.common import MARKUP, Format, FormatOption, fail
from headrace.errors import HeadraceError

app = typer.Typer(
    help="Count, index, verify, convert and generate record files.",
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
)


class Kind(str, enum.Enum):
    records = "records"
    cifar10 = "cifar10"
    images = "images"
    tar = "tar"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    taobao = "taobao"


class Form(str, enum.Enum):
    example = "example"
    raw = "raw"
    json = "json"


class To(str, enum.Enum):
    recordio = "recordio"
    tfrecord = "tfrecord"
    text = "text"
    csv = "csv"


class Compressor(str, enum.Enum):
    none = "none"
    snappy = "snappy"
    gzip = "gzip"


class Index(str, enum.Enum):
    write = "write"
    read = "read"
    memory = "memory"


class Data(str, enum.Enum):
    criteo = "criteo"
    cifar = "cifar"
    taobao = "taobao"


Paths = Annotated[List[str], typer.Argument(help="Files, folders (with all below) or patterns.")]
ReadAs = Annotated[
    Optional[To], typer.Option("--read_as", help="Format of the files; default: by content.")
]
Delimiter = Annotated[
    Optional[str], typer.Option(help="Between fields of CSV: one character, or tab.")
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow_empty", help="Files without records are no error.")
]
IndexDir = Annotated[
    Optional[str], typer.Option("--index_dir", help="Folder of the indexes; default: beside.")
]
CompressorOption = Annotated[
    Optional[Compressor],
    typer.Option(help="Of RecordIO's chunks; default: snappy. none reads fastest."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace OUT: a file, or a folder written this way.")
]


@app.command()
def count(
    paths: Paths,
    index: Annotated[
        Index, typer.Option(help="Index files: make missing ones, only read them, or neither.")
    ] = Index.write,
    index_dir: IndexDir = None,
    read_as: ReadAs = None,
    delimiter: Delimiter = None,
    allow_empty: AllowEmpty = False,
    format: FormatOption = Format.text,
):
    """Say how many records the files have. Makes missing indexes."""
    arguments = _input_options(read_as, delimiter, allow_empty)
    arguments += ["--index", index.value, *_option("--index_dir", index_dir)]
    _show("count", arguments, paths, format, _count_table)


@app.command()
def index(
    paths: Paths,
    index_dir: IndexDir = None,
    read_as: ReadAs = None,
    delimiter: Delimiter = None,
    allow_empty: AllowEmpty = False,
    format: FormatOption = Format.text,
):
    """Make the index files that are missing or stale, so that jobs start at once."""
    arguments = _input_options(read_as, delimiter, allow_empty)
    _show("index", arguments + _option("--index_dir", index_dir), paths, format, _count_table)


@app.command()
def verify(
    paths: Paths,
    read_as: ReadAs = None,
    delimiter: Delimiter = None,
    allow_empty: AllowEmpty = False,
    format: FormatOption = Format.text,
):
    """Read everything, check all checksums, and name all damage. Exit code 1 if there is any."""
    arguments = _input_options(read_as, delimiter, allow_empty)
    _show("verify", arguments, paths, format, _verify_table)


def _option(name, value):
    return [] if value is None else [name, str(value)]


def _input_options(read_as, delimiter, allow_empty):
    arguments = _option("--read_as", read_as and read_as.value)
    arguments += _option("--delimiter", delimiter)
    return arguments + (["--allow_empty"] if allow_empty else [])


def _show(command, arguments, paths, format, table):
    """Runs headrace-records, which talks to the user itself, but for tables on terminals."""
    from headrace.data import files

    tabular = format is Format.text and sys.stdout.isatty()
    if tabular or format is Format.json:
        arguments = [*arguments, "--format", "json"]
    try:
        program = files.program_for(paths)
    except HeadraceError as error:
        fail(error, 1)
    done = subprocess.run(
        [program, command, *arguments, "--", *paths],
        stdout=subprocess.PIPE if tabular else None,
        check=False,
        env=files.environment(),
    )
    if tabular and done.stdout:
        table(json.loads(done.stdout))
    raise typer.Exit(done.returncode)


def _count_table(counted):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("file", "format")
    table.add_column("records", justify="right")
    table.add_column("bytes", justify="right")
    for file in counted:
        table.add_row(
            Text(file["path"], overflow="fold"),
            file["format"] + (" gzip" if file["gzip"] else ""),
            f"{file['records']:,}",
            f"{file['bytes']:,}",
        )
    records, size = (sum(file[key] for file in counted) for key in ("records", "bytes"))
    table.add_section()
    table.add_row(f"{len(counted):,} files", "", f"{records:,}", f"{size:,}")
    Console().print(table)


def _verify_table(verified):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "file", "format")
    table.add_column("records", justify="right")
    for file in verified:
        good = file["damaged"] == 0
        mark = Text("ok", "green") if good else Text(f"{file['damaged']} damaged", "bold red")
        name = Text(file["path"], overflow="fold")
        table.add_row(mark, name, file["format"], f"{file['records']:,}")
    console = Console()
    console.print(table)
    for file in verified:
        for damage in file["damages"]:
            typer.echo(f"{damage['what']} ({damage['bytes']:,} bytes lost)")


@app.command()
def convert(
    paths: Annotated[List[str], typer.Argument(metavar="IN... OUT", help="OUT is written.")],
    kind: Annotated[
        Kind,
        typer.Option(
            "--from",
            help="records: any record files. cifar10: binary batches. images: a folder of "
            "CLASS/NAME.jpg. tar: the same in a tar file. csv, tsv: a line a record. parquet: a row "
            "a record. taobao: UserBehavior.csv, to lines of click histories.",
        ),
    ] = Kind.records,
    to: Annotated[To, typer.Option(help="Format of the output.")] = To.recordio,
    form: Annotated[
        Optional[Form],
        typer.Option(
            "--as",
            help="What a record is: example (a tf.train.Example, the default of cifar10, images, tar "
            "and parquet), raw (cifar10: the bytes of the batch), json (parquet).",
        ),
    ] = None,
    header: Annotated[
        Optional[bool],
        typer.Option(
            "--header/--no-header",
            help="csv, tsv: whether each file begins with names of columns, which are left out.",
        ),
    ] = None,
    columns: Annotated[
        Optional[str], typer.Option(help="parquet: the columns to keep, with commas between.")
    ] = None,
    labels: Annotated[
        Optional[str],
        typer.Option(help="images, tar: file of the classes in their order; default: sorted names."),
    ] = None,
    decode: Annotated[
        bool,
        typer.Option("--decode", help="images, tar: pixels (float32, 0 to 255), not the file's bytes."),
    ] = False,
    read_as: ReadAs = None,
    delimiter: Delimiter = None,
    compressor: CompressorOption = None,
    records_per_file: Annotated[
        Optional[int],
        typer.Option("--records_per_file", min=1, help="OUT is a folder of files of so many."),
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Shuffle all records, by --seed.")
    ] = False,
    seed: Annotated[Optional[int], typer.Option(min=0, help="Of --shuffle; default: 0.")] = None,
    overwrite: Overwrite = False,
    format: FormatOption = Format.text,
):
    """Turn other data into record files, and record files of one format into another.

    OUT appears complete or not at all."""
    from headrace.data.convert_writer import Output

    if len(paths) < 2:
        raise typer.BadParameter("name what is read, and at last what is written", param_hint="IN... OUT")
    if seed is not None and not shuffle:
        raise typer.BadParameter("is of --shuffle, which is not asked for", param_hint="--seed")
    _check_convert(kind, to, form, header, columns, labels, decode, read_as, delimiter)
    output = Output(
        path=paths[-1],
        to=to.value,
        compressor=compressor and compressor.value,
        records_per_file=records_per_file,
        overwrite=overwrite,
        shuffle_seed=(seed or 0) if shuffle else None,
    )
    if kind in (Kind.records, Kind.csv, Kind.tsv):
        _copy(kind, paths[:-1], output, read_as, delimiter, header, format)
    else:
        columns = columns.split(",") if columns else None
        _write(
            lambda: _source(kind, paths[:-1], form, columns, labels, decode), output, "converting", format
        )


# Which kinds an option is for.
_OF = {
    "--header": (Kind.csv, Kind.tsv),
    "--columns": (Kind.parquet,),
    "--labels": (Kind.images, Kind.tar),
    "--decode": (Kind.images, Kind.tar),
    "--read_as": (Kind.records,),
    "--delimiter": (Kind.records, Kind.csv),
}
_FORMS = {
    Kind.cifar10: (Form.example, Form.raw),
    Kind.images: (Form.example,),
    Kind.tar: (Form.example,),
    Kind.parquet: (Form.example, Form.json),
}


def _check_convert(kind, to, form, header, columns, labels, decode, read_as, delimiter):
    given = {
        "--header": header is not None,
        "--columns": columns is not None,
        "--labels": labels is not None,
        "--decode": decode,
        "--read_as": read_as is not None,
        "--delimiter": delimiter is not None,
    }
    for option, kinds in _OF.items():
        if given[option] and kind not in kinds:
            names = " and ".join(k.value for k in kinds)
            raise typer.BadParameter(f"is for --from {names}", param_hint=option)
    forms = _FORMS.get(kind, ())
    if form is not None and form not in forms:
        names = " or ".join(f.value for f in forms) or "nothing: records are taken as they are"
        raise typer.BadParameter(f"--from {kind.value} takes {names}", param_hint="--as")
    if kind in (Kind.csv, Kind.tsv) and header is None:
        raise typer.BadParameter(
            "say whether the first line of each file names the columns and is left out (--header), or "
            "is a record (--no-header)",
            param_hint="--header/--no-header",
        )
    if forms and form is not Form.json and to in (To.text, To.csv):
        raise typer.BadParameter(
            "such records are binary and cannot be lines; say recordio or tfrecord", param_hint="--to"
        )


def _copy(kind, paths, output, read_as, delimiter, header, format):
    from headrace.data import convert as converting

    # A quote means nothing in TSV: a line is a record.
    formats = {Kind.csv: "csv", Kind.tsv: "text"}
    try:
        code = converting.copy(
            paths,
            output,
            read_as=formats.get(kind, read_as and read_as.value),
            delimiter=delimiter,
            skip_header=bool(header),
            json=format is Format.json,
        )
    except HeadraceError as error:
        fail(error, 1)
    raise typer.Exit(code)


def _source(kind, paths, form, columns, labels, decode):
    if kind is Kind.cifar10:
        from headrace.data.convert_cifar10 import Cifar10

        return Cifar10(paths, raw=form is Form.raw)
    if kind is Kind.parquet:
        from headrace.data.convert_parquet import Parquet

        return Parquet(paths, (form or Form.example).value, columns)
    if kind is Kind.taobao:
        from headrace.data.convert_taobao import Taobao

        return Taobao(paths)
    from headrace.data import convert_images

    if len(paths) != 1:
        raise typer.BadParameter(f"--from {kind.value} takes one path to read", param_hint="IN... OUT")
    names = convert_images.read_labels(labels) if labels else None
    if decode:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    make = convert_images.ImageFolder if kind is Kind.images else convert_images.ImageTar
    return make(paths[0], names, decode)


def _write(make_source, output, doing, format):
    from headrace.data import convert as converting

    try:
        source = make_source()
        with _progress(doing, source.total) as advance:
            written = converting.write(source, output, advance)
    except (HeadraceError, OSError) as error:
        fail(error, 1)
    if source.left_out:
        shown = ", ".join(source.left_out[:5]) + (", ..." if len(source.left_out) > 5 else "")
        typer.echo(f"headrace: left out {len(source.left_out)} files: {shown}", err=True)
    if format is Format.json:
        typer.echo(json.dumps({**written, "left_out": list(source.left_out)}, indent=2))
        return
    written_files = written["files"]
    where = written_files[0]["path"]
    if len(written_files) > 1:
        where = f"{len(written_files)} files, {where} and so on"
    typer.echo(f"wrote {written['records']} records to {where}")
    if "labels" in written:
        typer.echo(f"wrote the names of {len(source.labels)} classes to {written['labels']}")


@contextlib.contextmanager
def _progress(doing, total):
    """A function to be called with what was done; a bar on terminals."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parts = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done: bar.advance(task, done)


@app.command()
def generate(
    data: Annotated[
        Data,
        typer.Argument(
            help="criteo: lines in Criteo's format (label, 13 integers, 26 categorical values, tabs). "
            "taobao: lines of click histories (label, user, item, category, lists of items). "
            "cifar: tf.train.Examples of 32 x 32 images and labels."
        ),
    ],
    out: Annotated[str, typer.Argument(help="The file to write; the folder, with several --files.")],
    records: Annotated[int, typer.Option(min=1, help="How many, all files together.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    files: Annotated[int, typer.Option(min=1, help="How many files.")] = 1,
    to: Annotated[
        Optional[To], typer.Option(help="Default: text for criteo and taobao, recordio for cifar.")
    ] = None,
    compressor: CompressorOption = None,
    overwrite: Overwrite = False,
    format: FormatOption = Format.text,
):
    """Write records with a known distribution and a planted signal, so that models learn from them."""
    from headrace.data.convert_writer import Output

    to = to or (To.recordio if data is Data.cifar else To.text)
    if data is Data.cifar and to in (To.text, To.csv):
        raise typer.BadParameter("images are binary: say recordio or tfrecord", param_hint="--to")
    per_file = -(-records // files)
    if -(-records // per_file) != files:
        raise typer.BadParameter(
            f"{records} records, {per_file} a file, do not fill {files} files: ask for fewer files",
            param_hint="--files",
        )
    output = Output(
        path=out,
        to=to.value,
        compressor=compressor and compressor.value,
        records_per_file=per_file if files > 1 else None,
        overwrite=overwrite,
    )

    def source():
        if data is Data.criteo:
            from headrace.data.generate_criteo import Criteo

            return Criteo(records, seed)
        if data is Data.taobao:
            from headrace.data.generate_taobao import Taobao

            return Taobao(records, seed)
        from headrace.data.generate_cifar import Cifar

        return Cifar(records, seed)

    _write(source, output, "generating", format)
