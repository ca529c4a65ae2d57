"""What a user would pick instead, on the same data and the same model: Keras's fit, a tf.data service, a TF1
MonitoredTrainingSession with parameter servers; each tuned as its documents say.

Sessions and fit step in turns: the input of Headrace's is where the model's author wrote it, the peers' is a
parallel map over whole batches with prefetch and AUTOTUNE. fit is tried with and without XLA and with several
steps an execution, in trial rounds; the best competes. Jobs with parameter servers are whole jobs in turns,
their speed that of all workers together.
"""

import dataclasses
import pathlib
import tempfile

from bench import cifar, jobs, limits, monitored, zoo
from bench.environment import MODELS
from bench.intervals import estimate, over
from bench.processes import Contender, Field, WorkerError
from bench.report import interval
from bench.settled import AUTOTUNE, Settled, settle
from bench.sizes import Sizes
from examples.common import staging

NAME = "peers"
QUESTION = ("What a user would pick instead: Keras's fit on CIFAR-10 and DLRM, a tf.data service on this "
            "host, a TF1 MonitoredTrainingSession with parameter servers.")
GOAL = 1.0  # peer / headrace: not slower
UNTIMED = 6
FIT_SETTINGS = ({"jit": False, "per_execution": 1}, {"jit": False, "per_execution": 8},
                {"jit": True, "per_execution": 1})
MIDDLE = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeersSizes(Sizes):
    """rows: PEER:MODEL. batch: of DLRM. records: drawn, of Criteo's; cifar_records: of CIFAR-10's. seconds:
    of one contender in one round. trials: rounds in which settings of fit are tried, 0 = none. clusters:
    WORKERSxSERVERS of the jobs; job_steps: of one of their workers, in the half that counts; job_rounds: jobs
    of each kind."""

    rows: tuple = ("fit:cifar10", "fit:dlrm", "service:dlrm", "monitored:dlrm")
    batch: int = 512
    records: int = 100_000
    cifar_records: int = 4096
    seconds: float = 1.5
    trials: int = 3
    clusters: tuple = ("1x1", "2x2")
    job_steps: int = 250
    job_rounds: int = 3


QUICK = PeersSizes(expected_s=80, rounds=3, records=20_000, cifar_records=1024, seconds=0.4, trials=0,
                   clusters=("1x1",), job_steps=100, job_rounds=1)
FULL = PeersSizes(expected_s=450, rounds=7)


def make_session(model, path, batch_size):
    """Headrace's contender: the graph as written, in a staged session."""
    if model != "cifar10":
        return zoo.make("staged", model, path, batch_size, **AUTOTUNE)
    stepper = cifar.contenders(path).staged(staging.Staging(**AUTOTUNE))
    staging.require_staged(stepper, "ParseExampleV2")
    return Settled(stepper)


def make_fit(model, path, batch_size, jit, per_execution):
    """Keras's fit of the same model: what cannot be compiled by XLA, the input part, is in the dataset."""
    from bench.keras_fit import Fit

    if model == "cifar10":
        module, network, batches = cifar.module(), cifar.module().custom_model(), cifar.tuned_batches(path)
    else:
        module, batches = zoo.module(model), zoo.tuned_batches(model, path, batch_size)
        network = zoo.split(module.custom_model())[1]
    network.compile(optimizer=module.optimizer(), loss=module.loss, jit_compile=jit,
                    steps_per_execution=per_execution)
    return Fit(network, batches, per_execution)


def _fit_contender(name, arguments, settings):
    return Contender(name, "bench.peers:make_fit", {**arguments, **settings}, UNTIMED)


def _ours(arguments):
    return Contender("headrace", "bench.peers:make_session", arguments, UNTIMED)


def _fit_trials(sizes, setting, arguments):
    """The settings of fit with the shortest median step, and all medians in ms (None: it does not run)."""
    if not sizes.trials:
        return FIT_SETTINGS[0], {}
    medians = {}
    for settings in FIT_SETTINGS:
        name = ", ".join(f"{key} {value}" for key, value in settings.items())
        try:
            with Field([_fit_contender(name, arguments, settings)]) as field:
                rounds = field.run(sizes.trials, sizes.seconds / 2, setting.seed, measure_cores=False)
        except WorkerError:
            medians[name] = None
            continue
        medians[name] = over(rounds, lambda r, n=name: 1e3 * r.seconds(n)).median
    best = min((name for name in medians if medians[name] is not None), key=medians.get)
    return FIT_SETTINGS[list(medians).index(best)], medians


def _fit(sizes, setting, model, path):
    arguments = {"model": model, "path": path, "batch_size": sizes.batch}
    best, trials = _fit_trials(sizes, setting, arguments)
    with Field([_fit_contender("peer", arguments, best), _ours(arguments)], setting.watch) as field:
        settle(field, ["headrace"])
        rounds = field.run(sizes.rounds, sizes.seconds, setting.seed, measure_cores=False)
    batch = cifar.BATCH if model == "cifar10" else sizes.batch
    return [_step_row("Keras fit", f"{model}, batch {batch}", rounds, best, trials)]


