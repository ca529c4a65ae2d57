"""CIFAR-10 with Keras's functional API: the model of the ElasticDL worker's performance document.

Records are tf.train.Example: "image" float32 [32, 32, 3] in 0..255, "label" int64 [1], as in that
document; `headrace data convert --from cifar10` makes them of the data set's own files.
"""

import keras
import tensorflow as tf


def custom_model():
    """Three blocks of two 3x3 convolutions, each halving the image; 309,290 weights."""
    image = keras.Input((32, 32, 3), name="image")
    x = image
    for filters, dropout in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for _ in range(2):
            x = keras.layers.Conv2D(filters, 3, padding="same")(x)
            x = keras.layers.BatchNormalization(epsilon=1e-6, momentum=0.9)(x)
            x = keras.layers.Activation("relu")(x)
        x = keras.layers.MaxPooling2D()(x)
        x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Flatten()(x)
    logits = keras.layers.Dense(10, name="logits")(x)
    return keras.Model({"image": image}, logits, name="cifar10")


def loss(labels, predictions):
    labels = tf.reshape(labels, [-1])
    return keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)


def optimizer():
    return keras.optimizers.SGD(learning_rate=0.1)


def parse(records):
    """Records (serialized, one or [B]) to (features, label [1] or [B, 1]); pixels in 0..1."""
    features = {
        "image": tf.io.FixedLenFeature([32, 32, 3], tf.float32),
        "label": tf.io.FixedLenFeature([1], tf.int64),
    }
    one = records.shape.rank == 0
    parsed = (tf.io.parse_single_example if one else tf.io.parse_example)(records, features)
    return {"image": tf.math.divide(parsed["image"], 255.0)}, parsed["label"]


def dataset_fn(dataset, mode, metadata):
    dataset = dataset.map(parse)
    if mode == "training":
        dataset = dataset.shuffle(1024)
    return dataset


def eval_metrics_fn():
    return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}
