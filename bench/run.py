"""Runs benchmarks of staging and writes what they found.

    python bench/run.py pipeline overhead take dlrm

Every benchmark writes NAME.json and NAME.md into --out and NAME.png into --figures. Exit status: 0
measured; 1 a goal was missed and --check was given; 2 the command or the installation is at fault.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
PROJECT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench import checkpoint, dlrm, loop, machine, overhead, pipeline  # noqa: E402
from bench import ranges, report, sparse, steps, straggler, take  # noqa: E402
from bench.processes import WorkerError  # noqa: E402

_MODULES = (pipeline, overhead, take, ranges, loop, steps, sparse, checkpoint, straggler, dlrm)
BENCHMARKS = {module.NAME: module for module in _MODULES}


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK",
                        help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=9,
                        help="rounds in which the contenders alternate (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5,
                        help="time of one contender in one round (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1,
                        help="of the order within rounds (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=PROJECT / "bench" / "results")
    parser.add_argument("--figures", type=pathlib.Path, default=PROJECT / "bench" / "figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    for module in BENCHMARKS.values():
        module.add_arguments(parser.add_argument_group(module.NAME))
    args = parser.parse_args(argv)
    unknown = [name for name in args.benchmarks if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds above 0")
    args.benchmarks = args.benchmarks or list(BENCHMARKS)
    return args


def main(argv=None):
    args = parse_arguments(argv)
    command = [__file__, *(sys.argv[1:] if argv is None else argv)]
    missed = False
    settings = {name: value for name, value in vars(args).items()
                if isinstance(value, (bool, int, float, str, list))}
    for name in args.benchmarks:
        module = BENCHMARKS[name]
        header = machine.header(command)
        try:
            rows = module.run(args, lambda text: print(text, file=sys.stderr, flush=True))
        except (WorkerError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        result = report.as_json(name, header, settings, rows)
        paths = report.write(args.out, args.figures, result, module.COLUMNS, module.draw)
        print(report.table(module.COLUMNS, rows))
        print(f"\nwritten: {', '.join(map(str, paths))}\n", flush=True)
        missed = missed or any(row["met"] is False for row in rows)
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