def _service(sizes, setting, path):
    arguments = {"model": "dlrm", "path": path, "batch_size": sizes.batch}
    peer = Contender("peer", "bench.zoo:make", {"contender": "service", **arguments}, UNTIMED)
    with Field([peer, _ours(arguments)], setting.watch) as field:
        settle(field, ["headrace"])
        rounds = field.run(sizes.rounds, sizes.seconds, setting.seed, measure_cores=False)
    return [_step_row("tf.data service", f"dlrm, batch {sizes.batch}", rounds, {}, {})]


def _step_row(peer, what, rounds, settings, trials):
    speed = {n: over(rounds, lambda r, n=n: 1 / r.seconds(n)).as_json() for n in ("peer", "headrace")}
    ratio = limits.ratio(rounds, "peer", "headrace")
    return _row(peer, what, "staged session", speed, ratio, settings, trials)


def _row(peer, what, ours, speed, ratio, settings, trials):
    return {"peer": peer, "what": what, "ours": ours, "steps_per_s": speed, "ratio": ratio.as_json(),
            "settings": settings, "trials_ms": trials, "goal": GOAL, "met": ratio.median >= GOAL}


def _job(sizes, folder, path, workers, servers):
    """Steps a second of `headrace train`'s workers."""
    from headrace.elastic import job
    from headrace.elastic.flags import JobFlags

    watch = jobs.watch(lambda status: (int(status["totals"]["pending"]), jobs.steps_of(status)))
    steps = 2 * sizes.job_steps * workers
    epochs = max(1, round(steps * sizes.batch / sizes.records))
    flags = JobFlags("train", model_zoo=str(MODELS), model_def="dlrm.dlrm.custom_model", training_data=[path],
                     dataset_metadata=f'{{"batch_size": {sizes.batch}, "shuffle": 0}}', num_epochs=epochs,
                     records_per_task=10 * sizes.batch, num_workers=str(workers), num_ps=servers,
                     job_dir=str(folder / "job"))
    _, code = job.run(flags, watch)
    jobs.check(code, folder)
    return sum(jobs.speeds(watch.samples, workers, epochs * sizes.records, MIDDLE))


def _monitored(sizes, setting, path):
    rows = []
    for cluster in sizes.clusters:
        workers, servers = map(int, cluster.split("x"))
        rounds = []
        for number in range(sizes.job_rounds):
            measured = {}
            for name in setting.order(("peer", "headrace"), number):
                setting.watch.round(number, sizes.job_rounds)
                if name == "peer":
                    measured[name] = monitored.measure(path, sizes.batch, sizes.job_steps, workers, servers)
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    measured[name] = _job(sizes, pathlib.Path(folder), path, workers, servers)
            rounds.append(measured)
        rows.append(_job_row(rounds, f"dlrm, batch {sizes.batch}, {jobs.cluster_of(workers, servers)}"))
    return rows


def _job_row(rounds, what):
    """Of rounds of {"peer", "headrace": steps a second}."""
    speed = {name: estimate([r[name] for r in rounds]).as_json() for name in ("peer", "headrace")}
    ratio = estimate([r["headrace"] / r["peer"] for r in rounds])
    return _row("MonitoredTrainingSession", what, "headrace train", speed, ratio, {}, {})


def run(sizes, setting):
    """Rows of the result."""
    setting.watch.parts(len(sizes.rows))
    rows = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        folder = pathlib.Path(folder)
        for name in sizes.rows:
            setting.watch.part(name)
            peer, _, model = name.partition(":")
            path = (cifar.generate(folder, sizes.cifar_records, setting.seed) if model == "cifar10"
                    else zoo.generate(model, folder, sizes.records, setting.seed))
            if peer == "fit":
                rows += _fit(sizes, setting, model, path)
            else:
                rows += {"service": _service, "monitored": _monitored}[peer](sizes, setting, path)
    return rows


COLUMNS = (
    ("peer", lambda row: row["peer"]),
    ("", lambda row: row["what"]),
    ("peer, steps/s", lambda row: f"{row['steps_per_s']['peer']['median']:.2f}"),
    ("Headrace, steps/s", lambda row: f"{row['steps_per_s']['headrace']['median']:.2f} ({row['ours']})"),
    ("Headrace / peer (95% interval)", lambda row: interval(row["ratio"])),
)


def notes(rows):
    """What was tried for fit."""
    def tried(ms):
        return "does not run" if ms is None else f"{ms:.1f} ms"

    return [f"{row['peer']}, {row['what']}: "
            + ", ".join(f"({name}) {tried(ms)}" for name, ms in row["trials_ms"].items())
            for row in rows if row["trials_ms"]]


FIGURE_SIZE = (8, 4.2)


def draw(rows, axes):
    """Headrace's speed over the peer's."""
    values = [row["ratio"] for row in rows]
    axes.barh(range(len(rows)), [v["median"] for v in values], 0.5,
              xerr=[[v["median"] - v["low"] for v in values], [v["high"] - v["median"] for v in values]],
              capsize=3)
    axes.axvline(GOAL, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row['peer']}\n{row['what']}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("Headrace's steps a second over the peer's")
