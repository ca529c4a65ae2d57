"""Staging on or off: the only lines of the examples that know Headrace."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Staging:
    """How far and with how many threads a session's input runs ahead, -1 = AUTOTUNE; where, next to a GPU."""

    capacity: int = 2
    num_threads: int = 1
    stage_subgraph_on_cpu: bool = False
    streams: int = 0
    stage_subgraph_stream_id: int = 0


def session_config(staging=None):
    """A ConfigProto whose sessions run unstaged (None) or staged.

    Raises ImportError where Headrace is not installed or does not fit the installed TensorFlow.
    """
    config = tf.compat.v1.ConfigProto()
    config.gpu_options.allow_growth = True  # contenders share a GPU
    if staging is not None:
        import headrace

        headrace.configure(config, headrace.StageOptions(**dataclasses.asdict(staging)))
    return config


def plan(stepper):
    """What headrace.explain() says of a Stepper's graph: its hash, one dict a stage, and a
    summary."""
    import headrace

    explanation = headrace.explain(stepper.graph, stepper.config)
    stages = [{"name": stage["name"], "sources": stage["sources"], "draws": stage["draws"],
               "body": stage["body"], "outputs": stage["outputs"]} for stage in explanation.stages]
    return {"hash": explanation.hash, "stages": stages, "summary": explanation.summary()}


def stats(stepper):
    """headrace.stats() of a Stepper's session: a list of one dict per stage."""
    import headrace

    return headrace.stats(stepper.session)


def require_staged(stepper, op):
    """Raises RuntimeError unless an op of type `op` runs ahead in a Stepper's graph: without it a
    comparison with the unstaged graph would compare nothing."""
    import headrace

    explanation = headrace.explain(stepper.graph, stepper.config)
    ahead = explanation.staged_nodes()
    if not any(node.type == op and node.name in ahead for node in stepper.graph.get_operations()):
        raise RuntimeError(f"no {op} runs ahead:\n{explanation}")
