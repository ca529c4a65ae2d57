"""Trains wide-and-deep on UCI Adult, unstaged and staged, and compares the two.

Both train the same model on the same records for the same steps, in turns, and save a checkpoint
each. A second graph restores it and reads the test file, unstaged and staged again: its scores give
the area under the ROC curve. Losses and test scores must agree bit for bit.

Exit status: 0 all well, or skipped because the default data is absent; 1 training failed or a check
failed; 2 the command, its data or the installation is at fault.
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
PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

import tensorflow as tf  # noqa: E402

from examples.adult import input as adult  # noqa: E402
from examples.adult import model  # noqa: E402
from examples.adult.evaluate import area_under_curve, test_scores  # noqa: E402
from examples.common import arguments, report, staging  # noqa: E402
from examples.common.contenders import PARTS, Contenders  # noqa: E402
from examples.common.turns import Turns, losses_equal  # noqa: E402

DEFAULT_DATA = PROJECT.parent / "shared" / "data" / "adult"
FILES = ("adult.data", "adult.test")
REQUIRED_AUC = 0.88


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", metavar="FOLDER", type=pathlib.Path,
                        help="folder with adult.data and adult.test (default: ../shared/data/adult "
                             "beside the project)")
    parser.add_argument("--batch-size", type=arguments.positive, default=256,
                        help="default: %(default)s")
    arguments.add_comparison(parser, steps=1500)
    args = parser.parse_args(argv)
    arguments.check_comparison(parser, args)
    return args


def contenders(folder, batch_size, seed):
    """Contenders that train on adult.data of `folder`."""
    read = functools.partial(adult.training_lines, folder / "adult.data", batch_size, seed)

    def next_batch():
        lines, initializer = read()
        examples = adult.parse(lines)
        given = model.features(examples)
        return (examples.label, given), [initializer, tf.compat.v1.tables_initializer()]

    return Contenders(read, next_batch, lambda batch: model.train_step(*batch, seed=seed))


def evaluate(turns, folder, batch_size, seed):
    """Test scores by contender; each is evaluated as it was trained, staged or not."""
    labels, scores = None, {}
    with tempfile.TemporaryDirectory(prefix="adult-") as checkpoints:
        for stepper in turns.steppers:
            path = str(pathlib.Path(checkpoints) / stepper.name)
            with stepper.graph.as_default():
                tf.compat.v1.train.Saver().save(stepper.session, path)
            ahead = turns.staging if stepper.name == "staged" else None
            labels, scores[stepper.name] = test_scores(
                folder / "adult.test", batch_size, seed, path, staging.session_config(ahead))
    return labels, scores


def main(argv=None):
    args = parse_arguments(argv)
    stream = sys.stdout if args.format == "text" else sys.stderr
    say = functools.partial(print, file=stream, flush=True)
    folder = args.data or DEFAULT_DATA
    missing = [str(folder / name) for name in FILES if not (folder / name).is_file()]
    if missing and args.data:
        print(f"error: no such file: {', '.join(missing)}", file=sys.stderr)
        return 2
    if missing:
        say(f"skipped: UCI Adult is not at {folder}; give its folder with --data")
        return 0

    tf.get_logger().setLevel("ERROR")
    with contextlib.ExitStack() as opened:
        try:
            ahead = staging.Staging(args.capacity, args.threads)
            make = contenders(folder, args.batch_size, args.seed)
            steppers = []
            if args.mode != "staged":
                steppers.append(opened.enter_context(make.unstaged()))
            if args.mode != "unstaged":
                steppers.append(opened.enter_context(make.staged(ahead)))
            parts = [opened.enter_context(make.part(name)) for name in PARTS]
            turns = Turns(steppers, parts, ahead)
            turns.go(args.steps, args.turns, stream, args.trace)
            labels, scores = evaluate(turns, folder, args.batch_size, args.seed)
        except tf.errors.OpError as error:
            print(f"error: training failed: {error.message}", file=sys.stderr)
            return 1
        except (OSError, ValueError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        areas = {name: area_under_curve(labels, values) for name, values in scores.items()}
        checks = {"losses_equal": losses_equal(turns.losses),
                  "scores_equal": losses_equal(scores),
                  "area_reached": all(area >= REQUIRED_AUC for area in areas.values())}
        staged = next((s for s in steppers if s.name == "staged"), None)
        plan = staging.plan(staged) if staged else None
        if plan is not None:  # parsing is what there is to gain
            checks["parsing_runs_ahead"] = any("DecodeCSV" in stage["body"] for stage in plan["stages"])
        settings = {name: value for name, value in vars(args).items()
                    if name not in ("data", "trace", "format")}
        settings["data"] = str(args.data) if args.data else "default"
        result = report.Result(settings, turns, checks, plan=plan,
                               stats=staging.stats(staged) if staged else None,
                               extra={"test_area_under_curve": areas})
    if args.format == "json":
        print(json.dumps(result.as_json(), indent=2))
    else:
        say(result.as_text())
        for name, area in areas.items():
            say(f"test area under the ROC curve, {name}: {area:.5f} (wanted: {REQUIRED_AUC})")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
