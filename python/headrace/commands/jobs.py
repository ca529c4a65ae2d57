"""`headrace train`, `evaluate`, `predict`, `run` and `export`.

Exit codes: 0 done and every record accounted for, 1 failed, 2 wrong usage, 3 done with quarantined
records within the limit, 75 stopped before the end: resume it.
"""

import json
import os
from typing import Annotated, List

import typer

from headrace._checks import AUTOTUNE
from headrace.commands import running_jobs
from headrace.commands.common import Format, FormatOption, fail
from headrace.commands.job_options import (
    JOB,
    Async,
    Capacity,
    CheckpointDir,
    CheckpointSteps,
    Config,
    DryRun,
    Epochs,
    EvaluationSecs,
    EvaluationSteps,
    Events,
    Exact,
    Grads,
    Init,
    JobDir,
    JobName,
    JobType,
    KeepMax,
    Lease,
    MasterAddr,
    MasterHost,
    MasterPort,
    MetricsPort,
    MaxQuarantined,
    Metadata,
    Minibatch,
    ModelDef,
    ModelZoo,
    NoCheckpoint,
    OpLibraries,
    Output,
    PerTask,
    PredictionData,
    Ps,
    PsAddrs,
    RecordsPerTask,
    Resume,
    Seed,
    Shuffle,
    Staging,
    StepTimeout,
    Threads,
    TlsCa,
    TlsCert,
    TlsKey,
    TrainingData,
    ValidationData,
    Workers,
    option,
)
from headrace.elastic.flags import EVALUATE, NO_SERVERS, PREDICT, RUN, TRAIN, JobFlags
from headrace.errors import HeadraceError, JobError, UsageError

# What ElasticDL's command lines hold for Kubernetes.
_CLUSTER_FLAGS = (
    *(
        f"{role}_{what}"
        for role in ("master", "worker", "ps")
        for what in ("resource_request", "resource_limit", "pod_priority")
    ),
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
    from headrace.elastic import job, processes, summary
    from headrace.elastic.progress import Progress

    if verb != RUN:
        _take_cluster_flags(verb, context)
    for name in ("training_data", "validation_data", "prediction_data", "load_op_library", "ps_addrs"):
        if name in values:
            values[name] = _split(values[name])
    if "use_async" in values:
        values["use_async"] = values["use_async"] == "true"
    flags = JobFlags(verb=verb, **values)

    def give_up(error, code):
        """What is printed at the end of a job is printed of one that was given up or never began, too."""
        made = getattr(error, "summary", None)
        if format is Format.json and not dry_run:
            told = error if isinstance(error, HeadraceError) else None
            made = made or summary.failed(flags, job.directory_of(flags), told, code)
            summary.print_json(made, typer.echo)
        elif made:
            summary.print_text(made | {"failure": ""}, typer.echo)  # which is said next
        fail(error, code)

    try:
        with processes.stoppable(), Progress(quiet=format is Format.json) as show:
            result, code = job.run(flags, show, dry_run, command)
    except UsageError as error:
        give_up(error, 2)
    except JobError as error:
        give_up(error, error.exit_code)
    except HeadraceError as error:
        give_up(error, 1)
    except KeyboardInterrupt:
        give_up("stopped before the job began", 75)
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
    metrics_port: MetricsPort = 0,
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
    no_checkpoint: NoCheckpoint = False,
    resume: Resume = False,
    job_name: JobName = "",
    job_type: JobType = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    metrics_port: MetricsPort = 0,
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
        str, option("--output_format", "jsonl, csv, tfrecord or recordio.", JOB)
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
    no_checkpoint: NoCheckpoint = False,
    resume: Resume = False,
    job_name: JobName = "",
    job_type: JobType = "",
    job_dir: JobDir = "",
    lease_s: Lease = 30,
    step_timeout_s: StepTimeout = 600,
    master_addr: MasterAddr = "",
    master_host: MasterHost = "127.0.0.1",
    master_port: MasterPort = 0,
    metrics_port: MetricsPort = 0,
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
    metrics_port: MetricsPort = 0,
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


def export(
    model_def: ModelDef,
    output: Annotated[str, typer.Option("--output", help="Folder for the exported job.")],
    model_zoo: ModelZoo = "",
    minibatch_size: Minibatch = None,
    dataset_metadata: Metadata = "",
    load_op_library: OpLibraries = None,
    checkpoint_dir_for_init: Init = "",
    num_ps: Annotated[
        int,
        typer.Option(
            "--num_ps",
            min=0,
            help="For a job with parameter servers (any number above 0): gradients and their application too.",
        ),
    ] = 0,
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
        num_ps=num_ps,
    )
    try:
        result = export_process.export(output, flags)
    except HeadraceError as error:
        fail(error, 1)
    for name in result["loaded"]:
        typer.echo(f"from {checkpoint_dir_for_init}: {name}")
    typer.echo(output)


_CLUSTER_HELP = (
    "Taken as well, and without effect on one machine (ElasticDL's, for Kubernetes): "
    + ", ".join(f"--{flag}" for flag in _CLUSTER_FLAGS)
    + ". Each takes a value; a line says which were given."
)


def register(app: typer.Typer):
    for command in (train, evaluate, predict):
        app.command(context_settings=_EXTRA, epilog=_CLUSTER_HELP)(command)
    app.command()(run)
    running_jobs.register(app)
    app.command()(export)
    return app


__all__ = ["register"]
