"""Whole jobs that train bench/sparse_model.py, for benchmarks of them."""

import pathlib
import shutil

from bench import jobs

BATCH = 32


def run(folder, rows, steps, progress, **flags):
    """Trains `steps` batches with a table of `rows` rows, in `folder`, which must be empty.

    progress: a headrace.elastic.progress.Progress. flags: of JobFlags.
    Errors: RuntimeError, with the ends of the job's logs, if it does not end well.
    """
    from headrace.elastic import job
    from headrace.elastic.flags import JobFlags

    shutil.copy(pathlib.Path(__file__).with_name("sparse_model.py"), folder / "model.py")
    (folder / "rows").write_text(str(rows))
    (folder / "data.txt").write_text("".join(f"{i}\n" for i in range(BATCH * steps)))
    given = JobFlags(
        "train", model_def=str(folder / "model.py"), training_data=[str(folder / "data.txt")],
        minibatch_size=BATCH, job_dir=str(folder / "job"), shuffle=False, **flags,
    )
    _, code = job.run(given, progress)
    jobs.check(code, folder)
