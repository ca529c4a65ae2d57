"""What keeps a job's processes alive, and when it gives them up."""

import os
import signal
import stat
import sys
import textwrap

import pytest

import jobs
from headrace import programs
from headrace.elastic import job, local_run, parameter_servers, processes
from headrace.errors import JobError

# In place of headrace-ps: says where it listens, and waits for the end.
SERVER = """
    import os, signal, sys
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    print("server", flags["--index"], os.getpid(), flush=True)
    if os.path.exists(sys.argv[0] + ".broken"):
        sys.exit("no port")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open(flags["--port_file"] + ".new", "w") as file:
        file.write("127.0.0.1:" + flags.get("--port", str(1000 + os.getpid())))
    os.rename(flags["--port_file"] + ".new", flags["--port_file"])
    while True:
        signal.pause()
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Stands for headrace-ps."""
    path = tmp_path / "server"
    path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(SERVER))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(programs, "path", lambda name: str(path) if name == "headrace-ps" else None)
    return path


def _pids(tmp_path, index):
    """Of all that was started as this server, in order."""
    lines = (tmp_path / "logs" / f"ps-{index}.log").read_text().splitlines()
    return [int(line.split()[2]) for line in lines if line.startswith("server")]


def _is_alive(pid):
    return os.path.exists(f"/proc/{pid}")


def test_servers_are_started_again_at_their_address(tmp_path, program):
    said = []
    with parameter_servers.ParameterServers(str(tmp_path), 2, say=said.append) as servers:
        first = (tmp_path / "ps-1.address").read_text()
        assert servers.addresses == [(tmp_path / "ps-0.address").read_text(), first]
        (tmp_path / "ps-1.address").unlink()
        assert len(said) == 1 and "every network interface, unencrypted" in said[0]
        servers.supervise()
        assert len(said) == 1
        os.kill(_pids(tmp_path, 1)[0], signal.SIGKILL)
        jobs.eventually(lambda: servers.supervise() or len(said) == 2)
        assert "ps-1: killed by SIGKILL; it is started again, and the model goes back to its last" in said[1]
        jobs.eventually(lambda: len(_pids(tmp_path, 1)) == 2)
        jobs.eventually((tmp_path / "ps-1.address").exists)
        assert (tmp_path / "ps-1.address").read_text() == first
        pids = _pids(tmp_path, 0) + _pids(tmp_path, 1)
    assert not any(map(_is_alive, pids))


def test_a_server_that_always_ends_is_given_up(tmp_path, program, monkeypatch):
    monkeypatch.setattr(parameter_servers, "RESTARTS", 2)
    with parameter_servers.ParameterServers(str(tmp_path), 1) as servers:
        (tmp_path / "server.broken").touch()
        os.kill(_pids(tmp_path, 0)[0], signal.SIGKILL)
        with pytest.raises(JobError, match="ps-0: exit code 1, and was started 2 times: no port"):
            jobs.eventually(servers.supervise)
        pids = _pids(tmp_path, 0)
    assert len(pids) == 3 and not any(map(_is_alive, pids))


def test_a_server_that_cannot_start(tmp_path, program):
    (tmp_path / "server.broken").touch()
    with pytest.raises(JobError, match="no port"):
        parameter_servers.ParameterServers(str(tmp_path), 2).__enter__()
    assert not any(map(_is_alive, _pids(tmp_path, 1)))
    assert not (tmp_path / "logs" / "ps-0.log").exists(), "the first server is started last"


def test_a_server_that_never_listens(tmp_path, program, monkeypatch):
    monkeypatch.setattr(parameter_servers, "START_S", 0.2)
    program.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    with pytest.raises(JobError, match="ps-0 does not listen after 0.2 s; its log is .*ps-0.log"):
        parameter_servers.ParameterServers(str(tmp_path), 1).__enter__()


# --- workers ----------------------------------------------------------------------------------

# Only the first one that starts works, once it may; the others fail, again and again.
ONE_WORKS = """
    import os, sys, time
    import headrace.data as data

    folder = sys.argv[1]
    try:
        os.open(folder + "/first", os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        sys.exit("not this one")
    deadline = time.monotonic() + 100
    while not os.path.exists(folder + "/go") and time.monotonic() < deadline:
        time.sleep(0.05)
    for batch in data.batches(data.task_dataset().batch(20)):
        data.commit(batch)
"""


