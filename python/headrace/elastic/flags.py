"""What a job is asked to be: the flags of train, evaluate and predict, checked.

Standard library only: the command line answers wrong usage before anything heavy is imported.
"""

import dataclasses
import json
import os
import re

from headrace._checks import AUTOTUNE
from headrace.elastic import control
from headrace.errors import UsageError

TRAIN, EVALUATE, PREDICT, RUN = "train", "evaluate", "predict", "run"
JOB_TYPES = {
    (TRAIN, False): "training-only",
    (TRAIN, True): "training-with-evaluation",
    (EVALUATE, True): "evaluation-only",
    (PREDICT, False): "prediction-only",
    (RUN, False): "training-only",
}
# ElasticDL's names for the same.
ALIASES = {name.replace("-", "_"): name for name in JOB_TYPES.values()}
DATA_FLAG = {
    TRAIN: "--training_data",
    EVALUATE: "--validation_data",
    PREDICT: "--prediction_data",
    RUN: "--training_data",
}
OUTPUT_FORMATS = ("jsonl", "csv", "tfrecord", "recordio")
ADDRESS = r"\[?[^\s,]+?\]?:[1-9]\d{0,4}"  # host:port
# Why these take no parameter servers.
NO_SERVERS = {
    EVALUATE: "it loads a checkpoint into one process, and uses no parameter servers",
    PREDICT: "it loads a checkpoint into one process, and uses no parameter servers",
    RUN: "the program's model is its own",
}


