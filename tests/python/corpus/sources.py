"""Iterators: one, several, zipped, shared, optional, switched and fed."""

import os
import tempfile

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, to_the_end, train

tf1 = tf.compat.v1


def _bucket(x, name=""):
    text = tf.strings.as_string(x, name="text" + name)
    return tf.strings.to_hash_bucket_fast(text, 97, name="bucket" + name)


def _main(x, name="out"):
    """x plus a variable that the program writes: never staged."""
    with tf1.variable_scope("", reuse=tf1.AUTO_REUSE):
        weight = tf1.get_variable(
            "weight",
            shape=[],
            dtype=tf.int64,
            use_resource=True,
            initializer=tf1.constant_initializer(100),
        )
    return tf.add(x, weight.read_value(), name=name)


@case(
    [{"next", "text", "bucket"}],
    crossing={"bucket:0"},
    left_out={"state_after": "blocked_input", "MakeIterator": "stateful"},
)
def one_iterator():
    iterator, x = iterate(Dataset.range(7))
    return program([iterator], [train(_bucket(x))])


@case([{"next", "text", "bucket"}], crossing={"bucket:0"})
def one_shot_iterator():
    x = tf1.data.make_one_shot_iterator(Dataset.range(7)).get_next(name="next")
    return program([], [train(_bucket(x))])


@case([{"next"}], crossing={"next:0"})
def read_ahead_without_a_body():
    """Only the read can be staged: the element goes straight into an op that reads a variable."""
    iterator, x = iterate(Dataset.range(7))
    return program([iterator], [_main(x)])


@case([{"next", "text", "bucket"}], crossing={"bucket:0"})
def everything_to_stage():
    """No training part at all: the last tensor has no consumer, may be fetched, and so crosses."""
    iterator, x = iterate(Dataset.range(7))
    return program([iterator], [_bucket(x)])


@case([])
def nothing_to_stage():
    """No source in the graph."""
    total = train(tf.constant(3, tf.int64))
    return program([], None, script=times([total], 4))


@case(
    [{"next_a", "twice_a"}, {"next_b", "twice_b"}],
    crossing={"twice_a:0", "twice_b:0"},
    left_out={"both": "meeting"},
)
def two_iterators_two_stages():
    """Fetch sets that need one source, the other, or both."""
    it_a, a = iterate(Dataset.range(7), "next_a")
    it_b, b = iterate(Dataset.range(1000, 1008), "next_b")
    two = tf.constant(2, tf.int64)
    a = tf.multiply(a, two, name="twice_a")
    b = tf.multiply(b, two, name="twice_b")
    loss_a, loss_b = _main(a, "loss_a"), _main(b, "loss_b")
    both = _main(tf.add(a, b, name="both"), "loss_both")

    def script(steps):
        for fetch in (loss_a, both, loss_b):
            steps.run(fetch)
        steps.gate()
        # No step that needs both once one has ended: whether it still consumes the other is a race.
        for fetch in (
            [loss_a, loss_b],
            both,
            loss_a,
            loss_b,
            both,
            loss_a,
            loss_a,
            loss_b,
            loss_b,
            loss_a,
            loss_b,
            loss_b,
        ):
            steps.run(fetch)

    return program([it_a, it_b], None, script=script)


@case([{"next_a", "next_b", "sum"}], crossing={"sum:0"})
def two_sources_one_stage():
    """Every crossing tensor depends on both sources; the first one ends first."""
    it_a, a = iterate(Dataset.range(5), "next_a")
    it_b, b = iterate(Dataset.range(100, 109), "next_b")
    return program([it_a, it_b], [train(tf.add(a, b, name="sum"))])


@case([{"next_a", "next_b", "sum"}], crossing={"sum:0"})
def two_sources_one_stage_second_ends():
    it_a, a = iterate(Dataset.range(9), "next_a")
    it_b, b = iterate(Dataset.range(100, 105), "next_b")
    return program([it_a, it_b], [train(tf.add(a, b, name="sum"))])


@case([{"next_a", "next_b", "sum"}], crossing={"sum:0"})
def unused_component_of_one_source():
    """Nobody uses next_a:1; as the node itself is used, that does not count as a possible fetch."""
    it_a, (a, _) = iterate(Dataset.zip((Dataset.range(6), Dataset.range(10, 16))), "next_a")
    it_b, b = iterate(Dataset.range(100, 108), "next_b")
    return program([it_a, it_b], [train(tf.add(a, b, name="sum"))])


