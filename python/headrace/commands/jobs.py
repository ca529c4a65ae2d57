"""`headrace train`, `evaluate` and `predict`, and what looks after running jobs.

Exit codes: 0 done and every record accounted for, 1 failed, 2 wrong usage, 3 done with quarantined
records within the limit, 75 stopped before the end: resume it.
"""

import json
import os
import subprocess
from typing import Annotated, List, Optional

import typer

from headrace._checks import AUTOTUNE
from headrace.commands.common import Format, FormatOption, fail
from headrace.elastic import control
from headrace.elastic.flags import EVALUATE, NO_SERVERS, PREDICT, RUN, TRAIN, JobFlags
from headrace.errors import HeadraceError, UsageError

MODEL = "Model"
DATA = "Data"
JOB = "Job"
SPEED = "Speed"
MACHINES = "Several machines"


def _truth(value: str):
    if value.lower() not in ("true", "false"):
        fail(f"--use_async is '{value}', and must be true or false", 2)
    return value.lower()


def _option(flag, text, panel, *more, **kwargs):
    return typer.Option(flag, *more, help=text, rich_help_panel=panel, **kwargs)


ModelDef = Annotated[
    str, _option("--model_def", "File or dotted name (zoo.model.custom_model) of the module.", MODEL)
]
ModelZoo = Annotated[str, _option("--model_zoo", "Folder in which --model_def is looked for.", MODEL)]
Minibatch = Annotated[
    Optional[int], _option("--minibatch_size", "Records of a batch; not if dataset_fn batches.", MODEL)
]
Metadata = Annotated[
    str, _option("--dataset_metadata", "JSON that dataset_fn gets as its third argument.", MODEL)
]
OpLibraries = Annotated[
    Optional[List[str]], _option("--load_op_library", "Library of own ops; may be repeated.", MODEL)
]
TrainingData = Annotated[
    Optional[List[str]],
    _option("--training_data", "Files, folders, patterns; may be repeated.", DATA),
]
ValidationData = Annotated[
    Optional[List[str]], _option("--validation_data", "The same, for evaluation.", DATA)
]
PredictionData = Annotated[
    Optional[List[str]], _option("--prediction_data", "The same, for prediction.", DATA)
]
Epochs = Annotated[int, _option("--num_epochs", "Times that each record is trained.", DATA)]
PerTask = Annotated[
    int, _option("--num_minibatches_per_task", "Records of a task, in minibatches.", DATA)
]
RecordsPerTask = Annotated[
    Optional[int], _option("--records_per_task", "The same in records.", DATA)
]
Shuffle = Annotated[
    bool, _option("--shuffle/--no_shuffle", "Whether tasks come in random order.", DATA)
]
Seed = Annotated[int, _option("--seed", "Of that order.", DATA)]
MaxQuarantined = Annotated[
    int, _option("--max_quarantined", "Bad records that are left out; one more fails the job.", DATA)
]
Workers = Annotated[
    str,
    _option(
        "--num_workers",
        "How many: N or MIN:MAX. MAX are started, and the job goes on while MIN are left.",
        JOB,
    ),
]
Ps = Annotated[
    int,
    _option(
        "--num_ps",
        "Parameter servers that hold the model, for several workers; 0: it is in the worker.",
        JOB,
        "--num_ps_pods",
    ),
]
PsAddrs = Annotated[
    Optional[List[str]],
    _option("--ps_addrs", "host:port,... of parameter servers that run already; none is started.", JOB),
]
Async = Annotated[
    str,
    _option(
        "--use_async",
        "With parameter servers: true: each worker applies its own gradients; false: together.",
        JOB,
        callback=_truth,
    ),
]
Grads = Annotated[
    int, _option("--grads_to_wait", "Synchronous training: gradients that make one step.", JOB)
]
Exact = Annotated[
    bool,
    _option(
        "--exact",
        "With parameter servers and checkpoints: a lost worker's model goes back to the last checkpoint, so "
        "that no record is trained twice.",
        JOB,
    ),
]
CheckpointDir = Annotated[
    str, _option("--checkpoint_dir", "Where checkpoints go, and are resumed from.", JOB)
]
CheckpointSteps = Annotated[
    int, _option("--checkpoint_steps", "A checkpoint every so many steps; 0: none.", JOB)
]
KeepMax = Annotated[
    int, _option("--keep_checkpoint_max", "Checkpoints that are kept; 0: all.", JOB)
]
Init = Annotated[
    str,
    _option(
        "--checkpoint_dir_for_init",
        "A checkpoint (Headrace's, TensorFlow's, Keras's) with the model's first values.",
        JOB,
    ),
]
Resume = Annotated[bool, _option("--resume", "Go on with this job where it stopped.", JOB)]
EvaluationSteps = Annotated[
    int, _option("--evaluation_steps", "Evaluate every so many steps; always at the end.", JOB)
]
EvaluationSecs = Annotated[
    int, _option("--evaluation_throttle_secs", "Evaluate every so many seconds.", JOB)
]
Output = Annotated[str, _option("--output", "Folder for the model, or for predictions.", JOB)]
JobName = Annotated[str, _option("--job_name", "Default: the verb and the time.", JOB)]
JobType = Annotated[str, _option("--job_type", "Checked against the verb and the data.", JOB)]
JobDir = Annotated[
    str, _option("--job_dir", "Ledger, logs, exported model. Default: headrace_jobs/NAME.", JOB)
]
Lease = Annotated[
    int, _option("--lease_s", "Seconds after which a silent worker's records go to others.", JOB)
]
StepTimeout = Annotated[
    int,
    _option(
        "--step_timeout_s",
        "Seconds that a step may take, reading included, before its process is killed and started again; "
        "0: for ever.",
        JOB,
    ),
]
Events = Annotated[
    str, _option("--tensorboard_log_dir", "Default: events in the job's folder.", JOB)
]
MasterAddr = Annotated[
    str,
    _option(
        "--master_addr",
        "host:port of the master of a job that runs: start workers for it here, and nothing else.",
        MACHINES,
    ),
]
MasterHost = Annotated[
    str,
    _option(
        "--master_host",
        "Address of this machine where the job's master listens, and its parameter servers are found.",
        MACHINES,
    ),
]
MasterPort = Annotated[int, _option("--master_port", "Its port; 0: any.", MACHINES)]
TlsCert = Annotated[
    str, _option("--tls_cert", "Certificate (PEM) that master, workers and tools show.", MACHINES)
]
TlsKey = Annotated[str, _option("--tls_key", "Its key (PEM).", MACHINES)]
TlsCa = Annotated[
    str, _option("--tls_ca", "Each side must have a certificate of this one (PEM).", MACHINES)
]
Staging = Annotated[
    bool, _option("--staging/--no_staging", "Run the input part ahead of the step.", SPEED)
]
Capacity = Annotated[
    int, _option("--stage_capacity", "Batches that may wait; 0: none; -1: chosen from measurement.", SPEED)
]
Threads = Annotated[
    int, _option("--stage_threads", "Threads that prepare batches; -1: chosen from measurement.", SPEED)
]
DryRun = Annotated[bool, _option("--dry_run", "Print the job file; start nothing.", JOB)]


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
    _option("--config", "TOML file with flags; the command line wins.", JOB, is_eager=True, callback=_read_config),
]

