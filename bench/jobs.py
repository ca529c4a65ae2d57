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
