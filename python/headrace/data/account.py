"""What became of the records that a tracked dataset read."""

import json
from typing import NamedTuple

import numpy as np

from headrace.data.named import Named
from headrace.errors import AccountError


class Settled(NamedTuple):
    """Identities (int64) whose fate is known since the last call of `Account.take()`.

    trained: every element made of the record was used by an applied step, or dropped while others of
        its elements were used.
    dropped: by the op that dropped the record, e.g. {"filter:2": [...]}.
    outstanding: how many records were read and are not settled.
    """

    trained: list
    dropped: dict
    outstanding: int


class Account(Named):
    """The account of this process with a name that datasets report to. A context manager; datasets
    that report to it fail once it is closed.

    Thread safety: every method may be called from any thread.
    Errors: AccountError, if the account is open already, not open, or what it is told does not fit.
    """

    _kind = "account"
    _error = AccountError

    def applied(self, identities):
        """A step that used these elements has been applied. Any shape; negative ones are padding."""
        flat = np.ascontiguousarray(np.asarray(identities, np.int64).reshape(-1))
        self._do("applied", flat[flat >= 0])

    def end(self, by: str = "batch"):
        """The iterator has ended: what was read and not settled was dropped by `by`."""
        self._do("end", by)

    def take(self) -> Settled:
        """What was settled since the last call."""
        (settled,) = self._do("take")
        return Settled(**json.loads(settled))
