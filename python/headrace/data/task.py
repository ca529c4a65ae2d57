"""Elastic data for a program of one's own, under `headrace run -- CMD`.

    data = headrace.data.task_dataset()
    for batch in headrace.data.batches(data.map(parse).shuffle(1000).batch(32)):
        train_step(*batch.elements)
        headrace.data.commit(batch)

The job's records come in leases from the master; whatever was committed is accounted for, and what was
not when the program dies is given to another worker, or again to this one. Elements are records
(serialized, tf.string); identities are int64, opaque, one for each record of a batch, and name it for as
long as it is not committed.

The contract with the agent (docs/operations.md, "Programs of one's own"): the environment variable
HEADRACE_FEED names the socket of docs/feed-protocol.md. A program that ends with exit code 0 after its
dataset ended is done; any other end is started again.
"""

import atexit
import json
import os
import sys
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from headrace import library
from headrace.data import ranges
from headrace.data.tracking import TrackedDataset
from headrace.errors import FeedError

ACCOUNT = "train"  # names of the process's only feed, as src/feed/client.h has them
ENVIRONMENT = "HEADRACE_FEED"


class Batch(NamedTuple):
    """What one step gets. identities: int64 [n]; elements: what the dataset gives for it."""

    identities: np.ndarray
    elements: Any


def task_dataset(prefetch: int = 2) -> TrackedDataset:
    """The job's records, as a dataset that carries their identities; once a process.

    prefetch: leases that are held ready, >= 1.
    Errors: FeedError outside of `headrace run`, a second time, or if the agent is gone.
    """
    socket = os.environ.get(ENVIRONMENT, "")
    if not socket:
        raise FeedError(
            f"{ENVIRONMENT} is not set: start the program with `headrace run -- python {sys.argv[0]}`"
        )
    if prefetch < 1:
        raise FeedError(f"prefetch is {prefetch}, and must be at least 1")
    feed = library.load()
    welcome = json.loads(_checked(*feed.feed_connect(socket, os.path.basename(sys.argv[0]), prefetch)))
    _say_why_at_exit(feed)
    dataset = TrackedDataset(ranges.dataset(ACCOUNT, ACCOUNT), ACCOUNT, records=True)
    dataset.welcome = welcome
    return dataset


def batches(dataset: TrackedDataset):
    """Yields Batch until the job has no more records for anybody.

    A record that cannot be read or parsed does not end it: the master finds it and leaves it out, as
    far as the job's --max_quarantined allows. What was not committed when such a record is met is
    delivered again: commit each batch before asking for the next.
    """
    whole = _whole(dataset, lambda identities, element: (identities, element), note=False)
    iterator = iter(whole)
    while True:
        try:
            identities, elements = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            code, message = error.error_code, error.message
            print(f"headrace: a record failed: {message}", file=sys.stderr, flush=True)
            del iterator  # nothing may be read while the agent looks at what was read
            _checked(*library.load().feed_iterator_failed(code, message))
            iterator = iter(whole)
            continue
        yield Batch(identities.numpy(), elements)


def commit(batch: Batch):
    """The step that used this batch has been applied: its records are trained."""
    identities = np.ascontiguousarray(np.asarray(batch.identities, np.int64).reshape(-1))
    _checked(*library.load().feed_commit(identities[identities >= 0]))


def fit_dataset(dataset: TrackedDataset):
    """For model.fit(): a tf.data.Dataset of the elements alone; give fit CommitCallback(), too.

    Use epochs=1: the job's own epochs are in it.
    """
    return _whole(dataset, lambda identities, element: element, note=True)


def __getattr__(name):
    # Keras is imported by those who use it.
    if name != "CommitCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import keras

    class CommitCallback(keras.callbacks.Callback):
        """Commits each batch of fit(fit_dataset(...)) when its step has been applied."""

        def on_train_begin(self, logs=None):
            if int(os.environ.get("HEADRACE_WORKERS", "1")) > 1:
                print(
                    "headrace: this job has several workers, and fit trains a model of its own in each: "
                    "their models are independent unless your program joins them",
                    file=sys.stderr,
                )

        def on_train_batch_begin(self, batch, logs=None):
            self._first = batch

        def on_train_batch_end(self, batch, logs=None):
            _checked(*library.load().feed_commit_noted(batch - self._first + 1))

    globals()[name] = CommitCallback
    return CommitCallback


def _whole(dataset, choose, note):
    """One iterator after the other: each ends when its buffers have to be given up."""
    if not isinstance(dataset, TrackedDataset):
        raise FeedError(f"a dataset made from task_dataset() is needed, not {type(dataset).__name__}")
    if not dataset.batched:
        raise FeedError("the dataset has no batches: end it with .batch(n)")
    ops = library.load().ops

    def deliver(identities, element):
        same = ops.headrace_feed_deliver(identities, account=ACCOUNT, note=note)
        with tf.control_dependencies([same]):
            return tf.nest.map_structure(
                tf.identity, choose(identities, element), expand_composites=True
            )

    delivered = dataset.dataset.map(deliver)
    counter = tf.data.Dataset.counter().take_while(ops.headrace_feed_more)
    return counter.flat_map(lambda _: delivered)


def _checked(status, *rest):
    *result, error = rest
    if status != 0:
        raise FeedError(error)
    return result[0] if result else None


def _say_why_at_exit(feed):
    """A program that dies of an exception says so to its agent."""
    before, why = sys.excepthook, [""]

    def hook(kind, value, trace):
        why[0] = f"{kind.__name__}: {value}"
        before(kind, value, trace)

    sys.excepthook = hook
    atexit.register(lambda: feed.feed_leave(why[0]))
