"""headrace data generate: repeatable records with a signal."""

import hashlib
import os
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from data_cli import done, tfrecords

from headrace.data import generate_taobao, taobao
from headrace.data.generate_cifar import NUM_CLASSES, Cifar

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from examples.dlrm import generate as example  # noqa: E402


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind, name", [("criteo", "a.tsv"), ("taobao", "a.tsv"), ("cifar", "a.recordio")])
def test_the_same_seed_gives_the_same_bytes(tmp_path, kind, name):
    found = []
    for folder, seed in (("x", 5), ("y", 5), ("z", 6)):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / name
        done("generate", kind, out, "--records", 1100, "--seed", seed)
        found.append(digest(out))
    assert found[0] == found[1] != found[2]


def test_criteo_is_what_the_example_trains_on(tmp_path):
    done("generate", "criteo", tmp_path / "a.tsv", "--records", 700, "--seed", 9)
    example.write_rows(tmp_path / "b.tsv", 700, 9)
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    for line in (tmp_path / "a.tsv").read_text().splitlines():
        fields = line.split("\t")
        assert len(fields) == 40 and fields[0] in "01"
        assert all(field == "" or len(field) == 8 and int(field, 16) >= 0 for field in fields[14:])


def test_files_and_formats_hold_the_same_records(tmp_path):
    done("generate", "criteo", tmp_path / "one.tsv", "--records", 1000)
    lines = (tmp_path / "one.tsv").read_bytes().splitlines()
    out = tmp_path / "several"
    done("generate", "criteo", out, "--records", 1000, "--files", 3, "--to", "tfrecord")
    assert len(os.listdir(out)) == 3
    assert [r for name in sorted(os.listdir(out)) for r in tfrecords(out / name)] == lines


def test_cifar_has_the_seeds_schema(tmp_path):
    out = tmp_path / "a.tfrecord"
    done("generate", "cifar", out, "--records", 600, "--seed", 3, "--to", "tfrecord")
    drawn = list(Cifar(600, 3).draw())
    images = np.concatenate([images for images, _ in drawn])
    labels = np.concatenate([labels for _, labels in drawn])
    schema = {
        "image": tf.io.FixedLenFeature([32, 32, 3], tf.float32),
        "label": tf.io.FixedLenFeature([1], tf.int64),
    }
    parsed = tf.io.parse_example(tfrecords(out), schema)
    assert np.array_equal(parsed["image"].numpy(), images)
    assert parsed["label"].numpy()[:, 0].tolist() == labels.tolist()
    assert images.min() >= 0 and images.max() <= 255 and np.array_equal(images, np.rint(images))
    assert set(labels) == set(range(NUM_CLASSES))


def test_cifars_signal_can_be_learnt_and_not_read_off_a_pixel():
    source = Cifar(3000, 4)
    images, labels = (np.concatenate(parts) for parts in zip(*source.draw()))
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    patterns = source.patterns.reshape(NUM_CLASSES, -1)
    patterns = patterns - patterns.mean(axis=1, keepdims=True)
    scores = flat @ patterns.T - source_norm(patterns)
    assert (scores.argmax(axis=1) == labels).mean() > 0.95
    # One pixel, split at its best, tells next to nothing.
    one = flat[:, 0]
    means = [one[labels == c].mean() for c in range(NUM_CLASSES)]
    nearest = np.abs(one[:, None] - np.array(means)).argmin(axis=1)
    assert (nearest == labels).mean() < 0.25


def test_another_seed_gives_other_records_of_the_same_signal():
    assert np.array_equal(Cifar(1, 3).patterns, Cifar(1, 4).patterns)
    assert not np.array_equal(next(Cifar(9, 3).draw())[0], next(Cifar(9, 4).draw())[0])
    criteo = [example.Generator(seed) for seed in (3, 4)]
    assert np.array_equal(*(generator._dense_weights for generator in criteo))
    assert criteo[0].draw(9)[0] != criteo[1].draw(9)[0]
    clicks = [generate_taobao.Generator(seed) for seed in (3, 4)]
    assert np.array_equal(*(generator._interests for generator in clicks))
    assert np.array_equal(*(generator._effects for generator in clicks))
    assert clicks[0].draw(9)[0] != clicks[1].draw(9)[0]


def source_norm(patterns):
    return 12.0 * (patterns**2).sum(axis=1) / 2


def test_taobao_is_distributed_as_it_says():
    lines, logits, lengths = generate_taobao.Generator(7).draw(5000)
    labels, kinds, categories = [], [], []
    for line, length in zip(lines, lengths, strict=True):
        label, user, item, category, *lists = line.decode().split("\t")
        assert label in "01" and 1 <= int(user) <= generate_taobao.USERS
        lists = [list(map(int, ids.split(","))) for ids in lists]
        assert len(lists) == 4 and {len(ids) for ids in lists} == {length}
        items, of = [int(item), *lists[0], *lists[2]], [int(category), *lists[1], *lists[3]]
        assert [(i - 1) // generate_taobao.ITEMS_PER_CATEGORY + 1 for i in items] == of
        labels.append(int(label))
        kinds.append(len(set(lists[1])) / length)
        categories += lists[3]
    assert lengths.max() <= taobao.HISTORY and np.median(lengths) == pytest.approx(20, abs=1.5)
    assert np.mean(labels) == pytest.approx(0.43, abs=0.03)
    # The most frequent category has twice the weight of the second.
    counts = np.bincount(categories)
    assert counts[1] / counts[2] == pytest.approx(2, rel=0.1)


def test_taobaos_signal_is_the_match_of_item_and_history():
    lines, logits, _ = generate_taobao.Generator(8).draw(5000)
    rows = [line.split(b"\t") for line in lines]
    labels = np.array([row[0] == b"1" for row in rows])
    matches = np.array([row[3] in row[5].split(b",") for row in rows])
    assert labels[matches].mean() > 2 * labels[~matches].mean()
    probabilities = 1 / (1 + np.exp(-logits))
    assert labels.mean() == pytest.approx(probabilities.mean(), abs=0.02)
    best = -(probabilities * np.log(probabilities) + (1 - probabilities) * np.log(1 - probabilities)).mean()
    rate = labels.mean()
    assert best < 0.75 * -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
