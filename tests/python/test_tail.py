"""The tail of a job: whoever holds the last leases dies for good, with a shuffle larger than the data."""

import os
import signal
import sys
import textwrap
from concurrent import futures

import numpy as np
import pytest

import jobs
from headrace.elastic import workers

RECORDS, TASK = 2000, 100
SHUFFLE = 1_000_000  # so that all records are in the workers' buffers before the first step

# Its steps wait, in the graph, until the file that HEADRACE_TEST_GO names is there.
WAITS = jobs.WITNESS.replace(
    """            if training:
""",
    """            if training:
                number = number + wait(number)
""",
).replace(
    "\n    class Witness",
    """
    GO = "GO_FILE"

    def wait(number):
        \"\"\"0, once the file is there.\"\"\"
        def missing(i):
            nothing = tf.strings.substr(tf.strings.as_string(i), 0, 0)  # or it is looked for once, before the loop
            return tf.equal(tf.size(tf.io.matching_files(GO + nothing)), 0)
        return 0 * tf.while_loop(missing, lambda i: i + 1, [number[0]], parallel_iterations=1)[0]

    class Witness""",
).replace("shuffle(300)", f"shuffle({SHUFFLE})")

PROGRAM = """
    import os, sys, time
    import headrace.data as data

    go = sys.argv[1]
    deadline = time.monotonic() + 120
    for batch in data.batches(data.task_dataset().shuffle(1_000_000).batch(20)):
        while not os.path.exists(go):
            assert time.monotonic() < deadline, "nobody says go"
            time.sleep(0.02)
        with open(sys.argv[2], "a") as file:
            file.write("".join(line.decode() + "\\n" for line in batch.elements.numpy()))
        data.commit(batch)
"""


def _kill_who_holds_most(job_dir, go):
    """Once all leases are out: ends the worker that holds the most of them, for good; the rest goes on."""

    def held():
        return {w["name"]: int(w["leases"]) for w in jobs.status(job_dir)["workers"]}

    jobs.eventually(lambda: sum(held().values()) == RECORDS // TASK and len(held()) == 2, 100)
    before = held()
    victim = max(before, key=before.get)
    (agent,) = [pid for pid in jobs.processes(job_dir, "headrace-worker") if victim in _words(pid)]
    os.kill(agent, signal.SIGKILL)
    go.touch()
    return before


def _words(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode().split("\0")


def _run(runner, go, verb, **flags):
    with futures.ThreadPoolExecutor(1) as pool:
        killing = pool.submit(_kill_who_holds_most, runner.folder / "job", go)
        made, code = runner.run(verb, num_workers="1:2", lease_s=3, **flags)
        held = killing.result()
    assert code == 0, runner.logs()
    assert max(held.values()) > 0 and sum(held.values()) == RECORDS // TASK
    assert made["records"]["pending"] == 0
    assert made["records"]["trained"] + made["records"]["filtered"] == RECORDS
    return made


@pytest.fixture(autouse=True)
def _nobody_is_started_again(monkeypatch):
    monkeypatch.setattr(workers, "RESTARTS", 0)


def test_one_model_on_a_server(tmp_path, monkeypatch):
    go = tmp_path / "go"
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, WAITS.replace("GO_FILE", str(go)))
    records = jobs.write_records(tmp_path, RECORDS)
    made = _run(runner, go, "train", training_data=records, num_ps=1)
    seen = jobs.counts(made["model"], RECORDS)
    kept = jobs.KEPT[:RECORDS] == 1
    assert np.all(seen[kept] >= 1) and np.all(seen[~kept] == 0), runner.logs()
    named = sum(end - begin for entry in made["possibly_repeated"] for begin, end in entry["ranges"])
    assert np.sum(seen[kept] - 1) <= named


def test_a_model_of_each_workers_own(tmp_path, monkeypatch):
    go, out = tmp_path / "go", tmp_path / "trained"
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch)
    _run(
        runner,
        go,
        "run",
        training_data=jobs.write_records(tmp_path, RECORDS),
        records_per_task=TASK,
        command=[sys.executable, str(program), str(go), str(out)],
        model_def="",
        minibatch_size=None,
    )
    seen = np.bincount(np.array(out.read_text().split(), int), minlength=RECORDS)
    assert np.all(seen >= 1)
