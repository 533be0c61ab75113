"""Confirmations: which trials, on which seeds, each once, and the verdict on planted results."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.console import Console
from search.execution.trial_stopper import ConfirmationStopper, TimeBudget
from search.reporting.confirmation_progress import ConfirmationProgress, describe_confirmations
from search.reporting.verdict import format_confirmed, format_verdict, summarise_verdict, verdict_metrics
from search.study.confirmations import (
    Confirmation,
    choose_confirmed,
    confirmation_seeds,
    pending_confirmations,
    plan_confirmations,
)
from search.study.confirmed import ConfirmationResult, collect_confirmed, judge_confirmations
from search.study.spending import SpendingMeter
from search.study.study import Study, read_trials
from search.study.trials import Trial
from spaces.schema import TRAIN_SEED, Budget, Confirm, Space
from tests.search.support import epoch, space

SPACE = space(budget=Budget(trials=5, epochs=2), confirm=Confirm(top=2, seeds=2))
F1 = "f1_0.3m"


def run_trials(study: Study, *scores: float) -> None:
    """Run trials to their end with these scores."""
    for score in scores:
        trial = study.next_trial()
        assert trial is not None
        study.record_epoch(trial.number, epoch(1, score / 2))
        study.record_epoch(trial.number, epoch(2, score))
        study.end_trial(trial.number, "finished", "")


def confirm(study: Study, trial: Trial, score: float) -> None:
    study.record_epoch(trial.number, epoch(1, score / 2))
    study.record_epoch(trial.number, epoch(2, score))
    study.end_trial(trial.number, "finished", "")


def test_the_best_trials_are_confirmed_after_the_baseline_and_the_starts(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal", SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)  # trial 0 is the baseline, trial 1 the start
    assert [trial.number for trial in choose_confirmed(study.get_trials(), SPACE)] == [0, 1, 3, 4]
    seeds = confirmation_seeds(SPACE.seed, 2)
    planned = plan_confirmations(study.get_trials(), SPACE)
    assert planned == [Confirmation(number, seed) for seed in seeds for number in (0, 1, 3, 4)]
    assert plan_confirmations(study.get_trials(), space()) == []


def test_a_failed_baseline_is_not_confirmed(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal", SPACE)
    trial = study.next_trial()
    assert trial is not None
    study.end_trial(trial.number, "failed", "test")
    run_trials(study, 0.9, 0.5, 0.7, 0.6)
    assert [trial.number for trial in choose_confirmed(study.get_trials(), SPACE)] == [1, 3, 4]


@pytest.mark.parametrize("seed", [0, 1, 2, 2**31 - 1])
def test_seeds_differ_from_that_of_the_search_and_between_searches(seed: int) -> None:
    seeds = confirmation_seeds(seed, 3)
    assert len({seed, *seeds, *confirmation_seeds((seed + 1) % 2**31, 3)}) == 7
    assert all(0 <= each < 2**31 for each in seeds)


def test_confirmations_are_apart_from_the_trials_of_the_search(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    confirmation = study.next_confirmation(plan_confirmations(study.get_trials(), SPACE))
    assert confirmation is not None
    assert (confirmation.confirms, confirmation.seed, confirmation.is_baseline) == (0, 1001, False)
    assert confirmation.parameters == study.get_trial(0).parameters
    assert confirmation.training_parameters == {**confirmation.parameters, TRAIN_SEED: 1001}
    assert [trial.number for trial in study.get_trials()] == [0, 1, 2, 3, 4]
    assert study.count_started() == 5
    assert not study.has_unfinished_trials()
    confirm(study, confirmation, 0.2)
    assert [trial.outcome for trial in study.get_confirmations()] == ["finished"]
    assert [trial.number for trial in read_trials(journal)] == [0, 1, 2, 3, 4]
    assert [trial.number for trial in read_trials(journal, confirming=True)] == [5]


def test_after_a_restart_an_interrupted_confirmation_continues_and_no_other_is_repeated(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    planned = plan_confirmations(study.get_trials(), SPACE)
    first, second = study.next_confirmation(planned), study.next_confirmation(planned)
    assert first is not None
    assert second is not None
    confirm(study, first, 0.2)
    study.record_epoch(second.number, epoch(1, 0.3))
    study.close()

    restarted = Study(journal, SPACE)
    restarted.finalize_ended_trials()
    assert restarted.next_trial() is None  # confirmations are no trials of the search
    assert pending_confirmations(planned, restarted.get_confirmations()) == planned[1:]
    continued = restarted.next_confirmation(planned)
    assert continued is not None
    assert (continued.number, len(continued.epochs)) == (second.number, 1)
    run = [continued]
    while (trial := restarted.next_confirmation(planned)) is not None:
        run.append(trial)
    assert [(trial.confirms, trial.seed) for trial in run] == planned[1:]


def test_further_trials_are_confirmed_without_repeating_others(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    planned = plan_confirmations(study.get_trials(), SPACE)
    while (trial := study.next_confirmation(planned)) is not None:
        confirm(study, trial, 0.5)
    more = space(budget=Budget(trials=6, epochs=2), confirm=SPACE.confirm)
    resumed = Study(journal, more)
    run_trials(resumed, 0.95)
    planned = plan_confirmations(resumed.get_trials(), more)
    added = pending_confirmations(planned, resumed.get_confirmations())
    assert [confirmation.confirms for confirmation in added] == [resumed.get_trials()[-1].number] * 2


def test_an_end_that_a_crash_cut_off_is_completed(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    trial = study.next_confirmation(plan_confirmations(study.get_trials(), SPACE))
    assert trial is not None
    for number in (1, 2):
        study.record_epoch(trial.number, epoch(number, 0.5))
    study.close()
    restarted = Study(journal, SPACE)
    restarted.finalize_ended_trials()
    assert [trial.outcome for trial in restarted.get_confirmations()] == ["finished"]


def test_trials_have_seeds_of_their_own_if_the_space_varies_them(tmp_path: Path) -> None:
    varied = space(budget=Budget(trials=5, epochs=2), vary_seeds=True)
    study = Study(tmp_path / "study.journal", varied)
    run_trials(study, 0.1, 0.2, 0.3)
    seeds = [trial.seed for trial in study.get_trials()]
    assert None not in seeds
    assert len({varied.seed, *confirmation_seeds(varied.seed, 10), *seeds}) == 14
    assert all(TRAIN_SEED not in trial.training_parameters for trial in study.get_trials())
    assert Study(tmp_path / "study.journal", varied).get_trial(0).seed == seeds[0]
    assert varied.identity() != space(budget=varied.budget).identity()
    assert space(confirm=Confirm()).identity() == space().identity()


def summarise(sums: NDArray[np.float64]) -> list[dict[str, float]]:
    return [{F1: float(found / total)} for found, total in sums]


def judge(tmp_path: Path, recalls: dict[int, float], changed: Space = SPACE) -> ConfirmationResult:
    """Return the verdict on the baseline, the start and two trials with these true values, over 2000 scenes."""
    study = Study(tmp_path / "study.journal", changed)
    run_trials(study, 0.1, 0.2, 0.3, 0.8, 0.9)
    planned = plan_confirmations(study.get_trials(), changed)
    rng, scenes = np.random.default_rng(1), {}
    difficulty = rng.normal(0, 0.1, 2000)
    while (trial := study.next_confirmation(planned)) is not None:
        assert trial.confirms is not None
        level = recalls[trial.confirms] + rng.normal(0, 0.003) + difficulty
        terms = np.stack([rng.binomial(2, np.clip(level, 0, 1)), np.full(2000, 2)], axis=1).astype(np.float64)
        scenes[trial.number] = {"S0": terms}
        confirm(study, trial, 0.5)
        study.set_test_scores(trial.number, {"S0": summarise(terms.sum(0)[None])[0]})
    confirmed = collect_confirmed(study.get_trials(), study.get_confirmations())
    result = judge_confirmations(confirmed, [], changed.objectives, scenes, summarise)
    assert result is not None
    return result


def test_a_planted_better_trial_is_better(tmp_path: Path) -> None:
    result = judge(tmp_path, {0: 0.4, 1: 0.6, 3: 0.7, 4: 0.65})
    assert (result.verdict.winner, result.verdict.reference, result.split) == (3, 1, "S0")
    assert result.verdict.gain is not None
    assert result.verdict.gain.low > 0
    text = format_verdict(result)[0]
    assert text.startswith("Trial 3 is better than start 0, with a confidence of 95%: +0.0")
    assert "in f1_0.3m on S0" in text
    table = format_confirmed(result)
    assert [line.split()[1] for line in table.splitlines()[2:]] == ["trial", "trial", "start", "baseline"]
    values = summarise_verdict(result)
    assert values["winner"] == 3
    assert len(values["configurations"]) == 4
    assert verdict_metrics(result)["verdict.low"] == pytest.approx(result.verdict.gain.low)


def test_equal_configurations_are_not_distinguishable(tmp_path: Path) -> None:
    result = judge(tmp_path, dict.fromkeys(range(5), 0.6))
    assert set(result.verdict.equals) == {0, 1, 3, 4}
    text = " ".join(format_verdict(result))
    assert "None of them is cheaper by a tenth" in text  # every epoch takes a second
    assert "is better than" not in text


def test_with_one_seed_the_best_value_wins_and_the_noise_is_open(tmp_path: Path) -> None:
    single = space(budget=SPACE.budget, confirm=Confirm(top=2, seeds=1))
    result = judge(tmp_path, {0: 0.4, 1: 0.6, 3: 0.7, 4: 0.65}, single)
    assert result.verdict.gain is not None
    assert math.isinf(result.verdict.gain.high)
    first, last = format_verdict(result)
    assert first == (
        "Trial 3 has the best f1_0.3m on S0, 0.690: +0.105 against start 0. "
        "Whether that is noise is open: each configuration has one seed."
    )
    assert "--set 'confirm.seeds=3' adds two more" in last
    assert all("Infinity" not in str(value) for value in summarise_verdict(result).values())


def test_without_test_scores_the_verdict_is_on_validation(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal", SPACE)
    run_trials(study, 0.1, 0.2, 0.3, 0.8, 0.9)
    planned = plan_confirmations(study.get_trials(), SPACE)
    scores = {0: 0.1, 1: 0.2, 3: 0.8, 4: 0.7}
    while (trial := study.next_confirmation(planned)) is not None:
        assert trial.confirms is not None
        assert trial.seed is not None
        confirm(study, trial, scores[trial.confirms] + 0.01 * (trial.seed % 2))
    confirmed = collect_confirmed(study.get_trials(), study.get_confirmations())
    result = judge_confirmations(confirmed, [], SPACE.objectives, {}, summarise)
    assert result is not None
    assert result.split == "validate"
    assert result.verdict.winner == 3
    assert "on validation" in format_verdict(result)[0]


def test_a_failed_confirmation_is_no_part_of_the_verdict_and_is_taken_up_by_a_retry(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal", SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    planned = plan_confirmations(study.get_trials(), SPACE)
    first = study.next_confirmation(planned)
    assert first is not None
    study.record_epoch(first.number, epoch(1, 0.2))
    study.end_trial(first.number, "failed", "test")
    assert pending_confirmations(planned, study.get_confirmations()) == planned[1:]
    assert collect_confirmed(study.get_trials(), study.get_confirmations()) == []
    (new,) = study.retry_failed().values()
    assert study.next_trial() is None
    retried = study.next_confirmation(planned)
    assert retried is not None
    assert (retried.number, retried.confirms, retried.seed, len(retried.epochs)) == (new, *planned[0], 1)
    assert [trial.number for trial in study.get_confirmations()] == [new]


def test_confirmations_run_all_epochs_and_pause_when_a_budget_is_used_up(tmp_path: Path) -> None:
    limited = space(budget=Budget(trials=5, epochs=2, epochs_total=12), confirm=Confirm(top=2, seeds=2))
    study = Study(tmp_path / "study.journal", limited)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    meter = SpendingMeter(limited, trials=study.get_trials())
    planned = plan_confirmations(study.get_trials(), limited)
    stopper = ConfirmationStopper(
        study, limited, TimeBudget(None), meter, lambda: bool(pending_confirmations(planned, study.get_confirmations()))
    )
    trial = study.next_confirmation(planned)
    assert trial is not None
    decisions = []
    for number in (1, 2):
        assert stopper.may_start()
        assert not stopper.must_interrupt()
        result = epoch(number, 0.01)  # the worst of all: no rung stops it
        study.record_epoch(trial.number, result)
        decisions.append(stopper(trial.number, result))
    assert decisions == [None, ("finished", "")]
    assert stopper.must_interrupt()
    assert not stopper.may_start()
    assert meter.total().outcomes == {"finished": 5}
    assert meter.total().epochs == 12


def test_the_status_line_says_what_is_left(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal", SPACE)
    run_trials(study, 0.1, 0.9, 0.5, 0.7, 0.6)
    output = io.StringIO()
    progress = ConfirmationProgress(Console(output, now=lambda: 0.0), SPACE, concurrency=2, now=lambda: 0.0)
    progress.planned = plan_confirmations(study.get_trials(), SPACE)
    trial = study.next_confirmation(progress.planned)
    assert trial is not None
    progress.on_trial_start(trial)
    study.record_epoch(trial.number, epoch(1, 0.2))
    progress.on_trial_result(study.get_trial(trial.number), epoch(1, 0.2))
    text = output.getvalue()
    assert "confirm 0 seed 1001 starts" in text
    assert "confirm 0 seed 1001 epoch 1/2 f1_0.3m 0.200  [0 of 8 confirmations]" in text
    assert progress.remaining_s() == pytest.approx((8 * 2 - 1) * 1.0 / 2)  # epochs of a second, two at a time
    assert "8 full trainings of 2 epochs, of trials 0, 1, 3, 4; about 0:08" in describe_confirmations(
        SPACE, progress.planned, study.get_trials(), 2
    )
