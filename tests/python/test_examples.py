"""The examples: what they read, what they generate, that they learn, and that staging changes
nothing."""

import collections
import contextlib
import functools
import gzip
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from examples.adult import input as adult  # noqa: E402
from examples.adult import train as adult_train  # noqa: E402
from examples.adult.evaluate import area_under_curve  # noqa: E402
from examples.common import measure, report, staging  # noqa: E402
from examples.common.contenders import PARTS  # noqa: E402
from examples.common.stepper import Stepper  # noqa: E402
from examples.common.turns import Turns, loss_falls, losses_equal  # noqa: E402
from examples.dlrm import generate, input_tuned, model  # noqa: E402
from examples.dlrm import input as criteo  # noqa: E402
from examples.dlrm import train as dlrm_train  # noqa: E402
from examples.dlrm.train import contenders  # noqa: E402

try:
    import headrace
    import headrace.library

    headrace.library.build_info()
except ImportError as missing:
    needs_headrace = pytest.mark.skip(reason=f"Headrace is not installed: {missing}")
else:
    needs_headrace = pytest.mark.skipif(False, reason="")

BUCKETS = 1000
SMALL = model.Config(buckets=BUCKETS, bottom=(32, 16), top=(32, 1))


def row(label="0", integers=("",) * 13, values=("",) * 26):
    """One line of Criteo's format."""
    return "\t".join((label, *integers, *values))


def run(build):
    """The value of a graph's tensors."""
    with Stepper("test", lambda: (build(), [])) as stepper:
        return stepper.advance(1).values[0]


def bucket(value):
    return int(tf.strings.to_hash_bucket_fast(value, BUCKETS))


# Criteo's format.

TRICKY = {
    "all missing": row(),
    "negative integers": row("1", ("-1", "-3", *("2",) * 11)),
    "large integers": row("0", ("2147483647", "65535", *("0",) * 11)),
    "quotes are text": row("1", ("1",) * 13, ('"68fd1e64', *('a"b',) * 25)),
    "commas are text": row("0", ("7",) * 13, ("a,b",) * 26),
    "missing here and there": row("1", ("", "5", *("",) * 10, "9"), ("", "05db9164", *("",) * 24)),
    "a real one": row("0", tuple("1 1 5 0 1382 4 15 2 181 1 2  2".split(" ")), tuple(
        "68fd1e64 80e26c9b fb936136 7b4723c4 25c83c98 7e0ccccf de7995b8 1f89b562 a73ee510 a8cd5504 "
        "b2cb9c98 37c9c164 2824a5f6 1adce6ef 8ba8b39a 891b62e7 e5ba7672 f54016b9 21ddcdc9 b1252a9d "
        "07b5194c  3a171ecb c5c50484 e8b83407 9727dd16".split(" "))),
}


@pytest.mark.parametrize("line", TRICKY.values(), ids=TRICKY.keys())
def test_a_row_is_parsed_as_a_plain_reading_of_the_format_says(line):
    fields = line.split("\t")
    batch = run(lambda: criteo.parse(tf.constant([line]), BUCKETS))
    assert batch.label.tolist() == [float(fields[0])]
    dense = [math.log1p(max(float(f or 0), 0.0)) for f in fields[1:14]]
    np.testing.assert_allclose(batch.dense, [dense], rtol=1e-6)
    assert [ids.tolist() for ids in batch.ids] == [[bucket(f)] for f in fields[14:]]


@pytest.mark.parametrize("line, complaint", [
    ("", "Expect 40 fields but have 0"),
    (row() + "\t", "Expect 40 fields but have 41"),
    ("\t".join(row().split("\t")[1:]), "Expect 40 fields but have 39"),
    (row("1", ("x", *("",) * 12)), "Field 1 in record 1 is not a valid float: x"),
])
def test_a_row_that_does_not_parse_is_an_error_that_says_where(line, complaint):
    with pytest.raises(tf.errors.InvalidArgumentError, match=complaint):
        run(lambda: criteo.parse(tf.constant([row(), line]), BUCKETS))


def test_line_ends_compression_and_repetition(tmp_path):
    text = "\r\n".join(row(str(i % 2), (str(i),) * 13) for i in range(3))  # no end on the last line
    (tmp_path / "a.txt").write_bytes(text.encode())
    with gzip.open(tmp_path / "a.txt.gz", "wb") as out:
        out.write(text.encode())
    for name in ("a.txt", "a.txt.gz"):
        files = criteo.data_files([tmp_path / name])
        with Stepper("test", lambda: criteo.next_batch(files, 2, BUCKETS)) as stepper:
            batches = stepper.advance(3).values
        first = np.concatenate([b.dense[:, 0] for b in batches])
        np.testing.assert_allclose(first, np.log1p([0, 1, 2, 0, 1, 2]), rtol=1e-6)
        assert batches[0].ids[0].tolist() == [bucket("")] * 2  # no '\r' in the last field


