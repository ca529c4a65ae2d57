"""Child processes that do not outlive this one."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_KILL_S = 5  # for killed processes to be gone: one that the system holds for longer is left
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For a child that is being started: SIGTERM, if this process is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command, log: str, env=None) -> subprocess.Popen:
    """Starts a command in a process group of its own, output appended to the file `log`.

    The group is the terminal's no longer: Ctrl-C reaches this process, which ends its children in
    order. If this process is killed, the child gets SIGTERM. Call it from a thread that stays.
    """
    with open(log, "ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            process_group=0,
            preexec_fn=die_with_parent,
        )


def ask_to_end(process: subprocess.Popen):
    """SIGTERM to its group, unless it has ended."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)


def end(process: subprocess.Popen, grace_s: float) -> int:
    """SIGTERM, and after `grace_s` SIGKILL to its whole group. Returns the exit code."""
    ask_to_end(process)
    return wait_or_kill(process, grace_s)


def wait_or_kill(process: subprocess.Popen, grace_s: float) -> int:
    """Waits for its end, and after `grace_s` sends SIGKILL to its whole group. Returns the exit code."""
    try:
        return process.wait(grace_s)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
    return process.wait()


def kill_marked(mark: str):
    """SIGKILL to every process that has `mark`, "NAME=value", in its environment, and to those that they start
    meanwhile: what a process left behind that was killed itself."""
    deadline = time.monotonic() + _KILL_S
    while (pids := marked(mark)) and time.monotonic() < deadline:
        for pid in pids:
            _signal_one(pid, signal.SIGKILL)
        time.sleep(0.01)


def end_marked(mark: str, grace_s: float):
    """SIGTERM to every process that has `mark` in its environment but this one, and after `grace_s` SIGKILL."""
    for pid in marked(mark):
        _signal_one(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_marked(mark)


def marked(mark: str) -> dict:
    """{number: name} of every process that has `mark`, "NAME=value", in its environment, but this one."""
    found = {}
    for entry in os.scandir("/proc"):
        try:
            with open(f"/proc/{int(entry.name)}/environ", "rb") as file:
                if mark.encode() not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{entry.name}/comm", encoding="utf-8", errors="replace") as file:
                found[int(entry.name)] = file.read().strip()
        except (OSError, ValueError):
            pass  # another user's, gone, or no process
    found.pop(os.getpid(), None)
    return found


def listed(found: dict) -> str:
    """What marked() gives, for people: "headrace-worker 12, sleep 14"."""
    return ", ".join(f"{name} {pid}" for pid, name in sorted(found.items()))


def _signal_one(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _signal(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


_STOPS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(list):
    """SIGINT and SIGTERM that came within the context; they end nothing by themselves there."""

    def __enter__(self):
        self._before = _handled(lambda number, _: self.append(number))
        return self

    def __exit__(self, *_):
        _put_back(self._before)


@contextlib.contextmanager
def stoppable():
    """Within the context SIGINT and SIGTERM are a KeyboardInterrupt, also where the process was started with
    SIGINT ignored, as shells do with what runs in the background of a script."""
    before = _handled(signal.default_int_handler)
    try:
        yield
    finally:
        _put_back(before)


def _handled(handler):
    """What handled the signals before."""
    return {number: signal.signal(number, handler) for number in _STOPS}


def _put_back(before):
    for number, handler in before.items():
        signal.signal(number, handler)


def how_it_ended(code: int) -> str:
    """"exit code 1", "killed by SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"


# What TensorFlow and Abseil log as information or warnings.
_NOISE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |[IW]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before"
    r"|To enable the following instructions: "
)


def last_said(path: str, count: int) -> list:
    """As last_lines(), without what libraries say in any case."""
    return [line for line in last_lines(path, 1000) if not _NOISE.match(line)][-count:]


def last_lines(path: str, count: int, begin: int = 0) -> list:
    """Of a log, or of what it has from the byte `begin` on; none if it is not there."""
    try:
        with open(path, "rb") as file:
            file.seek(max(begin, os.path.getsize(path) - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def size(path: str) -> int:
    """Of a file, in bytes; 0 if it is not there."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


# "2026-11-23 06:04:02.149 worker-0 error: "
_HEAD = re.compile(r"\d{4}-\d\d-\d\d \S+ \S+ (\w+): |(headrace-\w+): ")


def last_words(path: str, count: int = 3, begin: int = 0) -> str:
    """What a program of Headrace's said last in its log, without the time: at most `count` lines."""
    words = []
    for line in reversed(last_lines(path, 1000, begin)):
        head = _HEAD.match(line)
        words.insert(0, line[head.end() :] if head else line)
        if head:
            break
    return "\n".join(words[:count])


def last_error(path: str, begin: int = 0) -> str:
    """The last line of a log that is of an error, without the time; "" if there is none."""
    for line in reversed(last_lines(path, 1000, begin)):
        head = _HEAD.match(line)
        if head and head[1] in ("error", "critical"):
            return line[head.end() :]
    return ""
