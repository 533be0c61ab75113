"""A study whose space was edited keeps its trials, and proposes from those that the new space contains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from search.launching.edits import plan_edit
from search.results import SearchFolder
from search.study import storage as database
from search.study.edits import EDITS, Editing
from search.study.reading import read_study
from search.study.samplers.results import TrialHistory
from search.study.study import Study
from search.study.trials import Trial
from spaces.schema import Budget, Dimension, Space, Value
from tests.search.support import epoch, space

LR = Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-2)
BATCH = Dimension("optimizer.batch_size", "choice", choices=(32, 64, 128))
MERGE = Dimension("network.merge", "choice", choices=("concat", "sum"))


def searching(*dimensions: Dimension, **changes: Any) -> Space:
    """Return a space with these dimensions."""
    changed: dict[str, Any] = {"search": dimensions, "baseline": {}, "start": ()}
    fixed = {"representation": "rg"} | changes.pop("fixed", {})
    return space(**changed | {"budget": Budget(trials=40, epochs=3)} | changes, fixed=fixed)


class History:
    """A search that is launched several times, with a space that may differ each time."""

    def __init__(self, folder: SearchFolder, location: Path | str) -> None:
        self.folder = folder
        self.location = location

    def launch(self, searched: Space) -> Study:
        """Open the study as a launch does."""
        edit = plan_edit(self.folder, searched)
        recorded = self.folder.read_identity().get(EDITS, []) if self.folder.is_started() else []
        study = Study(self.location, searched, "toy", editing=Editing(recorded, edit))
        record = {"start": [dict(point) for point in searched.start], EDITS: study.edits}
        self.folder.write_identity(searched.identity() | record)
        return study

    def run(self, searched: Space, *points: dict[str, Value]) -> Study:
        """Run trials, the first ones at given points, until the budget is used up; each is better the higher its number."""
        study = self.launch(searched)
        for point in points:
            study._enqueue(point, {})
        while (trial := study.next_trial()) is not None:
            study.record_epoch(trial.number, epoch(1, 0.01 * trial.number))
            study.end_trial(trial.number, "stopped", "")
        return study

    def read(self, searched: Space) -> list[Trial]:
        """Return the trials as commands on finished searches read them."""
        return list(read_study(self.location, "toy", searched.search).trials)


@pytest.fixture(params=["journal", "database"])
def history(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    folder = SearchFolder(tmp_path, "toy")
    if request.param == "journal":
        folder.root_path.mkdir(parents=True)
        return History(folder, folder.journal_path)
    uri = f"sqlite:///{tmp_path / 'study.db'}"  # checks parameters as PostgreSQL does
    monkeypatch.setattr(database, "_psycopg_uri", lambda _: uri)
    return History(folder, "postgresql://file/study")


def values(trials: list[Trial], name: str) -> list[Any]:
    return [trial.parameters.get(name) for trial in trials]


def budget(trials: int) -> Budget:
    return Budget(trials=trials, epochs=3)


def test_a_widened_range_keeps_all_trials_and_is_used(history: History) -> None:
    narrow = dataclasses.replace(LR, low=1e-3, high=2e-3)
    before = history.run(searching(narrow, BATCH, budget=budget(8), baseline={"optimizer.lr": 1.5e-3})).get_trials()
    wide = searching(dataclasses.replace(LR, high=1e-1), BATCH, budget=budget(30), baseline={"optimizer.lr": 1.5e-3})
    study = history.run(wide)
    trials = study.get_trials()
    assert [trial.parameters for trial in trials[:8]] == [trial.parameters for trial in before]
    assert not any(trial.is_outside for trial in trials)
    assert any(not 1e-3 <= rate <= 2e-3 for rate in values(trials[8:], "optimizer.lr"))
    assert [(edit["trial"], edit["outside"]) for edit in study.edits] == [(8, [])]


def test_trials_outside_of_a_narrowed_space_are_kept_marked_and_not_used(history: History) -> None:
    inside, outside = ({"optimizer.lr": rate, "optimizer.batch_size": 64} for rate in (5e-4, 5e-3))
    first = searching(LR, BATCH, budget=budget(3), baseline={"optimizer.lr": 2e-4})
    history.run(first, dict(inside), dict(outside))
    narrow = searching(dataclasses.replace(LR, high=1e-3), BATCH, budget=budget(12), baseline={"optimizer.lr": 2e-4})
    trials = history.run(narrow).get_trials()
    assert [trial.is_outside for trial in trials] == [False, False, True, *[False] * 9]
    assert values(trials, "optimizer.lr")[1:3] == [5e-4, 5e-3]
    assert all(rate <= 1e-3 for rate in values(trials[3:], "optimizer.lr"))
    assert sampler_view(narrow, trials) == [0, 1, *range(3, 12)]
    assert [trial.is_outside for trial in history.read(narrow)] == [trial.is_outside for trial in trials]


def test_choices_are_added_and_removed_also_in_another_encoding(history: History) -> None:
    spaces = [
        searching(MERGE, BATCH, budget=budget(4)),
        searching(MERGE, dataclasses.replace(BATCH, choices=(64, 128, 256)), budget=budget(7)),
        searching(MERGE, dataclasses.replace(BATCH, choices=(64.0, 64, [1, 2], 512)), budget=budget(10)),
        searching(MERGE, dataclasses.replace(BATCH, kind="int", low=16, high=600, choices=()), budget=budget(16)),
    ]
    sampled: list[Any] = []
    for number, searched in enumerate(spaces[:2]):
        sampled = values(history.run(searched).get_trials(), "optimizer.batch_size")
        assert set(sampled[4 * number :]) <= {32, 64, 128, 256}
    assert len(sampled) == 7
    study = history.launch(spaces[2])  # the Config takes no lists; the study does not mind
    study._enqueue({"network.merge": "sum", "optimizer.batch_size": [1, 2]}, {})
    study._enqueue({"network.merge": "sum", "optimizer.batch_size": 64.0}, {})
    trials = [study.next_trial(), study.next_trial()]
    assert [repr(trial.parameters["optimizer.batch_size"]) for trial in trials if trial] == ["[1, 2]", "64.0"]
    for trial in trials:
        assert trial is not None
        study.end_trial(trial.number, "stopped", "")
    after = history.run(spaces[3])
    recorded = values(after.get_trials(), "optimizer.batch_size")
    assert list(map(repr, recorded[:9])) == list(map(repr, [*sampled, [1, 2], 64]))
    assert [trial.number for trial in after.get_trials() if trial.is_outside] == [7]
    assert all(isinstance(value, int) and 16 <= value <= 600 for value in recorded[9:])
    assert values(history.read(spaces[3]), "optimizer.batch_size")[7] == [1, 2]


def test_a_new_dimension_has_the_value_that_all_trials_shared(history: History) -> None:
    history.run(searching(LR, budget=budget(3), fixed={"optimizer.batch_size": 64}))
    study = history.run(searching(LR, BATCH, MERGE, budget=budget(6), fixed={}))
    trials = study.get_trials()
    assert values(trials[:3], "optimizer.batch_size") == [64] * 3
    assert values(trials[:3], "network.merge") == ["concat"] * 3  # the default of the Config
    assert not any(trial.is_outside for trial in trials)
    assert values(history.read(searching(LR, BATCH)), "optimizer.batch_size")[:3] == [64] * 3
    without = searching(LR, BATCH, dataclasses.replace(MERGE, choices=("sum",)), fixed={}, budget=budget(6))
    assert [t.is_outside for t in history.launch(without).get_trials()] == [
        trial.parameters["network.merge"] == "concat" for trial in trials
    ]


def test_a_removed_dimension_leaves_the_trials_with_its_fixed_value_inside(history: History) -> None:
    points: list[dict[str, Value]] = [{"optimizer.lr": 1e-3, "optimizer.batch_size": size} for size in (64, 32)]
    history.run(searching(LR, BATCH, budget=budget(3)), *points)
    fixed = searching(LR, budget=budget(6), fixed={"optimizer.batch_size": 64})
    trials = history.run(fixed).get_trials()
    assert [trial.is_outside for trial in trials] == [True, False, True, *[False] * 3]  # the baseline has 128
    assert trials[1].parameters == {"optimizer.lr": 1e-3}
    assert [fixed.config_values(trial.parameters)["optimizer.batch_size"] for trial in trials[:3]] == [128, 64, 32]
    assert sampler_view(fixed, trials) == [1, 3, 4, 5]
    assert values(history.read(fixed), "optimizer.batch_size")[:3] == [128, 64, 32]


def sampler_view(searched: Space, trials: list[Trial]) -> list[int]:
    """Return the numbers of the trials that inform the proposals."""
    history = TrialHistory(searched)
    history.update(trials)
    return [result.number for result in history.list_comparable()]


def test_an_interrupted_trial_outside_continues_with_its_values(history: History) -> None:
    study = history.launch(searching(LR, BATCH, baseline={"optimizer.lr": 5e-4}))
    study._enqueue({"optimizer.lr": 5e-3, "optimizer.batch_size": 32}, {})
    study._enqueue({"optimizer.lr": 4e-3, "optimizer.batch_size": 64}, {})
    study._enqueue({"optimizer.lr": 8e-4, "optimizer.batch_size": 64}, {})
    assert [study.next_trial() is not None for _ in range(2)] == [True, True]
    narrow = searching(
        dataclasses.replace(LR, high=1e-3), MERGE, fixed={"optimizer.batch_size": 64}, baseline={"optimizer.lr": 5e-4}
    )
    study = history.launch(narrow)
    baseline, interrupted, pending, new = (study.next_trial() for _ in range(4))
    assert baseline is not None
    assert baseline.is_baseline
    assert interrupted is not None
    assert (interrupted.number, interrupted.is_outside) == (1, True)
    assert interrupted.parameters == {
        "optimizer.lr": 5e-3,
        "optimizer.batch_size": 32,
        "network.merge": "concat",
    }
    assert pending is not None
    assert new is not None
    assert pending.number == 3  # the one before it was enqueued and is outside of the edited space
    assert pending.parameters == {"optimizer.lr": 8e-4, "network.merge": "concat"}
    assert new.number == 4
    assert [trial.number for trial in study.get_trials()] == [0, 1, 3, 4]


def test_retries_and_confirmations_keep_values_from_before_an_edit(history: History) -> None:
    study = history.launch(searching(LR, fixed={"optimizer.batch_size": 64}))
    study._enqueue({"optimizer.lr": 1e-3}, {})
    for _ in range(2):
        trial = study.next_trial()
        assert trial is not None
        study.record_epoch(trial.number, epoch(1, 0.5))
        study.end_trial(trial.number, "failed" if trial.number else "stopped", "")
    study = history.launch(searching(LR, BATCH, fixed={}))
    assert study.retry_failed() == {1: 2}
    assert study.get_trial(2).parameters == {"optimizer.lr": 1e-3, "optimizer.batch_size": 64}
    from search.study.confirmations import Confirmation

    confirmation = study.next_confirmation([Confirmation(0, 5)])
    assert confirmation is not None
    assert confirmation.parameters == study.get_trial(0).parameters
    assert confirmation.parameters["optimizer.batch_size"] == 64


def test_starts_may_be_added_in_any_order(history: History) -> None:
    starts: list[dict[str, Value]] = [{"optimizer.lr": rate, "optimizer.batch_size": 32} for rate in (1e-3, 2e-3, 3e-3)]
    history.run(searching(LR, BATCH, budget=budget(2), start=(starts[1],)))
    edited = searching(LR, BATCH, budget=budget(4), start=tuple(starts))
    study = history.run(edited)
    trials = study.get_trials()
    assert [trial.role for trial in trials] == ["baseline", "start 0", "start 1", "start 2"]
    assert values(trials[1:], "optimizer.lr") == [2e-3, 1e-3, 3e-3]
    assert len(history.run(edited).get_trials()) == 4
    assert len(study.edits) == 1


def test_a_small_space_ends_when_its_own_points_have_run(history: History) -> None:
    def small(*choices: int, trials: int) -> Space:
        chosen = dataclasses.replace(BATCH, choices=choices)
        return searching(
            chosen, budget=budget(trials), baseline={"optimizer.batch_size": choices[0]}, distinct_points=len(choices)
        )

    history.run(small(32, 64, 128, trials=3))
    trials = history.run(small(32, 256, 512, trials=20)).get_trials()
    assert values(trials, "optimizer.batch_size")[0] == 32
    assert sorted(values(trials, "optimizer.batch_size")[3:]) == [256, 512]


def test_an_edit_of_a_launch_that_was_killed_before_it_began_is_replaced(history: History) -> None:
    first = searching(LR, BATCH, budget=budget(3))
    history.run(first)
    edit = plan_edit(history.folder, searching(dataclasses.replace(LR, high=1e-1), BATCH))
    assert edit is not None
    killed = Study(history.location, first, "toy", editing=Editing([], edit))
    assert len(killed.edits) == 1
    assert history.launch(first).edits == []
    narrow = searching(dataclasses.replace(LR, high=1e-3), BATCH)
    assert [e["changes"]["search.optimizer.lr"][1][2] for e in history.launch(narrow).edits] == [1e-3]
