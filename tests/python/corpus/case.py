"""What a parity case is, and the registry of all cases.

A case is a function that builds into the current graph and returns a Program. Its decorator holds
the golden: for every stage the names of the nodes that must run ahead (sources, draws and body)
under cut="largest", worked out by hand from the rules of the design. A name that ends in "/*"
stands for every node below that prefix which depends on a source.
"""

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

tf1 = tf.compat.v1
Dataset = tf1.data.Dataset

SOURCE_OPS = frozenset(
    {
        "IteratorGetNext",
        "IteratorGetNextAsOptional",
        "IteratorGetNextSync",
        "QueueDequeueV2",
        "QueueDequeueManyV2",
        "QueueDequeueUpToV2",
        "ReaderReadV2",
        "ReaderReadUpToV2",
    }
)


@dataclasses.dataclass
class Program:
    """How a built graph is driven.

    init: fetches run one after the other before the script; not compared.
    script: takes a runner.Steps and runs the steps that are compared.
    final: fetched once after the script (variables).
    """

    init: Sequence[Any]
    script: Callable[[Any], None]
    final: Any = None
    queue_runners: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
    """A case and its golden.

    stages: one set of node names per stage that must exist.
    crossing: names of all tensors that cross; None where they are not the point.
    left_out: node name -> name of the reason code that explain must give for it.
    ahead: whether the stage can be seen ahead of the first step (false: it has one element, or
      the script holds no step that takes from it).
    options: further fields of StageOptions.
    config: changes the session's ConfigProto, in every run.
    """

    name: str
    build: Callable[[], Program]
    stages: Sequence[frozenset]
    crossing: frozenset | None = None
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ahead: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config: Callable[[Any], None] | None = None


CASES: dict = {}


def case(stages, *, crossing=None, left_out=None, ahead=None, options=None, config=None):
    """Registers the decorated builder under its function name."""

    def register(build):
        name = build.__name__
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        CASES[name] = Case(
            name=name,
            build=build,
            stages=tuple(frozenset(s) for s in stages),
            crossing=None if crossing is None else frozenset(crossing),
            left_out=dict(left_out or {}),
            ahead=bool(stages) if ahead is None else ahead,
            options=dict(options or {}),
            config=config,
        )
        return build

    return register


def depends_on_source(graph):
    """Names of all nodes of `graph` that are, or compute from, a source."""
    found = set()
    stack = [op for op in graph.get_operations() if op.type in SOURCE_OPS]
    while stack:
        op = stack.pop()
        if op.name in found:
            continue
        found.add(op.name)
        for output in op.outputs:
            stack.extend(output.consumers())
        stack.extend(op._control_outputs)  # pylint: disable=protected-access
    return found


def _in_a_call(name, graph):
    """Whether a proper prefix of `name` is a call of a function in `graph`."""
    calls = (op.name for op in graph.get_operations() if op.type.endswith("PartitionedCall"))
    return any(name.startswith(call + "/") for call in calls)


def expand(golden, graph):
    """The golden set of one stage with its "/*" names replaced by the nodes of `graph`."""
    below_sources = None
    names = set()
    for entry in golden:
        if not entry.endswith("/*"):
            if _in_a_call(entry, graph):
                names.add(entry)  # of the called function's body: there once the call is inlined
                continue
            graph.get_operation_by_name(
                entry
            )  # KeyError: the golden names a node that is not there
            names.add(entry)
            continue
        if below_sources is None:
            below_sources = depends_on_source(graph)
        matched = fnmatch.filter(below_sources, entry)
        if not matched:
            raise KeyError(f"no node of the graph matches {entry}")
        names.update(matched)
    return frozenset(names)


def iterate(dataset, name="next", **kwargs):
    """An initializable iterator over `dataset` and its next element, read by node `name`."""
    iterator = tf1.data.make_initializable_iterator(dataset, **kwargs)
    return iterator, iterator.get_next(name=name)


def train(signal, name="state"):
    """A step of training as far as the planner can tell: state += signal; gives the new state.

    The read comes after the write, so the value does not depend on how the executor orders them.
    """
    state = tf1.get_variable(
        name,
        shape=signal.shape,
        dtype=signal.dtype,
        initializer=tf1.zeros_initializer(),
        use_resource=True,
    )
    return tf.identity(state.assign_add(signal), name=name + "_after")


def program(iterators, fetches, *, script=None, final=None, extra_init=(), queue_runners=False):
    """A Program that initializes variables, tables, `iterators`, and runs `fetches` to the end."""
    init = [
        tf1.global_variables_initializer(),
        tf1.local_variables_initializer(),
        tf1.tables_initializer(),
    ]
    init += [i.initializer for i in iterators] + list(extra_init)
    return Program(
        init=init, script=script or to_the_end(fetches), final=final, queue_runners=queue_runners
    )


def to_the_end(fetches, *, beyond=1, limit=40):
    """A script: the same fetches until the first error, then `beyond` steps more."""

    def script(steps):
        for _ in range(limit):
            if not steps.run(fetches).ok:
                break
        else:
            raise AssertionError(f"no end of data within {limit} steps")
        for _ in range(beyond):
            steps.run(fetches)

    return script


def times(fetches, count):
    """A script: the same fetches `count` times, whatever comes."""

    def script(steps):
        for _ in range(count):
            steps.run(fetches)

    return script
