"""The command line: wrong input is answered with rule, place and remedy, and nothing has happened."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from search.launch import main
from search.results import SearchFolder
from tests.search.wrong_data import DATA_CASES, GOOD_DATA
from tests.search.wrong_inputs import CASES, ROOT, Case, checked, pydantic_phrases
from tests.search.wrong_recordings import GOOD_RECORDINGS, RECORDING_CASES


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", checked([*CASES, *DATA_CASES, *RECORDING_CASES]), ids=lambda case: case.name)
def test_wrong_input_is_answered_and_changes_nothing(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = case.command(tmp_path)
    before = snapshot(tmp_path)
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "rule:" in printed.err
    assert "remedy:" in printed.err
    assert not [phrase for phrase in pydantic_phrases() if phrase in printed.err.lower()]
    for word in case.says:
        assert word.replace("{tmp}", str(tmp_path)) in printed.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("case", [*GOOD_DATA, *GOOD_RECORDINGS], ids=lambda case: case.name)
def test_the_data_that_these_cases_spoil_is_good(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.building.builder.estimate_seconds", lambda *_: 90.0)
    assert main([*case.command(tmp_path), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in case.says)


def test_there_are_at_least_thirty_of_them() -> None:
    assert len(CASES) >= 30


def test_as_a_command_it_exits_with_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.launch", *CASES[0].command(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("name", ["rg_rep", "hm_rep", "tg_rep", "encoders", "rooms"])
@pytest.mark.parametrize("profile", ["laptop", "full"])
def test_a_dry_run_of_every_space_says_what_would_be_done_and_does_nothing(
    name: str, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.building.builder.estimate_seconds", lambda *_: 90.0)
    command = [
        str(ROOT / "spaces" / f"{name}.yaml"),
        "--dry-run",
        "--profile",
        profile,
        "--storage",
        str(tmp_path / "runs"),
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f"search   {name}" in printed
    assert "to be built, about 1.5 min" in printed
    assert "trial 0 is the baseline" in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "resources.cpu=4096"), "resources.cpu"),
        (("--tracking-uri", "http://127.0.0.1:9"), "--tracking-uri"),
    ],
)
def test_a_dry_run_says_why_a_launch_on_this_machine_would_be_refused(
    options: tuple[str, str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datasets.building.builder.estimate_seconds", lambda *_: 90.0)
    command = [str(ROOT / "spaces" / "rg_rep.yaml"), "--storage", str(tmp_path / "runs"), *options]
    assert main([*command, "--dry-run"]) == 0
    plan, _, refusal = capsys.readouterr().out.partition("on this machine a launch would be refused:")
    assert "search   rg_rep" in plan
    assert says in refusal
    assert main(command) == 2
    assert says in capsys.readouterr().err


def test_a_dry_run_says_that_another_launch_runs_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.building.builder.estimate_seconds", lambda *_: 90.0)
    results = SearchFolder(tmp_path / "runs", "rg_rep")
    command = [str(ROOT / "spaces" / "rg_rep.yaml"), "--storage", str(tmp_path / "runs"), "--dry-run"]
    results.lock_path.parent.mkdir(parents=True)
    with results.lock_path.open("w") as lock:
        assert main(command) == 0
        assert "would be refused" not in capsys.readouterr().out
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(command) == 0
        assert "one launch at a time may run a search" in capsys.readouterr().out
