"""Flags of jobs: what is accepted, what is refused and how, and the job file that they make."""

import json
import os
import pathlib

import pytest
from typer.testing import CliRunner

from headrace.cli import app
from headrace.elastic import job_file
from headrace.elastic.flags import EVALUATE, PREDICT, RUN, TRAIN, JobFlags
from headrace.errors import UsageError


def _flags(verb=TRAIN, **changes):
    data = {
        TRAIN: {"training_data": ["t"]},
        EVALUATE: {"validation_data": ["v"], "no_checkpoint": True},
        PREDICT: {"prediction_data": ["p"], "output": "out", "no_checkpoint": True},
        RUN: {"training_data": ["t"]},
    }
    return JobFlags(verb=verb, **{"model_def": "m.py", "job_name": "j", **data[verb], **changes})


@pytest.mark.parametrize(
    "verb, changes, kind",
    [
        (TRAIN, {}, "training-only"),
        (TRAIN, {"validation_data": ["v"]}, "training-with-evaluation"),
        (EVALUATE, {}, "evaluation-only"),
        (PREDICT, {}, "prediction-only"),
        (RUN, {}, "training-only"),
    ],
)
def test_the_verb_and_the_data_say_the_type(verb, changes, kind):
    flags = _flags(verb, **changes)
    flags.check()
    assert flags.type == kind
    for name in (kind, kind.replace("-", "_")):
        _flags(verb, **changes, job_type=name).check()


@pytest.mark.parametrize(
    "verb, changes, says",
    [
        (TRAIN, {"training_data": []}, "train needs --training_data"),
        (EVALUATE, {"validation_data": []}, "evaluate needs --validation_data"),
        (EVALUATE, {"training_data": ["t"]}, "evaluate does not use --training_data"),
        (TRAIN, {"prediction_data": ["p"]}, "train does not use --prediction_data"),
        (RUN, {"validation_data": ["v"]}, "run does not use --validation_data"),
        (PREDICT, {"output": ""}, "predict needs --output"),
        (TRAIN, {"job_type": "evaluation_only"}, "contradicts the rest .* which says training-only"),
        (TRAIN, {"job_type": "training"}, r"one of training-only, training-with-[^,]*, [^,]*, prediction-only \["),
        (TRAIN, {"seed": -1}, "--seed is -1, and must be at least 0"),
        (TRAIN, {"job_name": "../x"}, "--job_name '../x' is a path: --job_dir says where"),
        (TRAIN, {"dataset_metadata": "{x"}, "--dataset_metadata is no JSON: Expecting property name"),
        (TRAIN, {"load_op_library": ["no.so"]}, "--load_op_library: there is no file no.so"),
        (TRAIN, {"records_per_task": 5, "num_minibatches_per_task": 2}, "say the same in two ways"),
        (PREDICT, {"output_format": "xml"}, "--output_format is 'xml', and must be one of jsonl, csv"),
        (TRAIN, {"num_epochs": 0}, "--num_epochs is 0, and must be at least 1"),
        (TRAIN, {"minibatch_size": 0}, "--minibatch_size is 0"),
        (TRAIN, {"num_workers": "2"}, "more than one worker needs parameter servers"),
        (TRAIN, {"num_workers": "3:2"}, "1 <= MIN <= MAX"),
        (TRAIN, {"num_workers": "many"}, "must be N or MIN:MAX"),
        (TRAIN, {"evaluation_steps": 5}, "need --validation_data"),
        (TRAIN, {"use_async": False}, "--use_async=false needs parameter servers"),
        (TRAIN, {"grads_to_wait": 2}, "--grads_to_wait 2 needs --use_async=false and parameter servers"),
        (TRAIN, {"grads_to_wait": 2, "num_ps": 1}, r"--grads_to_wait 2 needs --use_async=false \["),
        (
            TRAIN,
            {"grads_to_wait": 3, "num_ps": 1, "use_async": False, "num_workers": "1:2"},
            "2 workers never give that many",
        ),
        (TRAIN, {"exact": True, "checkpoint_steps": 5}, "--exact needs parameter servers"),
        (TRAIN, {"exact": True, "num_ps": 1}, "--exact .* give --checkpoint_steps or --checkpoint_dir"),
        (TRAIN, {"ps_addrs": ["a:1", "b:2"], "num_ps": 1}, "--num_ps 1 contradicts --ps_addrs, which names 2"),
        (TRAIN, {"ps_addrs": ["a:1", "b:2", "a:1"]}, "--ps_addrs names a:1 twice"),
        (TRAIN, {"ps_addrs": ["a"]}, "'a' is not host:port"),
        (TRAIN, {"ps_addrs": ["a:0"]}, "'a:0' is not host:port"),
        (EVALUATE, {"no_checkpoint": False}, "evaluate needs a trained model: .* --checkpoint_dir_for_init"),
        (PREDICT, {"no_checkpoint": False}, "predict needs a trained model: .* --no_checkpoint takes the model as"),
        (EVALUATE, {"checkpoint_dir": "c"}, "--no_checkpoint contradicts --checkpoint_dir"),
        (EVALUATE, {"num_ps": 1}, "evaluate takes no --num_ps: it loads a checkpoint into one process"),
        (PREDICT, {"ps_addrs": ["a:1"]}, "predict takes no --ps_addrs"),
        (RUN, {"num_ps": 1}, "run takes no --num_ps: the program's model is its own"),
    ],
)
def test_what_cannot_be_is_refused(verb, changes, says):
    with pytest.raises(UsageError, match=says):
        _flags(verb, **changes).check()


