"""What is wrong from the beginning is said within 10 s: the real command, from its start to its exit code."""

import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf

import jobs
from headrace import programs

LIMIT_S = 10
# `import tensorflow` of an idle machine with two cores: most of what a job's start takes is of that kind.
IDLE_IMPORT_S = 3.0


def _headrace(*arguments):
    """(what it came to, seconds)."""
    began = time.monotonic()
    done = jobs.headrace(*arguments, timeout_s=300)
    return done, time.monotonic() - began


def _allowed_s():
    """The limit, on a machine as slow as this one is now.

    Wall time is what people wait, and what a retry or a timeout that nobody needs would show in; but it also
    counts what else the machine does. So who is late may be late as far as importing TensorFlow is just now.
    Processor time would not do: a process that sleeps until a timeout takes none.
    """
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    return LIMIT_S * max(1, (time.monotonic() - began) / IDLE_IMPORT_S)


def _truncated(tmp_path, records):
    whole, cut = tmp_path / "whole.recordio", tmp_path / "cut.recordio"
    convert = [programs.path("headrace-records"), "convert", records, str(whole), "--to", "recordio"]
    subprocess.run(convert, check=True)
    cut.write_bytes(whole.read_bytes()[:-20])
    return ["--training_data", str(cut)], rf"{cut}: byte 0: "


def _wrong_checksum(tmp_path, records):
    path = tmp_path / "damaged.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(100):
            writer.write(f"{i:04d}".encode())
    data = bytearray(path.read_bytes())
    data[20 * 50 + 12] ^= 1  # behind length and its checksum
    path.write_bytes(data)
    return ["--training_data", str(path)], f"{path}: byte 1000: the record's checksum does not fit"


def _empty(tmp_path, records):
    (tmp_path / "empty.txt").touch()
    return ["--training_data", str(tmp_path / "empty.txt")], f"{tmp_path}/empty.txt"


def _missing(tmp_path, records):
    return ["--training_data", str(tmp_path / "missing.txt")], f"{tmp_path}/missing.txt"


def _wrong_module(tmp_path, records):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def custom_model():\n    return None\n")
    says = f"{wrong} does not define loss, optimizer, dataset_fn"
    return ["--training_data", records, "--model_def", str(wrong)], says


@pytest.mark.parametrize("mistake", [_truncated, _wrong_checksum, _empty, _missing, _wrong_module])
def test_within_ten_seconds(tmp_path, mistake):
    records = jobs.write_records(tmp_path, count=100, files=1)[0]
    flags, says = mistake(tmp_path, records)
    _check(tmp_path, flags, says)


def test_a_port_in_use_within_ten_seconds(tmp_path):
    records = jobs.write_records(tmp_path, count=100, files=1)[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = ["--training_data", records, "--master_port", str(port)]
        says = f"the master cannot listen at 127.0.0.1:{port} (--master_host, --master_port): Address already"
        _check(tmp_path, flags, says)


def _check(tmp_path, flags, says):
    """A late run is tried again, twice: what is late by itself is late each time."""
    module = [] if "--model_def" in flags else ["--model_def", jobs.write_module(tmp_path)]
    for attempt in range(3):
        common = ["--minibatch_size", "10", "--job_dir", str(tmp_path / f"job-{attempt}")]
        done, took_s = _headrace("train", *module, *common, *flags)
        print(f"{took_s:.1f} s")
        assert done.returncode == 1, done.stdout + done.stderr
        assert says in done.stdout + done.stderr, done.stdout + done.stderr
        if took_s < LIMIT_S or took_s < _allowed_s():
            return
    pytest.fail(f"{took_s:.1f} s: {done.stderr}")
