"""The campaigns of scripts/soak.sh: that they are told apart, fail where something was found, and are reported."""

import json
import pathlib
import subprocess
import sys

import pytest

SOAK = pathlib.Path(__file__).resolve().parents[1] / "soak"
sys.path.insert(0, str(SOAK))

import campaigns  # noqa: E402
import soak  # noqa: E402


def _program(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return name


def _test(monkeypatch, folder, text):
    monkeypatch.setattr(campaigns, "BUILD", folder)
    return campaigns.GoogleTest(_program(folder, "some_test", text), "Some.*", scale=7, seeds=3)


_REPORT = {"testsuites": [{"testsuite": [{"name": "One", "status": "RUN", "time": "1s", "kills": "200.000000"}]}]}


def test_what_a_test_reports_is_its_result(monkeypatch, tmp_path):
    reporting = f"""test "$HEADRACE_TEST_SCALE $HEADRACE_TEST_SEEDS $1" = "7 3 --gtest_filter=Some.*" || exit 9
        echo '{json.dumps(_REPORT)}' > "${{2#--gtest_output=json:}}"
    """
    part = _test(monkeypatch, tmp_path, reporting)
    assert part.run(quick=False) == {"cases": 1, "kills": 200}


def test_a_test_that_runs_nothing_is_a_failure(monkeypatch, tmp_path):
    part = _test(monkeypatch, tmp_path, """echo '{"testsuites": []}' > "${2#--gtest_output=json:}" """)
    with pytest.raises(campaigns.Failed, match="there is no case Some"):
        part.run(quick=True)


def test_a_campaign_that_found_something_fails(monkeypatch, tmp_path, capsys):
    part = _test(monkeypatch, tmp_path, "echo two records were lost; exit 1")
    campaign = campaigns.Campaign("some", "Something", "it holds", (part,))
    monkeypatch.setattr(soak, "CAMPAIGNS", (campaign,))
    monkeypatch.setattr(soak, "HERE", tmp_path)
    monkeypatch.setattr(soak, "RESULTS", tmp_path / "results.json")
    assert soak.main([]) == 1
    assert "two records were lost" in capsys.readouterr().out
    assert "| **FAILED** |" in (tmp_path / "RESULTS.md").read_text()


def test_names():
    listed = subprocess.run([sys.executable, SOAK / "soak.py", "--list"], capture_output=True, text=True, check=True)
    for campaign in campaigns.CAMPAIGNS:
        assert f"{campaign.name}\n" in listed.stdout
    unknown = subprocess.run([sys.executable, SOAK / "soak.py", "stroms"], capture_output=True, text=True)
    assert unknown.returncode == 2 and "there is no campaign 'stroms'; there are worker-kills" in unknown.stderr


def test_the_page_is_of_the_results():
    results = json.loads((SOAK / "results.json").read_text())
    assert results and set(results) <= {campaign.name for campaign in campaigns.CAMPAIGNS}
    assert all(result["passed"] for result in results.values())
    assert (SOAK / "RESULTS.md").read_text() == soak.markdown(results)
