"""The benchmark of AUTOTUNE: what it counts as met."""

import pathlib
import sys

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import autotune, settled  # noqa: E402
from bench.processes import Round  # noqa: E402
from bench_results import CHOSEN, autotune_found  # noqa: E402
from examples.common.stepper import Segment  # noqa: E402

MIB = 1 << 20


def row(auto_ms=10.0, **more):
    rounds = [Round({"unstaged": Segment(1, 0.010, 0, []), "best": Segment(1, 0.0099, 0, []),
                     "auto": Segment(1, auto_ms / 1e3, 0, [])}, 0.0)] * 3
    return autotune._row(rounds, "computes", "dlrm", 512, autotune_found(**more))


def test_what_is_allowed_is_depth_and_one_more_batches_and_64_mib():
    assert autotune.allowed_bytes(CHOSEN) == 4 * MIB + 64 * MIB


@pytest.mark.parametrize("auto_ms,more,missed", [
    (10.0, {}, set()),
    (10.1, {}, set()),
    (10.19, {"seconds": 60.0}, set()),           # few steps, however long they took
    (10.19, {"steps": 5000}, set()),             # 3 s, however many steps
    (10.0, {"steps": 300, "seconds": 9.0}, {"100 steps or 3 s"}),
    (10.25, {}, {"best fixed / AUTOTUNE 0.97", "unstaged / AUTOTUNE 0.98"}),
    (10.0, {"more_bytes": 69 * MIB}, {"memory"}),
])
def test_goals(auto_ms, more, missed):
    made = row(auto_ms, **more)
    assert {goal for goal, met in made["goal"].items() if not met} == missed
    assert made["met"] == (not missed)


def test_a_row_can_be_shown():
    assert [text(row()) for _, text in autotune.COLUMNS][:2] == ["dlrm, 512", "computes"]
    assert "(4, 1) 10.00 ms" in autotune.notes([row()])[0]


class FakeStepper:
    """Its stage measures for 7 steps."""

    session = None

    def __init__(self):
        self.steps = 0

    def advance(self, steps):
        self.steps += steps
        return Segment(steps, 0.001 * steps, 0, [])

    def close(self):
        pass


def test_who_is_asked_about_itself_steps_until_its_stages_have_chosen(monkeypatch):
    import headrace

    stepper = FakeStepper()
    monkeypatch.setattr(headrace, "stats", lambda session: [
        {"measuring": stepper.steps < 7, "capacity": 4, "num_threads": 2, "depth_limit": 6, "held_bytes": 60}])
    chooses = settled.Settled(stepper)
    assert chooses.advance(3).steps == 3 and stepper.steps == 3
    about = chooses.about()
    assert (about["steps"], about["seconds"]) == (7, pytest.approx(0.007)) and stepper.steps == 7
    assert about["stages"] == [{"capacity": 4, "num_threads": 2, "depth_limit": 6, "held_bytes": 60}]
    chooses.advance(2)
    assert chooses.about() == about and stepper.steps == 9
    assert settled.as_text(about) == "4, 2"


def test_one_that_measures_for_ever_is_an_error(monkeypatch):
    import headrace

    monkeypatch.setattr(headrace, "stats", lambda session: [{"measuring": True}])
    monkeypatch.setattr(settled, "PATIENCE_SECONDS", 0.001)
    with pytest.raises(RuntimeError, match="still measuring after 2 steps"):
        settled.Settled(FakeStepper()).about()