@case(
    [{"next_a", "label"}, {"next_b"}],
    crossing={"next_a:0", "label:0", "next_b:0"},
    left_out={"sum": "meeting"},
)
def component_used_alone_keeps_sources_apart():
    """label has no consumer, so it may be fetched, and a fetch of it must not consume b."""
    pairs = Dataset.zip((Dataset.range(6), Dataset.range(10, 16)))
    it_a, (a, other) = iterate(pairs, "next_a")
    it_b, b = iterate(Dataset.range(100, 108), "next_b")
    label = tf.identity(other, name="label")
    out = train(tf.add(a, b, name="sum"))

    def script(steps):
        for fetch in ([out], [label], [out], [label], [out], [out], [out], [label]):
            steps.run(fetch)

    return program([it_a, it_b], None, script=script)


@case([{"next", "sum"}], crossing={"sum:0"})
def zipped_dataset():
    pairs = Dataset.zip((Dataset.range(7), Dataset.range(50, 60)))
    iterator, (a, b) = iterate(pairs)
    return program([iterator], [train(tf.add(a, b, name="sum"))])


@case([{"next", "neg", "label"}], crossing={"next:1", "neg:0", "label:0"})
def second_component_crosses():
    """Of two components only the second crosses as it is. It has no name of its own to fetch it by
    (a node has all its outputs or none), so steps that want it take an Identity."""
    iterator, (a, b) = iterate(Dataset.zip((Dataset.range(6), Dataset.range(20, 26))))
    total, out = train(tf.negative(a, name="neg")), _main(b)
    label = tf.identity(b, name="label")

    def script(steps):
        for fetch in ([out], [label], [total], [label, total], [total], [label], [label]):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "neg"}], crossing={"neg:0", "next:0"})
def used_staged_and_unstaged():
    """The raw element crosses beside what is computed from it."""
    iterator, x = iterate(Dataset.range(7))
    return program([iterator], [_main(x), train(tf.negative(x, name="neg"))])


@case([], left_out={"first": "second_read", "second": "second_read"})
def two_reads_of_one_iterator():
    iterator = tf1.data.make_initializable_iterator(Dataset.range(11))
    first, second = iterator.get_next(name="first"), iterator.get_next(name="second")
    a, b = _main(tf.negative(first), "a"), _main(second, "b")

    def script(steps):
        for fetch in (a, b, b, a, first, second, a, b, a, b, a, b, a):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([], left_out={"first": "second_read", "second": "second_read"})
def two_reads_by_shared_name():
    """Two handle nodes, one resource."""
    one, x = iterate(Dataset.range(9), "first", shared_name="same")
    _, y = iterate(Dataset.range(9), "second", shared_name="same")
    a, b = _main(x, "a"), _main(y, "b")

    def script(steps):
        for fetch in (a, b, b, a, a, b, a, b, b, a, b):
            steps.run(fetch)

    return program([one], None, script=script)


@case([{"next", "text", "bucket"}])
def shared_name_of_one_read():
    iterator, x = iterate(Dataset.range(7), shared_name="by_name")
    return program([iterator], [train(_bucket(x))])


@case([{"next", "text", "bucket"}])
def three_epochs_and_a_restart():
    """Initialized again after the end, twice, and once in mid-epoch."""
    iterator, x = iterate(Dataset.range(6))
    out = train(_bucket(x))

    def script(steps):
        to_the_end([out])(steps)
        steps.run(iterator.initializer)
        to_the_end([out], beyond=0)(steps)
        steps.run(iterator.initializer)
        times([out], 2)(steps)
        steps.run(iterator.initializer)
        to_the_end([out])(steps)

    return program([iterator], None, script=script)


@case([{"next", "text", "bucket"}])
def iterator_switched_in_mid_epoch():
    """Two datasets take turns on one iterator; nothing of the old one may come out after."""
    first, second = Dataset.range(8), Dataset.range(500, 504)
    iterator = tf1.data.Iterator.from_structure(
        tf1.data.get_output_types(first), tf1.data.get_output_shapes(first)
    )
    out = train(_bucket(iterator.get_next(name="next")))
    to_first, to_second = iterator.make_initializer(first), iterator.make_initializer(second)

    def script(steps):
        steps.run(out)  # not initialized yet
        steps.quiet(to_first)
        times([out], 3)(steps)
        steps.quiet(to_second)
        to_the_end([out])(steps)
        steps.quiet(to_first)
        to_the_end([out])(steps)

    return program([], None, script=script)