# What ElasticDL's command lines hold for Kubernetes.
_CLUSTER_FLAGS = (
    *(f"{role}_{what}" for role in ("master", "worker", "ps") for what in ("resource_request", "resource_limit", "pod_priority")),
    "image_name",
    "image_pull_policy",
    "restart_policy",
    "namespace",
    "volume",
    "docker_image_repository",
    "envs",
    "cluster_spec",
    "distribution_strategy",
)


def _split(values):
    """Flags that take several may be repeated, or hold commas."""
    return [part for value in values or () for part in value.split(",") if part]


# Of training on parameter servers.
_SERVER_FLAGS = ("--num_ps", "--num_ps_pods", "--ps_addrs", "--use_async", "--grads_to_wait", "--exact")


def _take_cluster_flags(verb, context):
    """Names the flags that only mean something on Kubernetes; refuses everything else."""
    rest, unused = list(context.args), []
    while rest:
        flag = rest.pop(0)
        name, given, _ = flag.partition("=")
        if name in _SERVER_FLAGS:
            fail(f"{verb} takes no {name}: {NO_SERVERS[verb]}; leave it out", 2)
        if name.lstrip("-") not in _CLUSTER_FLAGS or not name.startswith("--"):
            fail(f"there is no flag {name}; see --help", 2)
        if not given:
            if not rest:
                fail(f"{name} needs a value", 2)
            rest.pop(0)
        unused.append(name)
    if unused:
        typer.echo(f"headrace: without effect on one machine: {', '.join(unused)}", err=True)


