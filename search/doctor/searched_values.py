"""Check that seed and state determine a training also at other values of the searched fields, such as a dropout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from search.doctor.config_values import other_values
from search.doctor.result import CheckResult
from spaces.schema import field_names
from trainables import contract_checks
from trainables.contract import ContractError, Trainable

GLOBAL_TORCH: Final = (
    "dropout and other layers draw from the global generator of torch: train within `with self._seed_epoch():` of "
    "NetworkTrainable, or within torch.random.fork_rng() after torch.manual_seed of a number from seed and epoch"
)
"""Remedy for a training that uses the global generator of torch."""
_LIMIT_S: Final = 20.0
"""Time after which no further field is tried."""

Build = Callable[[int, Mapping[str, Any]], Trainable]
"""Function from a seed and changed Config values to an untrained trainable."""


def check_searched_values(
    build: Build, config: BaseModel, candidates: Mapping[str, Sequence[Any]]
) -> Iterator[CheckResult]:
    """Train at another value of each searched field, and report those at which seed or state do not determine the result.

    Args:
        build: Function that builds the trainable.
        config: Config of the baseline.
        candidates: Values to try, by dotted name; names outside the Config are left out.
    """
    until = time.monotonic() + _LIMIT_S
    names = field_names(type(config))
    for name, values in candidates.items():
        changed = other_values(config, name, values) if name in names else []
        if changed and time.monotonic() < until:
            yield from _check_value(build, name, changed[0])


def _check_value(build: Build, name: str, value: object) -> Iterator[CheckResult]:
    def build_changed(seed: int) -> Trainable:
        return build(seed, {name: value})

    try:
        # The checks take several trainings: they are left out where only generators of the trainable are used.
        if contract_checks.changed_global_states(build_changed):
            contract_checks.check_seed(build_changed)
            contract_checks.check_state(build_changed)
    except ContractError as error:
        yield CheckResult("error", f"with {name}={value}: {error}", GLOBAL_TORCH)
    except Exception:  # noqa: BLE001  # the value may be unsuitable together with the others
        return
