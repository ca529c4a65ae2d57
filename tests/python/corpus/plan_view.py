"""Explain and stats as the tests read them: the one place that knows their schema."""

import dataclasses

import headrace


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    staged: frozenset    # names of sources, draws and body
    crossing: frozenset  # names of tensors


@dataclasses.dataclass(frozen=True)
class Plan:
    stages: tuple
    reasons: dict  # node that is not staged -> reason code

    @property
    def staged(self):
        return frozenset().union(*(s.staged for s in self.stages))


def plan_of(graph, options):
    explanation = headrace.explain(graph, options)
    stages = []
    for stage in explanation.json["stages"]:
        stages.append(PlannedStage(
            staged=frozenset(stage["sources"]) | frozenset(stage["draws"]) | frozenset(stage["body"]),
            crossing=frozenset(output["name"] for output in stage["outputs"])))
    reasons = {name: reason["code"] for name, reason in explanation.reasons().items()}
    return Plan(tuple(stages), reasons)


@dataclasses.dataclass(frozen=True)
class StageFigures:
    name: str
    produced: int
    taken: int
    failed: int
    skipped: int
    depth: int
    last_error: str


_KEYS = tuple(field.name for field in dataclasses.fields(StageFigures))


def figures_of(session):
    """Figures of the live stages of `session` (None: of the process)."""
    return [StageFigures(**{key: stage[key] for key in _KEYS}) for stage in headrace.stats(session)]
