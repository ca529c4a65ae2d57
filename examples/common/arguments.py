"""Command-line options that the examples share."""

import argparse
import pathlib

from examples.common.staging import Staging


def positive(text):
    """An int of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def not_negative(text):
    """An int of at least 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is not at least 0")
    return value


def add_comparison(parser, steps):
    """Options of a run that compares contenders; `steps` is the default of --steps."""
    parser.add_argument("--mode", choices=("both", "unstaged", "staged"), default="both",
                        help="default: %(default)s")
    parser.add_argument("--steps", type=positive, default=steps,
                        help="timed steps of each contender (default: %(default)s)")
    parser.add_argument("--turns", type=positive, default=5,
                        help="turns in which the contenders alternate (default: %(default)s)")
    parser.add_argument("--capacity", type=positive, default=Staging.capacity,
                        help="staged batches that may wait (default: %(default)s)")
    parser.add_argument("--threads", type=positive, default=Staging.num_threads,
                        help="threads that prepare batches (default: %(default)s)")
    parser.add_argument("--seed", type=not_negative, default=1, help="default: %(default)s")
    parser.add_argument("--trace", type=pathlib.Path, metavar="FILE",
                        help="write a Chrome/Perfetto trace of the last turn's stages")
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="json: one object on standard output, all else on standard error")


def check_comparison(parser, args):
    """Ends the command (status 2) where options do not go together."""
    if args.turns > args.steps:
        parser.error("--turns must be at most --steps")
    if args.trace and args.mode == "unstaged":
        parser.error("--trace needs a staged run")
    if args.trace and not args.trace.resolve().parent.is_dir():
        parser.error(f"--trace: {args.trace.resolve().parent} is no folder")
