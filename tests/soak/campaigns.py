"""What is tried for long: the tests of the suite at the sizes of nightly runs, and the fuzzers."""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build" / "release"
FUZZERS = PROJECT / "build" / "fuzz" / "fuzzers"


class Failed(RuntimeError):
    """A campaign found something; what was said by then."""


@dataclasses.dataclass(frozen=True)
class GoogleTest:
    """Cases of a test program, `scale` times as large as in the suite."""

    program: str  # path in build/release
    filter: str
    scale: int = 1
    seeds: int = 0  # of simulations; 0: as many as in the suite

    def run(self, quick: bool) -> dict[str, float]:
        """Figures that the cases report, by name, and how many cases there were."""
        scale, seeds = (1, 0) if quick else (self.scale, self.seeds)
        environment = os.environ | {"HEADRACE_TEST_SCALE": str(scale)}
        if seeds:
            environment["HEADRACE_TEST_SEEDS"] = str(seeds)
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.json"
            _run([BUILD / self.program, f"--gtest_filter={self.filter}", f"--gtest_output=json:{report}"],
                 environment)
            suites = json.loads(report.read_text())["testsuites"]
        cases = [case for suite in suites for case in suite["testsuite"] if case["status"] == "RUN"]
        if not cases:
            raise Failed(f"{self.program}: there is no case {self.filter}")
        return _figures(cases)


