"""Makes the file that headrace-master reads (docs/formats.md, "Job file")."""

import json
import os

from headrace.elastic.flags import EVALUATE, PREDICT, RUN, TRAIN, JobFlags

VERSION = 1
DESCRIPTION = os.path.join("assets.extra", "headrace_job.json")  # in an exported job


def describe(
    flags: JobFlags, directory: str, files, evaluation_files, exported, staging: str, servers=()
) -> dict:
    """The job as a dict.

    directory: the job's own, for what the flags name no place for.
    files, evaluation_files: lists of {"path", "records", "whole"}.
    exported: directory of the exported job. staging: serialized options in base64, "" = unstaged.
    servers: addresses of the parameter servers; none: the model is local.
    """
    trains = flags.verb == TRAIN
    checkpoints = checkpoints_of(flags, directory) if trains else ""
    task_records = flags.task_records(flags.minibatch_size)
    job = {
        "version": VERSION,
        "name": flags.job_name,
        "type": flags.type,
        "model": ("shared" if servers else "local") if trains else "none",
        "files": files,
        "task_records": task_records,
        "epochs": flags.num_epochs,
        "seed": flags.seed,
        "shuffle": flags.shuffle and flags.verb in (TRAIN, RUN),
        "lease_ms": flags.lease_s * 1000,
        "step_timeout_ms": flags.step_timeout_s * 1000,
        "max_quarantined": flags.max_quarantined,
    }
    if trains and evaluation_files:
        job |= {
            "evaluation_files": evaluation_files,
            "evaluation_task_records": task_records,
            "evaluation_every_steps": flags.evaluation_steps,
            "evaluation_every_ms": flags.evaluation_throttle_secs * 1000,
            "evaluation_at_end": True,
        }
    if servers:
        job["exact"] = flags.exact
    if checkpoints:
        job["checkpoint"] = {"directory": checkpoints, "every_steps": flags.checkpoint_steps}
    if flags.verb in (EVALUATE, PREDICT):
        # 0 where that is not known: a SavedModel has no step, and others' checkpoints not by this name.
        given = flags.checkpoint_dir or flags.checkpoint_dir_for_init
        job["model_version"] = _step_of(latest_checkpoint(given) if given else "")
    if flags.verb != RUN:
        job["trainer"] = _trainer(flags, directory, exported, staging, checkpoints)
    if servers:
        job["trainer"] |= _on_servers(flags, servers)
    return job


def _on_servers(flags, servers):
    """What the trainer must know of its parameter servers."""
    section = {"parameter_servers": list(servers), "synchronous": not flags.use_async}
    return section if flags.use_async else section | {"grads_to_wait": flags.grads_to_wait}


def _trainer(flags, directory, exported, staging, checkpoints):
    trainer = {
        "verb": flags.verb,
        "exported": exported,
        "export_id": export_id(exported),
        "output": os.path.abspath(flags.output) if flags.output else "",
        "staging": staging,
        "op_libraries": [os.path.abspath(path) for path in flags.load_op_library],
    }
    if flags.verb == TRAIN:
        trainer["output"] = trainer["output"] or os.path.join(directory, "model")
        trainer |= {
            "checkpoints": checkpoints,
            "checkpoint_steps": flags.checkpoint_steps,
            "keep_checkpoints": flags.keep_checkpoint_max,
            "evaluation_steps": flags.evaluation_steps if flags.validation_data else 0,
            "events": os.path.abspath(flags.tensorboard_log_dir or os.path.join(directory, "events")),
        }
    elif flags.checkpoint_dir:
        trainer["restore"] = latest_checkpoint(flags.checkpoint_dir)
    if flags.verb == PREDICT:
        trainer["predictions"] = flags.output_format
    if flags.verb == EVALUATE:
        trainer["output"] = ""
    return trainer


def export_id(directory: str) -> str:
    """Of an exported job; "" if it is not there, or has none."""
    try:
        with open(os.path.join(directory, DESCRIPTION), encoding="utf-8") as file:
            return json.load(file).get("id", "")
    except OSError:
        return ""


def latest_checkpoint(directory: str) -> str:
    """`directory` itself if it is a checkpoint, else the newest checkpoint in it, "" if there is none."""
    if os.path.isfile(os.path.join(directory, "manifest.json")):
        return os.path.abspath(directory)
    found = []
    for entry in os.scandir(directory) if os.path.isdir(directory) else ():
        manifest = os.path.join(entry.path, "manifest.json")
        if ".unfinished-" not in entry.name and os.path.isfile(manifest):
            found.append((_step_of(entry.path), os.path.abspath(entry.path)))
    return max(found)[1] if found else ""


def _step_of(checkpoint):
    if not checkpoint:
        return 0
    with open(os.path.join(checkpoint, "manifest.json"), encoding="utf-8") as file:
        return json.load(file)["step"]


def write(job: dict, path: str):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(job, file, indent=2)
    os.replace(path + ".new", path)


def checkpoints_of(flags, directory):
    """Where a training job's checkpoints go; "" if it has none."""
    if flags.checkpoint_dir:
        return os.path.abspath(flags.checkpoint_dir)
    return os.path.join(directory, "checkpoints") if flags.checkpoint_steps else ""
