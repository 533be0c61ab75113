"""The real optuna-dashboard on journals and databases of searches, asked over HTTP."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search import dashboard
from search.results import SearchFolder
from search.study.study import Study, read_trials
from search.ui import main
from spaces.schema import Budget, Space
from tests.e2e.services import SECRET, answers, free_port, postgresql, running, wait_until
from tests.search.support import epoch, space

pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: pip install -e '.[dashboard]'")
TWO = (("f1_0.3m", "maximize"), ("loss", "minimize"))


def record_trials(location: Path | str, searched: Space, name: str | None = None) -> None:
    """Record eight trials of two epochs, of which the third one is stopped, and the test scores of two."""
    with closing(Study(location, searched, name)) as study:
        for number in range(searched.budget.trials):
            trial = study.next_trial()
            assert trial is not None
            assert trial.number == number
            f1 = 0.9 - abs(float(trial.parameters["optimizer.lr"]) - 2e-3) * 50  # type: ignore[arg-type]
            study.record_epoch(number, epoch(1, f1))
            study.record_epoch(number, epoch(2, f1 - 0.1))
            study.end_trial(number, "stopped" if number == 2 else "finished", "of no use" if number == 2 else "")
        study.set_test_scores(0, {"S0": {"f1_mean": 0.51234, "loss": 0.25}})
        study.set_test_scores(1, {"S0": {"f1_mean": 0.75}, "S1": {"f1_mean": 0.5}})


def searched(**changes: Any) -> Space:
    return space(budget=Budget(trials=8, epochs=2), **changes)


def start_search(storage: Path, searched: Space, name: str = "toy") -> SearchFolder:
    """Create the files of a search with a journal."""
    results = SearchFolder(storage, name)
    results.root_path.mkdir(parents=True)
    results.write_identity(searched.identity())
    record_trials(results.journal_path, searched)
    return results


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=60) as reply:
        return json.loads(reply.read())


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return start_search(tmp_path, searched()).journal_path


@pytest.fixture
def address(journal: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the API of the command's server."""
    assert journal.is_file()
    yield from serve(tmp_path, "toy", "--storage", str(tmp_path))


def serve(folder: Path, *options: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "search.ui", "--optuna", *options, "--port", str(port)]
    with running(command, folder / "log", signal.SIGINT) as process:
        wait_until(lambda: process.poll() is not None or answers(port, "/api/meta"), "the dashboard", 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"


def attributes(entry: dict[str, Any]) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in entry["user_attrs"]}


def check_study(address: str, name: str, objectives: list[str]) -> dict[str, Any]:
    """Check that the dashboard shows the trials of `record_trials`, and return what it knows of the study."""
    [number] = [
        study["study_id"] for study in get(f"{address}/api/studies")["study_summaries"] if study["study_name"] == name
    ]
    detail: dict[str, Any] = get(f"{address}/api/studies/{number}")
    assert detail["name"] == name
    assert detail["objective_names"] == objectives
    assert [trial["state"] for trial in detail["trials"]] == ["Complete"] * 2 + ["Pruned"] + ["Complete"] * 5
    shown = attributes(detail["trials"][0])
    assert (shown["role"], shown["best epoch"]) == ("baseline", "1")
    assert attributes(detail["trials"][2])["reason"] == "of no use"
    tests = attributes(detail)
    assert tests["test S0 of trial 0"] == "f1_mean 0.5123, loss 0.25"
    assert tests["test S1 of trial 1"] == "f1_mean 0.5"
    importances = get(f"{address}/api/studies/{number}/param_importances")["param_importances"]
    assert len(importances) == len(objectives)
    assert {entry["name"] for entry in importances[0]} >= {"optimizer.lr", "optimizer.batch_size"}
    return detail


def test_the_dashboard_shows_trials_values_and_importances_of_a_journal(address: str, journal: Path) -> None:
    detail = check_study(address, "toy", ["f1_0.3m"])
    for trial, shown in zip(read_trials(journal), detail["trials"], strict=True):
        parameters = {p["name"]: p["param_internal_value"] for p in shown["params"]}
        assert parameters["optimizer.lr"] == pytest.approx(trial.parameters["optimizer.lr"])
        assert [value["step"] for value in shown["intermediate_values"]] == [1, 2]
        best = max(result.metrics["f1_0.3m"] for result in trial.epochs)
        assert float(attributes(shown)["best f1_0.3m"]) == pytest.approx(best, abs=1e-6)
        if trial.outcome == "finished":
            assert shown["values"] == pytest.approx([best])
    page = urllib.request.urlopen(f"{address}/dashboard/studies/0", timeout=60).read()
    assert b"<html" in page.lower()


