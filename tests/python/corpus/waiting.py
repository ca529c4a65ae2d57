"""Waiting for a condition of another thread, with a deadline."""

import time

POLL_SECONDS = 0.001
DEADLINE_SECONDS = 20.0


def wait_until(condition, what, seconds=DEADLINE_SECONDS):
    """Returns the first true value of condition(); fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(POLL_SECONDS)
