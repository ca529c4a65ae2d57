"""Queues and readers as sources, and queues that the graph itself fills."""

import os

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, train

tf1 = tf.compat.v1

DATA = os.path.join(os.path.dirname(__file__), "data")


def _file(name):
    return os.path.join(DATA, name)


def _filled(queue, values, name):
    """Fills `queue` with `values` and closes it; an op to run once."""
    with tf.control_dependencies([queue.enqueue_many([values], name=name)]):
        return queue.close()


def _producer(*files):
    return tf1.train.string_input_producer(
        [_file(f) for f in files], num_epochs=1, shuffle=False, name="files"
    )


@case(
    [{"batch", "csv", "words"}],
    crossing={"csv:0", "words:0"},
    left_out={"read": "only_feeds_queue"},
)
def string_input_producer_and_batch():
    """The seed's second example: the reader feeds only the batch queue, which reads ahead."""
    _, line = tf1.TextLineReader().read(_producer("pairs.csv"), name="read")
    lines = tf1.train.batch([line], batch_size=2, capacity=6, name="batch")
    number, word = tf1.decode_csv(lines, [[0], [""]], name="csv")
    words = tf.strings.join([word, "xxx"], name="words")
    return program([], [train(number), words], queue_runners=True)


@case([{"batch", "csv", "sum", "minus", "upper"}])
def train_batch_with_a_partial_last_batch():
    _, line = tf1.TextLineReader().read(_producer("pairs.csv"), name="read")
    lines = tf1.train.batch(
        [line], batch_size=3, capacity=9, name="batch", allow_smaller_final_batch=True
    )
    number, word = tf1.decode_csv(lines, [[0], [""]], name="csv")
    total = train(tf.reduce_sum(number, axis=[0], name="sum"))
    word = tf.strings.upper(word, name="upper")
    return program([], [total, tf.negative(number, name="minus"), word], queue_runners=True)


@case([{"read", "number"}], crossing={"number:0"})
def reader_read():
    """A reader is read directly; its key has no consumer."""
    key, line = tf1.TextLineReader().read(_producer("numbers_a.txt", "numbers_b.txt"), name="read")
    del key
    number = tf.strings.to_number(line, tf.int32, name="number")
    return program([], [train(number)], queue_runners=True)


@case([{"read", "ReduceJoin/joined", "length", "upper"}])
def reader_read_up_to():
    keys, lines = tf1.TextLineReader().read_up_to(
        _producer("pairs.csv", "words.txt"), 3, name="read"
    )
    del keys
    joined = tf.strings.reduce_join(lines, axis=0, separator="|", name="joined")
    length = tf.strings.length(joined, name="length")
    return program([], [tf.strings.upper(joined, name="upper"), train(length)], queue_runners=True)


@case([{"dequeue", "square"}], crossing={"square:0"})
def fifo_queue():
    queue = tf1.FIFOQueue(10, tf.int64, [[]], name="queue")
    fill = _filled(queue, tf.range(6, dtype=tf.int64), "fill")
    square = tf.square(queue.dequeue(name="dequeue"), name="square")
    return program([], [train(square)], extra_init=[fill])


@case([{"dequeue", "sum"}])
def dequeue_many():
    """Five left-over elements are too few: an error, as often as it is asked for."""
    queue = tf1.FIFOQueue(40, tf.int64, [[]], name="queue")
    fill = _filled(queue, tf.range(29, dtype=tf.int64), "fill")
    total = tf.reduce_sum(queue.dequeue_many(8, name="dequeue"), axis=[0], name="sum")
    return program([], [train(total)], extra_init=[fill])


@case([{"dequeue"}], crossing={"dequeue:0", "dequeue:1"})
def dequeue_up_to_of_two_components():
    queue = tf1.FIFOQueue(40, [tf.int64, tf.string], [[], []], name="queue")
    values = tf.range(10, dtype=tf.int64)
    fill = queue.enqueue_many([values, tf.strings.as_string(values)])
    with tf.control_dependencies([fill]):
        close = queue.close()
    number, text = queue.dequeue_up_to(4, name="dequeue")
    return program([], [number, text], extra_init=[close])


@case([{"dequeue", "square"}])
def random_shuffle_queue():
    queue = tf1.RandomShuffleQueue(20, 0, tf.int64, [[]], seed=11, name="queue")
    fill = _filled(queue, tf.range(9, dtype=tf.int64), "fill")
    square = tf.square(queue.dequeue(name="dequeue"), name="square")
    return program([], [train(square)], extra_init=[fill])


@case([{"dequeue", "longest"}])
def padding_queue():
    queue = tf1.PaddingFIFOQueue(20, tf.int64, [[None]], name="queue")
    fill = [queue.enqueue(tf.range(n, dtype=tf.int64)) for n in (3, 1, 4, 1, 5, 9)]
    longest = tf.shape(queue.dequeue_many(2, name="dequeue"), name="longest")
    return program([], [train(longest)], extra_init=fill + [queue.close()])


@case([{"dequeue", "text"}], left_out={"next": "only_feeds_queue"})
def iterator_that_feeds_a_queue():
    """A stage for the iterator would only fill a queue that is filled ahead already."""
    iterator, x = iterate(Dataset.range(8))
    queue = tf1.FIFOQueue(2, tf.int64, [[]], name="queue")
    enqueue = queue.enqueue(tf.multiply(x, 3, name="triple"))
    tf1.train.add_queue_runner(tf1.train.QueueRunner(queue, [enqueue]))
    text = tf.strings.as_string(queue.dequeue(name="dequeue"), name="text")
    return program([iterator], [text], queue_runners=True)


@case([{"dequeue", "next_value"}])
def queue_refilled_by_the_step():
    """Each step puts back what it made; first in, first out, so the values do not change."""
    queue = tf1.FIFOQueue(30, tf.int64, [[]], name="queue")
    fill = queue.enqueue_many([tf.range(5, dtype=tf.int64)])
    value = tf.add(queue.dequeue(name="dequeue"), 7, name="next_value")
    total = train(value)
    back = queue.enqueue(total)
    return program([], None, script=times([total, back], 14), extra_init=[fill])


@case([])
def priority_queue_refilled_by_the_step():
    """What a step puts in may be due before what is in already: reading ahead would reorder."""
    queue = tf1.PriorityQueue(30, [tf.int64], [[]], name="queue")
    priorities = tf.constant([50, 10, 40, 20, 30], tf.int64)
    fill = queue.enqueue_many([priorities, priorities])
    priority, value = queue.dequeue(name="dequeue")
    back = queue.enqueue([priority + 15, train(value)])
    return program([], None, script=times([priority, value, back], 12), extra_init=[fill])
