"""What a job came to, from the master's words."""

import json

from headrace.elastic import summary
from headrace.elastic.flags import EVALUATE, RUN, TRAIN, JobFlags

STATUS = {
    "step": "12",
    "running_ms": "2500",
    "rewinds": [{"step": "300", "pause_ms": "6250"}],
    "failure": "",
    "model": "/j/model",
    "metrics": [
        {"round": "2", "step": "12", "name": "accuracy", "value": 0.75},
        {"round": "1", "step": "6", "name": "accuracy", "value": 0.5},
        {"round": "1", "step": "6", "name": "loss", "value": 1.5},
    ],
    "workers": [
        {
            "telemetry": {
                "loss": 0.5,
                "steps": "7",
                "times": [{"name": "compute_loss", "busy_s": 1.0, "waited_s": 0.0}],
            }
        },
        {
            "telemetry": {
                "loss": 0.7,
                "steps": "5",
                "times": [{"name": "compute_loss", "busy_s": 0.5, "waited_s": 0.25}],
            }
        },
        {"telemetry": {"loss": "NaN", "steps": "0", "times": []}},
    ],
}
LEDGER = {
    "totals": {
        "records": "20",
        "trained": "15",
        "filtered": "2",
        "dropped": {"batch": "1"},
        "quarantined": "1",
        "pending": "1",
    },
    "files": [
        {
            "epoch": "1",
            "path": "/a",
            "records": "10",
            "trained": "8",
            "filtered": "1",
            "quarantined": "0",
            "pending": "1",
            "possibly_repeated": [{"end": "3"}, {"begin": "5", "end": "7"}],
        },
        {
            "epoch": "0",
            "path": "/a",
            "records": "10",
            "trained": "7",
            "filtered": "1",
            "dropped": {"batch": "1"},
            "quarantined": "1",
            "pending": "0",
        },
    ],
    "quarantine": [
        {"path": "/a", "index": "4", "epoch": "0", "error": "bad float\nmore", "offset": "36"},
        {"path": "gs://b", "index": "5", "epoch": "0", "error": "bad", "offset": "-1"},
    ],
}


def _made(exit_code=3):
    flags = JobFlags(verb=TRAIN, model_def="m", training_data=["a"], job_name="j")
    return summary.make(flags, "/j", STATUS, LEDGER, exit_code)


def test_numbers_are_added_up():
    made = _made()
    assert made["verdict"] == "done-with-quarantined" and made["exit_code"] == 3
    assert made["records"]["trained"] == 15 and made["records"]["dropped"] == {"batch": 1}
    assert [e["epoch"] for e in made["epochs"]] == [0, 1]
    assert made["epochs"][0] == {
        "epoch": 0,
        "expected": 10,
        "trained": 7,
        "filtered": 1,
        "quarantined": 1,
        "pending": 0,
        "dropped": 1,
    }
    assert made["possibly_repeated"] == [{"path": "/a", "epoch": 1, "ranges": [[0, 3], [5, 7]]}]
    assert made["metrics"] == [
        {"step": 6, "values": {"accuracy": 0.5, "loss": 1.5}},
        {"step": 12, "values": {"accuracy": 0.75}},
    ]
    assert made["loss"] == 0.6
    assert made["time_table"]["compute_loss"] == {"busy_s": 1.5, "waited_s": 0.25}
    assert made["quarantined"] == [
        {"path": "/a", "record": 4, "offset": 36, "epoch": 0, "evaluation": False, "error": "bad float\nmore"},
        {"path": "gs://b", "record": 5, "offset": None, "epoch": 0, "evaluation": False, "error": "bad"},
    ]
    assert made["rewinds"] == [{"step": 300, "pause_s": 6.25}]
    json.dumps(made)


def test_for_people():
    lines = []
    summary.print_text(_made(), lines.append)
    text = "\n".join(lines)
    assert (
        "coverage: of 20 records 15 trained, 2 filtered, 1 dropped by batch, 1 quarantined, 1 not reached"
        in text
    )
    assert "quarantined: /a record 4 at byte 36: bad float" in text
    assert "more" not in text.split("bad float")[1][:5]
    assert "quarantined: gs://b record 5: bad" in text
    assert "the model was lost, and went back to step 300: nothing was trained for 6.2 s" in text
    assert "/a, epoch 2: records 0 to 2, 5 to 6 possibly trained more than once" in text
    assert "evaluation at step 12: accuracy 0.7500" in text
    assert "model: /j/model" in text


def test_many_ranges_are_counted():
    made = _made()
    made["possibly_repeated"] = [{"path": "/a", "epoch": 0, "ranges": [[3 * i, 3 * i + 2] for i in range(9)]}]
    made["trained_before_rewind"] = [{"path": "/a", "epoch": 0, "ranges": [[7, 8]]}]
    lines = []
    summary.print_text(made, lines.append)
    text = "\n".join(lines)
    assert "records 0 to 1, 3 to 4, 6 to 7, 9 to 10, 12 to 13, 15 to 16 and more" in text
    assert "(headrace ledger --all names all 18)" in text and "18 to 19" not in text
    assert "/a, epoch 1: record 7 trained again" in text


