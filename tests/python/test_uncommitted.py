"""Programs of one's own that never commit, or never ask for records: what is said of them, and how soon they stop."""

import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import jobs
from headrace.errors import JobError

NEVER = """
    import sys, time
    import headrace.data as data

    for batch in data.batches(data.task_dataset().batch(20)):
        open(sys.argv[1], "w").close()
        time.sleep(1000)
"""
EARLY = """
    import headrace.data as data

    for count, batch in enumerate(data.batches(data.task_dataset().batch(20))):
        if count == 4:
            break
"""
ELSEWHERE = """
    import sys, time

    open(sys.argv[1], "w").close()
    time.sleep(1000)
"""
SOON_S = 20  # within which a job is stopped, on a busy machine; it was 50 once


@pytest.fixture
def run(start, tmp_path, records):
    """Starts `headrace run` with a program; gives its process, once the program has begun."""

    def run_one(text):
        program, began = tmp_path / "program.py", tmp_path / "began"
        program.write_text(textwrap.dedent(text))
        command = [sys.executable, "-m", "headrace", "run", f"--job_dir={tmp_path / 'job'}", "--records_per_task=100"]
        command += [f"--training_data={path}" for path in records]
        command += ["--", sys.executable, str(program), str(began)]
        process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        jobs.eventually(began.exists, 60)
        return process

    return run_one


def _waits_for(folder):
    workers = jobs.status(folder)["workers"]
    return workers[0]["waits_for"] if workers else ""


def test_a_program_that_never_commits(run, tmp_path):
    process, folder = run(NEVER), tmp_path / "job"
    # tf.data takes a batch ahead of the program.
    jobs.eventually(lambda: re.fullmatch(r"commit\(batch\) of [24]0 records", _waits_for(folder)), 60)
    said = jobs.headrace("status", str(folder)).stdout
    assert re.search("program  [24]0 records handed out, 0 committed", said) and "step" not in said
    assert re.search(r"waits for commit\(batch\) of [24]0 records since", said)

    began = time.monotonic()
    assert jobs.headrace("stop", str(folder)).returncode == 0
    out, err = process.communicate(timeout=100)
    assert time.monotonic() - began < SOON_S
    assert process.returncode == 75, err
    assert "0 handed out, 0 committed, 1 worker, waits for the program of worker-0 to commit" in err
    assert "loss" not in err and "step" not in err
    assert "stopped, and it had committed nothing of what it was handed" in err
    assert "coverage: of 2000 records 0 committed, 2000 not committed" in out
    assert "0 records, of which none was committed: say headrace.data.commit(batch)" in out
    assert "trained" not in out.replace("batch is trained", "")
    assert "ended before it committed them: handed out again" in out


def test_a_program_that_asks_for_nothing_stops_soon(run, tmp_path):
    process = run(ELSEWHERE)
    jobs.eventually(lambda: jobs.status(tmp_path / "job")["workers"], 60)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert time.monotonic() - began < SOON_S and process.returncode == 75, err


def test_a_program_that_never_asks(runner, records, tmp_path):
    with pytest.raises(JobError, match=r"never asked for records: .* headrace.data.task_dataset\(\)") as raised:
        runner.run("run", command=[sys.executable, "-c", "print('done')"], training_data=records)
    assert runner.logs().count("is started again") == 0, "the next one would not either"
    made = raised.value.summary
    assert made["exit_code"] == 1 and "never asked for records" in made["failure"]
    assert made["records"]["pending"] == jobs.RECORDS


def test_a_job_that_is_given_up_says_what_became_of_its_records(records, tmp_path):
    command = ["run", f"--job_dir={tmp_path / 'job'}", *(f"--training_data={path}" for path in records)]
    done = jobs.headrace(*command, "--", sys.executable, "-c", "print('done')")
    assert done.returncode == 1 and done.stderr.count("never asked for records") == 1
    assert "[HR063, see docs/errors.md#hr063]" in done.stderr
    assert done.stdout == "coverage: of 2000 records 0 committed, 2000 not committed\n"


def test_a_program_that_ends_early_without_a_commit(runner, records, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(EARLY))
    says = "ended before its dataset did; it was handed 1.0 records and committed none: say headrace.data.commit"
    with pytest.raises(JobError, match=says) as raised:
        runner.run("run", command=[sys.executable, str(program)], training_data=records, records_per_task=100)
    assert runner.logs().count("is started again") == 0
    assert raised.value.summary["handed_out"] >= 100
