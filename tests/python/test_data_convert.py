"""headrace data convert: other data into record files."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from data_cli import SHARED, data, done, needs_shared, tfrecords

RECORD = 3073
SEED_SCHEMA = {  # of the seed's cifar10 example
    "image": tf.io.FixedLenFeature([32, 32, 3], tf.float32),
    "label": tf.io.FixedLenFeature([1], tf.int64),
}


def parse(record, schema):
    return {k: v.numpy() for k, v in tf.io.parse_single_example(record, schema).items()}


def batch_file(path, records, seed=1):
    made = np.random.default_rng(seed).integers(0, 256, (records, RECORD), np.uint8)
    made[:, 0] %= 10
    path.write_bytes(made.tobytes())
    return made


def check_seed_schema(records, batch):
    assert len(records) == len(batch)
    for record, raw in list(zip(records, batch))[:: max(1, len(batch) // 20)]:
        found = parse(record, SEED_SCHEMA)
        assert found["label"].tolist() == [raw[0]]
        planes = raw[1:].reshape(3, 32, 32)
        assert np.array_equal(found["image"], planes.transpose(1, 2, 0).astype(np.float32))


def test_cifar10_as_the_seed_reads_it(tmp_path):
    first = batch_file(tmp_path / "data_batch_1.bin", 2500, 1)
    second = batch_file(tmp_path / "data_batch_2.bin", 10, 2)
    (tmp_path / "readme.html").write_text("not a batch")
    out = tmp_path / "o.tfrecord"
    done("convert", tmp_path, out, "--from", "cifar10", "--to", "tfrecord")
    check_seed_schema(tfrecords(out), np.concatenate([first, second]))
    named = ("convert", tmp_path / "data_batch_2.bin", tmp_path / "p.tfrecord")
    done(*named, "--from", "cifar10", "--to", "tfrecord")
    check_seed_schema(tfrecords(tmp_path / "p.tfrecord"), second)


def test_cifar10_raw(tmp_path):
    batch = batch_file(tmp_path / "b.bin", 5)
    out = tmp_path / "o.tfrecord"
    done("convert", tmp_path / "b.bin", out, "--from", "cifar10", "--as", "raw", "--to", "tfrecord")
    assert tfrecords(out) == [row.tobytes() for row in batch]


@needs_shared
def test_the_real_cifar10(tmp_path):
    path = SHARED / "cifar10" / "cifar10_data_batch_1_first4000.bin"
    out = tmp_path / "o"
    split = ("--records_per_file", 1000, "--to", "tfrecord")
    done("convert", path, out, "--from", "cifar10", *split)
    records = [r for name in sorted(os.listdir(out)) for r in tfrecords(out / name)]
    check_seed_schema(records, np.fromfile(path, np.uint8).reshape(-1, RECORD))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda b: b[:-1], "byte 6146: has 9218 bytes"),
        (lambda b: b"", "byte 0: has 0 bytes"),
        (lambda b: b[:RECORD] + b"\x0a" + b[RECORD + 1 :], "byte 3073: record 1 has the label 10"),
    ],
)
def test_what_is_no_batch(tmp_path, change, said):
    path = tmp_path / "b.bin"
    batch_file(path, 3)
    path.write_bytes(change(path.read_bytes()))
    failed = data("convert", path, tmp_path / "o", "--from", "cifar10")
    assert failed.code == 1 and f"{path}: {said}" in failed.err
    assert os.listdir(tmp_path) == ["b.bin"]
    assert "there is no .bin file" in data("convert", tmp_path / "..", "o", "--from", "cifar10").err


IMAGE = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}


def png(value, size=4):
    return tf.io.encode_png(np.full((size, size, 3), value, np.uint8)).numpy()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    for number, name in enumerate(("dog", "cat")):
        (folder / name).mkdir(parents=True)
        for i in range(2):
            (folder / name / f"{i}.png").write_bytes(png(10 * number + i))
    (folder / "cat" / "notes.md").write_text("x")
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
def packed(images, tmp_path):
    path = tmp_path / "images.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(images, "some/where")
    return path


def test_a_folder_of_images(images, tmp_path):
    out = tmp_path / "o.tfrecord"
    result = done("convert", images, out, "--from", "images", "--to", "tfrecord")
    assert (tmp_path / "o.labels.txt").read_text() == "cat\ndog\n"
    assert "left out 1 files" in result.err and "notes.md" in result.err
    found = [parse(record, IMAGE) for record in tfrecords(out)]
    assert [int(f["label"]) for f in found] == [0, 0, 1, 1]
    assert [f["image"] for f in found] == [png(10), png(11), png(0), png(1)]
    again = data("convert", images, tmp_path / "o.recordio", "--from", "images")
    assert again.code == 1 and "o.labels.txt: is there already" in again.err


def test_labels_in_an_order_of_their_own(images, tmp_path):
    (tmp_path / "names").write_text("dog\nbird\ncat\n")
    out = tmp_path / "o"
    given = ("--from", "images", "--labels", tmp_path / "names", "--to", "tfrecord")
    done("convert", images, out, *given, "--records_per_file", 3)
    records = [r for name in sorted(os.listdir(out)) for r in tfrecords(out / name)]
    assert [int(parse(r, IMAGE)["label"]) for r in records] == [2, 2, 0, 0]
    assert (tmp_path / "o.labels.txt").read_text() == "dog\nbird\ncat\n"
    for names, said in (("dog\n", "its class 'cat'"), ("a\na\n", "line 2"), ("", "names no labels")):
        (tmp_path / "names").write_text(names)
        failed = data("convert", images, tmp_path / "x", *given)
        assert failed.code == 1 and said in failed.err and not (tmp_path / "x").exists()


def test_pixels(images, packed, tmp_path):
    for kind, source in (("images", images), ("tar", packed)):
        out = tmp_path / f"{kind}.tfrecord"
        done("convert", source, out, "--from", kind, "--decode", "--to", "tfrecord")
        schema = {"image": tf.io.FixedLenFeature([4, 4, 3], tf.float32), "label": IMAGE["label"]}
        pixels = [parse(r, schema)["image"] for r in tfrecords(out)]
        assert sorted(int(p[0, 0, 0]) for p in pixels) == [0, 1, 10, 11]
    (images / "dog" / "2.png").write_bytes(png(1, 5))
    failed = data("convert", images, tmp_path / "x", "--from", "images", "--decode")
    assert failed.code == 1 and "2.png: has 5 x 5 pixels, the first image 4 x 4" in failed.err
    (images / "dog" / "2.png").write_bytes(png(1)[:40])
    failed = data("convert", images, tmp_path / "x", "--from", "images", "--decode")
    assert failed.code == 1 and "2.png: is damaged" in failed.err


def test_a_tar_of_images(packed, tmp_path):
    out = tmp_path / "o.tfrecord"
    result = done("convert", packed, out, "--from", "tar", "--to", "tfrecord")
    assert "notes.md" in result.err
    with tarfile.open(packed) as archive:
        members = [m for m in archive if m.name.endswith(".png")]
        contents = [archive.extractfile(m).read() for m in members]
    found = [parse(record, IMAGE) for record in tfrecords(out)]
    assert [f["image"] for f in found] == contents
    assert [("cat", "dog")[int(f["label"])] for f in found] == [m.name.split("/")[2] for m in members]


@needs_shared
def test_the_real_jpegs(tmp_path):
    out = tmp_path / "o.tfrecord"
    path = SHARED / "cifar10" / "cifar10_test_jpeg_1000.tar.gz"
    labels = SHARED / "cifar10" / "batches.meta.txt"
    given = ("--from", "tar", "--labels", labels, "--decode", "--to", "tfrecord")
    done("convert", path, out, *given)
    records = tfrecords(out)
    counts = np.bincount([parse(r, SEED_SCHEMA)["label"][0] for r in records])
    assert counts.tolist() == [100] * 10


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_a_damaged_tar(packed, tmp_path, cut):
    packed.write_bytes(packed.read_bytes()[:cut])
    failed = data("convert", packed, tmp_path / "x", "--from", "tar")
    assert failed.code == 1 and f"{packed}: is no tar file, or damaged" in failed.err
    assert not (tmp_path / "x").exists()


def test_images_that_are_none(images, tmp_path):
    (images / "dog" / "2.png").write_text("<html>404</html>")
    failed = data("convert", images, tmp_path / "x", "--from", "images")
    assert failed.code == 1 and "dog/2.png: byte 0: does not begin as a .png" in failed.err
    nested = images / "dog" / "deeper"
    nested.mkdir()
    assert "is a folder within a class" in data("convert", images, "x", "--from", "images").err
    assert "no images" in data("convert", tmp_path / "images" / ".git", "x", "--from", "images").err
    path = tmp_path / "flat.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.png")
        archive.addfile(member, io.BytesIO())
    assert "a.png: is in no folder" in data("convert", path, tmp_path / "x", "--from", "tar").err


def test_csv_and_tsv(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f'a,b\r\n{number},"x\ny"\r\n3,4\r\n')
    out = tmp_path / "o.tfrecord"
    source = tmp_path / "?.csv"
    done("convert", source, out, "--from", "csv", "--header", "--to", "tfrecord")
    assert tfrecords(out) == [b'1,"x\ny"', b"3,4", b'2,"x\ny"', b"3,4"]
    done("convert", source, out, "--from", "csv", "--no-header", "--to", "tfrecord", "--overwrite")
    assert tfrecords(out)[::3] == [b"a,b", b"a,b"]
    (tmp_path / "t.tsv").write_text('a\t"b\nc\td\n')
    source = tmp_path / "t.tsv"
    done("convert", source, out, "--from", "tsv", "--no-header", "--to", "tfrecord", "--overwrite")
    assert tfrecords(out) == [b'a\t"b', b"c\td"]


def test_a_quote_that_is_never_closed(tmp_path):
    (tmp_path / "a.csv").write_text('a,b\n1,"x\n')
    failed = data("convert", tmp_path / "a.csv", tmp_path / "o", "--from", "csv", "--header")
    assert failed.code == 1 and "a.csv: byte 4: a quote" in failed.err
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow")


@pytest.fixture
def table(arrow, tmp_path):
    import pyarrow.parquet

    def write(**columns):
        path = tmp_path / "t.parquet"
        pyarrow.parquet.write_table(arrow.table(columns), path, row_group_size=2)
        return path

    return write


def test_parquet_as_examples(table, arrow, tmp_path):
    path = table(
        i=[1, None, -3],
        f=[0.5, 1.5, 2.5],
        s=["a", "é", None],
        b=[b"\0", b"", b"x"],
        t=[True, False, True],
        l=[[1, 2], [], None],
        d=arrow.array(["p", "q", "p"]).dictionary_encode(),
    )
    out = tmp_path / "o.tfrecord"
    done("convert", path, out, "--from", "parquet", "--to", "tfrecord")
    found = []
    for record in tfrecords(out):
        features = tf.train.Example.FromString(record).features.feature
        kinds = ((name, f, f.WhichOneof("kind")) for name, f in features.items())
        found.append({name: list(getattr(f, kind).value) for name, f, kind in kinds})
    assert found == [
        {"i": [1], "f": [0.5], "s": [b"a"], "b": [b"\0"], "t": [1], "l": [1, 2], "d": [b"p"]},
        {"f": [1.5], "s": ["é".encode()], "b": [b""], "t": [0], "d": [b"q"]},
        {"i": [-3], "f": [2.5], "b": [b"x"], "t": [1], "d": [b"p"]},
    ]


def test_parquet_as_json_lines(table, tmp_path):
    path = table(a=[1, None], b=["x\ny", "é"], c=[{"d": 1}, {"d": 2}])
    out = tmp_path / "o.txt"
    done("convert", path, out, "--from", "parquet", "--as", "json", "--to", "text")
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"a": 1, "b": "x\ny", "c": {"d": 1}},
        {"a": None, "b": "é", "c": {"d": 2}},
    ]


def test_what_parquet_cannot_become(table, arrow, tmp_path):
    def fails(path, *more):
        failed = data("convert", path, tmp_path / "o", "--from", "parquet", *more)
        assert failed.code == 1 and not (tmp_path / "o").exists(), failed.err
        return failed.err

    path = table(a=[1, 2], s=[{"x": 1}, {"x": 2}])
    assert f"{path}: column 's' is struct<x: int64>" in fails(path)
    assert "there is no column 'z'; it has a, s" in fails(path, "--columns", "a,z")
    done("convert", path, tmp_path / "good.recordio", "--from", "parquet", "--columns", "a")
    path = table(a=arrow.array([1, 2, 2**63], arrow.uint64()))
    assert f"{path}: row 2: column 'a': 9223372036854775808 has more" in fails(path)
    path = table(a=[1.0, 1e300])
    assert f"{path}: row 1: column 'a': a number is too large" in fails(path)
    path = table(a=[[1], [2, None]])
    assert f"{path}: row 1: column 'a': None among integers" in fails(path)
    path = table(a=[b"\xff", b"x"])
    assert f"{path}: row 0: column 'a': " in fails(path, "--as", "json")
    path = table(a=[1.0, float("nan")])
    assert f"{path}: row 1: column 'a': " in fails(path, "--as", "json")
    contents = bytearray(table(a=list(range(1000))).read_bytes())
    (tmp_path / "cut.parquet").write_bytes(contents[:100])
    assert "cut.parquet: is no Parquet file, or damaged" in fails(tmp_path / "cut.parquet")


def test_shuffled_images_keep_their_labels(tmp_path):
    batch = batch_file(tmp_path / "b.bin", 200)
    out = tmp_path / "o.tfrecord"
    done("convert", tmp_path / "b.bin", out, "--from", "cifar10", "--to", "tfrecord", "--shuffle")
    plain = tmp_path / "p.tfrecord"
    done("convert", tmp_path / "b.bin", plain, "--from", "cifar10", "--to", "tfrecord")
    assert tfrecords(out) != tfrecords(plain)
    assert sorted(tfrecords(out)) == sorted(tfrecords(plain))
    assert len(batch) == len(tfrecords(out))
