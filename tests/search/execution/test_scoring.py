"""Scores of a trainable that fails on the test splits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import WorkerCrashedError

from search.execution import scoring, tune
from search.results import SearchFolder


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(SystemExit(3), "SystemExit: exit status 3 at "), (NameError("lamda"), "NameError: lamda at ")],
)
def test_whatever_a_trainable_raises_is_the_reason_for_no_scores(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(scoring, "score_test_splits", fail)
    nothing: Any = None
    found = scoring.try_scoring(nothing, 0, "cpu")
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_ctrl_c_while_scoring_is_no_failure_of_the_trainable(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "score_test_splits", interrupt)
    nothing: Any = None
    with pytest.raises(KeyboardInterrupt):
        scoring.try_scoring(nothing, 0, "cpu")


def test_a_process_that_ends_while_scoring_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: object) -> None:
        raise WorkerCrashedError

    monkeypatch.setattr(tune, "ray", SimpleNamespace(get=get))
    assert str(tune._get_scores(None)).startswith("its process ended: ")


def test_results_per_scene_are_read_as_written_and_a_corrupt_file_has_none(tmp_path: Path) -> None:
    results = SearchFolder(tmp_path, "toy")
    terms = {"S0": np.arange(6.0).reshape(3, 2), "S1": np.ones((1, 2))}
    scoring.write_scenes(results, 4, terms)
    found = scoring.read_scenes(results, 4)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        name: rows.tolist() for name, rows in terms.items()
    }
    assert scoring.read_scenes(results, 5) == {}
    results.scenes_path(4).write_bytes(results.scenes_path(4).read_bytes()[:50])
    assert scoring.read_scenes(results, 4) == {}
