"""`headrace run`: programs of one's own, whose records are accounted for as a job's are."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import jobs
from headrace.errors import HeadraceError
from jobs import RECORDS

PROGRAM = """
    import os, sys
    import tensorflow as tf
    import headrace.data as data

    records = data.task_dataset()
    seen = open(sys.argv[1] + f".{os.getpid()}", "w")
    steps = 0
    for batch in data.batches(records.map(tf.strings.to_number).shuffle(100).batch(20)):
        steps += 1
        if steps == 10 and not os.path.exists(sys.argv[1] + ".died"):
            open(sys.argv[1] + ".died", "w").close()
            os.kill(os.getpid(), 9)
        data.commit(batch)
        seen.write("".join(f"{int(x)}\\n" for x in batch.elements))
        seen.flush()
"""

FIT = """
    import keras
    import tensorflow as tf
    import headrace.data as data

    records = data.task_dataset().map(tf.strings.to_number)
    records = records.map(lambda x: (tf.reshape(x / 2000, [1]), x)).batch(20)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data.fit_dataset(records), callbacks=[data.CommitCallback()], verbose=0)
"""


def _program(tmp_path, text):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_a_program_of_ones_own_that_dies_once(runner, tmp_path, records):
    seen = tmp_path / "seen"
    command = [sys.executable, _program(tmp_path, PROGRAM), str(seen)]
    made, code = runner.run(
        "run", command=command, training_data=records, records_per_task=100, num_workers="2", lease_s=2
    )
    assert code == 0, runner.logs()
    assert made["records"]["trained"] == RECORDS and made["records"]["pending"] == 0
    lines = [int(x) for p in tmp_path.glob("seen.[0-9]*") for x in p.read_text().split()]
    seen = np.bincount(lines, minlength=RECORDS)
    assert seen.min() >= 1, "nothing was lost"
    # Commits are told to the agent a moment later; those that died with the program come again, by name.
    named = jobs.possibly_repeated(made, records, RECORDS // 2) > 0
    assert not np.any((seen > 1) & ~named), np.flatnonzero((seen > 1) & ~named)


def test_keras_fit(runner, tmp_path, records):
    command = [sys.executable, _program(tmp_path, FIT)]
    made, code = runner.run("run", command=command, training_data=records, records_per_task=130)
    assert code == 0, runner.logs()
    assert made["records"]["trained"] == RECORDS and made["records"]["dropped"] == {}


def test_fit_on_several_workers_is_told_of(monkeypatch, capsys):
    from headrace import data

    for workers, told in (("1", False), ("2", True)):
        monkeypatch.setenv("HEADRACE_WORKERS", workers)
        data.CommitCallback().on_train_begin()
        assert ("models are independent" in capsys.readouterr().err) == told


def test_a_program_that_always_fails(runner, tmp_path, records):
    command = [sys.executable, "-c", "raise SystemExit('no luck')"]
    with pytest.raises(HeadraceError, match="no luck"):
        runner.run("run", command=command, training_data=records)


def test_outside_of_a_job():
    done = subprocess.run(
        [sys.executable, "-c", "import headrace.data as d; d.task_dataset()"],
        capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "HEADRACE_FEED"},
    )
    assert done.returncode == 1 and "start the program with `headrace run" in done.stderr