def _run(verb, *, context, format, dry_run, config, command=(), **values):
    """Runs a job. values: what a command takes and JobFlags has; `config` has done its work by then."""
    del config
    from headrace.elastic import job, summary
    from headrace.elastic.progress import Progress

    if verb != RUN:
        _take_cluster_flags(verb, context)
    for name in ("training_data", "validation_data", "prediction_data", "load_op_library", "ps_addrs"):
        if name in values:
            values[name] = _split(values[name])
    if "use_async" in values:
        values["use_async"] = values["use_async"] == "true"
    try:
        with Progress(quiet=format is Format.json) as show:
            result, code = job.run(JobFlags(verb=verb, **values), show, dry_run, command)
    except UsageError as error:
        fail(error, 2)
    except HeadraceError as error:
        fail(error, 1)
    except KeyboardInterrupt:
        fail("stopped before the job began", 75)
    if dry_run:
        typer.echo(json.dumps(result, indent=2))
    elif format is Format.json:
        summary.print_json(result, typer.echo)
    else:
        summary.print_text(result, typer.echo)
    raise typer.Exit(code)


_EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}


def train(
    context: typer.Context,
    model_def: ModelDef = "",
    training_data: TrainingData = None,
    model_zoo: ModelZoo = "",
    validation_data: ValidationData = None,
    num_epochs: Epochs = 1,
    minibatch_size: Minibatch = None,
    num_minibatches_per_task: PerTask = 8,
    records_per_task: RecordsPerTask = None,
    shuffle: Shuffle = True,
    seed: Seed = 0,
    dataset_metadata: Metadata = "",
    load_op_library: OpLibraries = None,
    max_quarantined: MaxQuarantined = 0,
    num_workers: Workers = "1",
    num_ps: Ps = 0,
    ps_addrs: PsAddrs = None,
    use_async: Async = "true",
    grads_to_wait: Grads = 1,
    exact: Exact = False,
    checkpoint_dir: CheckpointDir = "",
    checkpoint_steps: CheckpointSteps = 0,
    keep_checkpoint_max: KeepMax = 3,
    checkpoint_dir_for_init: Init = "",
    resume: Resume = False,
    evaluation_steps: EvaluationSteps = 0,
    evaluation_throttle_secs: EvaluationSecs = 0,
    output: Output = "",
    job_name: JobName = "",
    job_type: JobType = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    tensorboard_log_dir: Events = "",
    staging: Staging = True,
    stage_capacity: Capacity = AUTOTUNE,
    stage_threads: Threads = AUTOTUNE,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    tls_cert: TlsCert = "",
    tls_key: TlsKey = "",
    tls_ca: TlsCa = "",
    dry_run: DryRun = False,
    format: FormatOption = Format.text,
    config: Config = "",
):
    """Train a model; with --validation_data, evaluate it on the way and at the end."""
    _run(TRAIN, **locals())