def test_the_job_file_of_a_training_with_evaluation():
    flags = _flags(
        validation_data=["v"],
        minibatch_size=10,
        num_minibatches_per_task=4,
        num_epochs=3,
        checkpoint_steps=7,
        evaluation_steps=5,
        evaluation_throttle_secs=2,
        seed=9,
    )
    flags.check()
    files, others = [{"path": "/t", "records": 100}], [{"path": "/v", "records": 20}]
    job = job_file.describe(flags, "/jobs/j", files, others, "/jobs/j/export", "AQ==")
    assert job["task_records"] == 40 and job["epochs"] == 3 and job["seed"] == 9
    assert job["model"] == "local" and job["files"] == files and job["evaluation_files"] == others
    assert (job["evaluation_every_steps"], job["evaluation_every_ms"]) == (5, 2000)
    assert job["evaluation_at_end"]
    # Without --checkpoint_dir, checkpoints go to the job's folder.
    assert job["checkpoint"] == {"directory": "/jobs/j/checkpoints", "every_steps": 7}
    trainer = job["trainer"]
    assert trainer["output"] == "/jobs/j/model" and trainer["events"] == "/jobs/j/events"
    assert trainer["checkpoint_steps"] == 7 and trainer["evaluation_steps"] == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"num_ps": 2},
        {"num_ps": 2, "num_workers": "1:3", "use_async": False, "grads_to_wait": 3},
        {"num_ps": 1, "exact": True, "checkpoint_steps": 5},
        {"num_ps": 1, "exact": True, "checkpoint_dir": "c"},
        {"num_ps": 2, "ps_addrs": ["a:1", "[::1]:2"]},
        {"grads_to_wait": 1},  # as in the seed's command line: what happens anyway
    ],
)
def test_what_parameter_servers_take(changes):
    _flags(TRAIN, **changes).check()


def test_the_job_file_of_a_training_on_parameter_servers():
    def describe(servers, **changes):
        flags = _flags(num_ps=2, checkpoint_steps=5, **changes)
        flags.check()
        return job_file.describe(flags, "/jobs/j", [], [], "/jobs/j/export", "", servers)

    job = describe(["h:1", "h:2"], exact=True)
    assert job["model"] == "shared" and job["exact"] is True
    assert job["trainer"]["parameter_servers"] == ["h:1", "h:2"]
    assert job["trainer"]["synchronous"] is False and "grads_to_wait" not in job["trainer"]
    job = describe(["h:1", "h:2"], num_workers="2", use_async=False, grads_to_wait=2)
    assert job["exact"] is False and job["trainer"]["synchronous"] is True
    assert job["trainer"]["grads_to_wait"] == 2
    job = job_file.describe(_flags(), "/jobs/j", [], [], "/jobs/j/export", "")
    assert "exact" not in job and "parameter_servers" not in job["trainer"]


