"""Lines of click histories to tensors, by TensorFlow ops: works in a dataset, line by line, and in a graph, a
batch at once.

A line (headrace/data/taobao.py): label, user, item, category, and four lists with commas between: clicked
items, their categories, not clicked items, their categories; tabs between. `headrace data convert --from
taobao` makes them of UserBehavior.csv, `headrace data generate taobao` draws some.
"""

import keras
import tensorflow as tf

from common import layers

IDS = ("user", "item", "category")
CLICKED = ("clicked_items", "clicked_categories")
NOT_CLICKED = ("not_clicked_items", "not_clicked_categories")
LENGTH = 50  # of a history in a model, as in DeepRec's model zoo: the last ones, oldest first


def parse(lines, with_not_clicked=False):
    """Lines (string, any shape S) to (features, label).

    features: string S each, by name: IDS, and CLICKED and, if asked for, NOT_CLICKED as they stand, with
    commas. label: float S; 0 where the field is empty.
    Errors: InvalidArgumentError, which names record and field, for another number of fields, or another
    label.
    """
    defaults = [[0.0]] + [[""]] * 7
    label, *fields = tf.io.decode_csv(lines, defaults, field_delim="\t", use_quote_delim=False)
    features = dict(zip(IDS + CLICKED + NOT_CLICKED, fields, strict=True))
    if not with_not_clicked:
        features = {name: features[name] for name in IDS + CLICKED}
    return features, label


def parse_all(lines):
    """parse() with NOT_CLICKED."""
    return parse(lines, with_not_clicked=True)


def inputs(names):
    """Keras inputs: a string for each example and each of `names`."""
    return {name: keras.Input((), dtype="string", name=name) for name in names}


class Tables:
    """Embeddings of items and of their categories, `width` each, on hashed ids; one table each for all uses.

    items, categories: how many rows the tables have.
    """

    def __init__(self, items, categories, width):
        self._buckets = (items, categories)
        self._tables = (layers.table("items", items, width), layers.table("categories", categories, width))
        self._both = keras.layers.Concatenate(name="item_and_category")

    def of_item(self, features):
        """[B, 2 width]."""
        return self._rows([
            layers.Hash(buckets, name=f"hash_{name}")(features[name])
            for name, buckets in zip(("item", "category"), self._buckets, strict=True)
        ])

    def of_list(self, features, names, length):
        """([B, length, 2 width], mask bool [B, length]) of the last `length` of a list; names: CLICKED,
        ..."""
        items, mask = HashList(self._buckets[0], length, name=f"hash_{names[0]}")(features[names[0]])
        categories, _ = HashList(self._buckets[1], length, name=f"hash_{names[1]}")(features[names[1]])
        return self._rows([items, categories]), mask

    def _rows(self, ids):
        return self._both([table(of) for table, of in zip(self._tables, ids, strict=True)])


class HashList(keras.layers.Layer):
    """Lists with commas between, string [B], to (ids int64 [B, length] in [0, buckets), mask bool [B,
    length]).

    Of longer lists the last `length` stay; behind shorter ones ids are 0 and the mask is false. "" is an
    empty list.
    """

    def __init__(self, buckets, length, **kwargs):
        super().__init__(**kwargs)
        self.buckets, self.length = buckets, length

    def call(self, lists):
        words = tf.strings.split(lists, ",")
        words = words.with_row_splits_dtype(tf.int64)[:, -self.length :]
        dense = words.to_tensor("", shape=[None, self.length])
        mask = tf.not_equal(dense, "")
        ids = tf.strings.to_hash_bucket_fast(dense, self.buckets)
        return tf.where(mask, ids, 0), mask

    def compute_output_spec(self, lists):
        shape = (lists.shape[0], self.length)
        return keras.KerasTensor(shape, "int64"), keras.KerasTensor(shape, "bool")