def evaluate(
    context: typer.Context,
    model_def: ModelDef = "",
    validation_data: ValidationData = None,
    model_zoo: ModelZoo = "",
    minibatch_size: Minibatch = None,
    num_minibatches_per_task: PerTask = 8,
    records_per_task: RecordsPerTask = None,
    dataset_metadata: Metadata = "",
    load_op_library: OpLibraries = None,
    max_quarantined: MaxQuarantined = 0,
    num_workers: Workers = "1",
    checkpoint_dir: CheckpointDir = "",
    checkpoint_dir_for_init: Init = "",
    resume: Resume = False,
    job_name: JobName = "",
    job_type: JobType = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    tls_cert: TlsCert = "",
    tls_key: TlsKey = "",
    tls_ca: TlsCa = "",
    dry_run: DryRun = False,
    format: FormatOption = Format.text,
    config: Config = "",
):
    """Evaluate a model: one of --checkpoint_dir (Headrace's) or --checkpoint_dir_for_init (any)."""
    _run(EVALUATE, **locals())


def predict(
    context: typer.Context,
    model_def: ModelDef = "",
    prediction_data: PredictionData = None,
    output: Output = "",
    output_format: Annotated[
        str, _option("--output_format", "jsonl, csv, tfrecord or recordio.", JOB)
    ] = "jsonl",
    model_zoo: ModelZoo = "",
    minibatch_size: Minibatch = None,
    num_minibatches_per_task: PerTask = 8,
    records_per_task: RecordsPerTask = None,
    dataset_metadata: Metadata = "",
    load_op_library: OpLibraries = None,
    max_quarantined: MaxQuarantined = 0,
    num_workers: Workers = "1",
    checkpoint_dir: CheckpointDir = "",
    checkpoint_dir_for_init: Init = "",
    resume: Resume = False,
    job_name: JobName = "",
    job_type: JobType = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    tls_cert: TlsCert = "",
    tls_key: TlsKey = "",
    tls_ca: TlsCa = "",
    dry_run: DryRun = False,
    format: FormatOption = Format.text,
    config: Config = "",
):
    """Predict: one row for each record, in order, with the record's identity."""
    _run(PREDICT, **locals())


def run(
    context: typer.Context,
    command: Annotated[List[str], typer.Argument(help="The program, after --.")],
    training_data: TrainingData = None,
    num_epochs: Epochs = 1,
    records_per_task: RecordsPerTask = None,
    shuffle: Shuffle = True,
    seed: Seed = 0,
    max_quarantined: MaxQuarantined = 0,
    num_workers: Workers = "1",
    resume: Resume = False,
    job_name: JobName = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    tls_cert: TlsCert = "",
    tls_key: TlsKey = "",
    tls_ca: TlsCa = "",
    dry_run: DryRun = False,
    format: FormatOption = Format.text,
    config: Config = "",
):
    """Run a program of your own on elastic data: see headrace.data.task_dataset."""
    if num_workers != "1" and format is Format.text:
        typer.echo(
            "headrace: each worker runs the program for itself: unless it joins them, their models are "
            "independent",
            err=True,
        )
    if records_per_task is None and not master_addr:
        records_per_task = 1000
    _run(RUN, **locals())


# --- looking after jobs ---------------------------------------------------------------------------

Where = Annotated[str, typer.Argument(help="The job's folder, or its name in headrace_jobs.")]
Master = Annotated[str, typer.Option("--master_addr", help="host:port, instead of a folder.")]
Cert = Annotated[str, typer.Option("--tls_cert", help="Certificate (PEM), for a master with TLS.")]
Key = Annotated[str, typer.Option("--tls_key", help="Its key (PEM).")]
Ca = Annotated[str, typer.Option("--tls_ca", help="The master must have a certificate of this (PEM).")]


def _directory(job):
    for path in (job, os.path.join("headrace_jobs", job)):
        if os.path.isfile(os.path.join(path, "job.json")):
            return path
    fail(f"{job} is neither the folder of a job nor the name of one in headrace_jobs", 2)


def _address(job, master_addr):
    if master_addr:
        return master_addr
    if not job:
        fail("name the job, or give --master_addr", 2)
    path = os.path.join(_directory(job), "master.address")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        fail(f"{job} does not run: there is no {path}", 1)


