"""Two workers share a job; one is killed, another joins; every record is accounted for.

    scripts/demo.sh --elastic [--records N] [--step_ms MS]

Starts `headrace run` with two workers of examples/elastic/program.py on numbers in text files, kills the first
worker with everything it holds (SIGKILL), starts a third one by the master's address as another machine
would, and prints the ledger. Exit status: 0 every record was trained, 1 not.
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

from headrace import programs

PROGRAM = str(pathlib.Path(__file__).with_name("program.py"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--step_ms", type=float, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(pathlib.Path(folder), args)


def run(folder, args):
    for part in range(4):
        numbers = range(part, args.records, 4)
        (folder / f"{part}.txt").write_text("".join(f"{n}\n" for n in numbers))
    program = [sys.executable, PROGRAM, f"--step_ms={args.step_ms}"]
    job = folder / "job"
    command = subprocess.Popen(
        [sys.executable, "-m", "headrace", "run", "--num_workers=2", "--lease_s=5", "--job_name=demo"]
        + [f"--training_data={folder / '*.txt'}", f"--job_dir={job}", "--", *program]
    )
    address = wait(job / "master.address", command).read_text().strip()
    wait_for_workers(address, 2, command)
    third = None
    try:
        time.sleep(2)
        victim = agents(job)[0]
        print(f"-- killing worker-0 (agent {victim}) and what it started", flush=True)
        for pid in [*children(victim), victim]:
            os.kill(pid, signal.SIGKILL)
        print("-- worker-2 joins by the master's address", flush=True)
        third = subprocess.Popen(
            [programs.path("headrace-worker"), "--master", address, "--name", "worker-2"]
            + ["--log_dir", str(job / "logs"), "--", *program],
            stderr=subprocess.DEVNULL,
        )
        code = command.wait()
    finally:
        for process in (command, third):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
    subprocess.run([sys.executable, "-m", "headrace", "ledger", str(job)], check=True)
    return code


def wait(path, command):
    """For a file that the command writes."""
    while not path.exists():
        if command.poll() is not None:
            sys.exit(f"the job ended with exit code {command.returncode} before it began")
        time.sleep(0.05)
    return path


def wait_for_workers(address, count, command):
    """Until so many workers have trained something."""
    while command.poll() is None:
        said = subprocess.run(
            [programs.path("headrace-ctl"), "--master", address, "status"], capture_output=True, text=True
        )
        workers = json.loads(said.stdout)["workers"] if said.returncode == 0 else []
        if sum(int(w.get("telemetry", {}).get("steps", 0)) > 0 for w in workers) >= count:
            return
        time.sleep(0.2)


def agents(job):
    """Process numbers of the job's agents, worker-0 first."""
    found = {}
    for entry in os.scandir("/proc"):
        try:
            words = pathlib.Path(entry.path, "cmdline").read_bytes().decode().split("\0")
        except (OSError, NotADirectoryError):
            continue
        if os.path.basename(words[0]) == "headrace-worker" and str(job / "logs") in words:
            found[words[words.index("--name") + 1]] = int(entry.name)
    return [found[name] for name in sorted(found)]


def children(pid):
    found = []
    for task in os.scandir(f"/proc/{pid}/task"):
        found += map(int, pathlib.Path(task.path, "children").read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
