"""Explain and stats as the tests read them: the one place that knows their schema."""

import dataclasses
import re

import headrace

# Identity and NoOp that TensorFlow's function inlining puts around a body.
_BY_INLINING = re.compile(r"^Func/|PartitionedCall/NoOp$")


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    staged: frozenset  # names of sources, draws and body
    crossing: frozenset  # names of tensors


@dataclasses.dataclass(frozen=True)
class Plan:
    stages: tuple
    reasons: dict  # node -> reason code; "none" where it is staged and nowhere else

    @property
    def staged(self):
        return frozenset().union(*(s.staged for s in self.stages))


def plan_of(graph, options):
    plan = headrace.explain(graph, options).json

    def names(nodes):
        return frozenset(n for n in nodes if not _BY_INLINING.search(n))

    stages = tuple(
        PlannedStage(
            staged=names(stage["sources"] + stage["draws"] + stage["body"]),
            crossing=frozenset(f"{o['node']}:{o['output']}" for o in stage["outputs"]),
        )
        for stage in plan["stages"]
    )
    return Plan(stages, {node["name"]: node["reason"] for node in plan["nodes"]})


@dataclasses.dataclass(frozen=True)
class StageFigures:
    name: str
    produced: int
    taken: int
    failed: int
    skipped: int
    depth: int
    capacity: int
    waiting: int
    last_error: str


_KEYS = tuple(field.name for field in dataclasses.fields(StageFigures))


def figures_of(session):
    """Figures of the live stages of `session` (None: of the process)."""
    return [StageFigures(**{key: stage[key] for key in _KEYS}) for stage in headrace.stats(session)]
