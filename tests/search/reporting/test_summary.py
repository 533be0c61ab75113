"""Summary of a search on one screen."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from search.reporting.finalists import choose_finalists, compare_with_reference
from search.reporting.summary import WIDTH, Summary, format_summary, summarise_search
from search.study.confirmed import collect_confirmed, judge_confirmations
from search.study.trials import Trial
from spaces.load import load_space
from spaces.schema import Space
from tests.search.support import epoch, space
from trainables.registry import describe_trainable

SPACE = space()


def trial(number: int, role: str, value: float, tests: float | None = None) -> Trial:
    """Return a finished trial with one epoch."""
    parameters = {"optimizer.lr": 1e-3 * (number + 1), "optimizer.batch_size": 16 * (number + 1)}
    scores = {} if tests is None else {"S0": {"f1_0.3m": tests}, "S1": {"f1_0.3m": tests / 2}}
    return Trial(number, parameters, "finished", "", (epoch(1, value),), None, role == "baseline", scores, role=role)


TRIALS = [trial(0, "baseline", 0.2, 0.2), trial(1, "start 0", 0.8, 0.8), trial(2, "trial", 0.83, 0.7)]


def summary_of(trials: list[Trial], used: Space = SPACE) -> Summary:
    finalists = choose_finalists(trials, used)
    assert finalists is not None
    return summarise_search(used, trials, finalists, describe_trainable(used.trainable, "trainable"))


def test_the_winner_is_compared_with_the_best_reference_on_all_splits() -> None:
    finalists = choose_finalists(TRIALS, SPACE)
    assert finalists is not None
    assert compare_with_reference(finalists, SPACE) == [
        "Trial 2 against start 0, the best of baseline and starts on validation:",
        "f1_0.3m on validation 0.830 : 0.800 (0.030 better); S0 0.700 : 0.800 (0.100 worse); "
        "S1 0.350 : 0.400 (0.050 worse).",
        "This rests on one seed each, and may be chance: --resume --set 'confirm={top: 1, seeds: 2}' tests it.",
    ]


def test_smaller_is_better_where_the_objective_says_so() -> None:
    used = space(objectives=(("loss", "minimize"),))
    finalists = choose_finalists(TRIALS, used)
    assert finalists is not None
    assert "loss on validation 0.170 : 0.200 (0.030 better)" in compare_with_reference(finalists, used)[1]


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        (TRIALS[:1], "No trial beat the baseline."),
        (TRIALS[:2], "No trial beat start 0, the best of baseline and starts on validation."),
    ],
)
def test_a_reference_that_wins_is_named(trials: list[Trial], sentence: str) -> None:
    finalists = choose_finalists(trials, SPACE)
    assert finalists is not None
    assert compare_with_reference(finalists, SPACE) == [sentence]


def test_a_verdict_decides_which_trial_wins() -> None:
    finalists = choose_finalists(TRIALS, SPACE, winner=1)
    assert finalists is not None
    assert finalists.winner.number == 1
    assert finalists.runner_up is not None
    assert finalists.runner_up.number == 2


def test_the_baseline_every_start_and_the_runner_up_have_a_column() -> None:
    trials = [*TRIALS, trial(3, "start 1", 0.1, 0.1), trial(4, "trial", 0.82, 0.75), trial(5, "trial", 0.5)]
    lines = format_summary(summary_of(trials))
    head = next(line for line in lines if line.startswith("test split"))
    for column in ("trial 2 (winner)", "trial 4 (runner-up)", "baseline", "start 0", "start 1"):
        assert column in head
    assert next(line for line in lines if line.startswith("S0")).split()[2:] == [
        "0.700", "0.750", "0.200", "0.800", "0.100",
    ]  # fmt: skip
    measured = replace(summary_of(trials), yardsticks={"SRP-PHAT": {"S0": {"f1_0.3m": 0.4567}}})
    assert next(line for line in format_summary(measured) if line.startswith("S0")).split()[-1] == "0.457"


def test_the_configuration_has_full_names_and_the_inference_parameters() -> None:
    text = " ".join("\n".join(format_summary(summary_of(TRIALS))).split())
    assert "trial 2: optimizer.lr 0.003, optimizer.batch_size 48 inference: threshold 0.6" in text


def test_a_verdict_takes_the_place_of_the_comparison_on_one_seed() -> None:
    """The trial that is best on validation loses on fresh seeds, and is not the winner."""
    means = {0: 0.2, 1: 0.8, 2: 0.5}
    confirmations = [
        dataclasses.replace(
            trial(10 + 3 * seed + t.number, "confirm", 0.5, means[t.number] + 0.01 * seed), confirms=t.number, seed=seed
        )
        for seed in range(3)
        for t in TRIALS
    ]
    confirmed = judge_confirmations(
        collect_confirmed(TRIALS, confirmations), [], SPACE.objectives, {}, lambda _: [{"f1_0.3m": 0.0}]
    )
    assert confirmed is not None
    finalists = choose_finalists(TRIALS, SPACE, confirmed.verdict.winner)
    assert finalists is not None
    described = describe_trainable(SPACE.trainable, "trainable")
    lines = format_summary(summarise_search(SPACE, TRIALS, finalists, described, confirmed))
    text = "\n".join(lines)
    assert "Result   Start 0 wins with f1_0.3m on S0 0.81" in text
    assert "Winner   start 0: optimizer.lr 0.002" in text
    assert "one seed each" not in text
    table = [line.split() for line in lines if line.startswith("  S")]
    assert [row[0] for row in table] == ["S0"] * 3  # S1 is on the page only
    assert len(lines) <= 34


def test_too_few_trials_have_no_importances() -> None:
    assert "Matters  unknown: an estimate needs 10 trials, here are 3." in format_summary(summary_of(TRIALS))


def test_without_dimensions_the_training_is_shown_alone() -> None:
    lines = format_summary(summary_of(TRIALS[:1], space(search=())))
    assert not any("No trial beat" in line or "Matters" in line for line in lines)
    assert "test split  metric   value" in lines


@pytest.mark.parametrize("name", ["rg_rep", "hm_rep", "tg_rep", "encoders", "tracking_losses", "doanet_foa", "hnet"])
def test_the_screen_of_the_shipped_spaces_has_few_lines_and_columns(name: str) -> None:
    """Leave place for files, costs and next steps: 45 lines in all."""
    used = load_space(Path(f"spaces/{name}.yaml"), has_gpu=False)
    objectives = {metric: 0.123 for metric, _ in used.objectives}
    described = describe_trainable(used.trainable, "trainable")
    every = {metric.name: 0.123 for metric in described.metrics}
    splits = used.dataset.test_names()
    trials = []
    for number in range(12):
        role = "baseline" if number == 0 else "start 0" if number == 1 else "trial"
        one = dataclasses.replace(epoch(1, 0.1), metrics=every | {n: v + number for n, v in objectives.items()})
        setting = {n: values[len(values) // 2] for n, values in used.inner.items()}
        one = dataclasses.replace(one, setting=setting)
        tests = {split: dict(every) for split in splits}
        trials.append(Trial(number, dict(used.baseline), "finished", "", (one,), None, number == 0, tests, role=role))
    lines = format_summary(summary_of(trials, used))
    assert len(lines) <= 34
    assert max(map(len, lines)) <= WIDTH
