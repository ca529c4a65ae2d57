"""What a step does not wait for: anybody outside of the trainer's process."""

import os
import signal
from concurrent import futures

import numpy as np
import pytest

import jobs

TASK, BATCH = 100, 20  # of jobs.Runner

# Each step writes a line when it begins, and one when it has the word to go. With a shuffle that holds all
# records, the first of them begins when all that the job has lies in its process.
STEPS = jobs.WITNESS.replace(
    """            if training:
""",
    """            if training:
                with tf.control_dependencies([tf.print(number[0], output_stream="file://FOLDER/began")]):
                    waited = wait(number)
                with tf.control_dependencies([waited]):
                    with tf.control_dependencies([tf.print(number[0], output_stream="file://FOLDER/went")]):
                        number = tf.identity(number)
""",
).replace(
    "\n    class Witness",
    """
    def wait(number):
        \"\"\"0, once there is the file.\"\"\"
        def missing(i):
            nothing = tf.strings.substr(tf.strings.as_string(i), 0, 0)  # or it is looked for only once
            return tf.equal(tf.size(tf.io.matching_files("FOLDER/go" + nothing)), 0)
        return tf.while_loop(missing, lambda i: i + 1, [number[0]], parallel_iterations=1)[0]

    class Witness""",
).replace("shuffle(300)", "shuffle(1_000_000)")


def _lines(path):
    return path.read_text().splitlines() if path.exists() else []


def _stop_the_agent(folder):
    """Stops the agent from the first step on, until all are done: (leases that it had, its state then)."""
    jobs.eventually(lambda: _lines(folder / "began"), 100)
    (worker,) = jobs.status(folder / "job")["workers"]
    (agent,) = jobs.processes(folder / "job", "headrace-worker")
    os.kill(agent, signal.SIGSTOP)
    try:
        jobs.eventually(lambda: jobs.state(agent) == "T")
        (folder / "go").touch()
        steps = -(-jobs.KEPT.sum() // BATCH)
        jobs.eventually(lambda: len(_lines(folder / "went")) == steps)
        return int(worker["leases"]), jobs.state(agent)
    finally:
        os.kill(agent, signal.SIGCONT)


@pytest.mark.parametrize("servers", [0, 1])
def test_steps_go_on_while_the_agent_stands_still(tmp_path, monkeypatch, servers):
    """Nobody reads what the trainer says, or answers it; all that it was leased is trained nevertheless."""
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, STEPS.replace("FOLDER", str(tmp_path)))
    with futures.ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(_stop_the_agent, tmp_path)
        made, code = runner.run(
            training_data=jobs.write_records(tmp_path), num_ps=servers, lease_s=100
        )
        leases, state = stopping.result()
    assert code == 0, runner.logs()
    assert (leases, state) == (jobs.RECORDS // TASK, "T")
    np.testing.assert_array_equal(jobs.counts(made["model"]), jobs.KEPT)
    assert made["trained_before_rewind"] == [] and made["possibly_repeated"] == [], "no lease was lost"
