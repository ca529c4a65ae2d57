"""Writes and reads files with the Python package pyrecordio, for comparison with src/record.

    pyrecordio_golden.py write FOLDER    writes the golden file
    pyrecordio_golden.py read FILE...    checks that each holds the golden records, as src/record wrote them
"""

import pathlib
import sys

import recordio


def record(i):
    return bytes((i * 7 + j // (i % 5 + 1) * 31) & 0xFF for j in range(i * i * 3 % 200))


def records_of(name):
    if "large" in name:
        return [bytes(j % 250 for j in range(150_000)), record(3)]
    return [record(i) for i in range(60)]


def write(path):
    writer = recordio.Writer(str(path))
    for wanted in records_of(path.name):
        writer.write(wanted)
    writer.close()


def read(path):
    wanted = records_of(path.name)
    index = recordio.Index(str(path))
    assert index.num_records() == len(wanted), (path, index.num_records())
    # All of it, and a range in the middle of a chunk.
    for begin, count in ((0, len(wanted)), (len(wanted) // 2, 1)):
        scanner = recordio.Scanner(str(path), begin, count, index)
        found = list(iter(scanner.record, None))
        scanner.close()
        assert found == wanted[begin : begin + count], (path, begin)
    index.close()
    print(f"{path}: {len(wanted)} records agree (by the Python package)")


if sys.argv[1] == "write":
    write(pathlib.Path(sys.argv[2]) / "pyrecordio.recordio")
else:
    for name in sys.argv[2:]:
        read(pathlib.Path(name))
