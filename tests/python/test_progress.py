"""What people see of a job while it runs."""

import io

import pytest

from headrace.elastic import progress


def _status(done, total=200, waits_for="", epochs=2, trouble="", **more):
    return {
        "verdict": "running",
        "own_program": False,
        "trouble": trouble,
        "totals": {"records": str(total), "pending": str(total - done)},
        "epochs": str(epochs),
        "epoch": "1",  # of the newest task
        "waits_for": waits_for,
        "step": "7",
        "steps_per_s": 2.5,
        "records_per_s": 50.0,
        "workers": [
            _worker("worker-0", telemetry={"steps": "7", "loss": 0.25}),
            _worker("worker-1", state="gone", telemetry={"steps": "9", "loss": 4.0}),
        ],
        **more,
    }


def _worker(name, state="training", **more):
    quiet = {"waits_for": "", "restarts": 0, "last_exit": "", "restart_ms": "0"}
    return {"name": name, "state": state, **quiet, **more}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "done, says",
    [(0, "epoch 1 of 2"), (99, "epoch 1 of 2"), (100, "epoch 2 of 2"), (200, "epoch 2 of 2")],
)
def test_the_epoch_is_that_of_what_is_done(monkeypatch, done, says):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress.Progress(stream=terminal) as shown:
        shown.show(_status(done))
    last = terminal.getvalue()
    assert says in last and f"{done}/200" in last and "step 7, 2.5 steps/s, loss 0.2500, 1 worker" in last


def test_a_long_wait_leaves_the_numbers_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress.Progress(stream=terminal) as shown:
        waits = "the tasks of the evaluation (evaluation of step 3000)"
        shown.show(_status(99_000, total=6_512_400, waits_for=waits))
    last = terminal.getvalue()
    assert "epoch 1 of 2" in last and "99000/6512400" in last and "loss 0.2500, 1 worker; waits for" in last
    assert "…" in last, "what does not fit is cut at the end"


def test_nothing_to_do_is_the_first_epoch(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress.Progress(stream=terminal) as shown:
        shown.show(_status(0, total=0))
    assert "epoch 1 of 2" in terminal.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with progress.Progress(stream=stream) as shown:
        shown.show(_status(100, waits_for="worker-0 to stand still"))
    said = "100 of 200 records, step 7, 2.5 steps/s, loss 0.2500, 1 worker, waits for worker-0 to stand still"
    assert stream.getvalue() == said + "\n"


def test_where_nothing_is_trained_there_is_no_step():
    status = _status(100) | {"type": "evaluation-only"}
    assert progress.summary(status) == "2.5 steps/s, loss 0.2500, 1 worker"


def test_plain_lines_say_how_long_it_takes(monkeypatch):
    stream, now = io.StringIO(), [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress(stream=stream) as shown:
        for done in (0, 100, 50, 150, 200):
            shown.show(_status(done, total=200))
            now[0] += 60
    # 100 in a minute, with the model gone back to 50, and 100 more in the next.
    times = [line.split("1 worker")[1] for line in stream.getvalue().splitlines()]
    assert times == ["", ", 1:00 left", "", ", 0:30 left", ""]


def test_a_failed_task_is_told_of_once_at_once():
    stream = io.StringIO()
    with progress.Progress(stream=stream) as shown:
        for trouble in ("", "worker-0: DATA_LOSS: a.txt", "worker-0: DATA_LOSS: a.txt", "worker-1: b"):
            shown.show(_status(1, trouble=trouble))
    told = [line for line in stream.getvalue().splitlines() if "failed" in line]
    assert told == [
        "a task failed, and is tried again: worker-0: DATA_LOSS: a.txt",
        "a task failed, and is tried again: worker-1: b",
    ]


def test_a_program_of_ones_own_has_records_instead_of_steps():
    def worker(**more):
        return _worker("worker-0", telemetry={"steps": "2", "loss": "NaN", "handed_out": "64", "records": "40"}, **more)

    waiting = worker(waits_for="commit(batch) of 24 records")
    stream = io.StringIO()
    with progress.Progress(stream=stream) as shown:
        shown.show(_status(40, own_program=True, workers=[worker()]))
        shown.show(_status(40, own_program=True, workers=[waiting]))
        shown.show(_status(40, own_program=True, workers=[waiting], waits_for="a worker to join"))
    first, second, third = stream.getvalue().splitlines()
    assert first == "40 of 200 records, 64 handed out, 40 committed, 50 records/s, 1 worker"
    assert second.startswith(first) and second.endswith(
        ", waits for the program of worker-0 to commit what it was handed: commit(batch)"
    )
    assert third.endswith(", waits for a worker to join"), "what the master waits for comes first"


def test_lost_training_processes_are_told_of():
    def worker(restarts, state="training", why="killed by signal 9 (KILL)\nand more"):
        return [_worker("worker-0", state, restarts=restarts, last_exit=why, restart_ms="1250", telemetry={})]

    def told(*shown, **last):
        stream = io.StringIO()
        with progress.Progress(stream=stream) as progressing:
            for workers in shown:
                progressing.show(_status(1, workers=workers))
            progressing.show(_status(1, **last))
        return [line for line in stream.getvalue().splitlines() if "ended" in line]

    ended = "worker-0: its training process ended: killed by signal 9 (KILL)"
    running = [[], worker(0, why=""), worker(0, "gone"), worker(1), worker(1), worker(3), worker(3, "gone")]
    again = [f"{ended}; started again after 1.2 s", f"{ended}; started again after 1.2 s; 2 times by now"]
    assert told(*running, workers=worker(3, "gone"), verdict="failed") == [*again, ended]
    assert told(*running, workers=worker(3, "gone", why=""), verdict="done") == again
    # A job that goes on: it was told of then.
    assert told(worker(2), workers=worker(2)) == []
    assert told(worker(2, "gone"), workers=worker(2, "gone"), verdict="stopped") == []
    # An agent that was killed: that is told of where it is started again.
    assert told(worker(0, why=""), workers=worker(1, why="replaced by a new process")) == []
