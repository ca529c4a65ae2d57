"""Turns data of other kinds into record files.

A source (convert_cifar10.py, convert_images.py, convert_parquet.py, generate_*.py) has

    total       how many records it will give
    labels      names of the classes in their order, or None
    left_out    files that it found and does not take
    batches()   its records in order: lists of bytes, or arrays of uint8 whose rows are records
"""

import os
import subprocess

import numpy as np

from headrace.data import files
from headrace.data.convert_writer import Output, Writer
from headrace.errors import DataError


def write(source, output: Output, on_progress=None) -> dict:
    """Writes a source's records: {"records": n, "files": [{"path", "records"}]}, and "labels", the path
    of a file with the names of the classes beside the output, if the source has some.

    on_progress: called with the number of records of each batch.
    Errors: DataError; then nothing was written.
    """
    labels = labels_path(output) if source.labels is not None else None
    if labels and os.path.exists(labels) and not output.overwrite:
        raise DataError(f"{labels}: is there already; --overwrite replaces it")
    with Writer(output) as writer:
        for batch in source.batches():
            if isinstance(batch, np.ndarray):
                writer.write_rows(batch)
            else:
                for record in batch:
                    writer.write(record)
            if on_progress is not None:
                on_progress(len(batch))
    if labels is None:
        return writer.written
    _write_labels(labels, source.labels)
    return {**writer.written, "labels": labels}


def labels_path(output: Output) -> str:
    """train.recordio, and the folder train/, have train.labels.txt beside them: not in the folder,
    where it would be taken for records."""
    path = output.path.rstrip("/")
    if output.records_per_file is None:
        path = os.path.splitext(path)[0]
    return path + ".labels.txt"


def _write_labels(path, labels):
    part = f"{path}.{os.getpid()}-0.hrpart"
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.writelines(f"{label}\n" for label in labels)
        os.rename(part, path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def copy(paths, output: Output, *, read_as=None, delimiter=None, skip_header=False, json=False):
    """Writes the records of record files, lines and CSV among them, in another format; or as they
    are, without each file's first one. headrace-records does it, and talks to the terminal itself.
    Its exit code."""
    arguments = ["convert", *output.arguments()]
    if read_as is not None:
        arguments += ["--read_as", read_as]
    if delimiter is not None:
        arguments += ["--delimiter", delimiter]
    if skip_header:
        arguments.append("--skip_header")
    if json:
        arguments += ["--format", "json"]
    command = [files.program_for(paths), *arguments, "--", *paths, output.path]
    return subprocess.run(command, check=False, env=files.environment()).returncode
