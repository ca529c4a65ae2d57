"""All benchmarks, by name. Each is a module with

    NAME, QUESTION   what `headrace bench --list` says of it
    QUICK, FULL      its sizes (bench/sizes.py), with the seconds that a run is expected to take
    run(sizes, setting) -> rows, dicts for JSON; setting: a bench.suite.Setting
    COLUMNS, draw(rows, axes)   table and picture
    details(rows)    further tables, (headings, texts); notes(rows): lines below them; FIGURE_SIZE: if needed
    check(sizes): if there; raises bench.environment.Unfit where it cannot run here
"""

from bench import accelerator, accelerator_gpu, autotune, checkpoint, elasticdl, overhead, peers, pipeline
from bench import ranges, scaling, smartstage, sparse, steps, straggler, take

MODULES = (smartstage, autotune, accelerator, accelerator_gpu, elasticdl, peers, scaling, pipeline, overhead,
           take, ranges, steps, sparse, checkpoint, straggler)
BENCHMARKS = {module.NAME: module for module in MODULES}
# What is run where --accelerator says what the accelerator is.
ACCELERATORS = {"stand-in": accelerator.NAME, "gpu": accelerator_gpu.NAME}


def chosen(names, kind):
    """Modules of `names`, in their order; of none: all. kind: of ACCELERATORS, for the name "accelerator".

    Errors: KeyError with a name that there is not.
    """
    names = list(dict.fromkeys(names)) or [name for name in BENCHMARKS if name != accelerator_gpu.NAME]
    return [BENCHMARKS[ACCELERATORS[kind] if name == accelerator.NAME else name] for name in names]
