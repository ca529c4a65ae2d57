"""Jobs whose every record fails, and records that fail in the evaluation beside a training."""

import pytest

import jobs

# The line that no record gets through.
BROKEN = 'number = tf.strings.to_number(tf.strings.join(["x", record]), tf.int64)'
ALL_FAIL = jobs.WITNESS.replace("number = tf.strings.to_number(record, tf.int64)", BROKEN)


@pytest.mark.parametrize("allowed", [0, 3])
def test_a_dataset_fn_that_fails_for_every_record(tmp_path, monkeypatch, allowed):
    """It ends after a few tasks, and says why; halving all of them would take thousands of leases."""
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, ALL_FAIL)
    text = (tmp_path / "model.py").read_text().splitlines()
    (line,) = [number for number, words in enumerate(text, 1) if BROKEN in words]
    made, code = runner.run(training_data=jobs.write_records(tmp_path), max_quarantined=allowed)
    assert code == 1 and made["verdict"] == "failed", runner.logs()
    said = made["failure"]
    assert said.startswith("nothing was trained: 8 ranges of records failed, each by itself, and none did not; ")
    assert f"{allowed} bad records are allowed" in said and ".txt, records [" in said, said
    assert "StringToNumberOp could not correctly convert string: x" in said
    assert f"{runner.module}:{line}" in said
    assert made["quarantined"] == [] and made["records"]["trained"] == 0


def test_a_bad_record_of_the_validation_data(tmp_path, monkeypatch):
    """It is alone in quarantine, and the job's numbers show it."""
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch)
    validation = tmp_path / "validation.txt"
    validation.write_text("".join("bad\n" if i == 37 else f"{i}\n" for i in range(100)))
    made, code = runner.run(
        training_data=jobs.write_records(tmp_path, 200), validation_data=[str(validation)], max_quarantined=1
    )
    assert code == 3 and made["verdict"] == "done-with-quarantined", runner.logs()
    (bad,) = made["quarantined"]
    assert (bad["path"], bad["record"], bad["evaluation"]) == (str(validation), 37, True)
    records = made["records"]
    assert records["quarantined"] == records["quarantined_in_evaluation"] == 1
    assert records["trained"] + records["filtered"] == records["records"] == 200
    mean = sum(i for i in range(100) if i != 37) / 99
    assert made["metrics"][-1]["values"]["mean"] == pytest.approx(mean)