def _ctl(*arguments):
    from headrace import programs

    try:
        command = [programs.path("headrace-ctl"), *arguments]
    except HeadraceError as error:
        fail(error, 1)
    raise typer.Exit(subprocess.run(command).returncode)


def _ask(job, master_addr, cert, key, ca, *arguments):
    """headrace-ctl, for the job's master."""
    tls = control.Tls(cert, key, ca)
    try:
        tls.check(serves=False)
    except UsageError as error:
        fail(error, 2)
    _ctl("--master", _address(job, master_addr), *tls.arguments(), *arguments)


def status(
    job: Where = "",
    master_addr: Master = "",
    watch: Annotated[float, typer.Option(help="Again every so many seconds; 0: once.")] = 0.0,
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
    format: FormatOption = Format.text,
):
    """Say how a job stands, and for each worker what it waits for."""
    again = ["--watch", str(watch)] if watch else []
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, "--format", format.value, "status", *again)


def stop(
    job: Where = "",
    master_addr: Master = "",
    discard: Annotated[bool, typer.Option(help="Without a checkpoint.")] = False,
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
):
    """End a job early, with a checkpoint; train --resume goes on with it."""
    flags = ["--discard"] if discard else []
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, "stop", "--reason", "headrace stop", *flags)


def checkpoint(
    job: Where = "",
    master_addr: Master = "",
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
):
    """Take a checkpoint now, and say where it is."""
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, "checkpoint")


def ledger(
    job: Where = "",
    master_addr: Master = "",
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
    format: FormatOption = Format.text,
):
    """Say what became of every record, file by file; of finished jobs, too."""
    if master_addr:
        _ask("", master_addr, tls_cert, tls_key, tls_ca, "--format", format.value, "ledger")
    if not job:
        fail("name the job, or give --master_addr", 2)
    directory = _directory(job)
    _ctl("--format", format.value, "ledger", "--journal", os.path.join(directory, "ledger.sqlite"))


def logs(
    job: Where,
    name: Annotated[str, typer.Argument(help="master, worker-0 ...; default: all.")] = "",
    lines: Annotated[int, typer.Option("-n", help="Last lines of each; 0: all.")] = 50,
):
    """Print the logs of a job's processes."""
    folder = os.path.join(_directory(job), "logs")
    found = sorted(entry for entry in os.listdir(folder) if entry.split(".")[0] == name or not name)
    if not found:
        fail(f"there is no log of '{name}' in {folder}", 1)
    for entry in found:
        with open(os.path.join(folder, entry), encoding="utf-8", errors="replace") as file:
            content = file.read().splitlines()
        typer.echo(f"== {entry}")
        for line in content[-lines:] if lines else content:
            typer.echo(line)


def export(
    model_def: ModelDef,
    output: Annotated[str, typer.Option("--output", help="Folder for the exported job.")],
    model_zoo: ModelZoo = "",
    minibatch_size: Minibatch = None,
    dataset_metadata: Metadata = "",
    load_op_library: OpLibraries = None,
    checkpoint_dir_for_init: Init = "",
):
    """Trace a model module into the SavedModel that workers run; train does this by itself."""
    from headrace.elastic import export_process

    if os.path.exists(output):
        fail(f"--output {output} is there already", 2)
    flags = JobFlags(
        verb=TRAIN,
        model_def=model_def,
        model_zoo=model_zoo,
        minibatch_size=minibatch_size,
        dataset_metadata=dataset_metadata,
        load_op_library=_split(load_op_library),
        checkpoint_dir_for_init=checkpoint_dir_for_init,
    )
    try:
        result = export_process.export(output, flags)
    except HeadraceError as error:
        fail(error, 1)
    for name in result["loaded"]:
        typer.echo(f"from {checkpoint_dir_for_init}: {name}")
    typer.echo(output)


def register(app: typer.Typer):
    for command in (train, evaluate, predict):
        app.command(context_settings=_EXTRA)(command)
    app.command()(run)
    for command in (status, stop, checkpoint, ledger, logs, export):
        app.command()(command)
    return app


__all__ = ["register"]