def test_files_of_the_search_are_artifacts_of_its_study(tmp_path: Path) -> None:
    results = start_search(tmp_path, searched())
    for number in (0, 1):
        results.trial_path(number).mkdir(parents=True)
    results.figure_path(1).write_bytes(b"a figure")
    with closing(Study(results.journal_path, searched())) as study:
        for _ in range(2):  # once each
            study.name_artifacts(["trials/0001/room.png", "trials/0000/model.pt"])
    for address in serve(tmp_path, "toy", "--storage", str(tmp_path)):
        figure, model = sorted(
            get(f"{address}/api/studies/0")["artifacts"], key=lambda one: one["filename"], reverse=True
        )
        assert (figure["filename"], figure["mimetype"]) == ("trials/0001/room.png", "image/png")
        with urllib.request.urlopen(f"{address}/artifacts/0/{figure['artifact_id']}", timeout=60) as reply:
            assert reply.read() == b"a figure"
        with pytest.raises(urllib.error.HTTPError):  # deleted since
            urllib.request.urlopen(f"{address}/artifacts/0/{model['artifact_id']}", timeout=60)


def test_a_browser_cannot_change_the_study(address: str, journal: Path) -> None:
    before = journal.read_bytes()
    for method, path in (("DELETE", "studies/0"), ("POST", "studies"), ("PUT", "studies/0/note")):
        request = urllib.request.Request(f"{address}/api/{path}", b"{}", method=method)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=60)
    assert journal.read_bytes() == before


def test_trials_of_a_running_search_appear(tmp_path: Path) -> None:
    results = start_search(tmp_path, searched())
    storage = dashboard._open_for_reading(results.journal_path)
    assert len(storage.get_all_trials(0)) == 8
    with closing(Study(results.journal_path, space(budget=Budget(trials=9, epochs=2)))) as study:
        assert study.next_trial() is not None
        assert len(storage.get_all_trials(0)) == 9
    with pytest.raises(RuntimeError, match="reading only"):
        storage.create_new_study([])


def test_plain_optuna_dashboard_opens_the_journal_too(journal: Path, tmp_path: Path) -> None:
    port = free_port()
    program = "from optuna_dashboard._cli import main; main()"
    command = [sys.executable, "-c", program, str(journal), "--host", "127.0.0.1", "--port", str(port), "-q"]
    with running(command, tmp_path / "log"):
        wait_until(lambda: answers(port, "/api/meta"), "optuna-dashboard", 60)
        check_study(f"http://127.0.0.1:{port}", "toy", ["f1_0.3m"])


def test_several_objectives_have_their_names(tmp_path: Path) -> None:
    start_search(tmp_path, searched(objectives=TWO))
    for address in serve(tmp_path, "--storage", str(tmp_path)):
        detail = check_study(address, "toy", ["f1_0.3m", "loss"])
        assert len(detail["trials"][0]["values"]) == 2
        assert {"best f1_0.3m", "best loss"} <= set(attributes(detail["trials"][0]))


@pytest.mark.slow
def test_a_study_in_postgresql(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[cluster]'")
    with postgresql() as server:
        uri = f"postgresql://me:{SECRET}@{server}/postgres"
        record_trials(uri, searched(), "other")
        record_trials(uri, searched(), "toy")
        for address in serve(tmp_path, "toy", "--study", uri, "--storage", str(tmp_path)):
            check_study(address, "toy", ["f1_0.3m"])
        log = (tmp_path / "log").read_text()
        assert SECRET not in log
        assert "toy\n" in log
        assert "other\n" not in log
        assert main(["toi", "--study", uri, "--storage", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optuna"], "The storage holds: first, second"),
        (["--optuna", "frist"], "did you mean 'first'?"),
        (["--optuna", "second"], "add --study postgresql://"),
        (["--study", "mysql://x/y"], "PostgreSQL"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_search(tmp_path, searched(), "first")
    SearchFolder(tmp_path, "second").root_path.mkdir()
    SearchFolder(tmp_path, "second").write_identity(searched().identity())
    assert main([*words, "--storage", str(tmp_path), "--port", str(free_port())]) == 2
    assert message in capsys.readouterr().err


def test_without_the_package_the_remedy_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["--optuna"]) == 2
    assert "'.[dashboard]'" in capsys.readouterr().err


def test_scores_that_are_withdrawn_and_names_that_are_there_cost_little(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    record_trials(journal, searched())
    with closing(Study(journal, searched())) as study:
        assert journal.read_bytes().count(b"metric_names") == 1  # not written again
        study.set_test_scores(1, {})
        assert study._study.user_attrs["test S1 of trial 1"] == ""
        assert study._study.user_attrs["test S0 of trial 0"] != ""