@dataclasses.dataclass
class JobFlags:
    """One job. Counts are records, steps or minibatches, as named; seconds end in _s."""

    verb: str
    model_def: str = ""
    model_zoo: str = ""
    training_data: list = dataclasses.field(default_factory=list)
    validation_data: list = dataclasses.field(default_factory=list)
    prediction_data: list = dataclasses.field(default_factory=list)
    num_epochs: int = 1
    minibatch_size: int | None = None
    num_minibatches_per_task: int = 8
    records_per_task: int | None = None  # instead of the two above, for models that batch themselves
    num_workers: str = "1"
    num_ps: int = 0
    ps_addrs: list = dataclasses.field(default_factory=list)  # host:port of servers that run already
    use_async: bool = True
    grads_to_wait: int = 1
    exact: bool = False
    shuffle: bool = True
    seed: int = 0
    checkpoint_dir: str = ""
    checkpoint_steps: int = 0
    keep_checkpoint_max: int = 3
    checkpoint_dir_for_init: str = ""
    no_checkpoint: bool = False  # the model is as custom_model() makes it
    resume: bool = False
    evaluation_steps: int = 0
    evaluation_throttle_secs: int = 0
    output: str = ""
    output_format: str = "jsonl"
    job_name: str = ""
    job_type: str = ""
    job_dir: str = ""
    dataset_metadata: str = ""
    load_op_library: list = dataclasses.field(default_factory=list)
    max_quarantined: int = 0
    lease_s: int = 30
    step_timeout_s: int = 600  # 0: for ever
    tensorboard_log_dir: str = ""
    staging: bool = True
    stage_capacity: int = AUTOTUNE
    stage_threads: int = AUTOTUNE
    # Several machines.
    master_addr: str = ""  # host:port of another machine's master: only workers are started here
    master_host: str = "127.0.0.1"  # where this job's master listens, and where its servers are found
    master_port: int = 0  # 0: any
    metrics_port: int = 0  # the master's for Prometheus, the workers' behind it; 0: none
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""

    def check(self):
        """Errors: UsageError, which names flag, value and what is accepted."""
        self.tls.check(serves=not self.master_addr)
        self._check_metrics_port()
        if self.master_addr:
            self._check_joins()
            return
        if self.verb != RUN and not self.model_def:
            raise UsageError(f"{self.verb} needs --model_def: the file or dotted name of the model's module")
        self._check_numbers()
        self._check_data()
        self._check_type()
        self._check_cluster()
        if self.verb == PREDICT and not self.output:
            raise UsageError("predict needs --output: the directory for what is predicted")
        if self.verb in (EVALUATE, PREDICT):
            self._check_model()
        self._check_texts()

    def _check_model(self):
        """Of what was trained before."""
        if self.no_checkpoint and (self.checkpoint_dir or self.checkpoint_dir_for_init):
            raise UsageError(
                "--no_checkpoint contradicts --checkpoint_dir and --checkpoint_dir_for_init: leave one out"
            )
        if not (self.no_checkpoint or self.checkpoint_dir or self.checkpoint_dir_for_init):
            raise UsageError(
                f"{self.verb} needs a trained model: give the one that a job ended with, or any checkpoint, by "
                "--checkpoint_dir_for_init, or a job's checkpoints by --checkpoint_dir; --no_checkpoint takes the "
                "model as custom_model() makes it"
            )

    def _check_texts(self):
        if self.output_format not in OUTPUT_FORMATS:
            known = ", ".join(OUTPUT_FORMATS)
            raise UsageError(f"--output_format is '{self.output_format}', and must be one of {known}")
        if self.job_name != os.path.basename(self.job_name) or self.job_name in (".", ".."):
            raise UsageError(
                f"--job_name '{self.job_name}' is a path: --job_dir says where the job's files go"
            )
        try:
            json.loads(self.dataset_metadata or "null")
        except ValueError as error:
            raise UsageError(f"--dataset_metadata is no JSON: {error}") from error
        for path in self.load_op_library:
            if not os.path.isfile(path):
                raise UsageError(f"--load_op_library: there is no file {path}")

    def _check_numbers(self):
        at_least = {
            "num_epochs": 1,
            "num_minibatches_per_task": 1,
            "checkpoint_steps": 0,
            "keep_checkpoint_max": 0,
            "evaluation_steps": 0,
            "evaluation_throttle_secs": 0,
            "seed": 0,
            "grads_to_wait": 1,
            "num_ps": 0,
            "max_quarantined": 0,
            "lease_s": 1,
            "step_timeout_s": 0,
            "master_port": 0,
            "stage_capacity": AUTOTUNE,
            "stage_threads": AUTOTUNE,
        }
        for name, least in at_least.items():
            value = getattr(self, name)
            if value < least:
                raise UsageError(f"--{name} is {value}, and must be at least {least}")
        if self.stage_threads == 0:
            raise UsageError("--stage_threads is 0, and must be at least 1, or -1: chosen from measurement")
        if self.records_per_task and self.num_minibatches_per_task != type(self).num_minibatches_per_task:
            raise UsageError(
                f"--records_per_task {self.records_per_task} and --num_minibatches_per_task "
                f"{self.num_minibatches_per_task} say the same in two ways: leave one out"
            )
        for name in ("minibatch_size", "records_per_task"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} is {value}, and must be at least 1")

    def _check_joins(self):
        """The job is another machine's: all of its flags are there."""
        if re.fullmatch(ADDRESS, self.master_addr) is None:
            raise UsageError(f"--master_addr: '{self.master_addr}' is not host:port")
        own = ("verb", "master_addr", "num_workers", "job_dir", "metrics_port")
        own += ("tls_cert", "tls_key", "tls_ca")
        for field in dataclasses.fields(self):
            if field.name in own:
                continue
            plain = field.default
            if field.default_factory is not dataclasses.MISSING:
                plain = field.default_factory()
            if getattr(self, field.name) != plain:
                raise UsageError(
                    f"--{field.name} belongs to the job, and the master at {self.master_addr} has the job: "
                    "leave it out"
                )
        if self.workers[1] < 1:
            raise UsageError("--num_workers 0 joins nobody")

    def _check_data(self):
        given = {
            TRAIN: self.training_data,
            EVALUATE: self.validation_data,
            PREDICT: self.prediction_data,
        }
        main = TRAIN if self.verb == RUN else self.verb
        if not given[main]:
            raise UsageError(f"{self.verb} needs {DATA_FLAG[self.verb]}: files, directories or globs")
        allowed = (TRAIN, EVALUATE) if self.verb == TRAIN else (main,)
        for verb, data in given.items():
            if data and verb not in allowed:
                raise UsageError(f"{self.verb} does not use {DATA_FLAG[verb]}: leave it out")
        if not self.validation_data and (self.evaluation_steps or self.evaluation_throttle_secs):
            raise UsageError("--evaluation_steps and --evaluation_throttle_secs need --validation_data")

    def _check_type(self):
        if not self.job_type:
            return
        wanted = ALIASES.get(self.job_type, self.job_type)
        if wanted not in JOB_TYPES.values():
            known = ", ".join(dict.fromkeys(JOB_TYPES.values()))
            raise UsageError(f"--job_type is '{self.job_type}', and must be one of {known}")
        if wanted != self.type:
            raise UsageError(
                f"--job_type {self.job_type} contradicts the rest of the command line, which says "
                f"{self.type}: leave it out, or change the verb or the data"
            )

    def _check_metrics_port(self):
        if self.metrics_port == 0:
            return
        workers = self.workers[1]
        if self.metrics_port < 0 or self.metrics_port + workers > 65535:
            raise UsageError(
                f"--metrics_port {self.metrics_port}: it and the workers' behind it, here {workers}, must be in "
                "[1, 65535]; 0: none"
            )

    def _check_cluster(self):
        if self.master_host in ("", "0.0.0.0", "::"):
            raise UsageError(
                f"--master_host '{self.master_host}': give the address by which other machines find this one"
            )
        if self.master_port > 65535:
            raise UsageError(f"--master_port is {self.master_port}, and must be at most 65535")
        _, high = self.workers
        if self.verb != TRAIN:
            self._check_no_servers()
            return
        for address in self.ps_addrs:
            if re.fullmatch(ADDRESS, address) is None:
                raise UsageError(f"--ps_addrs: '{address}' is not host:port")
            if self.ps_addrs.count(address) > 1:
                raise UsageError(f"--ps_addrs names {address} twice")
        if self.ps_addrs and self.num_ps not in (0, len(self.ps_addrs)):
            raise UsageError(
                f"--num_ps {self.num_ps} contradicts --ps_addrs, which names {len(self.ps_addrs)}: leave "
                "--num_ps out"
            )
        if high > 1 and not self.servers:
            raise UsageError(
                f"--num_workers {self.num_workers}: more than one worker needs parameter servers to "
                "train one model (--num_ps)"
            )
        self._check_synchrony(high)
        if self.exact and not self.servers:
            raise UsageError(
                "--exact needs parameter servers (--num_ps): without them nothing is trained twice in the "
                "model that comes out"
            )
        if self.exact and not (self.checkpoint_steps or self.checkpoint_dir):
            raise UsageError(
                "--exact goes back to a checkpoint when a worker is lost: give --checkpoint_steps or "
                "--checkpoint_dir"
            )

    def _check_synchrony(self, workers):
        if not self.use_async and not self.servers:
            raise UsageError("--use_async=false needs parameter servers (--num_ps): it has no effect without")
        if self.grads_to_wait == 1:
            return
        needs = "" if self.servers else " and parameter servers (--num_ps)"
        if self.use_async:
            raise UsageError(f"--grads_to_wait {self.grads_to_wait} needs --use_async=false{needs}")
        if self.grads_to_wait > workers and not self.can_be_joined:
            raise UsageError(
                f"--grads_to_wait {self.grads_to_wait}: {workers} workers never give that many gradients to "
                "one step: raise --num_workers, or lower it"
            )

    def _check_no_servers(self):
        given = {
            "--num_ps": self.num_ps,
            "--ps_addrs": self.ps_addrs,
            "--use_async=false": not self.use_async,
            "--grads_to_wait": self.grads_to_wait != 1,
            "--exact": self.exact,
        }
        for name, value in given.items():
            if value:
                raise UsageError(f"{self.verb} takes no {name}: {NO_SERVERS[self.verb]}; leave it out")

    @property
    def servers(self):
        """How many parameter servers; 0: the model is in the one process that trains."""
        return len(self.ps_addrs) or self.num_ps

    @property
    def can_be_joined(self):
        """Whether other commands know where this job's master will be."""
        return bool(self.master_port) or self.master_host != type(self).master_host

    @property
    def tls(self):
        return control.Tls(self.tls_cert, self.tls_key, self.tls_ca)

    @property
    def type(self):
        # "": verb and data contradict each other.
        return JOB_TYPES.get((self.verb, bool(self.validation_data)), "")

    @property
    def workers(self):
        """(least, most)."""
        match = re.fullmatch(r"(\d+)(?::(\d+))?", str(self.num_workers))
        if match is None:
            raise UsageError(f"--num_workers is '{self.num_workers}', and must be N or MIN:MAX")
        low = int(match[1])
        high = int(match[2] or low)
        if low == high == 0 and self.can_be_joined:
            return 0, 0
        if not 1 <= low <= high:
            raise UsageError(
                f"--num_workers is '{self.num_workers}': 1 <= MIN <= MAX is needed, or 0 with --master_host "
                "or --master_port, by which others join"
            )
        return low, high

    def task_records(self, minibatch_size):
        """Records of a task. minibatch_size: None where dataset_fn makes the batches."""
        if self.records_per_task:
            return self.records_per_task
        return self.num_minibatches_per_task * (minibatch_size or 128)
