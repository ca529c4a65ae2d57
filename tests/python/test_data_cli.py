"""headrace data: count, index, verify, convert between record formats, and how it fails."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from data_cli import data, done, environment

from headrace import programs


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line {i}\n" for i in range(1000)))
    return path


def test_help_lists_the_commands():
    for command in ("count", "index", "verify", "convert", "generate"):
        assert command in done("--help").out
        assert done(command, "--help").out


def test_count(lines, tmp_path):
    assert done("count", lines, "--format", "json").json == [
        {
            "path": str(lines),
            "records": 1000,
            "format": "text",
            "bytes": lines.stat().st_size,
            "gzip": False,
        }
    ]
    assert (tmp_path / "lines.txt.hridx").exists()
    text = done("count", lines).out
    assert text.splitlines()[-1] == f"1000 records, {lines.stat().st_size} bytes in 1 files"


def test_index(lines, tmp_path):
    done("index", lines, "--index_dir", tmp_path / "i")
    assert [name[:10] for name in os.listdir(tmp_path / "i")] == ["lines.txt."]
    assert not (tmp_path / "lines.txt.hridx").exists()
    # An index that cannot be written is an error here, and none for count.
    (tmp_path / "lines.txt.hridx").mkdir()
    assert data("index", lines).code == 1
    counted = data("count", lines)
    assert counted.code == 0 and "no index is kept" in counted.err


def test_every_format_into_every_other(lines, tmp_path):
    names = {"recordio": "r.recordio", "tfrecord": "t.tfrecord", "text": "x.txt", "csv": "c.csv"}
    for source, start in names.items():
        folder = tmp_path / source
        folder.mkdir()
        done("convert", lines, folder / start, "--to", source)
        for to, name in names.items():
            done("convert", folder / start, folder / f"to-{name}", "--to", to)
            back = folder / f"back-{to}.txt"
            done("convert", folder / f"to-{name}", back, "--to", "text")
            assert back.read_bytes() == lines.read_bytes()
    tf_lines = [r.numpy() for r in tf.data.TFRecordDataset(str(tmp_path / "text" / "to-t.tfrecord"))]
    assert tf_lines == lines.read_bytes().splitlines()


@pytest.mark.parametrize("compressor", ["none", "snappy", "gzip"])
def test_compressors(lines, tmp_path, compressor):
    out = tmp_path / "o.recordio"
    done("convert", lines, out, "--compressor", compressor)
    assert (out.stat().st_size < 10000) == (compressor != "none")
    done("convert", out, tmp_path / "back.txt", "--to", "text")
    assert (tmp_path / "back.txt").read_bytes() == lines.read_bytes()


def test_several_files(lines, tmp_path):
    out = tmp_path / "parts"
    written = done("convert", lines, out, "--records_per_file", 300, "--format", "json").json
    names = [f"part-0000{i}.recordio" for i in range(4)]
    assert written == {
        "records": 1000,
        "files": [
            {"path": str(out / name), "records": n} for name, n in zip(names, (300, 300, 300, 100))
        ],
    }
    assert sorted(os.listdir(out)) == names
    done("convert", out, tmp_path / "back.txt", "--to", "text")
    assert (tmp_path / "back.txt").read_bytes() == lines.read_bytes()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".hrpart")]


def test_shuffle_is_a_permutation_by_seed(lines, tmp_path):
    found = []
    for number, seed in enumerate((None, 0, 1)):
        out = tmp_path / f"{number}.txt"
        given = [] if seed is None else ["--seed", seed]
        done("convert", lines, out, "--to", "text", "--shuffle", *given)
        found.append(out.read_text().splitlines())
    assert found[0] == found[1] != found[2]
    for shuffled in found:
        assert sorted(shuffled) == sorted(lines.read_text().splitlines())
        moved = sum(line != f"line {i}" for i, line in enumerate(shuffled))
        assert moved > 950


def test_nothing_is_replaced_unasked(lines, tmp_path):
    out = tmp_path / "o.txt"
    out.write_text("mine\n")
    assert "o.txt: is there already; --overwrite" in data("convert", lines, out, "--to", "text").err
    assert out.read_text() == "mine\n"
    done("convert", lines, out, "--to", "text", "--overwrite")
    assert out.read_bytes() == lines.read_bytes()

    folder = tmp_path / "parts"
    split = ("convert", lines, folder, "--to", "text", "--records_per_file")
    done(*split, 300)
    done("count", folder)  # leaves indexes there
    assert data(*split, 500).code == 1
    done(*split, 500, "--overwrite")
    assert sorted(os.listdir(folder)) == ["part-00000.txt", "part-00001.txt"]
    (folder / "precious").write_text("mine")
    refused = data(*split, 300, "--overwrite")
    assert refused.code == 1 and "holds precious" in refused.err
    assert len(os.listdir(folder)) == 3
    assert "is a folder" in data("convert", lines, folder, "--to", "text", "--overwrite").err


def test_a_file_converted_onto_itself(lines):
    before = lines.read_bytes()
    done("convert", lines, lines, "--to", "text", "--overwrite")
    assert lines.read_bytes() == before


def test_damage_leaves_no_output(lines, tmp_path):
    source = tmp_path / "s.recordio"
    done("convert", lines, source, "--compressor", "none")
    damaged = bytearray(source.read_bytes())
    damaged[5000] ^= 1
    source.write_bytes(damaged)
    for more in ([], ["--records_per_file", 10], ["--shuffle"]):
        failed = data("convert", source, tmp_path / "o", *more)
        assert failed.code == 1 and f"{source}: byte 0: " in failed.err
        assert sorted(os.listdir(tmp_path)) == ["lines.txt", "s.recordio"]


def test_verify_names_all_damage(lines, tmp_path):
    path = tmp_path / "t.tfrecord"
    done("convert", lines, path, "--to", "tfrecord")
    assert done("verify", path, lines, "--format", "json").json[0]["damages"] == []
    damaged = bytearray(path.read_bytes())
    for record in (3, 500, 700):
        at = damaged.index(b"line %d" % record)
        damaged[at] ^= 1
    path.write_bytes(damaged)
    found = data("verify", lines, path, "--format", "json")
    assert found.code == 1
    good, bad = found.json
    assert good["damaged"] == 0 and good["records"] == 1000
    assert bad["damaged"] == 3 and bad["records"] == 997
    offsets = [damaged.index(b"mine %d" % record) - 12 for record in (3, 500, 700)]
    assert [damage["offset"] for damage in bad["damages"]] == offsets
    assert bad["damages"][0]["what"] == (
        f"{path}: byte {offsets[0]}: the record's checksum does not fit its contents"
    )
    text = data("verify", lines, path)
    assert text.code == 1
    assert text.out.count("the record's checksum does not fit") == 3
    assert f"{path}: DAMAGED in 3 places, 997 records can be read" in text.out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["count"], "Missing argument"),
        (["count", "x", "--nonsense"], "No such option"),
        (["count", "x", "--delimiter", "ab"], "one character"),
        (["convert", "x"], "name what is read"),
        (["convert", "x", "y", "--to", "parquet"], "parquet"),
        (["convert", "x", "y", "--to", "text", "--compressor", "gzip"], "is for RecordIO"),
        (["convert", "x", "y", "--seed", "3"], "--shuffle"),
        (["convert", "x", "y", "--records_per_file", "0"], "records_per_file"),
        (["convert", "x", "y", "--from", "csv"], "--header"),
        (["convert", "x", "y", "--header"], "csv and tsv"),
        (["convert", "x", "y", "--from", "cifar10", "--to", "text"], "binary"),
        (["convert", "x", "y", "--from", "cifar10", "--as", "json"], "example or raw"),
        (["convert", "x", "y", "--as", "raw"], "as they are"),
        (["convert", "x", "y", "z", "--from", "tar"], "one path"),
        (["generate", "criteo", "x"], "records"),
        (["generate", "cifar", "x", "--records", "9", "--to", "text"], "binary"),
        (["generate", "cifar", "x", "--records", "10", "--files", "6"], "do not fill 6 files"),
    ],
)
def test_wrong_usage_is_2(tmp_path, arguments, said):
    failed = data(*arguments, cwd=tmp_path)
    assert failed.code == 2 and said in failed.err, failed.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["count", "none"], "none: there is no such file"),
        (["verify", "none"], "none: there is no such file"),
        (["count", "hdfs://a/b"], "hdfs://a/b: this TensorFlow has no file system for it"),
        (["convert", "lines.txt", "x.recordio", "--to", "text"], "is named as RecordIO"),
        (["convert", "lines.txt", "gs://b/x.txt", "--to", "text"], "is remote (gs), and this program"),
        (["convert", "lines.txt", "x.txt.gz", "--to", "text"], "gzip files cannot be split"),
        (["convert", "lines.txt", "x.csv", "--to", "text"], "is named as CSV"),
        (["convert", "lines.txt", "no/x.recordio"], "no/x.recordio: creating: No such file"),
        (["convert", "lines.txt", "no/x", "--records_per_file", "5"], "creating the folder"),
        (["generate", "criteo", "no/x", "--records", "5"], "no/x: creating: No such file"),
    ],
)
def test_failures_are_1(lines, arguments, said):
    failed = data(*arguments, cwd=lines.parent)
    assert failed.code == 1 and said in failed.err, failed.err
    assert os.listdir(lines.parent) == ["lines.txt"]


def test_a_record_that_is_no_line(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "t.tfrecord")) as writer:
        writer.write(b"good")
        writer.write(b"two\nlines")
    failed = data("convert", tmp_path / "t.tfrecord", tmp_path / "o.txt", "--to", "text")
    assert failed.code == 1 and "t.tfrecord: record 1: " in failed.err
    assert not (tmp_path / "o.txt").exists()


def test_cat(lines):
    program = [programs.path("headrace-records"), "cat", str(lines)]

    def cat(*more):
        return subprocess.run([*program, *more], capture_output=True, text=True, check=True).stdout

    assert cat("--begin", "998") == "998\t8\tline 998\n999\t8\tline 999\n"
    assert cat("--end", "1", "--length") == "0\t6\n"


def test_tables_on_a_terminal(lines, tmp_path):
    bad = tmp_path / "b.tfrecord"
    done("convert", lines, bad, "--to", "tfrecord")
    bad.write_bytes(bad.read_bytes()[:-1])
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "headrace", "data", "verify", str(lines), str(bad)],
        stdout=theirs,
        env=environment(),
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # so a terminal ends
        pass
    os.close(ours)
    assert running.wait(timeout=30) == 1
    text = shown.decode()
    assert "\u2502" in text and "1 damaged" in text and "999" in text
    assert "a record is cut" in text or "more than are left" in text


# The reader of a pipe goes away, or whoever feeds `write` does.
def test_pipes_that_break(lines, tmp_path):
    program = programs.path("headrace-records")
    big = tmp_path / "big.txt"
    big.write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * 100_000)
    reading = subprocess.Popen(
        [program, "cat", str(big)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    reading.stdout.readline()
    reading.stdout.close()
    assert reading.wait(timeout=30) == 1 and reading.stderr.read() == b""
    reading.stderr.close()

    for sent in (b"", b"\1\0\0\0a", b"\1\0\0\0a\5\0\0\0b", b"\xfe\xff\xff\xff"):
        out = tmp_path / "o.recordio"
        command = [program, "write", str(out), "--to", "recordio"]
        writing = subprocess.run(command, input=sent, capture_output=True, check=False)
        assert writing.returncode == 1 and b"before its end mark" in writing.stderr
        assert not out.exists() and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["write", "convert"])
def test_an_interrupt_leaves_nothing(tmp_path, number, command):
    source = tmp_path / "source.txt"
    source.write_text("x\n" * 3_000_000)
    inputs = [str(source)] if command == "convert" else []
    out = ["--to", "text", "--records_per_file", "1000"]
    running = subprocess.Popen(
        [programs.path("headrace-records"), command, *inputs, "parts", *out],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    running.send_signal(number)
    assert running.wait(timeout=30) == 1 and b"nterrupted" in running.stderr.read()
    assert os.listdir(tmp_path) == ["source.txt"]
    running.stdin.close()
    running.stderr.close()


def test_a_kill_leaves_nothing_under_the_name(lines, tmp_path):
    command = [programs.path("headrace-records"), "write", "parts", "--to", "text"]
    command += ["--records_per_file", "1"]
    writing = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE)
    for _ in range(20000):
        writing.stdin.write(b"\1\0\0\0a")
    writing.stdin.flush()
    writing.send_signal(signal.SIGKILL)
    assert writing.wait(timeout=30) == -signal.SIGKILL
    try:
        writing.stdin.close()
    except BrokenPipeError:
        pass
    assert not (tmp_path / "parts").exists()
    # What is left of it is no data.
    counted = done("count", tmp_path, "--format", "json").json
    assert [file["path"] for file in counted] == [str(lines)]
