"""A trace of a real session: the stage's work and the steps' lie side by side in it."""

import json

import headrace
import pytest
import tensorflow as tf
from headrace.errors import TraceError

tf1 = tf.compat.v1

STEPS = 60


def _session(rows=400, width=400):
    """A graph whose input part and training part both take about a millisecond.

    `rows` scales the input part, `width` (to its third power) the training part.
    """
    text = tf.fill([rows], "x" * 4096)
    dataset = tf.data.Dataset.from_tensors(text).repeat(STEPS)
    batch = tf1.data.make_one_shot_iterator(dataset).get_next(name="next")
    hashed = tf.strings.to_hash_bucket_strong(batch, 1 << 30, key=[1, 2], name="hash")
    weights = tf1.get_variable("weights", initializer=tf.eye(width), use_resource=True)
    product = tf.linalg.matmul(weights, weights + tf.cast(hashed[0], tf.float32) * 0.0)
    step = weights.assign(product).op
    options = headrace.StageOptions(capacity=2, name="input")
    session = tf1.Session(config=headrace.configure(tf1.ConfigProto(), options))
    session.run(tf1.global_variables_initializer())
    return session, step


def _spans(trace, kind):
    return [e for e in trace["traceEvents"] if e["ph"] == "X" and e["cat"] == kind]


def _overlap(spans, others):
    return sum(
        max(0.0, min(a["ts"] + a["dur"], b["ts"] + b["dur"]) - max(a["ts"], b["ts"]))
        for a in spans
        for b in others
    )


def _traced(path, **size):
    with tf.Graph().as_default():
        session, step = _session(**size)
        with session, headrace.trace(path):
            for _ in range(STEPS):
                session.run(step)
    return json.loads(path.read_text())


@pytest.fixture
def trace(tmp_path):
    return _traced(tmp_path / "trace.json")


def test_stage_and_steps_overlap(trace):
    bodies, steps = _spans(trace, "body"), _spans(trace, "step")
    assert len(bodies) == STEPS
    assert len(steps) >= STEPS - 1
    assert not {b["tid"] for b in bodies} & {s["tid"] for s in steps}
    share = _overlap(bodies, steps) / sum(b["dur"] for b in bodies)
    assert share > 0.25, f"only {share:.0%} of the stage's work was done beside a step"
    assert share <= 1.0


def test_steps_name_the_ticket_that_they_took(trace):
    assert [s["args"]["ticket"] for s in _spans(trace, "step")] == list(range(STEPS - 1))


def test_waits_are_there(tmp_path):
    trace = _traced(tmp_path / "trace.json", rows=4000, width=1)
    waits = _spans(trace, "wait")
    assert waits, "a step that is done at once waits for the stage's work"
    assert not {w["tid"] for w in waits} & {s["tid"] for s in _spans(trace, "body")}


def test_reads_are_one_after_the_other(trace):
    reads = sorted(_spans(trace, "read"), key=lambda e: e["ts"])
    assert len(reads) >= STEPS
    assert [r["args"]["ticket"] for r in reads] == list(range(len(reads)))
    for before, after in zip(reads, reads[1:], strict=False):
        assert before["ts"] + before["dur"] <= after["ts"] + 1e-3


def test_threads_have_names(trace):
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    kinds = {name.split(" (")[0] for name in names}
    assert {"hr-read", "hr-stage", "training step"} <= kinds


def test_more_spans_than_kept_are_counted(tmp_path):
    path = tmp_path / "trace.json"
    with tf.Graph().as_default():
        session, step = _session()
        with session, headrace.trace(path, max_events=10):
            for _ in range(STEPS):
                session.run(step)
    trace = json.loads(path.read_text())
    assert len([e for e in trace["traceEvents"] if e["ph"] == "X"]) == 10
    assert trace["otherData"]["dropped_events"] >= 2 * STEPS - 10


def test_one_trace_at_a_time(tmp_path):
    with headrace.trace(tmp_path / "a.json"):
        with pytest.raises(TraceError, match="one at a time"):
            with headrace.trace(tmp_path / "b.json"):
                pass
    assert json.loads((tmp_path / "a.json").read_text())["traceEvents"] is not None


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(TraceError, match="directory does not exist"):
        with headrace.trace(tmp_path / "none" / "a.json"):
            pass