def test_data_files(tmp_path):
    for name in ("day_1", "day_0", ".hidden"):
        (tmp_path / name).write_text("x")
    assert criteo.data_files([tmp_path]) == [str(tmp_path / "day_0"), str(tmp_path / "day_1")]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        criteo.data_files([tmp_path / "nowhere"])
    (tmp_path / "day_2.gz").write_text("x")
    with pytest.raises(ValueError, match="mixed"):
        criteo.data_files([tmp_path])


# Generated rows.

@pytest.fixture(scope="module")
def rows_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    generate.write_rows(path, 20_000, seed=3)
    return path


def test_generated_rows_are_the_same_for_the_same_seed_only(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (1, 1, 2)):
        generate.write_rows(path, 200, seed)
    a, b, c = (path.read_bytes() for path in paths)
    assert a == b and a != c
    assert a.count(b"\n") == 200 and all(line.count(b"\t") == 39 for line in a.splitlines())


def test_generated_values_follow_the_documented_distribution():
    rows = 50_000
    columns, logits = generate.Generator(5).draw(rows)
    for column in (0, 2, 19):  # of 1,460, 100,000 and 4 values
        values = columns[14 + column]
        weights = np.arange(1, generate.CARDINALITIES[column] + 1.0) ** -generate.ZIPF_EXPONENT
        expected = weights / weights.sum() * (1 - generate.MISSING_CATEGORICAL) * rows
        for rank in range(4):
            count = values.count(generate.value_name(column, rank))
            assert abs(count - expected[rank]) < 6 * math.sqrt(expected[rank])
    missing = columns[1].count(b"") / rows
    assert abs(missing - generate.MISSING_DENSE) < 0.01
    assert min(int(v) for v in columns[2] if v) == -3 and min(int(v) for v in columns[1] if v) == 0
    # The labels carry the signal: the true logits explain them far better than their mean does.
    labels = np.array([v == b"1" for v in columns[0]])
    chance = 1 / (1 + np.exp(-logits))
    true_loss = -np.mean(np.where(labels, np.log(chance), np.log(1 - chance)))
    mean = labels.mean()
    assert true_loss < 0.75 * -(mean * math.log(mean) + (1 - mean) * math.log(1 - mean))


def test_no_two_generated_values_share_a_name():
    names = [generate.value_name(column, rank)
             for column, size in enumerate(generate.CARDINALITIES) for rank in range(size)]
    assert len(set(names)) == len(names) and all(len(name) == 8 for name in names)


# DLRM.

def test_the_tuned_input_gives_the_plain_one_s_batches(rows_file):
    files, batches = [str(rows_file)], []
    for module in (criteo, input_tuned):
        with Stepper("test", lambda: module.next_batch(files, 3000, BUCKETS)) as stepper:
            batches.append(tf.nest.flatten(stepper.advance(10).values))  # into the second reading
    for plain, tuned in zip(*batches):
        assert plain.dtype == tuned.dtype and plain.tobytes() == tuned.tobytes()


def test_the_model_has_the_published_sizes():
    with tf.Graph().as_default():
        batch = criteo.parse(tf.constant([row()] * 4), 10_000)
        assert model.logits(batch, model.Config()).shape == [4]
        shapes = {v.op.name: v.shape.as_list() for v in tf.compat.v1.trainable_variables()}
    assert [shapes[f"embedding{i}"] for i in range(26)] == [[10_000, 16]] * 26
    assert [shapes[f"bottom{i}/weights"] for i in range(4)] == [
        [13, 512], [512, 256], [256, 64], [64, 16]]
    pairs = 27 * 26 // 2
    assert [shapes[f"top{i}/weights"] for i in range(3)] == [
        [16 + pairs, 512], [512, 256], [256, 1]]


def train(make, **sizes):
    """Turns that have trained the small model."""
    with contextlib.ExitStack() as opened:
        steppers = [opened.enter_context(contender) for contender in make]
        turns = Turns(steppers, sizes.pop("parts")(opened), staging.Staging())
        turns.go(stream=sys.stderr, **sizes)
    return turns


