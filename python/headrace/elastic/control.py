"""A job's master, as the command line talks to it: by headrace-ctl."""

import dataclasses
import json
import os
import queue
import subprocess
import threading

from headrace import programs
from headrace.elastic import processes
from headrace.errors import JobError, UsageError


TIMEOUT_S = 10  # for a master to be reached, and to answer


@dataclasses.dataclass(frozen=True)
class Tls:
    """Files (PEM) for the connections to the master, "" each: none.

    cert, key: what this side shows. ca: the other side must have a certificate of it.
    """

    cert: str = ""
    key: str = ""
    ca: str = ""

    def check(self, serves: bool):
        """serves: a master is started with them. Errors: UsageError with the flag and the file."""
        if bool(self.cert) != bool(self.key):
            raise UsageError("--tls_cert and --tls_key belong together: give both, or none")
        if serves and self.ca and not self.cert:
            raise UsageError("--tls_ca alone is for those who connect: a master needs --tls_cert and --tls_key")
        for name in ("cert", "key", "ca"):
            path = getattr(self, name)
            if path and not os.path.isfile(path):
                raise UsageError(f"--tls_{name}: there is no file {path}")

    def arguments(self) -> list:
        """For any of the programs."""
        files = {"--tls_cert": self.cert, "--tls_key": self.key, "--tls_ca": self.ca}
        return [part for name, path in files.items() if path for part in (name, os.path.abspath(path))]


def command(address: str, tls: Tls, *arguments) -> list:
    """headrace-ctl for the master at `address` (host:port)."""
    return [programs.path("headrace-ctl"), "--master", address, *tls.arguments(), *arguments]


def ask(address: str, tls: Tls, *arguments, timeout_s=None) -> dict:
    """The answer to one question. Errors: JobError with what headrace-ctl says."""
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    words = command(address, tls, "--timeout_s", str(timeout_s), *arguments)
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        hint = "" if tls.cert or tls.ca else "; does it want TLS (--tls_ca, --tls_cert, --tls_key)?"
        raise JobError(done.stderr.strip().removeprefix("headrace-ctl: ") + hint)
    return json.loads(done.stdout.splitlines()[-1])


class Statuses:
    """What a master says of its job, every `every_s` seconds, by a headrace-ctl that watches it."""

    def __init__(self, every_s: float):
        self._every_s = every_s
        self._came = queue.Queue()
        self._process = None

    def follow(self, address: str, tls: Tls):
        """Begins, or again where headrace-ctl has ended, as it does with the master."""
        self._process = subprocess.Popen(
            command(address, tls, "status", "--watch", str(self._every_s)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=processes.die_with_parent,
        )
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def next(self, timeout_s: float):
        """The oldest one that was not given yet; None: none came."""
        try:
            return self._came.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def end(self):
        if self._process is not None:
            processes.end(self._process, 1)

    def _read(self, stream):
        for line in stream:
            self._came.put(json.loads(line))
