"""What a program of one's own has started ends with its agent, also with one that is killed."""

import os
import signal
import sys
import textwrap
from concurrent import futures

import pytest

import jobs
from headrace.elastic import processes

# It starts somebody in a session of his own, and goes on once it is told to.
PROGRAM = """
    import os, subprocess, sys, time
    import headrace.data as data

    folder = sys.argv[1]
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(f"{folder}/began.new", "a") as file:
        file.write(f"{os.getpid()} {other.pid}\\n")
    os.rename(f"{folder}/began.new", f"{folder}/began.{os.getpid()}")
    deadline = time.monotonic() + 120
    for batch in data.batches(data.task_dataset().batch(20)):
        while not os.path.exists(f"{folder}/go"):
            assert time.monotonic() < deadline, "nobody says go"
            time.sleep(0.02)
        data.commit(batch)
"""


def _is_there(pid):
    return jobs.state(pid) not in ("", "Z")


def _kill_the_agent(folder):
    """All that the program that ran then had started, once none of it is there any more."""
    jobs.eventually(lambda: list(folder.glob("began.[0-9]*")), 60)
    (began,) = folder.glob("began.[0-9]*")
    theirs = [int(word) for word in began.read_text().split()]
    assert all(map(_is_there, theirs))
    (agent,) = jobs.processes(folder / "job", "headrace-worker")
    os.kill(agent, signal.SIGKILL)
    try:
        jobs.eventually(lambda: not any(map(_is_there, theirs)))
        return theirs
    finally:
        (folder / "go").touch()
        for pid in filter(_is_there, theirs):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("shell", [False, True])
def test_of_an_agent_that_is_killed(tmp_path, monkeypatch, shell):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, str(program), str(tmp_path)]
    if shell:
        command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch)
    records = jobs.write_records(tmp_path)
    with futures.ThreadPoolExecutor(1) as pool:
        killing = pool.submit(_kill_the_agent, tmp_path)
        made, code = runner.run(
            "run", command=command, training_data=records, records_per_task=100, lease_s=2
        )
        first = killing.result()
    assert code == 0, runner.logs()
    assert made["records"]["trained"] == jobs.RECORDS
    began = [int(word) for path in tmp_path.glob("began.[0-9]*") for word in path.read_text().split()]
    assert len(began) == 4 and set(first) < set(began), "the program was started twice"
    assert not any(map(_is_there, began)), "nobody is left"


def test_nobody_else_is_killed(tmp_path):
    others = [
        processes.start(["sleep", "1000"], str(tmp_path / "log"), os.environ | {"HEADRACE_AGENT": name})
        for name in ("a", "ab")
    ]
    try:
        processes.kill_marked("HEADRACE_AGENT=a")
        assert others[0].wait(30) == -signal.SIGKILL
        assert others[1].poll() is None
    finally:
        for process in others:
            process.kill()
            process.wait()
