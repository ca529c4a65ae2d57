"""Results of all benchmarks, made of made-up rounds."""

import pathlib
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import accelerator, accelerator_gpu, autotune, checkpoint, elasticdl, machine, overhead  # noqa: E402
from bench import peers, pipeline, ranges, registry, report, scaling, smartstage  # noqa: E402
from bench import sparse, steps, straggler, take  # noqa: E402
from bench.processes import Round  # noqa: E402
from examples.common.contenders import PARTS  # noqa: E402
from examples.common.stepper import Segment  # noqa: E402


def fake_rounds(names, count=3):
    return [Round({n: Segment(10, 0.01 * (i + 1), 0.02, []) for i, n in enumerate(names)}, 2.0)
            for _ in range(count)]


def autotune_found(steps=120, seconds=2.0, more_bytes=10 << 20):
    """What `headrace bench autotune` finds beside times."""
    stages = [{"capacity": 2, "num_threads": 1, "depth_limit": 3, "held_bytes": 3 << 20}]
    return {"best": {"capacity": 4, "num_threads": 1}, "trials_ms": {"4, 1": 10.0}, "wait_ms": None,
            "chosen": {"steps": steps, "seconds": seconds, "stages": stages}, "more_bytes": more_bytes}


CHOSEN = autotune_found()["chosen"]

def elasticdl_rounds(headrace_s=2.0, read=0.1, prepare=0.15, cpu=0.3, cores=2.0):
    """Of runs of 8 steps. `before` takes 4 s; `after` takes 3, of which 1.6 are the training part's."""
    columns = {"compute_loss": 1.0, "report_gradient": 0.6}
    runs = {name: {"seconds": seconds, "steps": 8, "columns": columns}
            for name, seconds in (("before", 4.0), ("after", 3.0), ("headrace", headrace_s))}
    return [runs | {"parts": {"read": read, "prepare": prepare, "cpu": cpu}, "cores": cores}] * 3


RESULTS = {
    "autotune": [autotune._row(fake_rounds(("unstaged", "best", "auto")), "computes", "dlrm", 512,
                               autotune_found())],
    "pipeline": [pipeline._row(fake_rounds(pipeline.CONTENDERS), main, length, 1)
                 for main in ("compute", "wait") for length in (0.2, 1.0)],
    "take": [take._row(fake_rounds(take.CONTENDERS), executor) for executor in take.EXECUTORS],
    "smartstage": [
        smartstage._row(fake_rounds(("unstaged", "tuned", "staged", *service, *PARTS)), model, 512,
                        {"tuned": {"parallel_calls": 0}, "staged": CHOSEN}, {})
        for model, service in (("dlrm", ("service",)), ("din", ()))],
    "accelerator": [accelerator._row(fake_rounds((*accelerator.CONTENDERS, *PARTS)), case, model, 512, 5.3,
                                     {"staged": CHOSEN, "on_cpu": CHOSEN})
                    for case in accelerator.CASES for model in ("dlrm", "wdl")],
    "accelerator-gpu": [
        accelerator_gpu._row(fake_rounds(("unstaged", "staged", "on_cpu", *PARTS)), model, 512,
                             {"streams": "refused"})
        for model in accelerator_gpu.FULL.models],
    "peers": [peers._step_row("Keras fit", "dlrm", fake_rounds(("peer", "headrace")), {}, {"jit False": 1.0}),
              peers._job_row([{"peer": 10.0, "headrace": 20.0}] * 3, "dlrm, 1 workers, 1 servers")],
    "scaling": scaling._job_rows([{"1x1": 10.0, "4x2": 30.0}] * 3, ("1x1", "4x2"), 25.0)
    + scaling._master_rows(
        [{n: {"tasks_per_s": 6000.0} | dict.fromkeys(scaling.MASTER_FIGURES, 2.0) for n in (1, 10)}] * 3, (1, 10)),
    "overhead": [overhead._row(fake_rounds(("unstaged", "staged")), case)
                 for case in overhead.CASES],
    "ranges": [ranges._row(fake_rounds(ranges.CONTENDERS), size) for size in ranges.RECORDS],
    "sparse": sparse._rows(
        [{size: {"step_ms": 2.0, "step_bytes": 1e5} for size in (10_000, 20_000_000)}] * 3,
        10_000, 20_000_000),
    "checkpoint": checkpoint._rows(
        [{name: 2.0 + at for at, name in enumerate([*checkpoint.PLACES, "stock"])}] * 3, 1.0),
    "steps": steps._rows(
        [{"loop": {"seconds": 3.0, "steps": 10},
          "bare": {"seconds": 2.0, "steps": 10, "step_us": 1.0, "switch_us": 5.0}}] * 3),
    "straggler": straggler._rows(
        [{"ratio": 1.1, "seconds": 22.0, "allowed_s": 20.0, "fast": 80.0, "slow": 8.0}] * 3),
    "elasticdl": [
        elasticdl._row(model, elasticdl_rounds()) for model in elasticdl.FULL.records],
}


def result_of(name, mode="quick"):
    header = machine.header(f"headrace bench {name}")
    return report.as_json(name, mode, header, registry.BENCHMARKS[name].QUICK.as_json(), 1, RESULTS[name])
