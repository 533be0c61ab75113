"""The cost of a search on GPUs: expected trainings by hand, the roofline, and the lines of a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InputError
from search.launch import build_parser, main, prepare_experiment
from search.launching.cost import CARDS, REACHED, Card, SearchCost, count_trainings, estimate_cost
from spaces.schema import Budget, Confirm, Stopping
from tests.search.support import space
from trainables.localizer.trainable import Localizer
from trainables.training_cost import StepCost

OPTIONS = (
    "--profile", "full", "--dry-run", "--set", "network.width=4", "--set", "network.tail_width=4", "--set",
    "network.decoder_width=16", "--set", "encoder=array",
)  # fmt: skip


def test_trainings_are_the_baseline_the_shortened_trials_and_the_confirmations() -> None:
    searched = space(
        stopping=Stopping(first_rung=1, reduction=3), budget=Budget(trials=10, epochs=9), confirm=None, start=()
    )
    shortened = (1 + 2 / 3 + 6 / 9) / 9
    assert count_trainings(searched) == pytest.approx(1 + 9 * shortened)
    confirmed = space(
        stopping=Stopping(first_rung=1, reduction=3),
        budget=Budget(trials=10, epochs=9),
        confirm=Confirm(top=1, seeds=2),
        start=({"x": 0.1}, {"x": 0.2}),
    )
    assert count_trainings(confirmed) == pytest.approx(3 + 7 * shortened + (1 + 1 + 2) * 2)
    few = space(budget=Budget(trials=2, epochs=9), confirm=Confirm(top=1, seeds=1), start=({"x": 0.1}, {"x": 0.2}))
    assert count_trainings(few) == 2 + 4


@pytest.mark.parametrize(
    ("is_half", "rate"),
    [
        (True, 1 / (50e9 / 100e12)),  # arithmetic at 100 TFLOP/s limits
        (False, 1 / (50e9 / 50e12)),
    ],
)
def test_the_roofline_is_the_slower_of_arithmetic_and_memory(is_half: bool, rate: float) -> None:
    card = Card("card", 100, 50, 1000, 2.0)
    assert card.items_per_second(StepCost(50e9, 1e6, 0), is_half=is_half) == pytest.approx(rate)
    assert card.items_per_second(StepCost(50e9, 2e9, 0), is_half=is_half) == pytest.approx(1e12 / 2e9)
    hours = SearchCost(StepCost(50e9, 1e6, 0), is_half, 7200, 1).training_hours(card)
    assert hours == pytest.approx(2 / rate / REACHED)


def test_a_dry_run_of_trials_with_a_gpu_states_the_cost_on_each_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spaces/rg_rep.yaml", "--storage", str(tmp_path), *OPTIONS]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("cost     "))
    assert "PFLOP and " in lines[first]
    assert "the search takes as long as 6 of them" in lines[first]
    assert [line.split()[0] for line in lines[first + 1 : first + 1 + len(CARDS)]] == [f"{c.name}:" for c in CARDS]
    assert "computed, not measured" in lines[first + 1 + len(CARDS)]
    assert main(["spaces/rg_rep.yaml", "--storage", str(tmp_path), *OPTIONS, "--set", "resources.gpu=0"]) == 0
    assert "cost     " not in capsys.readouterr().out


def test_a_wrong_sample_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = build_parser().parse_args(["spaces/rg_rep.yaml", "--storage", str(tmp_path), *OPTIONS])
    searched = prepare_experiment(options).space

    def fail(_: Any, config: Any, dataset: Any) -> None:
        raise ZeroDivisionError(f"no step of {config.encoder} for {dataset.kind}")

    monkeypatch.setattr(Localizer, "sample_step", classmethod(fail))
    with pytest.raises(InputError, match="sample_step of Localizer must return a SampleStep") as raised:
        estimate_cost(searched, 100)
    assert "ZeroDivisionError: no step of array for room" in str(raised.value)