def test_what_is_bad_in_the_evaluation():
    """It is in quarantine, and none of the records that are trained."""
    totals = {"records": "20", "trained": "20", "quarantined": "0", "quarantined_in_evaluation": "1"}
    bad = {"path": "/v", "index": "4", "epoch": "0", "error": "bad", "evaluation": True}
    flags = JobFlags(verb=TRAIN, model_def="m", training_data=["a"], validation_data=["v"], job_name="j")
    made = summary.make(flags, "/j", STATUS, {"totals": totals, "quarantine": [bad]}, 3)
    assert made["records"]["quarantined"] == made["records"]["quarantined_in_evaluation"] == 1
    assert made["quarantined"][0]["evaluation"] is True
    lines = []
    summary.print_text(made, lines.append)
    assert "coverage: of 20 records 20 trained; of the validation data 1 quarantined" in lines
    assert "quarantined: /v record 4, in evaluation: bad" in lines


def test_the_step_of_a_model_that_does_not_say():
    metrics = [{"round": "0", "step": "0", "name": "loss", "value": 0.5}]

    def told(step):
        flags = JobFlags(verb=EVALUATE, model_def="m", validation_data=["a"], job_name="j")
        metrics[0]["step"] = step
        made = summary.make(flags, "/j", {"metrics": metrics}, LEDGER, 0)
        lines = []
        summary.print_text(made, lines.append)
        return made["metrics"], [line for line in lines if line.startswith("evaluation")]

    assert told("0") == ([{"step": None, "values": {"loss": 0.5}}], ["evaluation: loss 0.5000"])
    assert told("7") == ([{"step": 7, "values": {"loss": 0.5}}], ["evaluation at step 7: loss 0.5000"])


def test_of_many_bad_records_the_first_ones():
    made = _made()
    made["quarantined"] = [made["quarantined"][0] | {"record": i} for i in range(23)]
    lines = []
    summary.print_text(made, lines.append)
    told = [line for line in lines if line.startswith("quarantined")]
    assert len(told) == 21 and "record 19 " in told[19]
    assert told[20] == "quarantined: and 3 more (headrace ledger --all names them)"


def test_without_any_status():
    flags = JobFlags(verb=TRAIN, model_def="m", training_data=["a"], job_name="j")
    made = summary.make(flags, "/j", None, None, 1)
    assert made["verdict"] == "failed" and made["loss"] is None and made["steps"] == 0
    summary.print_text(made, lambda line: None)


def test_what_is_not_measured_alone_is_not_zero():
    flags = JobFlags(verb=TRAIN, model_def="m", training_data=["a"], job_name="j", num_ps=2)
    made = summary.make(flags, "/j", STATUS, LEDGER, 0)
    assert made["handed_out"] is None
    assert made["time_table"]["get_model"] is None and made["time_table"]["compute_loss"]["busy_s"] == 1.5
    lines = []
    made["time_table"]["total"]["busy_s"] = 2.0
    summary.print_text(made, lines.append)
    assert any(line.split("  ")[-1].strip() == "in compute_loss" for line in lines)


def test_a_stopped_job_says_how_to_go_on():
    def last_line(made):
        lines = []
        summary.print_text(made, lines.append)
        return lines[-1]

    made = _made(75)
    again = "stopped: the same command with --resume --job_name j goes on"
    assert last_line(made | {"steps": 0}) == again, "no model, so nothing to save"
    anew = "; the model begins anew, as it has no checkpoints (--checkpoint_steps)"
    assert last_line(made | {"steps": 7}) == again + anew
    made |= {"checkpoint": "/j/checkpoints/step-5"}
    assert last_line(made).endswith("--job_name j goes on, from /j/checkpoints/step-5")
    assert not last_line(made | {"ledger": ""}).startswith("stopped"), "it is another machine's job"
    assert not last_line(_made(3)).startswith("stopped")


def test_the_table_adds_up():
    made = _made()
    table = made["time_table"]
    table["total"]["busy_s"], table["get_batch"]["busy_s"], table["get_batch"]["waited_s"] = 4.0, 9.0, 1.26
    lines = []
    summary.print_text(made, lines.append)
    (says,) = [line for line in lines if line.startswith("total")]
    assert says.startswith("total 4.0 = compute_loss 1.5 + waited 1.5 + other 1.0 (")
    assert "get_batch and input_fn are busy at the same time" in says
    assert "steps: 12, loss of the last one 0.6000" in lines


def test_a_program_of_ones_own_has_no_loss():
    flags = JobFlags(verb=RUN, training_data=["a"], job_name="j")
    worker = {"telemetry": {"loss": "NaN", "steps": "7", "records": "140", "handed_out": "160", "times": []}}
    status = STATUS | {"own_program": True, "workers": [worker], "metrics": []}
    made = summary.make(flags, "/j", status, LEDGER, 0)
    assert made["loss"] is None and made["handed_out"] == 160
    lines = []
    summary.print_text(made, lines.append)
    assert not any("loss" in line for line in lines)
