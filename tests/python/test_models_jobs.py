"""The model zoo in whole jobs: exported, also for parameter servers, and trained by headrace train."""

import importlib
import json
import math
import subprocess
import sys

import headrace
import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_cli import SHARED, environment, needs_shared
from headrace.elastic import export, model_module

from common import graph

tf1 = tf.compat.v1


@pytest.mark.parametrize("name", zoo.SMALL)
def test_exported_for_parameter_servers(name, tmp_path):
    """Every table is read and updated by rows, and gradients can be gathered synchronously."""
    keras.utils.clear_session()
    module = model_module.load(zoo.write_module(tmp_path, name))
    description = export.export(module, str(tmp_path / "export"), 16, sharded=True)
    gradients = description["gradients"]["gradients"]
    tables = {g["variable"] for g in gradients if g["variable"].endswith("/embeddings")}
    assert len(tables) == {"dlrm": 26, "deepfm": 27, "wdl": 27}.get(name, 3)
    assert {g["variable"] for g in gradients if g["sparse"]} == tables
    assert "not_synchronous" not in description


def module_parse(name):
    return importlib.import_module(f"{name}.{name}").parse


def train(folder, module, *arguments):
    command = [sys.executable, "-m", "headrace", "train", f"--model_def={module}", "--format=json"]
    command += [f"--job_dir={folder / 'job'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_job_on_criteos_rows(tmp_path):
    train_file, test_file = zoo.write_lines(tmp_path, "criteo", 30_000, 2000)
    made = train(tmp_path, zoo.write_module(tmp_path, "deepfm"), "--minibatch_size=256",
                 f"--training_data={train_file}", f"--validation_data={test_file}",
                     "--num_minibatches_per_task=20")
    assert made["records"]["trained"] == 30_000 and made["steps"] >= 117
    assert made["metrics"][-1]["values"]["auc"] > 0.7
    (stage,
        ) = [line for line in (tmp_path / "job" / "job.json").read_text().splitlines() if "staging" in line]
    assert stage.strip() != '"staging": "",', "it is staged"
    served = tf.saved_model.load(made["model"]).signatures["serving_default"]
    features, _ = module_parse("deepfm")(tf.constant(test_file.read_text().splitlines()[:5]))
    logits = served(**{f"features_{key}": value for key, value in features.items()})["output_0"]
    assert logits.shape == [5] and np.all(np.isfinite(logits))


def test_a_job_on_histories_with_parameter_servers(tmp_path):
    """The table of items is cut by rows; whole batches are parsed at once."""
    train_file, test_file = zoo.write_lines(tmp_path, "taobao", 20_000, 2000)
    made = train(tmp_path, zoo.write_module(tmp_path, "din", items=100_000), "--num_ps=2",
                 f"--training_data={train_file}", f"--validation_data={test_file}", "--records_per_task=2560",
                 '--dataset_metadata={"batch_size": 256, "shuffle": 1000}')
    assert made["records"]["trained"] == 20_000 and made["steps"] >= 78
    assert made["metrics"][-1]["values"]["auc"] > 0.65


# --- real records -------------------------------------------------------------------------------


@needs_shared
def test_wide_and_deep_learns_uci_adult():
    adult = importlib.import_module("wdl.adult")
    with tf.Graph().as_default() as built:
        model = adult.custom_model()
        lines, initializer = graph.next_lines([SHARED / "adult" / "adult.data"], 256)
        step = graph.train_step(adult, lines, model)
        test, test_initializer = graph.next_lines([SHARED / "adult" / "adult.test"], 1000, repeat=False)
        evaluation = graph.evaluate_step(adult, test, model)
        config = tf1.ConfigProto()
        headrace.configure(config, headrace.StageOptions(capacity=2))
        ahead = headrace.explain(built, config).staged_nodes()
        types = {op.type for op in built.get_operations() if op.name in ahead}
        assert types >= {"DecodeCSV", "StringToHashBucketFast", "Bucketize", "StringJoin",
            "StaticRegexFullMatch"}
        with tf1.Session(config=config) as session:
            session.run([initializer, test_initializer, tf1.global_variables_initializer()])
            for _ in range(380):  # three times all records
                session.run(step)
            total = sum(session.run(evaluation) for _ in range(17))
    examples, loss, more = total
    assert examples == 16_281
    rate = more / examples
    constant = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    assert loss / examples < 0.65 * constant
