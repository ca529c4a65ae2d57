"""What goes wrong in a job: records that cannot be read or that kill, files, modules, folders."""

import functools
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

import jobs
from headrace import programs
from headrace.errors import HeadraceError
from jobs import KEPT, RECORDS


def _with_bad_records(tmp_path, *bad):
    lines = [f"{i}\n" for i in range(RECORDS)]
    for i in bad:
        lines[i] = "bad\n"
    path = tmp_path / "bad.txt"
    path.write_text("".join(lines))
    return str(path)


def test_bad_records_within_the_limit(runner, tmp_path):
    path = _with_bad_records(tmp_path, 17, 801)
    made, code = runner.run(training_data=[path], num_epochs=2, max_quarantined=2)
    assert code == 3 and made["verdict"] == "done-with-quarantined", runner.logs()
    assert sorted(q["record"] for q in made["quarantined"]) == [17, 801]
    text = pathlib.Path(path).read_bytes()
    for entry in made["quarantined"]:
        assert text[entry["offset"] - 1 :][:5] == b"\nbad\n"
    said = jobs.headrace("ledger", str(runner.folder / "job")).stdout
    assert f"record 801 at byte {text.rindex(b'bad')} (epoch" in said
    for entry in made["quarantined"]:
        assert entry["path"] == path and "bad" in entry["error"] and "model.py:" in entry["error"]
    expected = 2 * KEPT
    expected[[17, 801]] = 0
    np.testing.assert_array_equal(jobs.counts(made["model"]), expected)


def test_bad_records_beyond_the_limit(runner, tmp_path):
    path = _with_bad_records(tmp_path, 17)
    made, code = runner.run(training_data=[path])
    assert code == 1 and made["verdict"] == "failed"
    assert "17" in made["failure"] and path in made["failure"]


def test_a_wrong_checksum(runner, tmp_path):
    """The reader knows which record it is: that one is left out, and no other is tried alone."""
    path = tmp_path / "damaged.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(RECORDS):
            writer.write(f"{i:04d}".encode())
    data = bytearray(path.read_bytes())
    data[len(data) // RECORDS * 500 + 12] ^= 1  # behind length and its checksum
    path.write_bytes(data)
    made, code = runner.run(training_data=[str(path)], max_quarantined=1)
    assert code == 3, runner.logs()
    (entry,) = made["quarantined"]
    assert (entry["path"], entry["record"]) == (str(path), 500)
    assert entry["offset"] == len(data) // RECORDS * 500
    assert f"{path}" in entry["error"] and "checksum" in entry["error"] and "byte" in entry["error"]
    expected = KEPT.copy()
    expected[500] = 0
    np.testing.assert_array_equal(jobs.counts(made["model"]), expected)


# Where a training process dies, and nobody says of which record.
CRASHES = """
    import tensorflow as tf
    ops = tf.load_op_library("LIBRARY")
""" + jobs.WITNESS.replace(
    "tf.strings.to_number(record, tf.int64)",
    "ops.headrace_crash_on(tf.strings.to_number(record, tf.int64), value=301)",
)


@pytest.fixture(name="crashes")
def fixture_crashes(tmp_path, monkeypatch):
    """Runs jobs with a record that kills whoever parses it: 301 of 600."""
    path = jobs.testing_library()
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, CRASHES.replace("LIBRARY", path))
    (tmp_path / "records").mkdir()
    records = jobs.write_records(tmp_path / "records", 600, files=1)
    return functools.partial(
        runner.run, training_data=records, load_op_library=[path], records_per_task=20, checkpoint_steps=10
    ), runner, records[0]


@pytest.mark.parametrize("workers", [{}, {"num_workers": "2", "num_ps": 1}], ids=["local", "servers"])
def test_a_record_that_kills_its_trainer(crashes, workers):
    """It is found by halving, and left out; all others are trained."""
    run, runner, path = crashes
    made, code = run(max_quarantined=1, **workers)
    assert code == 3 and made["verdict"] == "done-with-quarantined", runner.logs()
    (entry,) = made["quarantined"]
    assert (entry["path"], entry["record"]) == (path, 301) and "was lost 4 times" in entry["error"]
    kept = np.where(np.arange(600) == 301, 0, KEPT[:600])
    seen = jobs.counts(made["model"], 600)
    assert made["records"]["trained"] == kept.sum() and made["records"]["pending"] == 0
    if not workers:
        np.testing.assert_array_equal(seen, kept)
        assert made["possibly_repeated"] == []
    named = jobs.possibly_repeated(made, [path], 600) > 0
    assert np.all((seen == kept) | (named & (seen > kept) & (kept == 1)))


def test_a_record_that_kills_its_trainer_beyond_the_limit(crashes):
    run, runner, path = crashes
    made, code = run()
    assert code == 1 and made["verdict"] == "failed", runner.logs()
    assert f"{path}, record 301: its worker was lost" in made["failure"]


def test_a_wrong_model_module(tmp_path, records):
    (tmp_path / "wrong.py").write_text("def custom_model():\n    return None\n")
    done = jobs.headrace("train", "--model_def", str(tmp_path / "wrong.py"), "--training_data", records[0])
    assert done.returncode == 1 and "does not define loss, optimizer, dataset_fn" in done.stderr


def test_damaged_and_missing_files(tmp_path, runner, records):
    whole = tmp_path / "whole.recordio"
    subprocess.run(
        [programs.path("headrace-records"), "convert", records[0], str(whole), "--to", "recordio"], check=True
    )
    cut = tmp_path / "cut.recordio"
    cut.write_bytes(whole.read_bytes()[:-20])
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    for path in (cut, empty, tmp_path / "missing"):
        with pytest.raises(HeadraceError, match=path.name):
            runner.run(training_data=[str(path)])


@pytest.mark.parametrize("verb, data", [("evaluate", "validation_data"), ("predict", "prediction_data")])
def test_a_model_that_is_not_there(runner, tmp_path, records, verb, data):
    with pytest.raises(HeadraceError, match="holds no checkpoint"):
        runner.run(
            verb, checkpoint_dir=str(tmp_path), output=str(tmp_path / "out"), **{data: records}
        )


def test_a_job_that_is_there_already(runner, records):
    runner.run(training_data=records)
    with pytest.raises(HeadraceError, match="holds a job already"):
        runner.run(training_data=records)
