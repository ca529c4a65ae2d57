"""A tf.data dataset that carries the identity of every record beside the user's elements.

`dataset_fn(dataset)` of a model module gets one and transforms it as it would a tf.data dataset. What
reaches the training step then says which records it was made of, whatever was shuffled, filtered,
split and batched on the way; counting batches could not.
"""

import tensorflow as tf

from headrace import library
from headrace.errors import TrackingError

PADDING = -1  # identity of what padded_batch filled in

# What tf.data has and this does not: the identity of its results cannot be followed.
_ADVICE = {
    "as_numpy_iterator": "iterate over the dataset itself",
    "bucket_by_sequence_length": "use padded_batch",
    "cache": "leave it out: what was cached would not be read, so never trained, again",
    "concatenate": "give all files to the job: --training_data takes several",
    "enumerate": "number the records when they are written",
    "group_by_window": "use padded_batch",
    "ragged_batch": "use padded_batch",
    "rebatch": "use batch",
    "sample_from_datasets": "give all files to the job: --training_data takes several",
    "shard": "leave it out: the master shares the records out",
    "unbatch": "use flat_map",
    "window": "use batch",
    "zip": "write the joined records",
}


def _call(function, element):
    """As tf.data calls functions: a tuple is several arguments."""
    return function(*element) if type(element) is tuple else function(element)


def _packed(elements):
    """What such a function got, as one element again."""
    return elements if len(elements) != 1 else elements[0]