def test_dlrm_learns_and_tuned_equals_unstaged(rows_file):
    files = [str(rows_file)]
    make = contenders(files, 512, SMALL)
    tuned = make.other("tuned", functools.partial(input_tuned.next_batch, files, 512, BUCKETS))
    turns = train([make.unstaged(), tuned], steps=60, turns=2,
                  parts=lambda opened: [opened.enter_context(make.part(n)) for n in PARTS])
    assert losses_equal(turns.losses) and loss_falls(turns.losses)
    result = report.Result({}, turns, {"losses_equal": True}, None, None)
    numbers = result.as_json()
    assert numbers["contenders"]["unstaged"]["steps"] == 60 + 5 + 2 * 4  # warm-up, two settlings
    assert all(ms > 0 for ms in numbers["limit"]["parts_ms"].values())
    assert "equal bit for bit" in result.as_text()


def test_checks_see_a_difference_and_a_rise():
    assert losses_equal({"a": [0.5, 0.25], "b": [0.5, 0.25]})
    assert not losses_equal({"a": [0.5, 0.25], "b": [0.5, np.nextafter(np.float32(0.25), 1)]})
    assert loss_falls({"a": [3.0, 2.0, 1.0]})
    assert not loss_falls({"a": [3.0, 2.0, 1.0], "b": [1.0, 2.0, 3.0]})
    assert not loss_falls({"a": [float("nan")] * 3})


def test_a_part_timed_alone_is_computed(tmp_path):
    """Left to TensorFlow's dependency optimizer, parsing that nothing uses would cost nothing."""
    broken = tmp_path / "broken.tsv"
    broken.write_text(f"{row()}\n1\t2\t3\n")
    with contenders([str(broken)], 2, SMALL).part("prepare") as part:
        with pytest.raises(tf.errors.InvalidArgumentError, match="Expect 40 fields but have 3"):
            part.advance(1)


def test_the_command_gives_json_and_exit_status(rows_file):
    done = subprocess.run(
        [sys.executable, "examples/dlrm/train.py", "--mode", "unstaged", "--data", str(rows_file),
         "--steps", "4", "--turns", "2", "--batch-size", "256", "--buckets", "100",
         "--format", "json"], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["version"] == report.VERSION and result["settings"]["data"] == [str(rows_file)]
    assert set(result["contenders"]) == {"unstaged"}


def test_the_command_refuses_what_it_cannot_do(tmp_path, capsys):
    assert dlrm_train.main(["--data", str(tmp_path / "absent")]) == 2
    assert "absent: no such file" in capsys.readouterr().err
    for bad in (["--steps", "0"], ["--steps", "2", "--turns", "3"], ["--seed", "-1"]):
        with pytest.raises(SystemExit) as ended:
            dlrm_train.main(bad)
        assert ended.value.code == 2
    broken = tmp_path / "broken.tsv"
    broken.write_text(f"{row()}\n1\t2\t3\n")
    short = ["--steps", "2", "--turns", "1", "--batch-size", "2", "--mode", "unstaged"]
    assert dlrm_train.main(["--data", str(broken), *short]) == 1
    assert "Expect 40 fields but have 3 in record 1" in capsys.readouterr().err


def test_the_command_fails_where_a_check_fails(rows_file, monkeypatch, capsys):
    monkeypatch.setattr(dlrm_train, "losses_equal", lambda losses: False)
    arguments = ["--data", str(rows_file), "--mode", "unstaged", "--tuned", "--steps", "2",
                 "--turns", "1", "--batch-size", "64", "--buckets", "100"]
    assert dlrm_train.main(arguments) == 1
    assert "unstaged and tuned DIFFER" in capsys.readouterr().out


# UCI Adult.

RECORD = ("39, {}, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
          "2174, 0, 40, United-States, {}")


def test_adult_drops_header_comment_and_blank_lines_and_nothing_else():
    lines = ["age, workclass, fnlwgt, education, education-num, marital-status, occupation, "
             "relationship, race, sex, capital-gain, capital-loss, hours-per-week, "
             "native-country, Y",
             RECORD.format("State-gov", "<=50K"), "|1x3 Cross validator",
             RECORD.format("?", ">50K."), "", RECORD.format("Private", "<=50K.").replace(", ", ","),
             RECORD.format("x", ">50K") + "  "]
    examples = run(lambda: adult.parse(tf.constant(lines)))
    assert examples.label.tolist() == [0, 1, 0, 1]
    assert examples.words["workclass"].tolist() == [b"State-gov", b"?", b"Private", b"x"]
    assert examples.words["native-country"].tolist() == [b"United-States"] * 4
    assert examples.numbers["age"].tolist() == [39.0] * 4
    assert examples.numbers["capital-gain"].tolist() == [2174.0] * 4


@pytest.mark.parametrize("line, complaint", [
    (RECORD.format("Private", "50K"), "neither <=50K nor >50K"),
    (RECORD.format("Private", ">50K") + ", 1", "Expect 15 fields but have 16"),
    (RECORD.format("Private", ">50K").replace("39", "old"), "not a valid float"),
    ("workclass, age", "Expect 15 fields but have 2"),
])
def test_adult_does_not_drop_a_broken_record(line, complaint):
    with pytest.raises(tf.errors.InvalidArgumentError, match=complaint):
        run(lambda: adult.parse(tf.constant([RECORD.format("?", ">50K"), line])))


def test_area_under_curve():
    assert area_under_curve([0, 0, 1, 1], [1, 2, 3, 4]) == 1.0
    assert area_under_curve([0, 1, 0, 1], [1, 1, 1, 1]) == 0.5
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 200), rng.integers(0, 20, 200)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert area_under_curve(labels, scores) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="both classes"):
        area_under_curve([1, 1], [0.1, 0.2])


