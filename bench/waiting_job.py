"""Whole jobs that train bench/waiting_steps_model.py, for benchmarks of them."""

import pathlib
import shutil

from bench import jobs
from bench.environment import OPS

BATCH = 20


def run(folder, steps, wait_ms, **flags):
    """Trains `steps` batches, all workers together, in `folder`, which must be empty. flags: of JobFlags.

    Returns (seconds, records that are left, {worker: its steps}), one of each status of the job.
    Errors: RuntimeError, with the ends of the job's logs, if it does not end well.
    """
    from headrace.elastic import job
    from headrace.elastic.flags import JobFlags

    shutil.copy(pathlib.Path(__file__).with_name("waiting_steps_model.py"), folder / "model.py")
    (folder / "micros").write_text(str(round(1000 * wait_ms)))
    (folder / "data.txt").write_text("".join(f"{i}\n" for i in range(BATCH * steps)))
    watch = jobs.watch(lambda status: (int(status["totals"]["pending"]), jobs.steps_of(status)))
    given = JobFlags(
        "train", model_def=str(folder / "model.py"), training_data=[str(folder / "data.txt")],
        minibatch_size=BATCH, job_dir=str(folder / "job"), load_op_library=[OPS], **flags,
    )
    _, code = job.run(given, watch)
    jobs.check(code, folder)
    return watch.samples
