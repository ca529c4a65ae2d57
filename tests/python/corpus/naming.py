"""What the user names: fed placeholders, kept tensors, marked targets, excluded ops, tf.staged."""

import tensorflow as tf

from corpus import marks
from corpus.case import Dataset, case, iterate, program, to_the_end, train

tf1 = tf.compat.v1


def _chain():
    """next -> text -> upper -> bucket; the last is trained on."""
    iterator, x = iterate(Dataset.range(9))
    text = tf.strings.as_string(x, name="text")
    upper = tf.strings.join([text, "suffix"], name="upper")
    bucket = tf.strings.to_hash_bucket_fast(upper, 97, name="bucket")
    return iterator, x, text, upper, bucket


@case([{"next", "neg"}], left_out={"sum": "blocked_input", "rate": "placeholder"})
def fed_placeholder():
    iterator, x = iterate(Dataset.range(6))
    rate = tf1.placeholder(tf.int64, [], name="rate")
    total = train(tf.add(tf.negative(x, name="neg"), rate, name="sum"))

    def script(steps):
        for value in (3, 5, 7, 100, 0, 1, 2, 3):
            steps.run(total, {rate: value})

    return program([iterator], None, script=script)


@case([{"next", "neg"}], left_out={"rate": "placeholder"})
def placeholder_with_default():
    """Fed in some steps only."""
    iterator, x = iterate(Dataset.range(6))
    rate = tf1.placeholder_with_default(tf.constant(2, tf.int64), [], name="rate")
    total = train(tf.add(tf.negative(x, name="neg"), rate, name="sum"))

    def script(steps):
        for value in (None, 5, None, 100, None, None, 2, None):
            steps.run(total, None if value is None else {rate: value})

    return program([iterator], None, script=script)


@case([{"next", "text", "upper", "bucket"}], crossing={"bucket:0"})
def crossing_tensor_fetched_and_fed():
    """bucket keeps its name: a step that feeds it takes nothing from the stage."""
    iterator, _, _, _, bucket = _chain()
    total = train(bucket)

    def script(steps):
        steps.run(total)
        steps.run(bucket)
        steps.run([total, bucket])
        steps.run(total, {bucket: 1000})
        steps.run([total, bucket], {bucket: 2000})
        to_the_end([total])(steps)

    return program([iterator], None, script=script)


@case([{"next"}], crossing={"next:0"}, left_out={"text": "kept", "bucket": "blocked_input"})
def kept_tensor_fetched_and_fed():
    """keep() leaves text in the step, where it can be fed: what follows is computed from it."""
    iterator, _, text, _, bucket = _chain()
    marks.keep(text)
    total = train(bucket)

    def script(steps):
        steps.run(total)
        steps.run([text, total])
        steps.run(total, {text: "41"})
        steps.run([text, bucket], {text: "42"})
        steps.run(bucket)
        to_the_end([total, text])(steps)

    return program([iterator], None, script=script)


@case([{"next"}], crossing={"next:0"})
def kept_raw_element():
    iterator, x, _, _, bucket = _chain()
    marks.keep(x)
    total = train(bucket)

    def script(steps):
        steps.run([x, total])
        steps.run(total, {x: 77})
        steps.run(x)
        to_the_end([total])(steps)

    return program([iterator], None, script=script)


@case(
    [{"next", "text"}], crossing={"text:0"}, left_out={"upper": "target", "bucket": "blocked_input"}
)
def target_in_the_middle():
    iterator, _, _, upper, bucket = _chain()
    marks.mark_target(upper)
    return program([iterator], [train(bucket)])


@case([], left_out={"next": "target"})
def target_is_the_source():
    iterator, x, _, _, bucket = _chain()
    marks.mark_target(x)
    return program([iterator], [train(bucket), x])


@case([{"next", "text", "upper", "bucket"}])
def target_in_training():
    iterator, _, _, _, bucket = _chain()
    total = train(bucket)
    marks.mark_target(total)
    return program([iterator], [total])


@case(
    [{"next", "text", "upper", "bucket"}],
    crossing={"next:0", "bucket:0"},
    left_out={"neg": "target", "square": "blocked_input"},
)
def target_in_one_branch():
    iterator, x, _, _, bucket = _chain()
    neg = tf.negative(x, name="neg")
    marks.mark_target(neg)
    square = tf.square(neg, name="square")
    return program([iterator], [train(square), bucket])


@case([{"next", "text", "upper", "bucket"}])
def target_is_a_constant():
    """Everything that uses it stays; the rest is staged."""
    iterator, x, _, _, bucket = _chain()
    three = tf.constant(3, tf.int64, name="three")
    marks.mark_target(three)
    return program([iterator], [train(bucket), tf.multiply(x, three, name="tripled")])


@case(
    [{"next", "text"}],
    crossing={"text:0"},
    options={"exclude": ["upper"]},
    left_out={"upper": "excluded", "bucket": "blocked_input"},
)
def excluded_op():
    iterator, _, _, _, bucket = _chain()
    return program([iterator], [train(bucket)])


@case([], options={"exclude": ["next"]}, left_out={"next": "excluded"})
def excluded_source():
    iterator, _, _, _, bucket = _chain()
    return program([iterator], [train(bucket)])


@case([{"next", "text", "prefetch/Identity", "upper", "bucket"}], crossing={"bucket:0"})
def staged_mark_grown_past():
    """The seed's second way: the user says where a stage should end at least, and it grows."""
    iterator, x = iterate(Dataset.range(9))
    (text,) = marks.staged([tf.strings.as_string(x, name="text")], capacity=3, num_threads=2)
    upper = tf.strings.join([text, "suffix"], name="upper")
    bucket = tf.strings.to_hash_bucket_fast(upper, 97, name="bucket")
    return program([iterator], [train(bucket)])


@case(
    [{"next", "text", "prefetch/Identity"}],
    crossing={"prefetch/Identity:0"},
    options={"smart": False},
    left_out={"upper": "past_mark", "other": "unmarked_source"},
)
def staged_mark_is_the_end():
    """Without growing, the stage ends at the mark, and what no mark needs is not read ahead."""
    iterator, x = iterate(Dataset.range(9))
    it_other, other = iterate(Dataset.range(100, 120), "other")  # else either may report the end
    (text,) = marks.staged([tf.strings.as_string(x, name="text")])
    upper = tf.strings.join([text, "suffix"], name="upper")
    bucket = tf.strings.to_hash_bucket_fast(upper, 97, name="bucket")
    return program([iterator, it_other], [train(bucket), other])


@case(
    [{"next_a", "neg_a", "prefetch/Identity"}, {"next_b", "neg_b", "prefetch_1/Identity"}],
    options={"smart": False},
)
def two_staged_marks():
    it_a, a = iterate(Dataset.range(7), "next_a")
    it_b, b = iterate(Dataset.range(100, 109), "next_b")
    (a,) = marks.staged([tf.negative(a, name="neg_a")], capacity=2)
    (b,) = marks.staged([tf.negative(b, name="neg_b")], num_threads=2)
    return program([it_a, it_b], [train(tf.add(a, b, name="sum"))])