class Listener:
    """Stands for a Progress; a worker that is given up lets the other one begin."""

    def __init__(self, folder):
        self._folder, self.lines = folder, []

    def show(self, status):
        pass

    def say(self, line):
        self.lines.append(line)
        if "is given up" in line:
            (self._folder / "go").touch()


def _run(tmp_path, workers):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(ONE_WORKS))
    listener = Listener(tmp_path)
    flags = job.JobFlags(
        verb="run",
        training_data=jobs.write_records(tmp_path, 100),
        num_workers=workers,
        job_name="job",
        job_dir=str(tmp_path / "job"),
        records_per_task=50,
    )
    command = [sys.executable, str(program), str(tmp_path)]
    return job.run(flags, listener, command=command), listener.lines


def test_the_job_goes_on_while_the_least_workers_are_left(tmp_path):
    (made, code), lines = _run(tmp_path, "1:2")
    assert code == 0 and made["records"]["trained"] == 100
    (line,) = [line for line in lines if "is given up" in line]
    assert "is given up (exit code 1); the job goes on with 1" in line


def test_the_job_is_given_up_with_fewer_than_the_least_workers(tmp_path):
    with pytest.raises(JobError, match="are left: 1, that are needed: 2; worker-.*not this one"):
        _run(tmp_path, "2")
    assert not jobs.processes(tmp_path, "headrace-worker") and not jobs.processes(tmp_path, "headrace-master")


# --- the master -------------------------------------------------------------------------------

# In place of headrace-master: is killed before it listens, as often as a file says.
MASTER = """
    import os, signal, sys
    left = sys.argv[0] + ".kills"
    kills = int(open(left).read())
    if kills:
        with open(left, "w") as file:
            file.write(str(kills - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    with open(sys.argv[sys.argv.index("--port_file") + 1], "w") as file:
        file.write("127.0.0.1:1")
    signal.pause()
"""


def test_a_master_that_is_killed_while_it_starts(tmp_path, monkeypatch):
    path = tmp_path / "master"
    path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(MASTER))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(programs, "path", lambda name: str(path) if name == "headrace-master" else "true")
    servers = parameter_servers.ParameterServers(str(tmp_path), 0)

    def run():
        with local_run.LocalRun(str(tmp_path), (0, 0), ["true"], servers) as running:
            return running.address

    (tmp_path / "master.kills").write_text("3")
    assert run() == "127.0.0.1:1"
    (tmp_path / "master.kills").write_text("1000")
    monkeypatch.setattr(local_run, "RESTARTS", 3)
    with pytest.raises(JobError, match="the master was started 3 times: killed by SIGKILL"):
        run()


LOG = """2026-11-23 06:17:25.723 headrace-master warning: has waited 291 s for a worker
2026-11-23 06:17:35.237 headrace-master error: no worker for 300 s
2026-11-23 06:17:36.000 headrace-master info: the job has ended, exit code 75
"""


def test_what_a_server_says_last_is_no_noise(tmp_path):
    path = tmp_path / "log"
    path.write_text(
        "headrace-ps 0: INTERNAL: no port\n"
        "2026-11-23 17:00:00.123456: I tensorflow/core/platform/cpu.cc:210] optimized\n"
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1763912345.123456   12345 service.cc:148] XLA service\n"
    )
    assert processes.last_said(str(path), 2) == ["headrace-ps 0: INTERNAL: no port"]


def test_what_a_log_says_last(tmp_path):
    path = tmp_path / "log"
    assert processes.last_words(str(path)) == processes.last_error(str(path)) == ""
    path.write_text(LOG)
    assert processes.last_error(str(path)) == "no worker for 300 s"
    assert processes.last_error(str(path), begin=len(LOG)) == "", "of an earlier run"
    assert processes.last_words(str(path)) == "the job has ended, exit code 75"
    path.write_text(LOG + "headrace-master: job.json: no such key\n")
    assert processes.last_words(str(path)) == "job.json: no such key"
    path.write_text(LOG + "2026-11-23 06:18:00.000 worker-0 error: gives up: NOT_FOUND\n\t [[node]]\na\nb\n")
    said = processes.last_words(str(path))
    assert said == "gives up: NOT_FOUND\n\t [[node]]\na", "three lines at most"
