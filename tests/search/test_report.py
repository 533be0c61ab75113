"""`search.report` writes the page about a search, running or not, and refuses what it cannot do."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from datasets.rooms.dataset import Dataset
from runtime.console import Console
from search.execution.error_files import analyse_model
from search.report import main
from search.reporting.page import live
from search.reporting.page.live import LivePage
from search.study.study import Study
from tests.search.saved_searches import SavedSearches, train_searches


@pytest.fixture(scope="module")
def searches(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    saved = train_searches(tiny, tmp_path_factory.mktemp("reported"))
    for experiment in (saved.localizer, saved.doanet):
        for trial in (0, 1) if experiment is saved.localizer else (0,):
            analyse_model(experiment, trial, "cpu")
    return saved


@pytest.mark.parametrize(("name", "coordinate"), [("localizer", "x, m"), ("doanet", "azimuth, °"), ("hnet", None)])
def test_each_trainable_has_a_page_with_maps_where_it_locates_sources(
    name: str, coordinate: str | None, searches: SavedSearches, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = getattr(searches, name).results
    assert main([folder.name, "--storage", str(folder.storage)]) == 0
    written = folder.report_path.read_text(encoding="utf-8")
    assert ("Where it fails" in written) == (coordinate is not None)
    assert coordinate is None or coordinate in written
    assert str(folder.report_path) in capsys.readouterr().out
    assert folder.report_path.with_suffix(".md").read_text(encoding="utf-8").startswith(f"# {folder.name}\n")


def test_the_page_can_be_written_elsewhere(searches: SavedSearches, tmp_path: Path) -> None:
    folder = searches.hnet.results
    assert main([folder.name, "--storage", str(folder.storage), "--to", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["report.html", "report.md"]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["nothing"], "the search must exist"),
        (["room", "--to", "s3://bucket/page"], "the output folder must be local"),
        (["room", "--to", "/proc/pages"], "the output folder must be writable"),
    ],
)
def test_mistakes_are_refused_with_their_rule(
    arguments: list[str], rule: str, searches: SavedSearches, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--storage", str(searches.localizer.results.storage)]) == 2
    assert rule in capsys.readouterr().err


def test_a_live_page_is_renewed_no_more_often_than_a_hundredth_of_the_time(
    searches: SavedSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = searches.localizer
    study = Study(experiment.results.journal_path, experiment.space)
    clock = [1000.0]
    written: list[float] = []

    def take_three_seconds(*_: object) -> str:
        written.append(clock[0])
        clock[0] += 3
        return "<html>"

    monkeypatch.setattr(live, "make_page", take_three_seconds)
    page = LivePage(experiment, study, Console(StringIO()), lambda: clock[0])
    for _ in range(1000):
        page.renew_if_due()
        clock[0] += 1
    assert len(written) == 4  # 300 s apart
    assert experiment.results.live_page_path.read_text() == "<html>"


def test_a_live_page_that_fails_is_reported_once_and_the_search_goes_on(
    searches: SavedSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = searches.localizer
    study = Study(experiment.results.journal_path, experiment.space)

    def fail(*_: object) -> str:
        raise ValueError("no chart")

    monkeypatch.setattr(live, "make_page", fail)
    monkeypatch.setattr(live, "_LEAST_INTERVAL_S", 0.0)
    out = StringIO()
    page = LivePage(experiment, study, Console(out))
    for _ in range(6):
        page.renew_if_due()
    assert out.getvalue().count("live.html is not renewed any more: ValueError: no chart") == 1


def test_the_live_page_of_an_ended_search_leads_to_its_report(searches: SavedSearches) -> None:
    experiment = searches.localizer
    study = Study(experiment.results.journal_path, experiment.space)
    assert main([experiment.results.name, "--storage", str(experiment.results.storage)]) == 0
    LivePage(experiment, study, Console(StringIO())).close()
    assert "url=report.html" in experiment.results.live_page_path.read_text()
