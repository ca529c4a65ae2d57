"""The logger "headrace": one line an event, on standard error unless the program logs otherwise."""

import logging
import threading

_lock = threading.Lock()


def logger() -> logging.Logger:
    """Level INFO unless it was set; a handler of its own only where the program has set up none."""
    log = logging.getLogger("headrace")
    with _lock:
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)
        if not log.hasHandlers():
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("headrace: %(message)s"))
            log.addHandler(handler)
            log.propagate = False
    return log
