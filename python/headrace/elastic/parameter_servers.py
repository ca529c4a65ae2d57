"""The parameter servers of a job on this machine: started, watched, started again and ended."""

import os
import subprocess
import time

from headrace import programs
from headrace.elastic import processes
from headrace.errors import JobError

START_S = 60  # for a server to listen: it loads TensorFlow first
GRACE_S = 20  # for one to end when asked to
RESTARTS = 20  # of one server, before the job is given up
NOTICE = (
    "parameter servers listen on every network interface, unencrypted, and run whatever they are sent, as "
    "TensorFlow's servers do: use them where the network is trusted"
)


def check(flags, exported: str):
    """That the servers of --ps_addrs are there, and that the first one applies the gradients of a synchronous
    job as it needs; within 10 s or so. exported: directory of the exported job.

    Errors: JobError.
    """
    command = [programs.path("headrace-trainer"), "check", "--ps_addrs", ",".join(flags.ps_addrs)]
    command += ["--exported", exported]
    if not flags.use_async:
        command += ["--synchronous", "--grads_to_wait", str(flags.grads_to_wait)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        said = [line for line in lines if line.startswith("headrace-trainer: ")]
        raise JobError("--ps_addrs: " + (said[-1].split(": ", 2)[-1] if said else "\n".join(lines[-5:])))


class ParameterServers:
    """As many as a job has, maybe none. Use as a context manager around everything that needs them.

    directory: the job's. op_libraries: of the user's own ops. say: takes a line for people.
    exported: of synchronous training: the directory of the exported job, whose gradients the first server
    applies, `grads_to_wait` to a step. host: under which workers find this machine.
    """

    def __init__(
        self,
        directory: str,
        count: int,
        op_libraries=(),
        say=lambda line: None,
        exported="",
        grads_to_wait=1,
        host="127.0.0.1",
    ):
        self._host = host
        self._directory, self._op_libraries, self._say = directory, list(op_libraries), say
        self._exported, self._grads_to_wait = exported, grads_to_wait
        self._servers = [None] * count
        self._restarts = [0] * count
        self.addresses = []  # host:port of each, within the context

    def __enter__(self):
        if self._servers:
            self._say(f"starting {len(self._servers)} parameter server(s); {NOTICE}")
        try:
            for path in map(self._port_file, range(len(self._servers))):
                if os.path.exists(path):
                    os.unlink(path)
            self.addresses = [""] * len(self._servers)
            # The first one last: the one that applies gradients must know the others.
            others = range(1, len(self._servers))
            for indices in (others, range(min(1, len(self._servers)))):
                for index in indices:
                    self._start(index)
                deadline = time.monotonic() + START_S
                for index in indices:
                    self.addresses[index] = self._listening(index, deadline)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        """Leaves no process behind."""
        for server in self._servers:
            if server is not None:
                processes.end(server, GRACE_S)

    def supervise(self):
        """Starts again, at its old address, each server that has ended.

        Errors: JobError for one that ended too often.
        """
        for index, server in enumerate(self._servers):
            code = server.poll()
            if code is None:
                continue
            ended = f"parameter server ps-{index}: {processes.how_it_ended(code)}"
            self._restarts[index] += 1
            if self._restarts[index] > RESTARTS:
                said = processes.last_said(self._log(index), 1)
                raise JobError(f"{ended}, and was started {RESTARTS} times: " + "\n".join(said))
            self._say(f"{ended}; it is started again, and the model goes back to its last checkpoint")
            self._start(index, self.addresses[index].rsplit(":", 1)[1])

    # --- one of them --------------------------------------------------------------------------

    def _log(self, index):
        return os.path.join(self._directory, "logs", f"ps-{index}.log")

    def _port_file(self, index):
        return os.path.join(self._directory, f"ps-{index}.address")

    def _start(self, index, port=None):
        os.makedirs(os.path.join(self._directory, "logs"), exist_ok=True)
        command = [programs.path("headrace-ps"), "--index", str(index), "--host", self._host]
        command += ["--port_file", self._port_file(index)]
        command += ["--port", port] if port else []
        if index == 0 and self._exported:
            command += ["--exported", self._exported, "--grads_to_wait", str(self._grads_to_wait)]
            command += ["--others", ",".join(self.addresses[1:])] if self.addresses[1:] else []
        for library in self._op_libraries:
            command += ["--load_op_library", os.path.abspath(library)]
        self._servers[index] = processes.start(command, self._log(index))

    def _listening(self, index, deadline):
        """Its address, once it listens."""
        while not os.path.exists(self._port_file(index)):
            code = self._servers[index].poll()
            if code is not None:
                said = processes.last_said(self._log(index), 3)
                raise JobError("\n".join(said) or f"ps-{index}: {processes.how_it_ended(code)} at once")
            if time.monotonic() > deadline:
                raise JobError(f"ps-{index} does not listen after {START_S} s; its log is {self._log(index)}")
            time.sleep(0.01)
        with open(self._port_file(index), encoding="utf-8") as file:
            return file.read().strip()
