"""compat.v1's GPU fields, in a process that has a fake GPU (src/tensorflow/testing/fake_gpu.h)."""

import json
import pathlib
import subprocess
import sys

import pytest

LIBRARY = pathlib.Path(__file__).parents[2] / "build/release/src/tensorflow/testing/libheadrace_fake_gpu.so"

SCRIPT = '''
import json, sys
import headrace.compat.v1 as tf
import headrace

tf.load_op_library(sys.argv[1])
asked = json.loads(sys.argv[2])
dataset = tf.data.Dataset.range(20).batch(2)
batch = tf.data.make_one_shot_iterator(dataset).get_next()
doubled = tf.cast(batch, tf.float32) * 2
with tf.device("/gpu:0"):
    on_gpu = tf.identity(doubled, name="on_gpu")
config = tf.ConfigProto(allow_soft_placement=True)
optimizer = config.graph_options.optimizer_options
optimizer.do_smart_stage = True
optimizer.stage_subgraph_on_cpu = asked["on_cpu"]
optimizer.stage_multi_stream = True
config.graph_options.rewrite_options.use_multi_stream = 1
config.graph_options.rewrite_options.multi_stream_opts.multi_stream_num = 2
optimizer.smart_stage_options.CopyFrom(
    tf.SmartStageOptions(capacity=2, num_threads=1, stage_subgraph_stream_id=1))
if asked["divided"]:
    config.gpu_options.experimental.virtual_devices.add(memory_limit_mb=[16, 16])
try:
    with tf.Session(config=config) as session:
        values = [session.run(on_gpu).tolist() for _ in range(10)]
        copied = sum(stage["copied_tensors"] for stage in headrace.stats(session))
    print(json.dumps({"values": values, "copied": copied}))
except tf.errors.FailedPreconditionError as error:
    print(json.dumps({"refused": error.message}))
'''


def run(**asked):
    """What a program prints that asks for a stream of two."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(LIBRARY), json.dumps(asked)], timeout=120,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("asked", [{"on_cpu": False, "divided": True}, {"on_cpu": True, "divided": False}],
                         ids=["stream", "on_cpu"])
def test_a_stage_beside_a_gpu_gives_the_same_values(asked):
    found = run(**asked)
    assert found["values"] == [[4.0 * i, 4.0 * i + 2] for i in range(10)]
    assert found["copied"] >= 10


def test_a_stream_of_a_gpu_that_is_not_divided_is_refused():
    refused = run(on_cpu=False, divided=False)["refused"]
    assert "stage_subgraph_stream_id is 1, but GPU:1 is not there" in refused
    assert "virtual_devices" in refused
