"""The encoder of tf.train.Example writes what TensorFlow writes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.data.convert_example import encode, encode_images


def tensorflows(features):
    def feature(values):
        values = [values] if isinstance(values, (bytes, str, int, float)) else list(values)
        if values and isinstance(values[0], (bytes, str)):
            values = [v.encode() if isinstance(v, str) else v for v in values]
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    made = tf.train.Features(feature={name: feature(v) for name, v in features.items()})
    return tf.train.Example(features=made).SerializeToString(deterministic=True)


_INT64 = st.integers(-(2**63), 2**63 - 1)
_FLOAT = st.floats(width=32, allow_nan=False)
_VALUES = st.one_of(
    *(one | st.lists(one, max_size=5) for one in (_INT64, _FLOAT, st.binary(max_size=300), st.text()))
)


# Two names of which one begins the other are sorted differently by protobuf's implementations.
_NAMES = st.text(min_size=3, max_size=3)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_random_features(features):
    assert encode(features) == tensorflows(features)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=20), _VALUES, max_size=5))
def test_random_names(features):
    read = tf.train.Example.FromString(encode(features))
    assert read == tf.train.Example.FromString(tensorflows(features))


def test_arrays():
    floats = np.linspace(0, 1, 1000)
    assert encode({"a": floats.reshape(10, 100)}) == tensorflows({"a": [float(v) for v in floats]})
    assert encode({"a": np.arange(3)}) == tensorflows({"a": [0, 1, 2]})
    assert encode({"a": np.zeros(0, np.float32)}) == tf.train.Example(
        features=tf.train.Features(feature={"a": tf.train.Feature(float_list=tf.train.FloatList())})
    ).SerializeToString(deterministic=True)


def test_images():
    random = np.random.default_rng(1)
    for shape in ((1,), (2, 3), (32, 32, 3)):
        images = random.integers(0, 256, (4, *shape)).astype(np.float32)
        rows = encode_images(images, np.array([0, 1, 9, 127]))
        for row, image, label in zip(rows, images, (0, 1, 9, 127)):
            pixels = [float(v) for v in image.reshape(-1)]
            assert row.tobytes() == tensorflows({"image": pixels, "label": label})


@pytest.mark.parametrize(
    "value, error",
    [
        (2**63, OverflowError),
        (1e39, OverflowError),
        ([1, 2.5], TypeError),
        ([1.5, None], TypeError),
        ([b"a", None], TypeError),
        (object(), TypeError),
        ([[1]], TypeError),
    ],
)
def test_what_it_cannot_hold(value, error):
    with pytest.raises(error):
        encode({"a": value})


def test_labels_that_need_more_than_a_byte():
    with pytest.raises(ValueError):
        encode_images(np.zeros((1, 1)), np.array([128]))
