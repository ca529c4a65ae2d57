"""One dataset over record ranges that come and go."""

import threading

import pytest
import tensorflow as tf

from headrace.data import ranges, tracking
from headrace.data.account import Account
from headrace.errors import RangeError


@pytest.fixture
def files(tmp_path):
    """Two TFRecord files and a text file; record i of file f is "f/i"."""
    paths = []
    for f, count in enumerate((10, 7)):
        paths.append(str(tmp_path / f"{f}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for i in range(count):
                writer.write(f"{f}/{i}".encode())
    paths.append(str(tmp_path / "2.txt"))
    with open(paths[-1], "w") as text:
        text.writelines(f"2/{i}\n" for i in range(5))
    return paths


@pytest.fixture
def queue():
    with ranges.RangeQueue("train") as opened:
        yield opened


def _name(identity):
    return f"{int(identity) >> 40}/{int(identity) & (1 << 40) - 1}"


def _read(dataset):
    return [(_name(i), r.numpy().decode()) for i, r in dataset]


def test_ranges_in_order_with_their_identities(files, queue):
    queue.push(files[1], 1, 2, 5)
    queue.push(files[0], 0, 8, 10)
    queue.push(files[2], 2, 0, 5)
    queue.push(files[0], 0, 3, 3)  # an empty range
    queue.push(files[0], 0, 0, 1)
    queue.finish()
    got = _read(ranges.dataset("train"))
    names = ["1/2", "1/3", "1/4", "0/8", "0/9", *(f"2/{i}" for i in range(5)), "0/0"]
    assert got == [(n, n) for n in names]
    assert _read(ranges.dataset("train")) == []


def test_flush_ends_one_iterator(files, queue):
    queue.push(files[0], 0, 0, 3)
    queue.flush()
    queue.push(files[0], 0, 3, 5)
    queue.finish()
    dataset = ranges.dataset("train").batch(2)
    batches = [[_name(i) for i in ids] for ids, _ in dataset]
    assert batches == [["0/0", "0/1"], ["0/2"]], "the batch gave up what it held"
    assert [[_name(i) for i in ids] for ids, _ in dataset] == [["0/3", "0/4"]]


def test_ranges_that_come_later(files, queue):
    got = []
    reader = threading.Thread(target=lambda: got.extend(_read(ranges.dataset("train"))))
    reader.start()
    for begin in range(0, 10, 2):
        queue.push(files[0], 0, begin, begin + 2)
    queue.finish()
    reader.join(timeout=60)
    assert not reader.is_alive()
    assert [name for name, _ in got] == [f"0/{i}" for i in range(10)]


def test_errors_name_the_file_and_the_next_range_follows(files, queue, tmp_path):
    queue.push(str(tmp_path / "none.tfrecord"), 3, 0, 1)
    queue.push(files[0], 0, 0, 1)
    queue.push(files[1], 1, 5, 9)
    queue.push(files[0], 0, 1, 2)
    queue.finish()
    iterator = iter(ranges.dataset("train"))
    with pytest.raises(tf.errors.NotFoundError, match="none.tfrecord"):
        next(iterator)
    assert next(iterator)[1].numpy() == b"0/0"
    with pytest.raises(tf.errors.OpError, match="1.tfrecord"):
        next(iterator)
    assert next(iterator)[1].numpy() == b"0/1"
    with pytest.raises(StopIteration):
        next(iterator)


def test_a_damaged_record_is_an_error_with_its_file(files, queue):
    with open(files[0], "r+b") as file:
        file.seek(30)
        file.write(b"\xff\xff\xff")
    queue.push(files[0], 0, 0, 10)
    queue.finish()
    with pytest.raises(tf.errors.DataLossError, match=r"0.tfrecord"):
        _read(ranges.dataset("train"))


def test_closing_the_queue_ends_who_waits(files):
    errors, started = [], threading.Event()

    def read():
        try:
            for _ in ranges.dataset("train"):
                started.set()
        except tf.errors.CancelledError as error:
            errors.append(error.message)

    queue = ranges.RangeQueue("train")
    queue.push(files[0], 0, 0, 1)
    reader = threading.Thread(target=read)
    reader.start()
    assert started.wait(timeout=60)
    queue.close()
    reader.join(timeout=60)
    assert not reader.is_alive()
    assert len(errors) == 1 and "was closed" in errors[0]


def test_an_iterator_that_goes_away_while_it_waits(files, queue):
    dataset = ranges.dataset("train").prefetch(2)
    iterator = iter(dataset)
    queue.push(files[0], 0, 0, 1)
    assert next(iterator)[1].numpy() == b"0/0"
    del iterator, dataset  # the prefetch thread waits for a range; this must not


def test_without_a_queue():
    with pytest.raises(tf.errors.FailedPreconditionError, match="no queue of record ranges 'train'"):
        _read(ranges.dataset("train"))
    with ranges.RangeQueue("train"):
        with pytest.raises(RangeError, match="already"):
            ranges.RangeQueue("train")


def test_every_record_is_settled(files, queue):
    """Shuffled, filtered, batched, flushed in between: each record once, trained or dropped."""
    with Account("train") as account:
        def batches():
            tracked = tracking.source(ranges.dataset("train"), "train")
            tracked = tracked.shuffle(6, seed=2).filter(lambda r: r != "0/4").batch(4)
            return tracked.dataset

        queue.push(files[0], 0, 0, 10)
        queue.flush()
        queue.push(files[1], 1, 0, 7)
        queue.push(files[2], 2, 0, 5)
        queue.finish()
        trained = []
        for _ in range(2):
            for identities, records in batches():
                assert [_name(i) for i in identities] == [r.decode() for r in records.numpy()]
                account.applied(identities)
            trained.append([_name(i) for i in account.take().trained])
    assert trained[0] == [f"0/{i}" for i in range(10) if i != 4]
    assert trained[1] == [f"1/{i}" for i in range(7)] + [f"2/{i}" for i in range(5)]


def _tracked(account=""):
    return tracking.TrackedDataset(ranges.dataset("train", account), account, records=True)


def test_batches_of_records_are_those_of_batch(files, queue):
    for _ in range(2):
        queue.push(files[0], 5, 2, 9)
        queue.push(files[1], 6, 0, 4)
        queue.flush()
    found = [
        [(i.numpy().tolist(), r.numpy().tolist()) for i, r in dataset]
        for dataset in (_tracked().batch(4).dataset, ranges.dataset("train").batch(4))
    ]
    assert found[0] == found[1] and [len(ids) for ids, _ in found[0]] == [4, 4, 3]


def test_the_rest_of_the_records_under_drop_remainder(files, queue):
    queue.push(files[0], 5, 0, 7)
    queue.finish()
    with Account("a") as account:
        batches = list(_tracked("a").batch(3, drop_remainder=True).dataset)
        for identities, _ in batches:
            account.applied(identities)
        account.end("batch")
        settled = account.take()
    assert [i.shape.as_list() for i, _ in batches] == [[3], [3]]
    assert len(settled.trained) == 6 and len(settled.dropped["batch"]) == 1


def test_batches_of_records_from_another_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(([7, 8, 9], ["a", "b", "c"]))
    dataset = dataset.map(lambda i, r: (tf.cast(i, tf.int64), r))
    batches = list(tracking.TrackedDataset(dataset, "", records=True).batch(2).dataset)
    assert [i.numpy().tolist() for i, _ in batches] == [[7, 8], [9]]
    assert batches[1][1].numpy().tolist() == [b"c"]


def test_an_error_within_a_batch(files, queue, tmp_path):
    queue.push(str(tmp_path / "none"), 5, 0, 3)
    queue.push(files[0], 6, 0, 2)
    queue.finish()
    iterator = iter(_tracked().batch(2).dataset)
    with pytest.raises(tf.errors.NotFoundError, match="none"):
        next(iterator)
    assert len(next(iterator)[0]) == 2
    with pytest.raises(StopIteration):
        next(iterator)


def test_a_batch_of_nothing_is_refused(files, queue):
    with pytest.raises(tf.errors.InvalidArgumentError, match="batch_size is 0"):
        next(iter(_tracked().batch(0).dataset))
