"""Runs campaigns for hours of trouble, and writes what they found.

usage: soak.py [--quick] [--list] [CAMPAIGN ...]

Each runs by itself; one that fails does not end the others. RESULTS.md and results.json beside this file keep the
last result of each campaign with its commit; --quick (the suite's sizes) writes nothing. Exit status: 0 if
nothing was found, 1 if a campaign failed, 2 for an unknown name.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from campaigns import CAMPAIGNS, PROJECT, Campaign, Failed

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
HEAD = """# What was tried for long

Written by `scripts/soak.sh`, which says more about each: the tests of the suite at the sizes of
nightly runs, and fuzzers. Nothing of what had to hold was violated, or the row says FAILED. Times are on a machine
that also runs all processes of the test; they are no promise.

| campaign | what | what held | figures | took | commit |
| --- | --- | --- | --- | --- | --- |
"""


def _commit() -> str:
    """What the programs were built from; results written before are no change to it."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True).stdout.strip()

    changes = git("status", "--porcelain", "-uno", "--", ".", ":!tests/soak/results.json", ":!tests/soak/RESULTS.md")
    return git("rev-parse", "--short", "HEAD") + (" and changes" if changes else "")


def _run(campaign: Campaign, quick: bool, commit: str) -> dict:
    began = time.monotonic()
    result = {"passed": True, "figures": [], "commit": commit, "cores": os.cpu_count(),
              "system": platform.platform(), "on": datetime.datetime.now(datetime.timezone.utc).date().isoformat()}
    for part in campaign.parts:
        try:
            result["figures"].append(part.run(quick))
        except Failed as failed:
            print(failed)
            result["passed"] = False
    return result | {"took_s": round(time.monotonic() - began)}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


def _said(result: dict) -> str:
    """Figures for people."""
    return "; ".join(f"{name.replace('_', ' ')} {_number(value)}"
                     for figures in result["figures"] for name, value in sorted(figures.items()))


def markdown(results: dict[str, dict]) -> str:
    """The table of all results that there are."""
    rows = []
    for campaign in CAMPAIGNS:
        result = results.get(campaign.name)
        if result is None:
            continue
        holds = campaign.holds if result["passed"] else "**FAILED**"
        rows.append(f"| `{campaign.name}` | {campaign.what} | {holds} | {_said(result)} | {result['took_s']} s | "
                    f"{result['commit']} |\n")
    return HEAD + "".join(rows)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="soak.sh", description=__doc__.splitlines()[0])
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help="which; default: all")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--quick", action="store_true", help="the suite's sizes, and no results written")
    arguments = parser.parse_args(words)
    names = [campaign.name for campaign in CAMPAIGNS]
    unknown = [name for name in arguments.campaigns if name not in names]
    if unknown:
        parser.error(f"there is no campaign {unknown[0]!r}; there are {', '.join(names)}")
    if arguments.list:
        for campaign in CAMPAIGNS:
            print(f"{campaign.name}\n    {campaign.what}: {campaign.holds}.")
        return 0
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    passed, commit = True, _commit()
    for campaign in CAMPAIGNS:
        if arguments.campaigns and campaign.name not in arguments.campaigns:
            continue
        print(f"{campaign.name}: {campaign.what} ...", flush=True)
        result = _run(campaign, arguments.quick, commit)
        passed &= result["passed"]
        print(f"    {'held' if result['passed'] else 'FAILED'} in {result['took_s']} s: {_said(result)}", flush=True)
        if arguments.quick:
            continue
        results[campaign.name] = result
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        (HERE / "RESULTS.md").write_text(markdown(results))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
