"""Lookup tables: immutable ones are read ahead, mutable ones are not."""

import os

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, train

tf1 = tf.compat.v1

DATA = os.path.join(os.path.dirname(__file__), "data")
WORDS = ["red", "green", "pink", "blue", "", "black", "green", "grey"]


def _words():
    return iterate(Dataset.from_tensor_slices(WORDS).batch(3))


@case([{"next", "ids/LookupTableFindV2"}], crossing={"ids/LookupTableFindV2:0"})
def static_hash_table():
    iterator, words = _words()
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["red", "green", "blue"]), tf.constant([1, 2, 3], tf.int64)
        ),
        -1,
    )
    ids = table.lookup(words, name="ids")
    return program([iterator], [ids, train(tf.constant(1.0))])


@case([{"next", "hash_table_Lookup/LookupTableFindV2"}])
def vocabulary_file():
    iterator, words = _words()
    table = tf1.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            os.path.join(DATA, "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        99,
    )
    weights = tf1.get_variable("weights", initializer=tf.range(100.0), use_resource=True)
    return program([iterator], [tf.gather(weights, table.lookup(words))])


@case([{"next", "ids/*"}])
def vocabulary_with_buckets():
    """Out-of-vocabulary words hash into three further ids."""
    iterator, words = _words()
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["red", "green", "blue"]), tf.range(3, dtype=tf.int64)
        ),
        3,
    )
    with tf1.name_scope("ids"):
        ids = table.lookup(words)
    return program([iterator], [ids])


@case([{"next", "ids/LookupTableFindV2", "hash_table_1_Lookup/LookupTableFindV2"}])
def two_tables_in_a_row():
    iterator, words = _words()
    first = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["red", "green", "blue"]), tf.constant([1, 2, 3], tf.int64)
        ),
        0,
    )
    second = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.range(4, dtype=tf.int64), tf.constant(["none", "warm", "cold", "cold"])
        ),
        "?",
    )
    return program([iterator], [second.lookup(first.lookup(words, name="ids"))])


@case(
    [{"next", "length"}],
    crossing={"next:0", "length:0"},
    left_out={"ids/LookupTableFindV2": "mutable_table"},
)
def mutable_hash_table():
    """Each step inserts what the next step may look up."""
    iterator, words = _words()
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int32, -1)
    ids, length = table.lookup(words, name="ids"), tf.strings.length(words, name="length")
    with tf.control_dependencies([ids]):
        grow = table.insert(words, length)
    return program([iterator], [tf.identity(ids), grow])


@case([{"next"}], left_out={"ids/LookupTableFindV2": "mutable_table"})
def dense_hash_table():
    iterator, x = iterate(Dataset.range(10).map(lambda i: i * i % 4 + 1).batch(2))
    table = tf.lookup.experimental.DenseHashTable(
        tf.int64, tf.int64, -1, empty_key=-1, deleted_key=-2
    )
    counts = table.lookup(x, name="ids")
    with tf.control_dependencies([counts]):
        grow = table.insert(x, counts + 1)
    return program([iterator], [tf.identity(counts), grow])


@case(
    [{"next", "first_ids/LookupTableFindV2"}],
    left_out={"second_ids/LookupTableFindV2": "mutable_table"},
)
def both_kinds_of_table():
    iterator, words = _words()
    static = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["red", "green", "blue"]), tf.constant([1, 2, 3], tf.int64)
        ),
        0,
    )
    mutable = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
    ids = static.lookup(words, name="first_ids")
    seen = mutable.lookup(ids, name="second_ids")
    with tf.control_dependencies([seen]):
        grow = mutable.insert(ids, seen + 1)
    return program([iterator], [tf.identity(seen), grow])