def test_adult_without_its_data(tmp_path, capsys, monkeypatch):
    assert adult_train.main(["--data", str(tmp_path)]) == 2
    assert "no such file" in capsys.readouterr().err
    monkeypatch.setattr(adult_train, "DEFAULT_DATA", tmp_path)
    assert adult_train.main([]) == 0
    assert "skipped: UCI Adult is not at" in capsys.readouterr().out


needs_adult = pytest.mark.skipif(not (adult_train.DEFAULT_DATA / "adult.data").is_file(),
                                 reason=f"UCI Adult is not at {adult_train.DEFAULT_DATA}")


@needs_adult
def test_adult_reaches_its_area_unstaged(capsys):
    assert adult_train.main(["--mode", "unstaged", "--format", "json", "--steps", "800"]) == 0
    assert json.loads(capsys.readouterr().out)["test_area_under_curve"]["unstaged"] >= 0.88


# Staged.

def plan_of(build):
    with tf.Graph().as_default() as graph:
        build()
    return headrace.explain(graph, headrace.StageOptions())


@needs_headrace
def test_dlrm_staged_equals_unstaged(rows_file):
    files = [str(rows_file)]
    make = contenders(files, 512, SMALL)
    explanation = plan_of(
        lambda: model.train_step(criteo.next_batch(files, 512, BUCKETS)[0], SMALL))
    ops = collections.Counter(name.rstrip("_0123456789") for name in explanation.staged_nodes())
    assert len(explanation.stages) == 1
    assert ops["IteratorGetNext"] == ops["DecodeCSV"] == 1 and ops["StringToHashBucketFast"] == 26
    for ahead in (staging.Staging(1, 1), staging.Staging(8, 4)):
        with make.unstaged() as unstaged, make.staged(ahead) as staged:
            losses = {s.name: s.advance(30).values for s in (unstaged, staged)}
            produced = staging.stats(staged)[0]["produced"]
        assert losses_equal(losses)
        assert produced >= 30


@needs_headrace
@needs_adult
def test_adult_staged_equals_unstaged(capsys):
    assert adult_train.main(["--format", "json", "--steps", "800"]) == 0
    result = json.loads(capsys.readouterr().out)
    areas = result["test_area_under_curve"]
    assert areas["staged"] == areas["unstaged"] >= 0.88
    assert result["checks"] == {"losses_equal": True, "scores_equal": True, "area_reached": True,
                                "parsing_runs_ahead": True}
    body = " ".join(result["plan"]["stages"][0]["body"])
    assert "LookupTableFindV2" in body and "Assert" in body and "StringJoin" in body


# The limit.

def test_terms_name_what_binds():
    terms = measure.Terms(main=2.0, read=1.0, prepare=5.0, cpu=6.0, cores=2.0)
    assert terms.limit(1) == 5.0 and terms.binding(1) == "read + body"
    assert terms.limit(2) == 3.0 and terms.binding(2) == "CPU"
    assert measure.Terms(2.0, 1.0, 1.5, 3.0, 2.0).binding(1) == "training part"


def test_effective_cores_are_between_one_and_the_threads():
    # Other load changes the figure from one moment to the next: only wide bounds are certain.
    assert 1.0 <= measure.effective_cores(threads=2, seconds=0.05) < 4.0
