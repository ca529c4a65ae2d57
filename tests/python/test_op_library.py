"""Ops of the user's own (--load_op_library) with parameter servers: in dataset_fn, in the model, and in what
updates variables, which runs where they are."""

import numpy as np
import pytest
import tensorflow as tf

import jobs

LOADED = """
    import tensorflow as tf
    ops = tf.load_op_library("LIBRARY")
"""
# Computed where the update is.
RATE = """
    class Rate(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.01 * tf.cast(ops.headrace_bench_spin(tf.cast(step, tf.int64), micros=1) >= 0, tf.float32)

        def get_config(self):
            return {}
"""
# These ops give what they get.
OWN_OPS = (
    LOADED
    + jobs.WITNESS.replace("optimizers.SGD(0.01)", "optimizers.SGD(Rate())")
    .replace('number = features["number"]', 'number = ops.headrace_crash_on(features["number"], value=-1)')
    .replace("to_number(record, tf.int64)", "to_number(ops.headrace_bench_spin(record, micros=1), tf.int64)")
    + RATE
)
COUNT = "self.count.scatter_add(tf.IndexedSlices(ones, number))"


@pytest.mark.parametrize("synchronous", [False, True])
def test_on_parameter_servers(tmp_path, monkeypatch, synchronous):
    path = jobs.testing_library()
    tf.load_op_library(path)  # the model that comes out has them, too
    text = OWN_OPS.replace("LIBRARY", path)
    flags = {}
    if synchronous:  # where a forward pass may write no variables
        text = text.replace(COUNT, "pass")
        flags = {"use_async": False, "grads_to_wait": 2}
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, text)
    made, code = runner.run(
        training_data=jobs.write_records(tmp_path), load_op_library=[path], num_ps=1, num_workers="2", **flags
    )
    assert code == 0 and made["records"]["trained"] == jobs.KEPT.sum(), runner.logs()
    assert made["rewinds"] == [] and runner.killed() == 0
    np.testing.assert_array_equal(jobs.counts(made["model"]), 0 if synchronous else jobs.KEPT)