@dataclasses.dataclass(frozen=True)
class Fuzz:
    """A fuzzer, from the samples of a folder on."""

    program: str
    executions: int
    samples: str = ""  # folder of the project; "": none
    max_bytes: int = 512

    def run(self, quick: bool) -> dict[str, float]:
        """One process a core, each with a seed and a corpus of its own."""
        executions = min(self.executions, 20_000) if quick else self.executions
        processes = os.cpu_count() or 1
        with concurrent.futures.ThreadPoolExecutor(processes) as pool:
            shares = list(pool.map(lambda seed: self._share(seed, -(-executions // processes)),
                                   range(1, processes + 1)))
        return {"executions": sum(done for done, _ in shares), "inputs_of_new_coverage": max(new for _, new in shares)}

    def _share(self, seed: int, executions: int) -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as corpus:
            folders = [corpus] + ([str(PROJECT / self.samples)] if self.samples else [])
            said = _run([FUZZERS / self.program, f"-runs={executions}", f"-max_len={self.max_bytes}", f"-seed={seed}",
                         "-print_final_stats=1", f"-artifact_prefix={FUZZERS}/", *folders], os.environ)
            found = len(list(pathlib.Path(corpus).iterdir()))
        # An interrupted fuzzer ends with 0 too.
        done = re.search(r"stat::number_of_executed_units: *(\d+)", said)
        if done is None or int(done[1]) < executions:
            raise Failed(f"{self.program} ended before its {executions} executions: {said[-1000:]}")
        return int(done[1]), found


@dataclasses.dataclass(frozen=True)
class MasterBenchmark:
    """Tasks done and kept in a journal, which is opened again."""

    seconds: float
    at_least: int  # tasks

    def run(self, quick: bool) -> dict[str, float]:
        said = _run([BUILD / "src/master/master_tasks_benchmark", "1" if quick else str(self.seconds)], os.environ)
        figures = json.loads(said.splitlines()[-1])
        if not quick and figures["tasks"] < self.at_least:
            raise Failed(f"{figures['tasks']} tasks in {self.seconds} s: give it longer, there must be {self.at_least}")
        return {"tasks": figures["tasks"], "opened_again_s": figures["reopened_s"]}


@dataclasses.dataclass(frozen=True)
class Campaign:
    name: str
    what: str  # is tried
    holds: str  # what the programs assert all along
    parts: tuple[GoogleTest | Fuzz | MasterBenchmark, ...]


_WORKER = "src/worker/worker_process_test"
_MASTER = "src/master/master_process_test"

CAMPAIGNS = (
    Campaign("worker-kills", "Agents and training processes of four workers killed at random moments",
             "every record trained, none counted twice, each one trained again named; the job ends",
             (GoogleTest(_WORKER, "WorkerProcessTest.KilledAtRandomMoments", 15),)),
    Campaign("shared-model-kills",
             "Agents, training processes and the master of a job with a shared model killed at random moments",
             "the same; with exact: the model that comes out was trained with every record once",
             (GoogleTest(_WORKER, "SharedModel/SharedStormTest.*", 18),)),
    Campaign("master-kills", "The master killed at random moments, two workers beside it",
             "no task lost or counted twice, no report refused",
             (GoogleTest(_MASTER, "KilledProcessTest.AtAnyMoment*", 13),)),
    Campaign("master-failpoints",
             "The master killed right before and right after it writes to the journal, syncs it, replaces it by a "
             "snapshot, renames the file of its address, sends an answer",
             "no task lost or counted twice, no report refused",
             (GoogleTest(_MASTER, "KilledProcessTest.RightBefore*", 13),)),
    Campaign("master-restarts", "The master killed while agents and training processes work",
             "they go on without being started again, and nothing is trained twice",
             (GoogleTest(_WORKER, "WorkerProcessTest.TheMasterIsKilledMeanwhile", 25),)),
    Campaign("many-tasks", "The state of a job with a million finished tasks read again", "it is read",
             (MasterBenchmark(100, 1_000_000),)),
    Campaign("journal-damage", "Bits of a journal and of its log flipped; its tail cut off at every byte",
             "a torn tail is dropped, all else refused by file and offset; never another state than that acknowledged",
             (GoogleTest("src/journal/journal_damage_test", "DamageTest.EveryFlipped*:DamageTest.ATailCut*", 84),)),
    Campaign("simulation", "The ledger in virtual time: 1 to 64 workers that die, sleep and repeat themselves, calls "
             "lost, late, doubled, the master restarted",
             "its invariants after each event; the state read again is the same",
             (GoogleTest("src/ledger/ledger_simulation_test", "*", seeds=100_000),)),
    Campaign("planted-bugs", "The same against ledgers with a bug planted", "each is found",
             (GoogleTest("src/ledger/ledger_mutation_test", "*"),)),
    Campaign("zombies", "A worker stopped past its lease and woken, again and again",
             "its reports are refused, it goes on, nothing is counted twice",
             (GoogleTest(_WORKER, "WorkerProcessTest.PausedPastItsLease", 1000),)),
    Campaign("churn", "1, 8, 2, 5, 3, 7 workers, for two seconds each; the second time every third leaves by SIGKILL",
             "every record trained; where all were drained, none twice",
             (GoogleTest(_WORKER, "Workers/ChurnTest.*/Drained", 8),
              GoogleTest(_WORKER, "Workers/ChurnTest.*/DrainedAndKilled", 8))),
    Campaign("poison", "Two workers: all records good; then one of each of two files kills who trains it",
             "it is found and in quarantine alone, the rest is trained",
             (GoogleTest(_WORKER, "Records/PoisonTest.*/AllGood", 20),
              GoogleTest(_WORKER, "Records/PoisonTest.*/TwoKill", 20))),
    Campaign("record-damage", "Record files with a bit flipped, cut at every byte of 64 KiB, mixed up",
             "found by file and byte, nothing wrong handed out; verifying and reading agree",
             (GoogleTest("src/record/record_test", "*Damage*"),)),
    Campaign("fuzz-readers", "Any bytes as RecordIO, TFRecord, text, CSV, gzip, under ASan and UBSan",
             "reading ends well, and finds damage where verifying does",
             (Fuzz("record_readers_fuzz", 70_000_000, "src/record/testdata"),)),
    Campaign("fuzz-index", "Any bytes as an index file with a right checksum", "what is decoded is consistent",
             (Fuzz("record_index_fuzz", 10_000_000),)),
    Campaign("fuzz-messages", "Any bytes as a message of the feed protocol",
             "what is understood means the same when it is written again", (Fuzz("feed_message_fuzz", 10_000_000),)),
    Campaign("fuzz-positions", "Any bytes as the ledger's position in a checkpoint",
             "what is decoded means the same when it is written again", (Fuzz("ledger_position_fuzz", 10_000_000),)),
)


def _run(command: list, environment) -> str:
    if not pathlib.Path(command[0]).exists():
        raise Failed(f"{command[0]} is not built: scripts/soak.sh does")
    done = subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout[-10000:]}")
    return done.stdout


def _figures(cases: list[dict]) -> dict[str, float]:
    """What the cases report, those of several with their names."""
    own = ("name", "file", "line", "status", "result", "timestamp", "time", "classname", "value_param", "type_param")
    figures: dict[str, float] = {"cases": len(cases)}
    for case in cases:
        for key, value in case.items():
            if key in own:
                continue
            figures[f"{case['name']}: {key}" if len(cases) > 1 else key] = float(value)
    return figures
