"""Infeasible trials are marked wherever the result of a search is shown."""

from __future__ import annotations

import dataclasses
import io

from runtime.console import Console
from search.reporting.finalists import choose_finalists
from search.reporting.mlflow.metrics import end_metrics, end_tags
from search.reporting.progress import SearchProgress, format_best_trials
from search.reporting.summary import format_summary, summarise_search
from search.study.trials import Epoch, Trial
from spaces.constraints import Constraint
from spaces.schema import Space
from tests.search.support import space
from trainables.registry import describe_trainable

SIZE = Constraint("parameters", "<=", 2e6, True)
SPACE = space(constraints=(SIZE, Constraint("precision_1m", ">=", 0.5)))


def trial(number: int, f1: float, parameters: float, role: str = "trial") -> Trial:
    metrics = {"f1_0.3m": f1, "precision_1m": 0.75, "parameters": parameters}
    return Trial(
        number,
        {"optimizer.lr": 1e-3, "optimizer.batch_size": 16},
        "finished",
        "",
        (Epoch(1, metrics, {}, 1.0),),
        None,
        role == "baseline",
        {},
        role=role,
        constraints=SPACE.constraints,
    )


BASELINE, FOUND = trial(0, 0.9, 3_100_000, "baseline"), trial(1, 0.4, 1_500_000)
UNBUILT = dataclasses.replace(
    trial(2, 0, 0), epochs=(), outcome="stopped", reason="too large", measured={"parameters": 4e6}
)


def lines_of(trials: list[Trial], used: Space = SPACE) -> str:
    finalists = choose_finalists(trials, used)
    assert finalists is not None
    return "\n".join(
        format_summary(summarise_search(used, trials, finalists, describe_trainable("localizer", "trainable")))
    )


def test_tables_show_the_constrained_metrics_and_mark_infeasible_trials() -> None:
    rows = format_best_trials([BASELINE, FOUND], SPACE, []).splitlines()
    assert rows[0].split()[:6] == ["trial", "f1_0.3m", "parameters", "precision_1m", "epochs", "outcome"]
    assert rows[2].split()[:6] == ["1", "0.400", "1,500,000", "0.750", "1", "finished"]
    assert "infeasible" not in rows[2]
    assert rows[3].split()[:7] == ["0", "(baseline)", "0.900", "3,100,000", "0.750", "1", "finished,"]
    assert "finished, infeasible" in rows[3]


def test_the_summary_tells_how_many_violate_and_why_the_baseline_cannot_win() -> None:
    text = lines_of([BASELINE, FOUND, UNBUILT]).replace("\n         ", " ")
    assert "Winner   trial 1" in text
    assert "2 of 3 trials violate them, 1 of them before their first epoch." in text
    assert "Baseline is infeasible, and cannot win: 3,100,000 parameters, at most 2,000,000 are allowed." in text


def test_a_winner_that_violates_them_is_told() -> None:
    text = lines_of([BASELINE]).replace("\n         ", " ")
    assert "No trial satisfies them. The winner violates them least: 3,100,000 parameters" in text
    assert "cannot win" not in text


def test_without_constraints_there_is_no_such_line() -> None:
    plain = [dataclasses.replace(each, constraints=()) for each in (BASELINE, FOUND)]
    assert "Bounds" not in lines_of(plain, space())


def test_the_line_at_the_end_of_a_trial_names_the_violation_once() -> None:
    output = io.StringIO()
    progress = SearchProgress(Console(output), SPACE, 1, lambda: 0.0)
    progress.on_trial_end(BASELINE)
    reason = "3,100,000 parameters, at most 2,000,000 are allowed"
    assert f"(infeasible: {reason})  [best 0.900 (trial 0), infeasible, baseline 0.900]" in output.getvalue()
    progress.on_trial_end(dataclasses.replace(BASELINE, reason=reason, outcome="stopped"))
    assert output.getvalue().splitlines()[1].count(reason) == 1


def test_runs_in_mlflow_have_tags_and_the_violation() -> None:
    assert {key: end_tags(BASELINE)[key] for key in ("feasible", "violated")} == {
        "feasible": "no",
        "violated": "parameters <= 2,000,000",
    }
    assert end_metrics(BASELINE) == {"constraint_violation": 0.55}
    assert end_tags(FOUND)["feasible"] == "yes"
    assert end_metrics(UNBUILT) == {"constraint_violation": 1.0, "parameters": 4e6}
    assert "feasible" not in end_tags(dataclasses.replace(FOUND, constraints=()))
