"""`scripts/demo.sh --elastic`: two workers and a parameter server, one is killed, another joins, the ledger."""

import os
import pathlib
import re
import subprocess
import sys

import jobs

DEMO = pathlib.Path(__file__).parents[2] / "examples" / "elastic" / "demo.py"
RECORDS, EPOCHS = 50_000, 4


def test_as_it_is_told(tmp_path):
    """tmp_path is in the environment of all that the demonstration starts."""
    done = subprocess.run(
        [sys.executable, str(DEMO), f"--records={RECORDS}", f"--epochs={EPOCHS}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    print(done.stdout)
    assert done.returncode == 0
    told = ["starting 1 parameter server", ", 2 workers", "-- killing worker-0", "-- worker-2 joins by the master's"]
    told += ["-- worker-2 trains", f"coverage: of {RECORDS * EPOCHS} records {RECORDS * EPOCHS} trained"]
    places = [done.stdout.find(text) for text in told]
    assert -1 not in places and places == sorted(places), list(zip(told, places, strict=True))
    ledger = done.stdout[done.stdout.index("\nverdict  done\n") :].splitlines()[2:]
    assert ledger[0] == f"records  {RECORDS * EPOCHS} done of {RECORDS * EPOCHS}"
    files = [re.fullmatch(r"epoch (\d)  \S+/part-0000(\d)\.txt: 12500 done of 12500", line) for line in ledger]
    assert [match.groups() for match in files if match] == [
        (str(epoch), str(file)) for epoch in range(1, EPOCHS + 1) for file in range(4)
    ]
    assert max(map(len, ledger)) < 400, "a person can read it"
    assert jobs.none_left(tmp_path), "no process is left"
