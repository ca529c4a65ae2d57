"""Trains DLRM from Criteo-format text, unstaged and staged, and compares the two.

Both train the same model from the same rows for the same steps, in turns: a machine that slows down
slows both. Before the steps of a turn are timed, some run untimed, so that no contender lives on what was
made ready while the other one ran. The parts of a step are timed alone in the same turns; they
give the limit that no staging can beat on this machine.

Exit status: 0 all well; 1 training failed or a check failed (losses differ, loss does not fall);
2 the command, its data or the installation is at fault.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from examples.common.measure import effective_cores  # noqa: E402
from examples.common.progress import progress  # noqa: E402
from examples.common.staging import Staging, plan, stats  # noqa: E402
from examples.common.stepper import Segment  # noqa: E402
from examples.dlrm import contenders, generate, input as plain, model, report  # noqa: E402

WARM_UP = 5  # steps before the first turn: graphs are optimized and kernels made in the first one


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", nargs="+", metavar="PATH", type=pathlib.Path,
                        help="files or folders of Criteo-format text, plain or .gz; default: "
                             "generated rows")
    parser.add_argument("--rows", type=positive, default=400_000,
                        help="rows to generate without --data; read again from the start when they "
                             "end (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=150,
                        help="timed steps of each contender (default: %(default)s)")
    parser.add_argument("--turns", type=positive, default=5,
                        help="turns in which the contenders alternate (default: %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=2048, help="default: %(default)s")
    parser.add_argument("--buckets", type=positive, default=10_000,
                        help="rows of each embedding table (default: %(default)s)")
    parser.add_argument("--mode", choices=("both", "unstaged", "staged"), default="both",
                        help="default: %(default)s")
    parser.add_argument("--tuned", action="store_true",
                        help="also train with the input tuned by hand (parallel map, prefetch)")
    parser.add_argument("--capacity", type=positive, default=Staging.capacity,
                        help="staged batches that may wait (default: %(default)s)")
    parser.add_argument("--threads", type=positive, default=Staging.num_threads,
                        help="threads that prepare batches (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of rows and weights; default: %(default)s")
    parser.add_argument("--trace", type=pathlib.Path, metavar="FILE",
                        help="write a Chrome/Perfetto trace of the last staged turn")
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="json: one object on standard output, all else on standard error")
    args = parser.parse_args(argv)
    if args.seed < 0:
        parser.error("--seed must be at least 0")
    if args.turns > args.steps:
        parser.error("--turns must be at most --steps")
    if args.trace and args.mode == "unstaged":
        parser.error("--trace needs a staged run")
    return args


def data_files(args, folder, say):
    """The files to train from, generated into `folder` where the user gave none."""
    if args.data:
        return plain.data_files(args.data)
    path = pathlib.Path(folder) / "rows.tsv"
    say(f"generating {args.rows:,} rows in Criteo's format, Zipf exponent {generate.ZIPF_EXPONENT}, "
        f"seed {args.seed}")
    generate.write_rows(path, args.rows, args.seed)
    return [str(path)]


class Run:
    """The contenders of one command, their segments and their losses."""

    def __init__(self, args, files, open_steppers):
        config = model.Config(buckets=args.buckets, seed=args.seed)
        make = contenders.Contenders(files, args.batch_size, config)
        self.staging = Staging(args.capacity, args.threads)
        self.steppers = []
        if args.mode != "staged":
            self.steppers.append(make.unstaged())
        if args.tuned:
            self.steppers.append(make.tuned())
        if args.mode != "unstaged":
            self.steppers.append(make.staged(self.staging))
        self.parts = [make.part(name) for name in contenders.PARTS]
        for stepper in self.steppers + self.parts:
            open_steppers.callback(stepper.close)
        self.segments = {stepper.name: [] for stepper in self.steppers + self.parts}
        self.losses = {stepper.name: [] for stepper in self.steppers}
        self.cores = []

    def untimed(self, stepper, steps):
        values = stepper.advance(steps).values
        if stepper.name in self.losses:
            self.losses[stepper.name] += values

    def timed(self, stepper, steps, bar=None):
        """One segment of `steps` steps after enough untimed ones to reach the steady state."""
        self.untimed(stepper, self.staging.capacity + self.staging.num_threads + 1)
        left, seconds, cpu = steps, 0.0, 0.0
        while left:
            part = stepper.advance(min(left, 10))
            left, seconds, cpu = left - part.steps, seconds + part.seconds, cpu + part.cpu_seconds
            if bar is not None:
                self.losses[stepper.name] += part.values
                bar.advance(part.steps, f"loss {part.values[-1]:.4f}")
        self.segments[stepper.name].append(Segment(steps, seconds, cpu, []))

    def go(self, args, stream):
        """All turns, in an order that changes from turn to turn."""
        sizes = [len(part) for part in np.array_split(np.arange(args.steps), args.turns)]
        for stepper in self.steppers + self.parts:
            self.untimed(stepper, WARM_UP)
        with progress([(s.name, args.steps) for s in self.steppers], stream) as bars:
            bar = {s.name: bar for s, bar in zip(self.steppers, bars)}
            for turn, size in enumerate(sizes):
                order = self.steppers if turn % 2 == 0 else self.steppers[::-1]
                with contextlib.ExitStack() as recording:
                    if args.trace and turn + 1 == len(sizes):
                        import headrace

                        recording.enter_context(headrace.trace(args.trace))
                    for stepper in order:
                        self.timed(stepper, size, bar[stepper.name])
                for stepper in self.parts:
                    self.timed(stepper, max(3, size // 3))
                self.cores.append(effective_cores())


def losses_equal(losses):
    """Whether every contender had the same losses, bit for bit, step by step."""
    first, *others = (np.array(values, dtype=np.float32).tobytes() for values in losses.values())
    return all(other == first for other in others)


def loss_falls(losses):
    """Whether the mean of the last tenth of the steps is below that of the first tenth."""
    for values in losses.values():
        tenth = max(1, len(values) // 10)
        if not np.mean(values[-tenth:]) < np.mean(values[:tenth]):
            return False
    return True


def main(argv=None):
    args = parse_arguments(argv)
    stream = sys.stdout if args.format == "text" else sys.stderr

    def say(text=""):
        print(text, file=stream, flush=True)

    tf.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory(prefix="dlrm-") as folder, contextlib.ExitStack() as opened:
        try:
            files = data_files(args, folder, say)
            run = Run(args, files, opened)
        except (OSError, ValueError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        try:
            run.go(args, stream)
        except tf.errors.OpError as error:
            print(f"error: training failed: {error.message}", file=sys.stderr)
            return 1
        staged = next((s for s in run.steppers if s.name == "staged"), None)
        result = report.Result(
            settings={**{k: v for k, v in vars(args).items() if k not in ("data", "trace", "format")},
                      "data": [str(p) for p in args.data] if args.data else "generated"},
            segments=run.segments, losses=run.losses, cores=run.cores, staging=run.staging,
            checks={"losses_equal": losses_equal(run.losses)},
            plan=plan(staged) if staged else None, stats=stats(staged) if staged else None)
    if not args.data:
        result.checks["loss_falls"] = loss_falls(run.losses)
    if args.format == "json":
        json.dump(result.as_json(), sys.stdout, indent=2)
        print()
    else:
        say(result.as_text())
    return 0 if all(result.checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
