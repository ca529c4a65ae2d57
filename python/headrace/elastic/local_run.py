"""Runs a job on this machine: master and workers, started, watched, restarted and ended together."""

import json
import os
import subprocess
import time

from headrace import programs
from headrace.elastic import control, processes
from headrace.elastic.workers import RESTARTS, Workers
from headrace.errors import JobError

START_S = 30  # for the master to listen
GRACE_S = 20  # for a process to end when asked to


class LocalRun:
    """Master and workers of one job.

    directory: the job's: job.json is there; logs, the journal and the master's address go there.
    workers: (least, most): the most are started, and kept alive; a worker that ends too often is given up,
    and the job with it where fewer than the least are left. command: what each worker's agent starts.
    servers: the job's ParameterServers, watched here. say: takes a line for people.
    listen: (host, port) of the master; port 0: any. tls: control.Tls for everybody.
    metrics_port: of the master's figures for Prometheus; the workers' are at the ports behind it; 0: none.
    """

    def __init__(
        self,
        directory: str,
        workers,
        command: list,
        servers,
        say=lambda line: None,
        listen=("127.0.0.1", 0),
        tls=control.Tls(),
        metrics_port=0,
    ):
        self.directory = directory
        self._metrics_port = metrics_port
        self._servers = servers
        self._listen, self._tls = listen, tls
        self.journal = os.path.join(directory, "ledger.sqlite")
        self._status_file = os.path.join(directory, "status.json")
        least, most = workers
        names = [f"worker-{i}" for i in range(most)]
        logs = os.path.join(directory, "logs")
        self._workers = Workers(logs, names, least, command, tls, say, metrics_port)
        self._master = None
        self._address = ""
        self._log_begin = processes.size(self._log("master"))
        self._restarts = 0
        self._statuses = control.Statuses(1)

    def __enter__(self):
        os.makedirs(os.path.join(self.directory, "logs"), exist_ok=True)
        try:
            self._start_master()
            self._workers.start(self._address)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        """Leaves no process behind."""
        self._workers.end()
        if self._master is not None:
            processes.end(self._master, GRACE_S)
        self._statuses.end()

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
            yield self._statuses.next(every_s)
        if os.path.exists(self._status_file):
            with open(self._status_file, encoding="utf-8") as file:
                yield json.load(file)

    def stop(self, reason: str):
        """Asks the job to end: a checkpoint where there are checkpoints, then everybody leaves."""
        done = subprocess.run(
            control.command(self._address, self._tls, "stop", "--reason", reason),
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
        return [processes.last_words(self._log("master"), begin=self._log_begin)]

    def error(self) -> str:
        """The last error that the master spoke of; "": of none."""
        return processes.last_error(self._log("master"), self._log_begin)

    # --- processes ----------------------------------------------------------------------------

    def _log(self, name):
        return os.path.join(self.directory, "logs", f"{name}.log")

    def _start_master(self):
        port_file = os.path.join(self.directory, "master.address")
        before = self._status_file + ".before"  # what is known of the job if none comes to listen
        if os.path.exists(port_file):
            os.unlink(port_file)
        if os.path.exists(self._status_file):
            os.replace(self._status_file, before)
        command = [programs.path("headrace-master"), "--job", os.path.join(self.directory, "job.json")]
        command += ["--journal", self.journal, "--port_file", port_file]
        command += ["--status_file", self._status_file, "--metrics_port", str(self._metrics_port)]
        host, port = self._listen
        # The same address again, so that workers find it.
        port = self._address.rsplit(":", 1)[1] if self._address else str(port)
        command += ["--host", host, "--port", port, *self._tls.arguments()]
        try:
            while not self._listens(command, port_file):
                self._count_restart(self._master.returncode)
        except JobError:
            if os.path.exists(before):
                os.replace(before, self._status_file)
            raise
        if os.path.exists(before):
            os.unlink(before)
        with open(port_file, encoding="utf-8") as file:
            self._address = file.read().strip()
        self._statuses.follow(self._address, self._tls)

    def _listens(self, command, port_file):
        """Starts it. Whether it listens; False: it was killed before."""
        self._master = processes.start(command, self._log("master"))
        deadline = time.monotonic() + START_S
        while not os.path.exists(port_file):
            code = self._master.poll()
            if code is not None and code < 0:
                return False
            if code is not None:
                raise JobError("\n".join(self.failure()) or "headrace-master ended at once")
            if time.monotonic() > deadline:
                raise JobError(f"headrace-master does not listen after {START_S} s")
            time.sleep(0.01)
        return True

    def _count_restart(self, code):
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise JobError(f"the master was started {RESTARTS} times: {processes.how_it_ended(code)}")

    def _over(self):
        """Whether the master has ended for good; it is started again if it was killed."""
        code = self._master.poll()
        if code is None:
            return False
        if code >= 0:
            return True
        self._count_restart(code)
        self._start_master()
        return False

    def _supervise(self):
        self._servers.supervise()
        if self._master.poll() is None:
            self._workers.supervise()
