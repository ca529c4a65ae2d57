"""Runs a module's prediction_outputs_processor on predictions, in a process of its own.

    python -m headrace.elastic.process_predictions '{"model_def": ..., "files": [...], ...}'

The class is made without arguments; its process(predictions, worker_id) gets the outputs of `batch` records
at a time, in order, as a NumPy array, or {name: array} for models with several outputs. worker_id is the
number of the file.
"""

import json
import subprocess
import sys

from headrace.errors import JobError

BATCH = 1024


def run(flags, files):
    """Processes JSON-lines files of predictions. Errors: JobError with what the processor said."""
    request = {"model_def": flags.model_def, "model_zoo": flags.model_zoo, "files": list(files)}
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(request)], stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise JobError(f"prediction_outputs_processor failed:\n{said}")


def _main(request):
    from headrace.elastic import model_module

    module = model_module.load(request["model_def"], request["model_zoo"])
    processor = module.prediction_outputs_processor()
    for number, path in enumerate(request["files"]):
        for rows in _batches(path):
            processor.process(_outputs(rows), number)


def _batches(path):
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            rows.append(json.loads(line)["outputs"])
            if len(rows) == BATCH:
                yield rows
                rows = []
    if rows:
        yield rows


def _outputs(rows):
    import numpy as np

    outputs = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return outputs if len(outputs) > 1 else next(iter(outputs.values()))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
