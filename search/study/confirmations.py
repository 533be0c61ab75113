"""Plan of the confirmations of a search: which trials are trained again, on which seeds; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from search.study.trials import Trial, rank_trials
from spaces.schema import Space

_SEED_LIMIT: Final = 2**31
_SEEDS_PER_SEARCH: Final = 1000
_TRIAL_STRIDE: Final = 1_000_003
"""Distance of the seeds of neighbouring trials, if each trial has its own."""


class Confirmation(NamedTuple):
    """Full training that confirms a trial.

    Attributes:
        confirms: Number of the trial.
        seed: Seed of the training.
    """

    confirms: int
    seed: int


def confirmation_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Return the seeds of the confirmations: the same for all trials, and different from those of the search."""
    return tuple(((seed + 1) * _SEEDS_PER_SEARCH + number) % _SEED_LIMIT for number in range(1, count + 1))


def seeds_of_space(space: Space) -> tuple[int, ...]:
    """Return the seeds of the confirmations of a space: those that a table lists after the first one, or derived ones."""
    if space.confirm is None:
        return ()
    if space.table is not None and not isinstance(space.table.seeds, int):
        return space.table.seeds[1:]
    return confirmation_seeds(space.seed, space.confirm.seeds)


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial in a search that varies them."""
    return (seed + _TRIAL_STRIDE * (number + 1)) % _SEED_LIMIT


def is_reference(trial: Trial) -> bool:
    """Return whether a trial is the baseline or a named starting point."""
    return trial.is_baseline or trial.role.startswith("start")


def choose_confirmed(trials: Sequence[Trial], space: Space) -> list[Trial]:
    """Return the trials to confirm: the baseline and the starting points, then the best others on validation.

    Of the others, those that violate constraints are left out.

    Args:
        trials: Trials of the search.
        space: Its objectives, and the number of trials to confirm.
    """
    if space.confirm is None:
        return []
    ranked = rank_trials(trials, space.objectives)
    references = sorted((trial for trial in ranked if is_reference(trial)), key=lambda trial: trial.number)
    others = [trial for trial in ranked if not is_reference(trial) and not trial.violated]
    return references + others[: space.confirm.top]


def plan_confirmations(trials: Sequence[Trial], space: Space) -> list[Confirmation]:
    """Return all confirmations of a search whose trials have ended, all trials on one seed before the next seed."""
    if space.confirm is None:
        return []
    return [
        Confirmation(trial.number, seed) for seed in seeds_of_space(space) for trial in choose_confirmed(trials, space)
    ]


def pending_confirmations(planned: Sequence[Confirmation], confirmations: Sequence[Trial]) -> list[Confirmation]:
    """Return the planned confirmations that have not ended.

    Args:
        planned: All confirmations of the search.
        confirmations: Those that exist.
    """
    ended = {(trial.confirms, trial.seed) for trial in confirmations if trial.outcome != "running"}
    return [confirmation for confirmation in planned if confirmation not in ended]
