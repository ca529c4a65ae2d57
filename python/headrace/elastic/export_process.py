"""Exports a model module in a process of its own, so that whoever asks needs no TensorFlow.

    python -m headrace.elastic.export_process '{"model_def": ..., ...}'

Prints one JSON object as its last line. Exit codes: 0 done, 1 failed (the reason on stderr).
"""

import base64
import json
import os
import subprocess
import sys
import traceback

from headrace.elastic import processes
from headrace.errors import DataError, ExportError, HeadraceError, ModelModuleError, TrackingError

_SAYS = "headrace: "  # then an error's code and message


def export(directory: str, flags) -> dict:
    """Runs this module for `flags` (JobFlags); returns {"staging": base64, "loaded": names of
    variables that came from a checkpoint, "processor": whether predictions are processed in Python,
    "not_synchronous": why its training cannot be synchronous, "" if it can, "warnings": lines for
    people}.

    Errors: as the other process said them (ModelModuleError, TrackingError, ExportError ...); ExportError where
    the module itself failed: then DIRECTORY.log has all of it, the way there too.
    """
    request = {
        "directory": directory,
        "model_def": flags.model_def,
        "model_zoo": flags.model_zoo,
        "minibatch_size": flags.minibatch_size,
        "metadata": flags.dataset_metadata,
        "op_libraries": [os.path.abspath(path) for path in flags.load_op_library],
        "init": flags.checkpoint_dir_for_init,
        "sharded": flags.servers > 0,
        "staging": flags.staging,
        "capacity": flags.stage_capacity,
        "threads": flags.stage_threads,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(request)],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        preexec_fn=processes.die_with_parent,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        said = [line for line in lines if line.startswith(_SAYS)]
        if not said:
            raise ExportError("\n".join(lines[-20:]) or "the export died")
        code, message = said[-1].removeprefix(_SAYS).split(" ", 1)
        if any(line.startswith("Traceback") for line in lines):
            log = f"{directory}.log"
            with open(log, "w", encoding="utf-8") as file:
                file.write(done.stderr)
            message += f"; {log} has the way there"
        kinds = {kind.code: kind for kind in (ModelModuleError, TrackingError, DataError)}
        raise kinds.get(code, ExportError)(message)
    return json.loads(done.stdout.splitlines()[-1])


def _main(request):
    import tensorflow as tf

    from headrace import carrier
    from headrace.elastic import export as exporter
    from headrace.elastic import model_module, user_errors
    from headrace.options import StageOptions

    for path in request["op_libraries"]:
        try:
            tf.load_op_library(path)
        except tf.errors.OpError as error:
            raise ExportError(f"--load_op_library {path}: {error.message}") from error
    module = model_module.load(request["model_def"], request["model_zoo"])
    metadata = json.loads(request["metadata"]) if request["metadata"] else None
    loaded, warnings = [], []
    try:
        description = exporter.export(
            module,
            request["directory"],
            minibatch_size=request["minibatch_size"],
            metadata=metadata,
            init=request["init"],
            loaded=loaded,
            sharded=request["sharded"],
            warnings=warnings,
        )
    except HeadraceError:
        raise
    except Exception as error:
        if isinstance(error, tf.errors.ResourceExhaustedError | OSError):
            raise ExportError(f"{request['directory']}: {error}") from error
        traceback.print_exc()
        raise ExportError(user_errors.describe(error, module)) from error
    staging = ""
    if request["staging"]:
        options = StageOptions(capacity=request["capacity"], num_threads=request["threads"])
        staging = base64.b64encode(carrier.encode(options).SerializeToString()).decode()
    processor = module.prediction_outputs_processor is not None
    refusal = description.get("not_synchronous", "")
    return {
        "staging": staging,
        "loaded": loaded,
        "processor": processor,
        "not_synchronous": refusal,
        "warnings": warnings,
    }


if __name__ == "__main__":
    try:
        result = _main(json.loads(sys.argv[1]))
    except HeadraceError as error:
        print(f"{_SAYS}{error.code} {error.message}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(result))