@case([], left_out={"next": "source_input"})
def iterator_chosen_by_a_fed_handle():
    """A feedable iterator: which resource is read is known only in the step."""
    first = tf1.data.make_initializable_iterator(Dataset.range(6))
    second = tf1.data.make_initializable_iterator(Dataset.range(70, 75))
    handle = tf1.placeholder(tf.string, [], name="handle")
    iterator = tf1.data.Iterator.from_string_handle(handle, tf.int64, [])
    out = _main(_bucket(iterator.get_next(name="next")))

    def script(steps):
        one, two = steps.quiet([first.string_handle(), second.string_handle()])
        for which in (one, two, one, one, two, two, one, two, two, two, one):
            steps.run(out, {handle: which})

    return program([first, second], None, script=script)


@case([{"next", "text", "bucket"}])
def string_handle_fetched():
    """IteratorToStringHandle stands in every graph with an iterator, and must not stop staging."""
    iterator, x = iterate(Dataset.range(7))
    out = train(_bucket(x))
    handle = iterator.string_handle()

    def script(steps):
        steps.run(out)
        steps.quiet(handle)
        to_the_end([out])(steps)

    return program([iterator], None, script=script)


@case([{"optional/IteratorGetNextAsOptional", "has", "value", "value/Identity", "ended"}])
def optional_get_next():
    """An empty optional at the end of data is a value, not an error."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(6))
    with tf1.name_scope("optional"):
        optional = iterator.get_next_as_optional()
    has = optional.has_value(name="has")
    value = tf.cond(has, optional.get_value, lambda: tf.constant(-1, tf.int64), name="value")
    return program([iterator], None, script=times([train(value), tf.logical_not(has, "ended")], 9))


@case([{"optional/IteratorGetNextAsOptional", "has", "value"}], crossing={"has:0", "value:0"})
def optional_value_unguarded():
    """has_value alone is False at the end; the value is an error there, and only there."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(5))
    with tf1.name_scope("optional"):
        optional = iterator.get_next_as_optional()
    has = optional.has_value(name="has")
    value = train(optional.get_value(name="value"))

    def script(steps):
        for fetch in (value, has, [value, has], value, has, has, value, has):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "text", "bucket"}])
def generator_behind_the_iterator():
    """Python runs inside the dataset, not in the session graph."""

    def numbers():
        yield from (5, 3, 8, 1)

    iterator, x = iterate(Dataset.from_generator(numbers, tf.int64, []))
    return program([iterator], [train(_bucket(x))])


@case([{"next", "text", "bucket"}])
def parallel_map_behind_the_iterator():
    dataset = Dataset.range(12).map(lambda i: i * i, num_parallel_calls=2).prefetch(1)
    iterator, x = iterate(dataset)
    return program([iterator], [train(_bucket(x))])


@case([])
def dataset_reads_a_trained_variable():
    """Reading the iterator reads a variable that each step writes: nothing may run ahead."""
    offset = tf1.get_variable("offset", initializer=tf.constant(0, tf.int64), use_resource=True)
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # else tf.data itself reads ahead
    dataset = Dataset.range(8).map(lambda i: i * 10 + offset.read_value()).with_options(options)
    iterator, x = iterate(dataset)
    with tf.control_dependencies([x]):
        moved = offset.assign_add(tf.constant(1, tf.int64))
    return program([iterator], [x, moved])


@case([], left_out={"next": "serialized_iterator"})
def saved_iterator():
    """A graph that saves its iterator's position."""
    iterator, x = iterate(Dataset.range(8))
    out = train(_bucket(x))
    saver = tf1.train.Saver([tf1.data.experimental.make_saveable_from_iterator(iterator)])

    def script(steps):
        times([out], 3)(steps)
        with tempfile.TemporaryDirectory() as folder:
            path = saver.save(steps.session, os.path.join(folder, "position"))
            times([out], 4)(steps)
            saver.restore(steps.session, path)
        to_the_end([out])(steps)

    return program([iterator], None, script=script)
