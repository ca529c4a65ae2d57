"""Rows in Criteo's format with a known distribution and a signal to learn.

Criteo's own rows may not be redistributed; these have their shape: 40 fields separated by tabs, no
header: the label, 13 integers (empty = missing, the second one may be negative), 26 categorical
values of 8 hexadecimal digits (empty = missing).

Distribution
  Categorical column j has CARDINALITIES[j] values. The value of rank r (1 = most frequent) is drawn
  with probability proportional to r ** -ZIPF_EXPONENT, then MISSING_CATEGORICAL of the fields are
  emptied. Values are different in every column.
  Integer column: floor(exp(1.5 + 1.5 z)), z standard normal, at most MAX_INTEGER; the second column
  is 3 lower, so that it starts at -3. MISSING_DENSE of the fields are emptied.
Signal logit = BIAS + sum over columns of an effect of that field; the label is 1 with probability
  sigmoid(logit). A value's effect is drawn once, normal with deviation CATEGORICAL_EFFECT; an
  integer column's effect is a weight, normal with deviation DENSE_EFFECT, times log1p(max(x, 0))
  less its centre. Missing fields have no effect. A model of these terms can therefore learn the
  labels as far as they can be learned; `logits` gives the true ones to tests.

The same seed gives the same bytes with the same version of NumPy. What decides clicks is the same for all seeds,
so that what is learned from one holds for another.
"""

import numpy as np

NUM_DENSE = 13
NUM_CATEGORICAL = 26

# Distinct values of the 26 columns in Criteo's Kaggle data, as the literature gives them, cut at
# 100,000: of the larger columns most values occur once or twice and teach nothing.
CARDINALITIES = tuple(min(n, 100_000) for n in (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992,
    5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572))
ZIPF_EXPONENT = 1.1
MISSING_DENSE = 0.2
MISSING_CATEGORICAL = 0.03
MAX_INTEGER = 65535
LOG_CENTRE = 1.75  # about the mean of log1p of an integer column
DENSE_EFFECT = 0.15
CATEGORICAL_EFFECT = 0.4
BIAS = -1.2
CHUNK_ROWS = 50_000
_EFFECTS = (1, 0)  # seed of what decides clicks


def value_name(column, rank):
    """The 8 hexadecimal digits of a categorical value; rank counts from 0."""
    # An odd multiplier is a bijection on 32 bits, so that no two values share a name.
    number = ((column << 20 | rank) * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF
    return b"%08x" % number


class Generator:
    """Draws rows, in order, from one seed.

    The stream does not depend on how many rows each call asks for only if the calls are the same:
    callers that want the same bytes ask for the same chunks (`Criteo` does).
    Not thread-safe.
    """

    def __init__(self, seed):
        effects = np.random.default_rng(_EFFECTS)
        self._rows = np.random.default_rng([seed, 1])
        self._dense_weights = effects.standard_normal(NUM_DENSE) * DENSE_EFFECT
        self._effects = [effects.standard_normal(n) * CATEGORICAL_EFFECT for n in CARDINALITIES]
        self._cumulative = []
        self._names = []
        for column, cardinality in enumerate(CARDINALITIES):
            weights = np.arange(1, cardinality + 1, dtype=np.float64) ** -ZIPF_EXPONENT
            self._cumulative.append(np.cumsum(weights) / weights.sum())
            names = np.empty(cardinality + 1, dtype=object)  # the last entry is "missing"
            names[:-1] = [value_name(column, rank) for rank in range(cardinality)]
            names[-1] = b""
            self._names.append(names)
        self._integers = np.empty(MAX_INTEGER + 5, dtype=object)  # index = value + 3; last: missing
        self._integers[:-1] = [b"%d" % n for n in range(-3, MAX_INTEGER + 1)]
        self._integers[-1] = b""

    def draw(self, rows):
        """The next `rows` rows: (columns as lists of 40 x `rows` bytes objects, true logits)."""
        logits = np.full(rows, BIAS)
        columns = []
        for column in range(NUM_DENSE):
            value = np.exp(1.5 + 1.5 * self._rows.standard_normal(rows))
            value = np.minimum(value, MAX_INTEGER).astype(np.int64) - (3 if column == 1 else 0)
            present = self._rows.random(rows) >= MISSING_DENSE
            log = np.log1p(np.maximum(value, 0)) - LOG_CENTRE
            logits += np.where(present, self._dense_weights[column] * log, 0.0)
            columns.append(self._integers[np.where(present, value + 3, -1)].tolist())
        for column in range(NUM_CATEGORICAL):
            rank = np.searchsorted(self._cumulative[column], self._rows.random(rows), side="right")
            rank = np.minimum(rank, CARDINALITIES[column] - 1)
            present = self._rows.random(rows) >= MISSING_CATEGORICAL
            logits += np.where(present, self._effects[column][rank], 0.0)
            columns.append(self._names[column][np.where(present, rank, -1)].tolist())
        positive = self._rows.random(rows) < 1.0 / (1.0 + np.exp(-logits))
        columns.insert(0, np.where(positive, b"1", b"0").tolist())
        return columns, logits


class Criteo:
    """A source of records (see convert.py): `rows` rows, each a line without its end."""

    labels = None
    left_out = ()

    def __init__(self, rows, seed):
        self.total = rows
        self._seed = seed

    def batches(self):
        generator = Generator(self._seed)
        for left in range(self.total, 0, -CHUNK_ROWS):
            columns, _ = generator.draw(min(CHUNK_ROWS, left))
            yield [b"\t".join(row) for row in zip(*columns)]
