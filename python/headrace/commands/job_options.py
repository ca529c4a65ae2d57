"""The flags of `headrace train`, `evaluate`, `predict`, `run` and `export`, for typer."""

from typing import Annotated, List, Optional

import typer

from headrace.commands.common import fail

MODEL = "Model"
DATA = "Data"
JOB = "Job"
SPEED = "Speed"
MACHINES = "Several machines"


def _truth(value: str):
    if value.lower() not in ("true", "false"):
        fail(f"--use_async is '{value}', and must be true or false", 2)
    return value.lower()


def option(flag, text, panel, *more, **kwargs):
    return typer.Option(flag, *more, help=text, rich_help_panel=panel, **kwargs)


ModelDef = Annotated[
    str, option("--model_def", "File or dotted name (zoo.model.custom_model) of the module.", MODEL)
]
ModelZoo = Annotated[str, option("--model_zoo", "Folder in which --model_def is looked for.", MODEL)]
Minibatch = Annotated[
    Optional[int], option("--minibatch_size", "Records of a batch; not if dataset_fn batches.", MODEL)
]
Metadata = Annotated[
    str, option("--dataset_metadata", "JSON that dataset_fn gets as its third argument.", MODEL)
]
OpLibraries = Annotated[
    Optional[List[str]], option("--load_op_library", "Library of own ops; may be repeated.", MODEL)
]
TrainingData = Annotated[
    Optional[List[str]],
    option("--training_data", "Files, folders, patterns; may be repeated.", DATA),
]
ValidationData = Annotated[
    Optional[List[str]], option("--validation_data", "Files, folders, patterns, for evaluation; may be repeated.", DATA)
]
PredictionData = Annotated[
    Optional[List[str]], option("--prediction_data", "Files, folders, patterns, for prediction; may be repeated.", DATA)
]
Epochs = Annotated[int, option("--num_epochs", "Times that each record is trained.", DATA)]
PerTask = Annotated[
    int, option("--num_minibatches_per_task", "Records of a task, in minibatches.", DATA)
]
RecordsPerTask = Annotated[
    Optional[int], option("--records_per_task", "Records of a task, in records.", DATA)
]
Shuffle = Annotated[
    bool, option("--shuffle/--no_shuffle", "Whether tasks come in random order.", DATA)
]
Seed = Annotated[int, option("--seed", "Of that order.", DATA)]
MaxQuarantined = Annotated[
    int, option("--max_quarantined", "Bad records that are left out; one more fails the job.", DATA)
]
Workers = Annotated[
    str,
    option(
        "--num_workers",
        "How many: N or MIN:MAX. MAX are started, and the job goes on while MIN are left.",
        JOB,
    ),
]
Ps = Annotated[
    int,
    option(
        "--num_ps",
        "Parameter servers that hold the model, for several workers; 0: it is in the worker.",
        JOB,
        "--num_ps_pods",
    ),
]
PsAddrs = Annotated[
    Optional[List[str]],
    option("--ps_addrs", "host:port,... of parameter servers that run already; none is started.", JOB),
]
Async = Annotated[
    str,
    option(
        "--use_async",
        "With parameter servers: true: each worker applies its own gradients; false: together.",
        JOB,
        callback=_truth,
    ),
]
Grads = Annotated[
    int, option("--grads_to_wait", "Synchronous training: gradients that make one step.", JOB)
]
Exact = Annotated[
    bool,
    option(
        "--exact",
        "With parameter servers and checkpoints: a lost worker's model goes back to the last checkpoint, so "
        "that no record is trained twice.",
        JOB,
    ),
]
CheckpointDir = Annotated[
    str, option("--checkpoint_dir", "Where checkpoints go, and are resumed from.", JOB)
]
CheckpointSteps = Annotated[
    int, option("--checkpoint_steps", "A checkpoint every so many steps; 0: none.", JOB)
]
KeepMax = Annotated[
    int, option("--keep_checkpoint_max", "Checkpoints that are kept; 0: all.", JOB)
]
Init = Annotated[
    str,
    option(
        "--checkpoint_dir_for_init",
        "A checkpoint (Headrace's, TensorFlow's, Keras's) with the model's first values.",
        JOB,
    ),
]
NoCheckpoint = Annotated[
    bool,
    option(
        "--no_checkpoint",
        "Take the model as custom_model() makes it: not trained, unless that loads weights by itself.",
        JOB,
    ),
]
Resume = Annotated[bool, option("--resume", "Go on with this job where it stopped.", JOB)]
EvaluationSteps = Annotated[
    int, option("--evaluation_steps", "Evaluate every so many steps; always at the end.", JOB)
]
EvaluationSecs = Annotated[
    int, option("--evaluation_throttle_secs", "Evaluate every so many seconds.", JOB)
]
Output = Annotated[str, option("--output", "Folder for the model, or for predictions.", JOB)]
JobName = Annotated[str, option("--job_name", "Default: the verb and the time.", JOB)]
JobType = Annotated[str, option("--job_type", "Checked against the verb and the data.", JOB)]
JobDir = Annotated[
    str, option("--job_dir", "Ledger, logs, exported model. Default: headrace_jobs/NAME.", JOB)
]
Lease = Annotated[
    int, option("--lease_s", "Seconds after which a silent worker's records go to others.", JOB)
]
StepTimeout = Annotated[
    int,
    option(
        "--step_timeout_s",
        "Seconds that a step may take, reading included, before its process is killed and started again; "
        "0: for ever.",
        JOB,
    ),
]
Events = Annotated[
    str, option("--tensorboard_log_dir", "Default: events in the job's folder.", JOB)
]
MasterAddr = Annotated[
    str,
    option(
        "--master_addr",
        "host:port of the master of a job that runs: start workers for it here, and nothing else.",
        MACHINES,
    ),
]
MasterHost = Annotated[
    str,
    option(
        "--master_host",
        "Address of this machine where the job's master listens, and its parameter servers are found.",
        MACHINES,
    ),
]
MasterPort = Annotated[int, option("--master_port", "Its port; 0: any.", MACHINES)]
MetricsPort = Annotated[
    int,
    option(
        "--metrics_port",
        "Figures for Prometheus: the master's at this port (/metrics), its workers' at the ports behind it; 0: "
        "none.",
        MACHINES,
    ),
]
TlsCert = Annotated[
    str, option("--tls_cert", "Certificate (PEM) that master, workers and tools show.", MACHINES)
]
TlsKey = Annotated[str, option("--tls_key", "Its key (PEM).", MACHINES)]
TlsCa = Annotated[
    str, option("--tls_ca", "Each side must have a certificate of this one (PEM).", MACHINES)
]
Staging = Annotated[
    bool, option("--staging/--no_staging", "Run the input part ahead of the step.", SPEED)
]
Capacity = Annotated[
    int, option("--stage_capacity", "Batches that may wait; 0: none; -1: chosen from measurement.", SPEED)
]
Threads = Annotated[
    int, option("--stage_threads", "Threads that prepare batches; -1: chosen from measurement.", SPEED)
]
DryRun = Annotated[bool, option("--dry_run", "Print the job file; start nothing.", JOB)]


def _read_config(context: typer.Context, path: str):
    """Defaults from a TOML file: its keys are the flags' names."""
    if not path:
        return path
    import tomllib

    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        fail(f"--config {path}: {error}", 2)
    known = {parameter.name for parameter in context.command.params}
    names = {option.lstrip("-"): p.name for p in context.command.params for option in p.opts}
    defaults = {}
    for key, value in values.items():
        name = names.get(key, key)
        if name not in known:
            fail(f"--config {path}: {context.command.name} has no flag --{key}", 2)
        defaults[name] = value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


Config = Annotated[
    str,
    option(
        "--config",
        "TOML file with flags; the command line wins.",
        JOB,
        is_eager=True,
        callback=_read_config,
    ),
]
