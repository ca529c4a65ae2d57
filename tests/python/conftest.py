"""Set-up that every Python test shares."""

import faulthandler
import gc
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import pytest  # noqa: E402

# Test modules import `corpus` whichever directory pytest was started in.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

HANG_SECONDS = 300  # far above what the longest test takes with both cores loaded

_stderr = None  # the real one: pytest keeps what a hanging test wrote to its own


def pytest_configure(config):
    global _stderr
    _stderr = os.fdopen(os.dup(2), "w")


def ends_within(seconds):
    """The run ends after `seconds`, with every thread's stack, unless this is called again."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=_stderr)


@pytest.fixture(autouse=True)
def ends_in_time():
    """A test that hangs ends the run with every thread's stack, instead of hanging it."""
    ends_within(HANG_SECONDS)
    yield
    faulthandler.cancel_dump_traceback_later()


# Of whole jobs. jobs.py is imported where it is needed: not every test is of one.


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder for what the jobs of a module export."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def runner(shared, tmp_path, monkeypatch):
    import jobs

    return jobs.Runner(shared, tmp_path, monkeypatch)


@pytest.fixture
def records(tmp_path):
    import jobs

    return jobs.write_records(tmp_path)


@pytest.fixture
def start():
    """start(command, **more): a subprocess.Popen that is told to stop, and waited for, with the test."""
    running = []

    def start_one(command, **more):
        running.append(subprocess.Popen(command, text=True, **more))
        return running[-1]

    yield start_one
    for process in running:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.fixture
def stage_threads_end():
    """Fails a test behind which more threads of sources and stages are left than before it."""
    from corpus import sessions, waiting  # imports TensorFlow, which not every test needs

    gc.collect()
    before = len(sessions.stage_threads())
    yield
    gc.collect()
    waiting.wait_until(
        lambda: len(sessions.stage_threads()) <= before, "the threads of the stages to end"
    )


def pytest_addoption(parser):
    group = parser.getgroup("headrace")
    group.addoption(
        "--random-graphs",
        type=int,
        default=2000,
        metavar="N",
        help="how many random graphs to run staged and unstaged",
    )
    group.addoption(
        "--random-seed",
        type=int,
        default=None,
        metavar="SEED",
        help="seed of the first of them; the following ones count up (default: by date)",
    )
