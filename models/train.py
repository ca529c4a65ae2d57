"""Trains a model of the zoo in this process: as a tf.compat.v1 graph, staged or not, or with Keras's fit.

`headrace train` is the third way, and the one for whole jobs.

    python models/train.py dlrm --data rows.tsv                        a graph, staged
    python models/train.py dlrm --data rows.tsv --unstaged             the same without Headrace
    python models/train.py dlrm --data rows.tsv --way keras            keras.Model.fit

Exit status: 0 done, 1 training failed, 2 usage.
"""

import argparse
import importlib
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ZOO = pathlib.Path(__file__).resolve().parent
MODELS = ("cifar10_functional_api", "deepfm", "dien", "din", "dlrm", "dssm", "wdl")
SHOWN = 10  # how often the loss is printed


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--data", nargs="+", required=True, type=pathlib.Path, metavar="FILE",
                        help="files of lines, or .tfrecord files; read again from the start when they end")
    parser.add_argument("--way", choices=("graph", "keras"), default="graph", help="default: %(default)s")
    parser.add_argument("--batch_size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--unstaged", action="store_true", help="graph: without Headrace")
    parser.add_argument("--explain", action="store_true",
        help="graph: print what runs ahead, and why the rest does not")
    args = parser.parse_args(argv)
    for name in ("batch_size", "steps"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if args.way == "keras" and (args.unstaged or args.explain):
        parser.error("--unstaged and --explain are for --way graph: Keras's fit is not staged")
    if args.unstaged and args.explain:
        parser.error("--explain says what is staged: leave --unstaged out")
    missing = [str(path) for path in args.data if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    return args


def session_library(unstaged):
    """(tf.compat.v1, a ConfigProto): stock TensorFlow's, or Headrace's with staging on."""
    if unstaged:
        import tensorflow as tf

        return tf.compat.v1, tf.compat.v1.ConfigProto()
    import headrace.compat.v1 as tf1

    config = tf1.ConfigProto()
    config.graph_options.optimizer_options.do_smart_stage = True
    config.graph_options.optimizer_options.smart_stage_options.CopyFrom(tf1.SmartStageOptions(capacity=2))
    return tf1, config


def train_graph(module, args):
    import tensorflow as tf

    from common import graph

    with tf.Graph().as_default() as built:
        lines, initializer = graph.next_lines(args.data, args.batch_size)
        step = graph.train_step(module, lines)
        tf1, config = session_library(args.unstaged)
        if args.explain:
            import headrace

            print(headrace.explain(built, config))
        with tf1.Session(config=config) as session:
            session.run([initializer, tf1.global_variables_initializer()])
            next_loss = session.make_callable(step)
            began = time.monotonic()
            for done in range(1, args.steps + 1):
                loss = next_loss()
                if done == 1 or done % max(args.steps // SHOWN, 1) == 0:
                    print(f"step {done}: loss {loss:.6f}", flush=True)
                if done == 1:
                    began = time.monotonic()  # the first step plans and compiles
            if args.steps > 1:
                print(f"{(args.steps - 1) / (time.monotonic() - began):.1f} steps/s")


def train_keras(module, args):
    import tensorflow as tf

    from common import graph

    lines = graph.lines_dataset(args.data, args.batch_size)
    dataset = lines.map(module.parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    model = module.custom_model()
    model.compile(optimizer=module.optimizer(), loss=module.loss,
        metrics=list(module.eval_metrics_fn().values()))
    model.fit(dataset, steps_per_epoch=args.steps, verbose=2, shuffle=False)


def main(argv=None):
    args = parse_arguments(argv)
    sys.path.insert(0, str(ZOO))
    try:
        import tensorflow as tf

        module = importlib.import_module(f"{args.model}.{args.model}")
        (train_graph if args.way == "graph" else train_keras)(module, args)
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (tf.errors.OpError, OSError, ValueError) as error:
        print(f"error: training failed: {getattr(error, 'message', error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
