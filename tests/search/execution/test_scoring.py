"""Scores of a trainable that fails on the test splits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import WorkerCrashedError

from search.execution import scoring, tune


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
