"""Medians over rounds with the interval that repeating the measurement would leave them in."""

import dataclasses

import numpy as np

RESAMPLES = 4000


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median over rounds with its 95% bootstrap interval, and the rounds' own values."""

    median: float
    low: float
    high: float
    rounds: tuple

    def as_json(self):
        return {"median": self.median, "low": self.low, "high": self.high,
                "rounds": list(self.rounds)}


def estimate(values, seed=1):
    """Estimate of one value per round. Percentile bootstrap: rounds are drawn with replacement."""
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise ValueError("an estimate needs at least one round")
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[draws], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Estimate(float(np.median(values)), float(low), float(high), tuple(values.tolist()))


def over(rounds, value):
    """Estimate of value(round): a ratio is taken inside each round, never of two medians."""
    return estimate([value(round_) for round_ in rounds])
