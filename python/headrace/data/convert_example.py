"""Serialized tf.train.Example messages, without TensorFlow.

The message (tensorflow/core/example/{example,feature}.proto):

    Example   { Features features = 1; }
    Features  { map<string, Feature> feature = 1; }
    Feature   { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
    BytesList { repeated bytes value = 1; }
    FloatList { repeated float value = 1 [packed]; }
    Int64List { repeated int64 value = 1 [packed]; }

A map is a repeated message of key = 1 and value = 2. Features are written sorted by name, as protobuf
does when it serializes deterministically: the bytes are the same as TensorFlow's.
"""

import numpy as np

_BYTES, _FLOAT, _INT64 = 1, 2, 3  # fields of Feature


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF  # negative numbers: two's complement of 64 bits
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field: bytes, string, message or packed numbers."""
    return bytes((number << 3 | 2,)) + _varint(len(payload)) + payload


def _packed(payload: bytes) -> bytes:
    return _field(1, payload) if payload else b""


def _feature(values) -> bytes:
    """A Feature. TypeError for what none of the three lists holds, OverflowError for integers of more
    than 64 bits and for floats that are infinite in 32."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "f":
            return _field(_FLOAT, _packed(_float32(values).tobytes()))
        values = values.reshape(-1).tolist()
    if isinstance(values, (bytes, str, int, float)):
        values = [values]
    first = values[0] if values else 0
    if isinstance(first, (bytes, str)):
        encoded = (v.encode() if isinstance(v, str) else v for v in values)
        return _field(_BYTES, b"".join(_field(1, v) for v in encoded))
    if isinstance(first, float):
        return _field(_FLOAT, _packed(_float32(values).tobytes()))
    if isinstance(first, int):
        return _field(_INT64, _packed(b"".join(_varint(v) for v in map(_int64, values))))
    raise TypeError(f"a tf.train.Example holds bytes, floats and integers, not {first!r}")


def _float32(values) -> np.ndarray:
    if isinstance(values, list) and not all(isinstance(v, (int, float)) for v in values):
        raise TypeError("something else among floats")  # None would become a NaN
    try:
        with np.errstate(over="raise"):
            return np.asarray(values, np.float64).astype("<f4")
    except FloatingPointError as error:
        raise OverflowError("a number is too large for 32 bits") from error


def _int64(value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} among integers")
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{value} has more than 64 bits")
    return value


def _example(features: dict[str, bytes]) -> bytes:
    """From serialized Features."""
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, features[name])) for name in sorted(features)
    )
    return _field(1, b"".join(entries))


def encode(features: dict) -> bytes:
    """An Example. Values: bytes, str, int, float, a list of one of these, or an array (flattened)."""
    return _example({name: _feature(values) for name, values in features.items()})


def encode_images(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Examples of `image` (all floats of one of `images`) and `label`, as rows of bytes.

    images: [n, ...], stored as float32. labels: [n], 0 to 127, so that all rows have one length.
    """
    if labels.size and not (0 <= labels.min() and labels.max() <= 127):
        raise ValueError("labels must be 0 to 127")
    pixels = np.ascontiguousarray(images, "<f4").reshape(len(images), -1).view(np.uint8)
    hole = b"\x00" * pixels.shape[1]
    image = _field(_FLOAT, _packed(hole))
    pattern = _example({"image": image, "label": _field(_INT64, _packed(b"\x00"))})
    at = pattern.index(image) + len(image) - len(hole)
    rows = np.empty((len(images), len(pattern)), np.uint8)
    rows[:] = np.frombuffer(pattern, np.uint8)
    rows[:, at : at + len(hole)] = pixels
    rows[:, -1] = labels  # the label is the last feature, its value the last byte
    return rows