def test_where_checkpoints_go():
    def directory(**changes):
        flags = _flags(**changes)
        flags.check()
        return job_file.describe(flags, "/jobs/j", [], [], "", "").get("checkpoint", {}).get("directory")

    assert directory() is None
    assert directory(checkpoint_steps=5) == "/jobs/j/checkpoints"
    # A name that the user gives is the user's, whatever it is.
    assert directory(checkpoint_dir="checkpoints") == os.path.abspath("checkpoints")
    assert directory(checkpoint_dir="/c", checkpoint_steps=5) == "/c"


def test_the_job_files_of_the_other_verbs(tmp_path):
    (tmp_path / "step-5").mkdir()
    (tmp_path / "step-5" / "manifest.json").write_text('{"version": 1, "step": 5, "position": ""}')
    (tmp_path / "step-20").mkdir()
    (tmp_path / "step-20" / "manifest.json").write_text('{"version": 1, "step": 20, "position": ""}')
    (tmp_path / "step-90.unfinished-1").mkdir()
    flags = _flags(EVALUATE, checkpoint_dir=str(tmp_path), no_checkpoint=False)
    job = job_file.describe(flags, "/j", [], [], "/j/export", "")
    assert job["model"] == "none" and not job["shuffle"] and "checkpoint" not in job
    assert job["trainer"]["restore"] == str(tmp_path / "step-20") and job["model_version"] == 20
    flags = _flags(EVALUATE, checkpoint_dir_for_init=str(tmp_path), no_checkpoint=False)
    job = job_file.describe(flags, "/j", [], [], "/j/export", "")
    assert "restore" not in job["trainer"] and job["model_version"] == 20, "the export has loaded it"
    job = job_file.describe(_flags(PREDICT, output_format="csv"), "/j", [], [], "/j/export", "")
    assert job["trainer"]["predictions"] == "csv" and job["trainer"]["output"].endswith("/out")
    job = job_file.describe(_flags(RUN), "/j", [], [], "", "")
    assert job["model"] == "none" and job["shuffle"] and "trainer" not in job


# A file that is there; only what is not a dry run loads it.
MODULE = f"--model_def={__file__}"


def _run(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def records(tmp_path):
    (tmp_path / "data.txt").write_text("a\nb\nc\n")
    return str(tmp_path / "data.txt")


def test_the_seeds_flags_are_accepted(records):
    result = _run(
        "train",
        "--num_epochs=1",
        "--master_resource_request=cpu=2,memory=2048Mi,ephemeral-storage=5000Mi",
        "--worker_resource_request=cpu=4,memory=2048Mi,ephemeral-storage=5000Mi,gpu=1",
        "--minibatch_size=128",
        "--num_minibatches_per_task=32",
        "--num_workers=1",
        "--grads_to_wait=1",
        f"--model_zoo={pathlib.Path(__file__).parents[2] / 'models'}",
        "--model_def=cifar10_functional_api.cifar10_functional_api.custom_model",
        f"--training_data={records}",
        "--dry_run",
    )
    assert result.exit_code == 0, result.output
    job = json.loads(result.stdout)
    assert job["task_records"] == 4096 and job["files"] == [{"path": records, "records": 3, "whole": False}]
    assert "without effect on one machine: --master_resource_request" in result.stderr


def test_a_dry_run_names_the_servers(records):
    arguments = ["train", MODULE, f"--training_data={records}", "--dry_run", "--num_workers=2"]

    def servers(*more):
        result = _run(*arguments, *more)
        assert result.exit_code == 0, result.output
        job = json.loads(result.stdout)
        assert job["model"] == "shared"
        return job["trainer"]["parameter_servers"]

    assert servers("--num_ps_pods=2") == ["ps-0", "ps-1"]
    assert servers("--ps_addrs=a:1,b:2") == ["a:1", "b:2"]


@pytest.mark.parametrize("verb, data", [("evaluate", "validation"), ("predict", "prediction")])
@pytest.mark.parametrize("flag", ["--num_ps=1", "--num_ps_pods=1", "--ps_addrs=a:1", "--use_async=true", "--exact"])
def test_other_verbs_take_no_parameter_servers(records, verb, data, flag):
    name = flag.split("=")[0]
    result = _run(verb, MODULE, f"--{data}_data={records}", flag, "--dry_run")
    assert result.exit_code == 2
    assert f"{verb} takes no {name}: it loads a checkpoint into one process" in result.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--bogus=1"], "there is no flag --bogus"),
        (["--use_async=perhaps"], "must be true or false"),
        (["--num_workers=2"], "needs parameter servers"),
        (["--master_resource_request"], "needs a value"),
    ],
)
def test_wrong_usage_has_exit_code_2(records, arguments, says):
    result = _run("train", MODULE, f"--training_data={records}", *arguments)
    assert result.exit_code == 2 and says in result.stderr


