"""What benchmarks of whole jobs share."""

import time


def watch(sample):
    """A quiet Progress whose `samples` are (seconds, *sample(status)) of each status that has news."""
    from headrace.elastic import progress

    class Watch(progress.Progress):
        def __init__(self):
            super().__init__(quiet=True)
            self.samples = []

        def show(self, status):
            self.samples.append((time.monotonic(), *sample(status)))

    return Watch()


def check(code, folder):
    """That the job in `folder`/job ended well. Errors: RuntimeError, with the ends of its logs."""
    if code != 0:
        logs = [f"{path.name}:\n{path.read_text()[-2000:]}" for path in folder.glob("job/logs/*.log")]
        raise RuntimeError("\n".join([f"the job ended with exit code {code}", *logs]))


def steps_of(status):
    """{worker: its steps} of a status."""
    return {w["name"]: int((w.get("telemetry") or {}).get("steps", 0)) for w in status["workers"]}


def speeds(samples, workers, total, middle):
    """Steps a second of each worker, fastest first, while all `workers` are at work.

    samples: (seconds, records that are left, {worker: steps}). total: records of the job. middle: the share
    of them of which some are surely left for all. Errors: RuntimeError where there are no two samples of that
    time.
    """
    busy = [s for s in samples
            if len(s[2]) == workers and min(s[2].values()) > 0 and s[1] > (1 - middle) * total]
    if len(busy) < 2 or busy[0][0] == busy[-1][0]:
        raise RuntimeError(f"the job was too short to see {workers} workers at work: it needs more steps")
    (began, _, first), (until, _, last) = busy[0], busy[-1]
    return sorted(((last[name] - first[name]) / (until - began) for name in first), reverse=True)


def cluster_of(workers, servers):
    """"1 worker, 2 parameter servers"."""
    return (f"{workers} worker{'s' if workers > 1 else ''}, "
            f"{servers} parameter server{'s' if servers > 1 else ''}")