class TrackedDataset:
    """A dataset of (identity, element): `identity` is int64, a scalar before batching, of which batch
    makes [n]; `element` is what the user's functions see.

    Its methods are tf.data's, with the same arguments and meaning, except that take() and skip() read
    and drop what they leave out, so that it is accounted for, and that repeat(n) repeats each record
    n times in a row. Every other method of tf.data raises TrackingError.

    dataset: a tf.data.Dataset of (identity, element).
    account: name of the account (headrace.data.account) of the process that will run it.
    records: the elements are records as they were read (scalar strings): they are batched where they
        are read.
    """

    def __init__(
        self,
        dataset,
        account: str,
        batched: bool = False,
        records: bool = False,
        _position: int = 0,
    ):
        self.dataset = dataset
        self.account = account
        self.batched = batched  # elements are batches
        self._records = records
        self._position = _position  # in the chain of calls, to tell two filters apart

    @property
    def element_spec(self):
        """Of the user's elements."""
        return self.dataset.element_spec[1]

    # --- one to one ---------------------------------------------------------------------------

    def map(self, map_func, num_parallel_calls=None, deterministic=None, synchronous=None, name=None):
        def mapped(identity, element):
            return identity, _call(map_func, element)

        return self._next(
            self.dataset.map(mapped, num_parallel_calls, deterministic, synchronous, name=name)
        )

    def shuffle(self, buffer_size, seed=None, reshuffle_each_iteration=True, name=None):
        return self._next(
            self.dataset.shuffle(buffer_size, seed, reshuffle_each_iteration, name=name)
        )

    def prefetch(self, buffer_size, name=None):
        return self._next(self.dataset.prefetch(buffer_size, name=name))

    def batch(
        self, batch_size, drop_remainder=False, num_parallel_calls=None, deterministic=None, name=None
    ):
        if self._records and num_parallel_calls is None:
            return self._next(_batched_records(self.dataset, batch_size, drop_remainder), True)
        return self._next(
            self.dataset.batch(
                batch_size, drop_remainder, num_parallel_calls, deterministic, name=name
            ),
            batched=True,
        )

    def padded_batch(
        self, batch_size, padded_shapes=None, padding_values=None, drop_remainder=False, name=None
    ):
        identity, shapes = tf.compat.v1.data.get_output_shapes(self.dataset)
        if padded_shapes is None:
            padded_shapes = shapes
        return self._next(
            self.dataset.padded_batch(
                batch_size,
                (identity, padded_shapes),
                (tf.constant(PADDING, tf.int64), padding_values),
                drop_remainder,
                name=name,
            ),
            batched=True,
        )

    def with_options(self, options, name=None):
        return self._next(self.dataset.with_options(options, name=name))

    def apply(self, transformation_func):
        return transformation_func(self)

    # --- fewer --------------------------------------------------------------------------------

    def filter(self, predicate, name=None):
        by = self._name("filter", name)

        def kept(identity, element):
            return self._or_drop(_call(predicate, element), identity, by)

        return self._next(self.dataset.filter(kept, name=name))

    def take(self, count, name=None):
        return self._by_position("take", count, lambda position: position < count, name)

    def skip(self, count, name=None):
        return self._by_position("skip", count, lambda position: position >= count, name)

    def _by_position(self, method, count, wanted, name):
        if isinstance(count, int) and count < 0:
            raise TrackingError(f"{method}({count}): count must be >= 0")
        count = tf.convert_to_tensor(count, tf.int64)
        by = self._name(method, name)

        def kept(position, tracked):
            return self._or_drop(wanted(position), tracked[0], by)

        numbered = self.dataset.enumerate().filter(kept, name=name)
        return self._next(numbered.map(lambda _, tracked: tracked))

    def _or_drop(self, keep, identity, by):
        def drop():
            with tf.control_dependencies([self._report("drop", identity, by)]):
                return tf.constant(False)

        return tf.cond(keep, lambda: tf.constant(True), drop)

    # --- more ---------------------------------------------------------------------------------

    def flat_map(self, map_func, name=None):
        parts = self._parts_of(map_func, self._name("flat_map", name))
        return self._next(self.dataset.flat_map(parts, name=name))

    def interleave(
        self,
        map_func,
        cycle_length=None,
        block_length=None,
        num_parallel_calls=None,
        deterministic=None,
        name=None,
    ):
        parts = self._parts_of(map_func, self._name("interleave", name))
        return self._next(
            self.dataset.interleave(
                parts, cycle_length, block_length, num_parallel_calls, deterministic, name=name
            )
        )

    def repeat(self, count=None, name=None):
        if count is None or (isinstance(count, int) and count < 0):
            raise TrackingError(
                "repeat() without an end never gives its records back: leave it out, and say "
                "--num_epochs"
            )

        def times(*elements):
            return tf.data.Dataset.from_tensors(_packed(elements)).repeat(count)

        parts = self._parts_of(times, self._name("repeat", name))
        return self._next(self.dataset.flat_map(parts, name=name))

    def _parts_of(self, map_func, by):
        """The function of flat_map or interleave that reports where a record's parts begin and end."""

        def parts_of(identity, element):
            with tf.control_dependencies([self._report("split", identity, by)]):
                identity = tf.identity(identity)
            made = _call(map_func, element)
            if not isinstance(made, tf.data.Dataset):
                raise TrackingError(f"{by}: map_func must return a tf.data.Dataset, not {made!r}")

            def part(*elements):
                return self._report("part", identity, by), _packed(elements)

            parts = made.map(part)

            def end(_):
                with tf.control_dependencies([self._report("parts_end", identity, by)]):
                    return tf.constant(False)

            # Reached behind the last part; holds nothing.
            closing = tf.data.Dataset.from_tensors(0).filter(end).flat_map(lambda _: parts)
            return parts.concatenate(closing)

        return parts_of

    # --- the rest -----------------------------------------------------------------------------

    def _next(self, dataset, batched=False):
        return TrackedDataset(
            dataset, self.account, batched or self.batched, _position=self._position + 1
        )

    def _name(self, method, name):
        return name or f"{method}:{self._position + 1}"

    def _report(self, event, identity, by=""):
        return report(self.account, event, identity, by)

    def __iter__(self):
        raise TrackingError(
            "a dataset_fn describes how records are transformed and cannot iterate over them"
        )

    def __getattr__(self, method):
        if method.startswith("_") or not hasattr(tf.data.Dataset, method):
            raise AttributeError(f"'TrackedDataset' object has no attribute '{method}'")
        advice = _ADVICE.get(method)
        raise TrackingError(
            f"Dataset.{method} cannot be tracked: which record its results come from is not known"
            + (f"; {advice}" if advice else "")
        )


def report(account, event, identity, by=""):
    """`identity`, once the account was told; see Headrace>AccountRecord in src/tensorflow."""
    return library.load().ops.headrace_account_record(identity, account, event, by)


def _batched_records(dataset, batch_size, drop_remainder):
    size = [batch_size if drop_remainder and isinstance(batch_size, int) else None]
    variant = library.load().ops.headrace_record_batch_dataset(
        tf.data.experimental.to_variant(dataset),
        tf.cast(batch_size, tf.int64),
        drop_remainder,
        output_types=[tf.int64, tf.string],
        output_shapes=[size, size],
    )
    return tf.data.experimental.from_variant(
        variant, (tf.TensorSpec(size, tf.int64), tf.TensorSpec(size, tf.string))
    )


def source(dataset, account: str) -> TrackedDataset:
    """Tracks `dataset`, of (identity int64, element), from its reading on.

    A dataset of record ranges (Headrace>RecordRangesDataset with `account`) says itself what it reads:
    track that as TrackedDataset(dataset, account).
    """

    def read(identity, *elements):
        return report(account, "read", identity), _packed(elements)

    return TrackedDataset(dataset.map(read), account)
