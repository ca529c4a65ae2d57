"""The demonstration on several machines: master and parameter server on one, a worker on each of two others, TLS
between them; one of them dies with all its processes, and comes back.
"""

import json
import os
import signal
import subprocess
import sys
import time

from examples.elastic import machines
from headrace import programs

HEADRACE = [sys.executable, "-m", "headrace"]
LONGEST_S = 240  # for the job to get somewhere


def run(folder, args, model):
    """The exit code of the job."""
    why_not = machines.Namespaces.why_not()
    if why_not:
        print(f"-- no network namespaces: {why_not}; on loopback addresses instead", flush=True)
    with machines.Loopback() if why_not else machines.Namespaces() as world:
        print(f"-- three machines: {world.kind}", flush=True)
        return _run(folder, args, model, world)


def _run(folder, args, model, world):
    data, job = folder / "data", folder / "job"
    subprocess.run(
        [*HEADRACE, "data", "generate", "criteo", str(data), "--files=4", f"--records={args.records}"], check=True
    )
    tls = machines.make_certificates(folder, world.hub)
    running = []

    def start(machine, *arguments):
        # A session of its own: a machine dies as a whole.
        command = world.command(machine, [*HEADRACE, "train", *arguments, f"--job_dir={job}", *tls])
        running.append(subprocess.Popen(command, start_new_session=True))
        return running[-1]

    try:
        print(f"-- hub: master and parameter server at {world.hub}, no worker", flush=True)
        hub = start(
            *("hub", f"--model_def={model}", f"--training_data={data}", "--minibatch_size=100", "--job_name=demo"),
            *("--num_workers=0", "--num_ps=1", f"--master_host={world.hub}", "--lease_s=10"),
            f"--num_epochs={args.epochs}",
        )
        _until(lambda: (job / "master.address").exists(), "the master to listen", hub)
        address = (job / "master.address").read_text().strip()
        join = ("--master_addr", address, "--num_workers=1")
        print(f"-- machine two joins by --master_addr {address}", flush=True)
        two = start("two", *join)
        ask = [programs.path("headrace-ctl"), "--master", address, *tls, "status"]
        _until(lambda: _holds(world, ask, two), "machine two to hold records", hub)
        print("-- machine two dies with what it holds; machine one joins, and two comes back", flush=True)
        _kill_all(two.pid)
        two.wait()
        one, two = start("one", *join), start("two", *join)
        codes = [process.wait() for process in (hub, one, two)]
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait()
    print(f"-- exit codes: hub {codes[0]}, one {codes[1]}, two {codes[2]}", flush=True)
    subprocess.run([*HEADRACE, "ledger", str(job)], check=True)
    return max(codes)


def _until(holds, what, job):
    deadline = time.monotonic() + LONGEST_S
    while not holds():
        if job.poll() is not None:
            sys.exit(f"the job ended with exit code {job.returncode}, waiting for {what}")
        if time.monotonic() > deadline:
            sys.exit(f"waited {LONGEST_S} s for {what}")
        time.sleep(0.1)


def _holds(world, ask, joined):
    """Whether the worker of that command has leases."""
    said = subprocess.run(world.command("one", ask), capture_output=True, text=True)
    workers = json.loads(said.stdout)["workers"] if said.returncode == 0 else []
    return any(f"-{joined.pid}-" in w["name"] and int(w["leases"]) > 0 for w in workers)


def _kill_all(pid):
    """A process and all that came of it: nobody hands anything back."""
    found, new = [], [pid]
    while new:
        found += new
        new = [child for parent in new for child in _children(parent)]
    for process in found:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _children(pid):
    found = []
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            with open(os.path.join(task.path, "children"), encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it has ended
    return found
