"""Forms in which a study stores the values of its dimensions.

Optuna refuses a parameter whose distribution differs from that of an earlier trial in its kind, in its scale, or in its
choices. A value that the first distribution of its name cannot hold becomes an attribute of the trial instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial

from search.study.encoding import Stored, encode_value, has_encoded_form, to_distribution
from spaces.schema import Dimension, Value
from spaces.values import is_same_value

StoredForm = tuple[Stored, BaseDistribution]


class StoredForms:
    """Forms of the values of one study.

    Args:
        search: Dimensions of the space now.
        trials: Trials so far, of this space or of earlier ones.
    """

    def __init__(self, search: Sequence[Dimension], trials: Iterable[FrozenTrial]) -> None:
        self._dimensions = {dimension.name: dimension for dimension in search}
        self._own = {dimension.name: to_distribution(dimension) for dimension in search}
        self._first: dict[str, BaseDistribution] = {}
        for trial in trials:
            for name, distribution in trial.distributions.items():
                self._first.setdefault(name, distribution)

    def store_value(self, name: str, value: Value) -> StoredForm | None:
        """Return the form of a value, with the distribution that Optuna takes; None if the value has to be an attribute."""
        dimension = self._dimensions.get(name)
        if dimension is None or not dimension.contains_value(value):
            return None
        own = self._own[name]
        first = self._first.setdefault(name, own)
        if _is_compatible(first, own):
            return encode_value(dimension, value), own
        if not isinstance(first, CategoricalDistribution):
            return None
        form = json.dumps(value, ensure_ascii=False) if has_encoded_form(first.choices) else value
        found = next((choice for choice in first.choices if is_same_value(form, choice)), None)
        return None if found is None else (found, first)

    def split_point(self, point: Mapping[str, Value]) -> tuple[dict[str, StoredForm], dict[str, Value]]:
        """Return the values of a point that become parameters, in their forms, and those that become an attribute."""
        forms = {name: form for name, value in point.items() if (form := self.store_value(name, value)) is not None}
        return forms, {name: value for name, value in point.items() if name not in forms}


def _is_compatible(first: BaseDistribution, own: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(first, own)
    except ValueError:
        return False
    return True