def test_a_dry_run_looks_for_the_module(records, tmp_path):
    for named, file in (("none.py", "none.py"), ("zoo.none.custom_model", "zoo/none.py")):
        arguments = [f"--model_zoo={tmp_path}", f"--model_def={named}", f"--training_data={records}"]
        result = _run("train", *arguments, "--dry_run")
        assert result.exit_code == 2 and f"there is no {tmp_path}/{file}" in result.stderr, result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict"])
def test_help_names_the_flags_that_are_for_kubernetes(verb):
    words = " ".join(_run(verb, "--help").stdout.split())
    assert "without effect on one machine" in words
    for flag in ("--worker_resource_request", "--ps_resource_limit", "--image_name"):
        assert flag in words


@pytest.mark.parametrize(
    "arguments, exit_code, error, says",
    [
        ([MODULE], 1, "HR060", "does not define custom_model"),
        (["--model_def=/none.py"], 1, "HR060", "there is no /none.py"),
        ([MODULE, "--num_workers=2"], 2, "HR062", "needs parameter servers"),
        ([MODULE, "--num_epochs=0"], 2, "HR062", "--num_epochs is 0"),
    ],
)
def test_what_never_began_gives_the_documented_object_too(records, tmp_path, arguments, exit_code, error, says):
    where = f"--job_dir={tmp_path / 'job'}"
    result = _run("train", f"--training_data={records}", "--job_name=j", where, "--format=json", *arguments)
    made = json.loads(result.stdout)
    assert result.exit_code == made["exit_code"] == exit_code and made["verdict"] == "failed"
    assert made["error_code"] == error and says in made["failure"] and says in result.stderr
    assert made["job_name"] == "j" and made["job_type"] == "training-only" and made["ledger"] == ""
    assert made["records"]["records"] == 0 and made["metrics"] == [] and made["loss"] is None


def test_missing_data_has_exit_code_1(tmp_path):
    result = _run("train", MODULE, f"--training_data={tmp_path}/none", "--dry_run")
    assert result.exit_code == 1 and "none" in result.stderr


def test_flags_from_a_file(records, tmp_path):
    config = tmp_path / "job.toml"
    config.write_text(f'training_data = ["{records}"]\nnum_epochs = 4\nseed = 3\n')
    result = _run("train", MODULE, f"--config={config}", "--seed=8", "--dry_run")
    assert result.exit_code == 0, result.output
    job = json.loads(result.stdout)
    assert job["epochs"] == 4 and job["seed"] == 8
    config.write_text("num_epoch = 4\n")
    result = _run("train", MODULE, f"--config={config}", "--dry_run")
    assert result.exit_code == 2 and "has no flag --num_epoch" in result.stderr


def test_the_command_of_run(records):
    result = _run("run", f"--training_data={records}", "--dry_run", "--", "python", "x.py", "--flag")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["task_records"] == 1000
    assert _run("run", f"--training_data={records}").exit_code == 2
