"""Images whose class is their folder: CLASS/NAME.jpg in a folder, or in a tar file."""

import os
import tarfile
import zlib

import numpy as np

from headrace import _quiet
from headrace.data.convert_example import encode
from headrace.errors import DataError

# How files with these names begin.
_BEGINNINGS = {
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".bmp": (b"BM",),
}


def _suffix(name):
    return os.path.splitext(name)[1].lower()


class _Images:
    """A source of records (see convert.py): Examples of `image` and `label`, int64, the number of the
    class in `labels`.

    decode: `image` is float32 [height, width, 3] from 0 to 255, the same for all, instead of the
        encoded bytes; takes TensorFlow.
    """

    def __init__(self, classes, labels, decode):
        """classes: class of each image, in order. labels: all classes, in their order; None: the
        classes found, sorted."""
        self.labels = sorted(set(classes)) if labels is None else labels
        self._numbers = {name: number for number, name in enumerate(self.labels)}
        self._decode = decode
        self._shape = None
        self.total = len(classes)

    def _record(self, where, name, data):
        """The Example of an image; `name` is its class."""
        if name not in self._numbers:
            raise DataError(
                f"{where}: its class {name!r} is not among the {len(self.labels)} that --labels names"
            )
        if not data.startswith(_BEGINNINGS[_suffix(where)]):
            raise DataError(
                f"{where}: byte 0: does not begin as a {_suffix(where)} file; leave it out, or restore it"
            )
        image = self._pixels(where, data) if self._decode else data
        return encode({"image": image, "label": self._numbers[name]})

    def _pixels(self, where, data):
        with _quiet.stderr():
            import tensorflow as tf

        try:
            decoded = tf.io.decode_image(data, channels=3, expand_animations=False).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"{where}: is damaged: {error.message}") from error
        if self._shape is None:
            self._shape = decoded.shape
        if decoded.shape != self._shape:
            raise DataError(
                f"{where}: has {decoded.shape[0]} x {decoded.shape[1]} pixels, the first image "
                f"{self._shape[0]} x {self._shape[1]}; scale them to one size, or leave --decode out"
            )
        return decoded.astype(np.float32)


class ImageFolder(_Images):
    """FOLDER/CLASS/NAME.jpg, in the order of these names."""

    def __init__(self, folder, labels, decode):
        self.left_out = []
        self._files = []  # (path, class)
        if not os.path.isdir(folder):
            raise DataError(f"{folder}: is no folder; it must hold one folder a class")
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if os.path.isdir(path):
                self._add_class(path, name)
            else:
                self.left_out.append(path)
        if not self._files:
            raise DataError(f"{folder}: there are no images in folders below it (FOLDER/CLASS/NAME.jpg)")
        super().__init__([name for _, name in self._files], labels, decode)

    def _add_class(self, folder, name):
        for image in sorted(os.listdir(folder)):
            path = os.path.join(folder, image)
            if image.startswith("."):
                continue
            if os.path.isdir(path):
                raise DataError(f"{path}: is a folder within a class; images must be CLASS/NAME.jpg")
            if _suffix(image) in _BEGINNINGS:
                self._files.append((path, name))
            else:
                self.left_out.append(path)

    def batches(self):
        for path, name in self._files:
            with open(path, "rb") as file:
                yield [self._record(path, name, file.read())]


class ImageTar(_Images):
    """A tar file, packed or not, of .../CLASS/NAME.jpg, in its order."""

    def __init__(self, path, labels, decode):
        self.left_out = []
        self._path = path
        classes = []
        for member in self._members():
            if _suffix(member.name) in _BEGINNINGS:
                classes.append(self._class(member.name))
            else:
                self.left_out.append(f"{path}: {member.name}")
        if not classes:
            raise DataError(f"{path}: holds no images (.../CLASS/NAME.jpg)")
        super().__init__(classes, labels, decode)

    def _class(self, name):
        folder = os.path.basename(os.path.dirname(name))
        if folder in ("", ".", ".."):
            raise DataError(f"{self._path}: {name}: is in no folder, so has no class")
        return folder

    def _members(self, read=False):
        """Its files; with `read`, (file, contents)."""
        try:
            with tarfile.open(self._path, "r|*") as archive:
                for member in archive:
                    if member.isfile() and not os.path.basename(member.name).startswith("."):
                        yield (member, archive.extractfile(member).read()) if read else member
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(f"{self._path}: is no tar file, or damaged: {error}") from error
        except OSError as error:
            raise DataError(f"{self._path}: {error.strerror or error}") from error

    def batches(self):
        for member, data in self._members(read=True):
            if _suffix(member.name) in _BEGINNINGS:
                where = f"{self._path}: {member.name}"
                yield [self._record(where, self._class(member.name), data)]


def read_labels(path) -> list[str]:
    """The names in a file of one a line, in their order."""
    try:
        with open(path, encoding="utf-8") as file:
            names = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DataError(f"{path}: line {number + 1}: {name!r} is named twice")
    if not names:
        raise DataError(f"{path}: names no labels")
    return names
