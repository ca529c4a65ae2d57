"""What a pipeline can reach on this machine: its terms, measured alone, and the limit they set."""

import dataclasses
import hashlib
import os
import threading
import time


def cores():
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def _spin(seconds, blocks, index):
    """Hashes until `seconds` have passed; blocks[index] = blocks hashed per second."""
    block = bytes(1 << 18)  # hashed without the interpreter's lock
    done = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        hashlib.sha256(block)
        done += 1
    blocks[index] = done / elapsed


def effective_cores(threads=None, seconds=0.2):
    """Work that `threads` spinning threads do per second, over that of one: 1.0 to `threads`.

    Below the number of cores where the machine is shared or its cores share units.
    threads: None = all CPUs that this process may use. Takes three times `seconds`.
    """
    threads = cores() if threads is None else threads
    before, after, together = [0.0], [0.0], [0.0] * threads
    _spin(seconds, before, 0)
    spinning = [threading.Thread(target=_spin, args=(seconds, together, i)) for i in range(threads)]
    for thread in spinning:
        thread.start()
    for thread in spinning:
        thread.join()
    _spin(seconds, after, 0)
    return max(1.0, sum(together) / ((before[0] + after[0]) / 2))


@dataclasses.dataclass(frozen=True)
class Terms:
    """Seconds of one step's parts, each measured while nothing else ran.

    main: the training part on a batch that is already there. read: the next raw element. prepare:
    the next raw element and all that is made of it before the training part. cpu: processor time of
    an unstaged step, without the threads' idle spinning. cores: from effective_cores().
    """

    main: float
    read: float
    prepare: float
    cpu: float
    cores: float

    def parts(self, threads):
        """The lower bounds of a step's time with `threads` threads preparing, by name."""
        return {"training part": self.main, "read": self.read,
                "read + body": self.prepare / threads, "CPU": self.cpu / self.cores}

    def limit(self, threads):
        """The shortest step that staging can reach, in seconds."""
        return max(self.parts(threads).values())

    def binding(self, threads):
        """Name of the part that sets the limit."""
        parts = self.parts(threads)
        return max(parts, key=parts.get)
