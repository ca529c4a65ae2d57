"""Rows in Criteo's format, as headrace.data.generate_criteo draws them, in a plain text file.

`headrace data generate criteo` writes the same rows to record files, too.
"""

import argparse
import pathlib
import sys

from headrace.data.generate_criteo import (  # noqa: F401: what users of the rows need of them
    CARDINALITIES,
    MISSING_CATEGORICAL,
    MISSING_DENSE,
    ZIPF_EXPONENT,
    Criteo,
    Generator,
    value_name,
)


def write_rows(path, rows, seed, on_progress=None):
    """Writes `rows` rows to `path`. `on_progress(rows_written)` is called after every chunk."""
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    written = 0
    with open(path, "wb") as out:
        for lines in Criteo(rows, seed).batches():
            out.writelines(line + b"\n" for line in lines)
            written += len(lines)
            if on_progress is not None:
                on_progress(written)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Writes rows in Criteo's format with a Zipf distribution and a planted signal.")
    parser.add_argument("path", type=pathlib.Path, help="file to write")
    parser.add_argument("--rows", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.rows < 1:
        parser.error("--rows must be at least 1")
    if args.seed < 0:
        parser.error("--seed must be at least 0")
    write_rows(args.path, args.rows, args.seed)
    print(f"{args.path}: {args.rows:,} rows, {args.path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
