"""Images of CIFAR-10's shape with a known signal to learn.

Each of the ten classes has a pattern: 4 x 4 x 3 normal numbers, blown up to 32 x 32 x 3. An image is

    128 + SIGNAL * pattern of its class + NOISE * normal + BRIGHTNESS * one normal number

rounded, and cut to 0 to 255; classes are equally likely. The pattern is far below the noise of a
pixel, yet of all pixels together it tells the class, so that a linear model learns it, and a model
that does not see the images stays at a tenth.

The same seed gives the same bytes with the same version of NumPy. The patterns are the same for all seeds, so
that what is learned from one holds for another.
"""

import numpy as np

from headrace.data.convert_example import encode_images

NUM_CLASSES = 10
SIGNAL = 12.0
NOISE = 45.0
BRIGHTNESS = 20.0
_PATTERNS = (1, 0)  # seed of the patterns
_CHUNK = 512  # images at a time


class Cifar:
    """A source of records (see convert.py): tf.train.Examples of `image`, float32 [32, 32, 3], and
    `label`, int64 [1], as convert_cifar10.py makes them of the real ones."""

    labels = None
    left_out = ()

    def __init__(self, records, seed):
        self.total = records
        self._seed = seed
        small = np.random.default_rng(_PATTERNS).standard_normal((NUM_CLASSES, 4, 4, 3))
        self.patterns = small.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)

    def draw(self):
        """(images float32 [n, 32, 32, 3], labels [n]) until all are drawn."""
        random = np.random.default_rng([self._seed, 1])
        for left in range(self.total, 0, -_CHUNK):
            n = min(_CHUNK, left)
            labels = random.integers(0, NUM_CLASSES, n)
            images = random.standard_normal((n, 32, 32, 3), np.float32)
            images *= NOISE
            images += 128 + BRIGHTNESS * random.standard_normal((n, 1, 1, 1), np.float32)
            images += SIGNAL * self.patterns[labels]
            yield np.clip(np.rint(images, out=images), 0, 255, out=images), labels

    def batches(self):
        for images, labels in self.draw():
            yield encode_images(images, labels)
