"""Tracked datasets: identities stay with what was made of their record, and every record is settled."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from headrace.data import tracking
from headrace.data.account import Account
from headrace.errors import AccountError, TrackingError

RECORDS = 40


@pytest.fixture
def account():
    with Account("test") as opened:
        yield opened


def _source(count=RECORDS):
    """Record i is the int64 10 * i, so that whatever becomes of it shows where it comes from."""
    numbers = tf.data.Dataset.range(count).map(lambda i: (i, 10 * i))
    return tracking.source(numbers, "test")


def _run(tracked):
    """(identities, element) of everything that comes out."""
    return [(i.numpy(), tf.nest.map_structure(lambda t: t.numpy(), e)) for i, e in tracked.dataset]


def _train(tracked, account, by="batch"):
    """Uses everything; what was settled."""
    for identities, _ in _run(tracked):
        account.applied(identities)
    account.end(by)
    return account.take()


def _is_made_of(identities, values):
    np.testing.assert_array_equal(np.asarray(values), 10 * np.asarray(identities))


def test_map_shuffle_batch_prefetch(account):
    tracked = (
        _source()
        .shuffle(16, seed=3)
        .map(lambda x: {"value": x, "half": x // 2}, num_parallel_calls=4)
        .batch(8)
        .prefetch(2)
    )
    out = _run(tracked)
    assert [len(i) for i, _ in out] == [8] * 5
    for identities, element in out:
        _is_made_of(identities, element["value"])
        _is_made_of(identities, 2 * element["half"])
        account.applied(identities)
    assert [i for i, _ in out][0].tolist() != list(range(8)), "nothing was shuffled"
    settled = account.take()
    assert settled.trained == list(range(RECORDS))
    assert not settled.dropped and settled.outstanding == 0


def test_functions_are_called_as_tf_data_calls_them(account):
    seen = []

    def pair(x):
        seen.append("one")
        return x, x + 1

    def triple(x, y):
        seen.append("two")
        return (x, y), {"sum": x + y}

    def nested(xy, sums):
        seen.append("nested")
        return xy[0] + sums["sum"]

    tracked = _source(4).map(pair).map(triple).map(nested)
    assert [int(e) for _, e in _run(tracked)] == [30 * i + 1 for i in range(4)]
    assert seen == ["one", "two", "nested"]
    assert tracked.element_spec == tf.TensorSpec([], tf.int64)


def test_functions_go_through_autograph(account):
    def clipped(x):
        if x > 20:
            x = tf.constant(20, tf.int64)
        return x

    assert [int(e) for _, e in _run(_source(4).map(clipped))] == [0, 10, 20, 20]


def test_filter_names_what_it_drops(account):
    tracked = _source().filter(lambda x: x % 20 == 0).filter(lambda x: x < 200, name="small").batch(4)
    settled = _train(tracked, account)
    assert settled.trained == list(range(0, 20, 2))
    assert settled.dropped == {
        "filter:1": list(range(1, RECORDS, 2)),
        "small": list(range(20, RECORDS, 2)),
    }


def test_filter_of_batches_drops_all_their_records(account):
    settled = _train(_source().batch(10).filter(lambda batch: batch[0] != 100), account)
    assert settled.dropped == {"filter:2": list(range(10, 20))}
    assert len(settled.trained) == 30


def test_rest_of_a_batch(account):
    settled = _train(_source(10).batch(4, drop_remainder=True), account, "batch(drop_remainder)")
    assert settled.trained == list(range(8))
    assert settled.dropped == {"batch(drop_remainder)": [8, 9]}


def test_take_and_skip_drop_what_they_leave_out(account):
    settled = _train(_source(10).skip(3).take(4), account)
    assert settled.trained == [3, 4, 5, 6]
    assert settled.dropped == {"skip:1": [0, 1, 2], "take:2": [7, 8, 9]}
    assert settled.outstanding == 0


def test_take_of_batches(account):
    settled = _train(_source(10).batch(4).take(1), account)
    assert settled.trained == [0, 1, 2, 3]
    assert settled.dropped == {"take:2": [4, 5, 6, 7, 8, 9]}


def test_padded_batch(account):
    tracked = (
        _source(9)
        .map(lambda x: tf.fill([x // 10 % 3 + 1], x))
        .padded_batch(4, padding_values=tf.constant(-7, tf.int64))
    )
    for identities, rows in _run(tracked):
        for identity, row in zip(identities, rows, strict=True):
            _is_made_of([identity] * (identity % 3 + 1), [v for v in row if v != -7])
        account.applied(identities)
    assert account.take().trained == list(range(9))


def test_padded_batch_of_structures_and_shapes(account):
    tracked = _source(4).map(lambda x: {"a": tf.fill([2], x), "b": x})
    tracked = tracked.padded_batch(2, padded_shapes={"a": [3], "b": []})
    out = _run(tracked)
    assert out[1][1]["a"].tolist() == [[20, 20, 0], [30, 30, 0]]
    assert out[1][0].tolist() == [2, 3]


def _copies(x):
    """x // 10 % 4 copies of a record: none of record 0, 4, ..."""
    return tf.data.Dataset.from_tensors(x).repeat(x // 10 % 4)


def test_flat_map_splits_records(account):
    tracked = _source(12).flat_map(_copies).shuffle(5, seed=1).batch(5)
    uses = collections.Counter()
    for identities, values in _run(tracked):
        _is_made_of(identities, values)
        uses.update(identities.tolist())
        account.applied(identities)
    assert uses == {i: i % 4 for i in range(12) if i % 4}
    settled = account.take()
    assert settled.trained == [i for i in range(12) if i % 4]
    assert settled.dropped == {"flat_map:1": [0, 4, 8]}
    assert settled.outstanding == 0


def test_a_split_record_is_settled_with_its_last_part(account):
    tracked = _source(2).flat_map(lambda x: tf.data.Dataset.from_tensors(x).repeat(3))
    for step, (identities, _) in enumerate(_run(tracked), 1):
        account.applied(identities)
        assert account.take().trained == ([0] if step == 3 else [1] if step == 6 else [])


def test_parts_may_be_filtered(account):
    tracked = _source(6).flat_map(
        lambda x: tf.data.Dataset.range(3).map(lambda part: (x, part))
    )
    tracked = tracked.filter(lambda x, part: part == 1 and x != 30)
    settled = _train(tracked, account)
    assert settled.trained == [0, 1, 2, 4, 5]
    assert settled.dropped == {"filter:2": [3]}


@pytest.mark.parametrize("calls", [None, 3])
def test_interleave(account, calls):
    tracked = _source(12).interleave(_copies, cycle_length=3, num_parallel_calls=calls).batch(4)
    for identities, values in _run(tracked):
        _is_made_of(identities, values)
        account.applied(identities)
    settled = account.take()
    assert settled.trained == [i for i in range(12) if i % 4]
    assert settled.dropped == {"interleave:1": [0, 4, 8]}
    assert settled.outstanding == 0


def test_split_of_batches(account):
    tracked = _source(8).batch(4).flat_map(lambda x: tf.data.Dataset.from_tensors(x).repeat(2))
    settled = _train(tracked, account)
    assert settled.trained == list(range(8))


def test_repeat_repeats_each_record(account):
    tracked = _source(3).repeat(2)
    out = _run(tracked)
    assert [int(i) for i, _ in out] == [0, 0, 1, 1, 2, 2]
    for identity, _ in out:
        account.applied(identity)
    assert account.take().trained == [0, 1, 2]


def test_apply_and_options(account):
    options = tf.data.Options()
    options.deterministic = True
    tracked = _source(4).apply(lambda d: d.map(lambda x: x).batch(2)).with_options(options)
    assert _train(tracked, account).trained == [0, 1, 2, 3]


def test_what_cannot_be_followed_is_named():
    tracked = tracking.TrackedDataset(tf.data.Dataset.range(2).map(lambda i: (i, i)), "test")
    with pytest.raises(TrackingError, match=r"Dataset.cache cannot be tracked.*leave it out"):
        tracked.cache()
    with pytest.raises(TrackingError, match=r"Dataset.unbatch cannot be tracked.*flat_map"):
        tracked.unbatch()
    with pytest.raises(TrackingError, match="num_epochs"):
        tracked.repeat()
    with pytest.raises(TrackingError, match="cannot iterate"):
        iter(tracked)
    # AutoGraph wraps what functions raise while they are traced.
    with pytest.raises(Exception, match="TrackingError: flat_map:1.*must return a tf.data.Dataset"):
        tracked.flat_map(lambda x: x)
    with pytest.raises(AttributeError, match="no attribute 'kache'"):
        _ = tracked.kache


def test_every_method_of_tf_data_is_followed_or_refused():
    tracked = tracking.TrackedDataset(tf.data.Dataset.range(2).map(lambda i: (i, i)), "test")
    static = {"choose_from_datasets", "counter", "from_generator", "from_tensors", "load", "random"}
    static |= {"from_tensor_slices", "list_files", "range", "sample_from_datasets", "zip"}
    for method in dir(tf.data.Dataset):
        if method.startswith("_") or method in static or hasattr(tracking.TrackedDataset, method):
            continue
        with pytest.raises(TrackingError, match=f"Dataset.{method} cannot be tracked"):
            getattr(tracked, method)


def test_without_an_account_the_dataset_fails():
    with pytest.raises(tf.errors.FailedPreconditionError, match="no account 'test' is open"):
        _run(_source())


def test_two_accounts_of_a_name():
    with Account("test"):
        with pytest.raises(AccountError, match="already"):
            Account("test")


def test_acknowledging_twice(account):
    _run(_source(2))
    account.applied([0])
    with pytest.raises(AccountError, match="record 0 of slot 0 was used by a step"):
        account.applied([0])
