"""Trains DLRM from Criteo-format text, unstaged and staged, and compares the two.

Both train the same model from the same rows for the same steps, in turns. The parts of a step are
timed alone in the same turns: they give the limit that no staging can beat on this machine.

Exit status: 0 all well; 1 training failed or a check failed (losses differ, loss does not fall);
2 the command, its data or the installation is at fault.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import tensorflow as tf  # noqa: E402

from examples.common import arguments, report, staging  # noqa: E402
from examples.common.contenders import PARTS, Contenders  # noqa: E402
from examples.common.turns import Turns, loss_falls, losses_equal  # noqa: E402
from examples.dlrm import generate, input_tuned, model  # noqa: E402
from examples.dlrm import input as plain  # noqa: E402


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", nargs="+", metavar="PATH", type=pathlib.Path,
                        help="files or folders of Criteo-format text, plain or .gz; default: "
                             "generated rows")
    parser.add_argument("--rows", type=arguments.positive, default=400_000,
                        help="rows to generate without --data; read again from the start when they "
                             "end (default: %(default)s)")
    parser.add_argument("--batch-size", type=arguments.positive, default=2048,
                        help="default: %(default)s")
    parser.add_argument("--buckets", type=arguments.positive, default=10_000,
                        help="rows of each embedding table (default: %(default)s)")
    parser.add_argument("--tuned", action="store_true",
                        help="also train with the input tuned by hand (parallel map, prefetch)")
    arguments.add_comparison(parser, steps=150)
    args = parser.parse_args(argv)
    arguments.check_comparison(parser, args)
    return args


def data_files(args, folder, say):
    """The files to train from, generated into `folder` where the user gave none."""
    if args.data:
        return plain.data_files(args.data)
    path = pathlib.Path(folder) / "rows.tsv"
    say(f"generating {args.rows:,} rows in Criteo's format: Zipf exponent "
        f"{generate.ZIPF_EXPONENT}, seed {args.seed}")
    generate.write_rows(path, args.rows, args.seed)
    return [str(path)]


def contenders(files, batch_size, config):
    """Contenders that train model.Config `config` from `files`."""
    return Contenders(
        read=functools.partial(plain.next_lines, files, batch_size),
        next_batch=functools.partial(plain.next_batch, files, batch_size, config.buckets),
        step=functools.partial(model.train_step, config=config))


def make_turns(args, files, opened):
    """Turns over the contenders that were asked for; `opened` closes them."""
    config = model.Config(buckets=args.buckets, seed=args.seed)
    make = contenders(files, args.batch_size, config)
    ahead = staging.Staging(args.capacity, args.threads)
    steppers = []
    if args.mode != "staged":
        steppers.append(opened.enter_context(make.unstaged()))
    if args.tuned:
        steppers.append(opened.enter_context(make.other("tuned", functools.partial(
            input_tuned.next_batch, files, args.batch_size, config.buckets))))
    if args.mode != "unstaged":
        steppers.append(opened.enter_context(make.staged(ahead)))
    return Turns(steppers, [opened.enter_context(make.part(name)) for name in PARTS], ahead)


def main(argv=None):
    args = parse_arguments(argv)
    stream = sys.stdout if args.format == "text" else sys.stderr
    say = functools.partial(print, file=stream, flush=True)
    tf.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory(prefix="dlrm-") as folder, contextlib.ExitStack() as opened:
        try:
            files = data_files(args, folder, say)
            turns = make_turns(args, files, opened)
            turns.go(args.steps, args.turns, stream, args.trace)
        except tf.errors.OpError as error:
            print(f"error: training failed: {error.message}", file=sys.stderr)
            return 1
        except (OSError, ValueError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        checks = {"losses_equal": losses_equal(turns.losses)}
        if not args.data:
            checks["loss_falls"] = loss_falls(turns.losses)
        staged = next((s for s in turns.steppers if s.name == "staged"), None)
        plan = staging.plan(staged) if staged else None
        if plan is not None:  # parsing is what there is to gain
            checks["parsing_runs_ahead"] = any("DecodeCSV" in stage["body"] for stage in plan["stages"])
        settings = {name: value for name, value in vars(args).items()
                    if name not in ("data", "trace", "format")}
        settings["data"] = [str(path) for path in args.data] if args.data else "generated"
        result = report.Result(settings, turns, checks, plan=plan,
                               stats=staging.stats(staged) if staged else None)
    if args.format == "json":
        print(json.dumps(result.as_json(), indent=2))
    else:
        say(result.as_text())
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
