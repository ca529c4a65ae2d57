"""Runs a job on this machine: master and workers, started, watched, restarted and ended together."""

import json
import os
import queue
import subprocess
import threading
import time

from headrace import programs
from headrace.elastic import processes
from headrace.errors import JobError

START_S = 30  # for the master to listen
GRACE_S = 20  # for a process to end when asked to
RESTARTS = 20  # of one process that is killed, before it is given up
GIVEN_UP_S = 5  # for the master to end, once workers have
LEFT = (0, 75)  # exit codes of an agent that left in order: the job is done, or stopped


class LocalRun:
    """Master and workers of one job.

    directory: the job's: job.json is there; logs, the journal and the master's address go there.
    workers: (least, most): the most are started, and kept alive; a worker that ends too often is given up,
    and the job with it where fewer than the least are left. command: what each worker's agent starts.
    servers: the job's ParameterServers, watched here. say: takes a line for people.
    """

    def __init__(self, directory: str, workers, command: list, servers, say=lambda line: None):
        self.directory = directory
        self.command = command
        self._least, most = workers
        self._servers, self._say = servers, say
        self.journal = os.path.join(directory, "ledger.sqlite")
        self._status_file = os.path.join(directory, "status.json")
        self._workers = {f"worker-{i}": None for i in range(most)}
        self._given_up = {}  # worker: (how it ended, when), in this order
        self._told = 0  # of them
        self._master = None
        self._address = ""
        self._restarts = {}
        self._watch = None
        self._lines = queue.Queue()

    def __enter__(self):
        os.makedirs(os.path.join(self.directory, "logs"), exist_ok=True)
        try:
            self._start_master()
            for name in self._workers:
                self._start_worker(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        """Leaves no process behind."""
        for process in self._workers.values():
            if process is not None:
                processes.end(process, GRACE_S)
        if self._master is not None:
            processes.end(self._master, GRACE_S)
        if self._watch is not None:
            processes.end(self._watch, 1)

    @property
    def address(self):
        """host:port of the master."""
        return self._address

    # --- while it runs ------------------------------------------------------------------------

    def statuses(self, every_s: float = 0.5):
        """Yields the master's status, or None if there is no news, until the job is over.

        A status is proto/headrace/control.proto's JobStatus, as a dict.
        """
        while self._master.poll() is None or not self._over():
            self._supervise()
            try:
                yield self._lines.get(timeout=every_s)
            except queue.Empty:
                yield None
        if os.path.exists(self._status_file):
            with open(self._status_file, encoding="utf-8") as file:
                yield json.load(file)

    def stop(self, reason: str):
        """Asks the job to end: a checkpoint where there are checkpoints, then everybody leaves."""
        done = subprocess.run(
            [programs.path("headrace-ctl"), "--master", self._address, "stop", "--reason", reason],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 and self._master.poll() is None:
            raise JobError(f"the master cannot be asked to stop: {done.stderr.strip()}")

    def exit_code(self) -> int:
        """The master's, once statuses() has ended: 0 done, 1 failed, 3 with quarantined, 75 retry."""
        return self._master.wait()

    def failure(self) -> list:
        """What the master said last."""
        return processes.last_lines(self._log("master"), 3)

    # --- processes ----------------------------------------------------------------------------

    def _log(self, name):
        return os.path.join(self.directory, "logs", f"{name}.log")

    def _start_master(self):
        port_file = os.path.join(self.directory, "master.address")
        for path in (port_file, self._status_file):
            if os.path.exists(path):
                os.unlink(path)
        command = [programs.path("headrace-master"), "--job", os.path.join(self.directory, "job.json")]
        command += ["--journal", self.journal, "--port_file", port_file]
        command += ["--status_file", self._status_file]
        # The same address again, so that workers find it.
        if self._address:
            command += ["--port", self._address.rsplit(":", 1)[1]]
        self._master = processes.start(command, self._log("master"))
        deadline = time.monotonic() + START_S
        while not os.path.exists(port_file):
            if self._master.poll() is not None:
                raise JobError("\n".join(self.failure()) or "headrace-master ended at once")
            if time.monotonic() > deadline:
                raise JobError(f"headrace-master does not listen after {START_S} s")
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as file:
            self._address = file.read().strip()
        self._start_watch()

    def _start_watch(self):
        self._watch = subprocess.Popen(
            [programs.path("headrace-ctl"), "--master", self._address]
            + ["status", "--watch", "1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        threading.Thread(target=self._read, args=(self._watch.stdout,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(json.loads(line))

    def _start_worker(self, name):
        command = [programs.path("headrace-worker"), "--master", self._address, "--name", name]
        command += ["--log_dir", os.path.join(self.directory, "logs"), "--", *self.command]
        environment = os.environ | {"HEADRACE_WORKERS": str(len(self._workers))}
        self._workers[name] = processes.start(command, self._log(f"{name}.agent"), environment)

    def _over(self):
        """Whether the master has ended for good; it is started again if it was killed."""
        code = self._master.poll()
        if code is None:
            return False
        if code >= 0:
            return True
        if not self._may_restart("master"):
            raise JobError(f"the master was started {RESTARTS} times: {processes.how_it_ended(code)}")
        self._start_master()
        return False

    def _supervise(self):
        self._servers.supervise()
        if self._master.poll() is not None:
            return
        for name, process in self._workers.items():
            code = process.poll()
            if code is None or code in LEFT or name in self._given_up:
                continue
            # An agent that ends by itself has tried what can be tried.
            if code > 0 or not self._may_restart(name):
                self._given_up[name] = (processes.how_it_ended(code), time.monotonic())
            else:
                self._start_worker(name)
        self._check_workers()

    def _check_workers(self):
        """They also leave a job that has failed; then the master, which ends at once, has more to say."""
        before = time.monotonic() - GIVEN_UP_S
        lost = [name for name, (_, since) in self._given_up.items() if since < before]
        left = len(self._workers) - len(lost)
        for name in lost[self._told :]:
            how, _ = self._given_up[name]
            said = "\n".join(processes.last_lines(self._log(f"{name}.agent"), 1))
            if left < self._least:
                raise JobError(
                    f"workers that are left: {left}, that are needed: {self._least}; {name}: {how}: {said}"
                )
            self._say(f"{name} is given up ({how}); the job goes on with {left}")
        self._told = len(lost)

    def _may_restart(self, name):
        """Counts a start again."""
        self._restarts[name] = self._restarts.get(name, 0) + 1
        return self._restarts[name] <= RESTARTS
