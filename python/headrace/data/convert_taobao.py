"""Taobao's UserBehavior.csv to lines of click histories (taobao.py), as the papers of DIN and DIEN make
samples.

A row: user, item, category, behaviour (pv, buy, cart, fav), timestamp; commas between, no header. Only clicks
(pv) count. A user's clicks are sorted by time; of the T of them the last is what is asked about, and the T -
1 before it, at most taobao.HISTORY, are the history. Each user with two clicks or more gives two lines: one
with the last click (label 1), one with an item that the user has not clicked (label 0). Such items, and those
of the "not clicked" lists, are drawn from a sample of all clicks, so by popularity.

The files are read twice, once to count and to draw the sample. Rows of one user must stand together, as they
do in the published file. Memory: the rows of one user, SAMPLE clicks, and some 100 bytes a user.
"""

import random

from headrace.data import convert_paths, taobao
from headrace.errors import DataError

SAMPLE = 1 << 17  # clicks that others are drawn from
_BEHAVIOURS = (b"pv", b"buy", b"cart", b"fav")
_CHUNK = 4096  # records at a time
_TRIES = 100  # to draw an item that a user has not clicked


class Taobao:
    """A source of records (see convert.py). The same files give the same bytes.

    Errors: DataError, which names file and line, for a row that is none, and for a user whose rows are apart.
    """

    labels = None
    left_out = ()

    def __init__(self, paths):
        self._files = convert_paths.find(paths, (".csv",))
        self.total = 0
        sample = _Sample(SAMPLE)
        for _, clicks in self._users():
            for click in clicks:
                sample.offer(click[1:])
            if len(clicks) > 1:
                self.total += 2
        if not self.total:
            raise DataError(f"{self._files[0]}: no user has two clicks (pv): there is nothing to learn from")
        self._sample = sample.kept
        if len(set(self._sample)) < 2:
            raise DataError(f"{self._files[0]}: all clicks are on one item: there is none that was not clicked")

    def batches(self):
        drawn = random.Random(1)
        lines = []
        for user, clicks in self._users():
            if len(clicks) < 2:
                continue
            clicks.sort(key=lambda click: click[0])  # stable
            pairs = [click[1:] for click in clicks]
            own = {item for item, _ in pairs}
            *history, asked = pairs[-1 - taobao.HISTORY :]
            others = [self._draw(drawn, {item}) for item, _ in history]
            lists = _columns(history), _columns(others)
            lines.append(taobao.line(b"1", user, *asked, *lists))
            lines.append(taobao.line(b"0", user, *self._draw(drawn, own), *lists))
            if len(lines) >= _CHUNK:
                yield lines
                lines = []
        if lines:
            yield lines

    def _draw(self, drawn, clicked):
        """(item, category) that is not in `clicked`; after many tries one that is."""
        for _ in range(_TRIES):
            pair = drawn.choice(self._sample)
            if pair[0] not in clicked:
                break
        return pair

    def _users(self):
        """(user, list of (timestamp, item, category) of the clicks) in the order of the files."""
        seen = set()
        current, clicks = None, []
        for path in self._files:
            with open(path, "rb") as file:
                for number, row in enumerate(file, 1):
                    fields = row.rstrip(b"\r\n").split(b",")
                    if len(fields) != 5 or fields[3] not in _BEHAVIOURS:
                        raise DataError(
                            f"{path}: line {number}: is not user,item,category,behaviour,timestamp with pv, buy, "
                            f"cart or fav: {row[:80]!r}"
                        )
                    user, item, category, behaviour, time = fields
                    if user != current:
                        if current is not None:
                            yield current, clicks
                        if user in seen:
                            raise DataError(
                                f"{path}: line {number}: user {user.decode(errors='replace')} had rows before, and "
                                "others stand between: sort the file first (sort -s -t, -k1,1n)"
                            )
                        seen.add(user)
                        current, clicks = user, []
                    if behaviour == b"pv":
                        try:
                            clicks.append((int(time), item, category))
                        except ValueError:
                            raise DataError(
                                f"{path}: line {number}: the timestamp is no number: {time[:80]!r}"
                            ) from None
        if current is not None:
            yield current, clicks


class _Sample:
    """Keeps `size` of what it is offered, all equally likely."""

    def __init__(self, size):
        self.kept = []
        self._size, self._offered, self._random = size, 0, random.Random(0)

    def offer(self, value):
        self._offered += 1
        if len(self.kept) < self._size:
            self.kept.append(value)
            return
        at = int(self._random.random() * self._offered)
        if at < self._size:
            self.kept[at] = value


def _columns(pairs):
    return [item for item, _ in pairs], [category for _, category in pairs]
