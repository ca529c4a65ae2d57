"""Parquet files, read by pyarrow (the extra `parquet`)."""

import json

from headrace.data import convert_paths
from headrace.data.convert_example import encode
from headrace.errors import DataError

_ROWS = 4096  # at a time


class Parquet:
    """A source of records (see convert.py), one a row.

    form: "example": a tf.train.Example. Integers and booleans become int64, floats float32, strings
        and bytes bytes, lists of these lists; null and empty lists are left out. "json": an object
        on a line.
    columns: which, default: all.
    """

    labels = None
    left_out = ()

    def __init__(self, paths, form, columns=None):
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise DataError(
                "reading Parquet takes pyarrow; install it with: pip install 'headrace[parquet]'"
            ) from error
        self._arrow = pyarrow
        self._form = form
        self._columns = columns
        self._files = []  # (path, file)
        self.total = 0
        for path in convert_paths.find(paths, (".parquet",)):
            try:
                file = pyarrow.parquet.ParquetFile(path)
            except (pyarrow.ArrowException, OSError) as error:
                raise DataError(f"{path}: is no Parquet file, or damaged: {error}") from error
            self._check(path, file.schema_arrow)
            self._files.append((path, file))
            self.total += file.metadata.num_rows

    def _check(self, path, schema):
        for column in self._columns or ():
            if column not in schema.names:
                raise DataError(
                    f"{path}: there is no column {column!r}; it has {', '.join(schema.names)}"
                )
        if self._form != "example":
            return
        for field in schema:
            if self._columns is not None and field.name not in self._columns:
                continue
            if not self._fits(field.type):
                raise DataError(
                    f"{path}: column {field.name!r} is {field.type}, which a tf.train.Example cannot "
                    "hold; name the other columns with --columns, or say --as json"
                )

    def _fits(self, kind):
        types = self._arrow.types
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kind = kind.value_type
        if types.is_dictionary(kind):
            kind = kind.value_type
        return (
            types.is_boolean(kind)
            or types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_string(kind)
            or types.is_large_string(kind)
            or types.is_binary(kind)
            or types.is_large_binary(kind)
            or types.is_fixed_size_binary(kind)
        )

    def batches(self):
        for path, file in self._files:
            row = 0
            try:
                for batch in file.iter_batches(_ROWS, columns=self._columns):
                    yield [self._record(path, row + i, r) for i, r in enumerate(batch.to_pylist())]
                    row += batch.num_rows
            except (self._arrow.ArrowException, OSError) as error:
                raise DataError(f"{path}: row {row} or later: is damaged: {error}") from error

    def _record(self, path, number, row):
        form = _example if self._form == "example" else _json
        try:
            return form(row)
        except (TypeError, ValueError, OverflowError) as error:
            at = next(column for column in row if _fails(form, {column: row[column]}))
            raise DataError(
                f"{path}: row {number}: column {at!r}: {error}; cast it, or name the other columns "
                "with --columns"
            ) from error


def _example(row):
    return encode({name: value for name, value in row.items() if value is not None and value != []})


def _json(row):
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _fails(form, row):
    try:
        form(row)
    except (TypeError, ValueError, OverflowError):
        return True
    return False
