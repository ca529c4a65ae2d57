"""Two workers and a parameter server train one model; a worker is killed, another joins; every record is
accounted for.

    scripts/demo.sh --elastic [--namespaces] [--records N] [--epochs N]

Trains examples/elastic/model.py on generated lines in Criteo's format, kills the first worker with everything it
holds (SIGKILL), starts a third one by the master's address, as another machine would, and prints the ledger. The
first one's agent is started again by the command, as any that dies.
--namespaces: on three machines (examples/elastic/several_machines.py).
Exit status: 0 every record was trained, 1 not.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from examples.elastic import several_machines  # noqa: E402
from headrace import programs  # noqa: E402

LONGEST_S = 240  # for the job to get somewhere
MODEL = str(pathlib.Path(__file__).with_name("model.py"))


def main():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--namespaces",
        action="store_true",
        help="master and parameter server, and two workers, each on a machine of its own: network namespaces "
        "(root, iproute2), else loopback addresses",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.namespaces:
            return several_machines.run(pathlib.Path(folder), args, MODEL)
        return run(pathlib.Path(folder), args)


def run(folder, args):
    headrace = [sys.executable, "-m", "headrace"]
    subprocess.run(
        [*headrace, "data", "generate", "criteo", str(folder / "data"), "--files=4"]
        + [f"--records={args.records}"],
        check=True,
    )
    job = folder / "job"
    command = subprocess.Popen(
        [*headrace, "train", f"--model_def={MODEL}", "--minibatch_size=100", "--num_workers=1:2", "--num_ps=1"]
        + [f"--training_data={folder / 'data'}", f"--num_epochs={args.epochs}", "--lease_s=5"]
        + [f"--job_dir={job}", "--job_name=demo"]
    )
    third = None
    try:
        wait(lambda: (job / "master.address").exists(), "the master to listen", command)
        address = (job / "master.address").read_text().strip()
        wait(lambda: steps(address).keys() >= {"worker-0", "worker-1"}, "two workers to train", command)
        victim = agent_of(job, "worker-0")
        print(f"-- killing worker-0 (agent {victim}) and what it started", flush=True)
        kill([*children(victim), victim])
        print("-- worker-2 joins by the master's address", flush=True)
        third = subprocess.Popen(
            [programs.path("headrace-worker"), "--master", address, "--name", "worker-2"]
            + ["--log_dir", str(job / "logs"), "--", programs.path("headrace-trainer")],
            stderr=subprocess.DEVNULL,
        )
        while command.poll() is None and "worker-2" not in steps(address):
            time.sleep(0.1)
        print(f"-- worker-2 {'trains' if command.poll() is None else 'came too late: give --epochs'}", flush=True)
        code = command.wait()
    finally:
        for process in (command, third):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
    subprocess.run([*headrace, "ledger", str(job)], check=True)
    return code


def wait(holds, what, command):
    """Until holds(), while the command runs."""
    deadline = time.monotonic() + LONGEST_S
    while not holds():
        if command.poll() is not None:
            sys.exit(f"the job ended with exit code {command.returncode}, waiting for {what}: give it more --records")
        if time.monotonic() > deadline:
            sys.exit(f"waited {LONGEST_S} s for {what}")
        time.sleep(0.1)


def steps(address):
    """{worker: steps that it took} of those that took any."""
    said = subprocess.run(
        [programs.path("headrace-ctl"), "--master", address, "status"], capture_output=True, text=True
    )
    workers = json.loads(said.stdout)["workers"] if said.returncode == 0 else []
    taken = {w["name"]: int(w.get("telemetry", {}).get("steps", 0)) for w in workers}
    return {name: count for name, count in taken.items() if count > 0}


def agent_of(job, worker):
    """The process number of a worker's agent."""
    for entry in os.scandir("/proc"):
        try:
            words = pathlib.Path(entry.path, "cmdline").read_bytes().decode().split("\0")
        except (OSError, NotADirectoryError):
            continue
        if os.path.basename(words[0]) == "headrace-worker" and {str(job / "logs"), worker} <= set(words):
            return int(entry.name)
    sys.exit(f"there is no agent of {worker}")


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended


def children(pid):
    found = []
    for task in os.scandir(f"/proc/{pid}/task"):
        found += map(int, pathlib.Path(task.path, "children").read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
