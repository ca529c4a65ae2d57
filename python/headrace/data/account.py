"""What became of the records that a tracked dataset read."""

import json
from typing import NamedTuple

import numpy as np

from headrace import library
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


class Account:
    """The account of this process with a name that datasets report to. A context manager.

    Thread safety: every method may be called from any thread.
    Errors: AccountError, if the account is open already, not open, or what it is told does not fit.
    """

    def __init__(self, name: str):
        self.name = name
        self._library = library.load()
        self._check(*self._library.account_open(name))

    @staticmethod
    def _check(status, error):
        if status != 0:
            raise AccountError(error)

    def applied(self, identities):
        """A step that used these elements has been applied. Any shape; negative ones are padding."""
        flat = np.ascontiguousarray(np.asarray(identities, np.int64).reshape(-1))
        self._check(*self._library.account_applied(self.name, flat[flat >= 0]))

    def end(self, by: str = "batch"):
        """The iterator has ended: what was read and not settled was dropped by `by`."""
        self._check(*self._library.account_end(self.name, by))

    def take(self) -> Settled:
        """What was settled since the last call."""
        status, settled, error = self._library.account_take(self.name)
        self._check(status, error)
        return Settled(**json.loads(settled))

    def close(self):
        """Datasets that report to it fail from now on."""
        self._library.account_close(self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
