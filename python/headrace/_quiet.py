"""Imports without what TensorFlow prints while it is imported, whatever its log level is.

For commands; who imports Headrace into a program keeps TensorFlow's words.
"""

import contextlib
import os


@contextlib.contextmanager
def stderr():
    """Nothing reaches the process's standard error meanwhile; exceptions pass."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
