"""Runs benchmarks one after the other and writes what they found."""

import dataclasses
import os
import random

from bench import machine, progress, report
from bench.environment import environment
from bench.sizes import changed


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a benchmark gets beside its sizes. seed: of orders and of data. watch: a progress.Watch."""

    seed: int
    watch: progress.Watch

    def order(self, names, number):
        """`names` in the order of round `number`: for benchmarks that do not use a Field."""
        return random.Random(f"{self.seed} {number}").sample(list(names), len(names))


def sizes_of(modules, quick, settings):
    """{name: Sizes} of `modules`, changed by `settings` (bench/sizes.py)."""
    return changed({module.NAME: module.QUICK if quick else module.FULL for module in modules}, settings)


def run(modules, sizes, quick, seed, folder, command, stream):
    """Measures `modules`; each result is written when it is there. Returns the results.

    sizes: {name: Sizes}. folder: a report.Folder. command: as it was typed. stream: where progress is shown.
    Errors: Unfit before anything was measured.
    """
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]  # for what the jobs start
    for module in modules:
        if hasattr(module, "check"):
            module.check(sizes[module.NAME])
    results = []
    clock = progress.Clock([sizes[module.NAME].expected_s for module in modules])
    with progress.shown(clock, stream) as show:
        for module in modules:
            clock.begin()
            header = machine.header(command)
            watch = progress.Watch(module.NAME, clock, show)
            rows = module.run(sizes[module.NAME], Setting(seed, watch))
            result = report.as_json(module.NAME, "quick" if quick else "full", header,
                                    sizes[module.NAME].as_json(), seed, rows)
            folder.write(result, module)
            results.append(result)
        clock.finish()
        show("done", False)
    return results
