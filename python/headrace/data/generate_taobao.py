"""Click histories like those of Taobao's users, with a known distribution and a signal to learn.

Taobao's own (UserBehavior.csv: 987,994 users, 4,162,024 items, 9,439 categories, 100,150,807 behaviours in
nine days, nine in ten of them clicks) may not be redistributed; these have its shape, cut to sizes that can
be learnt from few records. Lines as taobao.py says.

Distribution
  Categories: the one of rank r (1 = most frequent) has weight r ** -ZIPF_EXPONENT. Each has
  ITEMS_PER_CATEGORY items, with weights by their rank in it likewise. A user, drawn evenly, has INTERESTS
  categories of their own, drawn by weight. Clicked: floor(exp(LENGTH_MEAN + LENGTH_DEVIATION z)) items, z
  standard normal, 1 to taobao.HISTORY of them (half have up to 20); each is of one of the user's interests
  with probability FROM_INTERESTS, else of any category. The item in question is of an interest with
  probability ASKED_FROM_INTERESTS. Those that were not clicked are of any category.
Signal
  logit = BIAS + MATCH * min(1, 4 s) + the category's effect; s is the share of the history that is of the
  item's category, an effect is drawn once, normal with deviation CATEGORY_EFFECT. The label is 1 with
  probability sigmoid(logit): about 0.43 of them are.

The same seed gives the same bytes with the same version of NumPy. Interests and effects are the same for all
seeds, so that what is learned from one holds for another.
"""

import numpy as np

from headrace.data import taobao

USERS = 100_000
CATEGORIES = 1_000
ITEMS_PER_CATEGORY = 100
ZIPF_EXPONENT = 1.0
INTERESTS = 4
LENGTH_MEAN = 3.0
LENGTH_DEVIATION = 0.8
FROM_INTERESTS = 0.8
ASKED_FROM_INTERESTS = 0.5
BIAS = -2.0
MATCH = 3.5
CATEGORY_EFFECT = 0.5
CHUNK_ROWS = 5_000
_FIXED = (3, 0)  # seed of interests and effects


def _cumulative(count):
    weights = np.arange(1, count + 1, dtype=np.float64) ** -ZIPF_EXPONENT
    return np.cumsum(weights) / weights.sum()


def _names(first, count):
    names = np.empty(count, dtype=object)
    names[:] = [b"%d" % (first + i) for i in range(count)]
    return names


class Generator:
    """Draws rows, in order, from one seed. Callers that want the same rows ask for the same chunks. Not
    thread-safe."""

    def __init__(self, seed):
        fixed = np.random.default_rng(_FIXED)
        self._random = np.random.default_rng([seed, 1])
        self._categories = _cumulative(CATEGORIES)
        self._ranks = _cumulative(ITEMS_PER_CATEGORY)
        self._interests = np.searchsorted(self._categories, fixed.random((USERS, INTERESTS)), side="right")
        self._effects = fixed.standard_normal(CATEGORIES) * CATEGORY_EFFECT
        self._user_names = _names(1, USERS)
        self._item_names = _names(1, CATEGORIES * ITEMS_PER_CATEGORY)
        self._category_names = _names(1, CATEGORIES)

    def draw(self, rows):
        """The next `rows` rows: (lines, true logits, lengths of the histories)."""
        random = self._random
        user = random.integers(0, USERS, rows)
        lengths = np.exp(LENGTH_MEAN + LENGTH_DEVIATION * random.standard_normal(rows)).astype(np.int64)
        lengths = np.clip(lengths, 1, taobao.HISTORY)
        ends = np.cumsum(lengths)
        category = self._draw_categories(user, ASKED_FROM_INTERESTS)
        clicked = self._draw_categories(np.repeat(user, lengths), FROM_INTERESTS)
        others = self._any_category(len(clicked))

        same = clicked == np.repeat(category, lengths)
        share = np.add.reduceat(same, ends - lengths, dtype=np.float64) / lengths
        logits = BIAS + MATCH * np.minimum(1.0, 4.0 * share) + self._effects[category]
        labels = np.where(random.random(rows) < 1.0 / (1.0 + np.exp(-logits)), b"1", b"0").astype(object)

        columns = zip(labels, self._user_names[user], *self._named(category))
        lists = [names.tolist() for names in (*self._named(clicked), *self._named(others))]
        lines = []
        for end, length, (label, name, item, of) in zip(ends.tolist(), lengths.tolist(), columns):
            at = slice(end - length, end)
            lines.append(
                taobao.line(label, name, item, of, (lists[0][at], lists[1][at]), (lists[2][at], lists[3][at]))
            )
        return lines, logits, lengths

    def _any_category(self, count):
        return np.searchsorted(self._categories, self._random.random(count), side="right")

    def _draw_categories(self, users, from_interests):
        own = self._interests[users, self._random.integers(0, INTERESTS, len(users))]
        return np.where(self._random.random(len(users)) < from_interests, own, self._any_category(len(users)))

    def _named(self, categories):
        """(names of an item of each, names of the categories)."""
        ranks = np.searchsorted(self._ranks, self._random.random(len(categories)), side="right")
        items = categories * ITEMS_PER_CATEGORY + ranks
        return self._item_names[items], self._category_names[categories]


class Taobao:
    """A source of records (see convert.py): `rows` lines without their ends."""

    labels = None
    left_out = ()

    def __init__(self, rows, seed):
        self.total = rows
        self._seed = seed

    def batches(self):
        generator = Generator(self._seed)
        for left in range(self.total, 0, -CHUNK_ROWS):
            yield generator.draw(min(CHUNK_ROWS, left))[0]
