"""Number of parameters of a model that is not built, and the constraints on it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from runtime.errors import InputError
from spaces.schema import Space, Value
from trainables import registry
from trainables.measurement import PARAMETERS, expected_parameters


class SizeChecker:
    """Check of points against the constraints on the number of parameters, as far as the trainable states it in advance.

    Args:
        space: Space that the points belong to.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._constraints = [c for c in space.constraints if c.is_measured and c.metric == PARAMETERS]

    def explain_violation(self, config: BaseModel, point: Mapping[str, Value]) -> str | None:
        """Return which constraint a model violates; None if it violates none, or its size is not known in advance.

        A method of the trainable that raises an exception is not the fault of the point; the launch of a search has called it.

        Args:
            config: Config at the point.
            point: Values of the searched dimensions.
        """
        if not self._constraints:
            return None
        try:
            count = self.count(config, point)
        except InputError:
            return None
        measured = {} if count is None else {PARAMETERS: float(count)}
        violated = [c for c in self._constraints if measured and c.violation(measured) > 0]
        return violated[0].describe_violation(measured) if violated else None

    def count(self, config: BaseModel, point: Mapping[str, Value]) -> int | None:
        """Return the number of parameters of a model; None if it is not known in advance.

        Raises:
            InputError: If the method of the trainable raises an exception or returns no number.
        """
        trainable = registry.load_trainable(self._space.trainable, "trainable")
        try:
            return expected_parameters(trainable, config, self._space.dataset_of(point))
        except Exception as error:
            raise InputError(
                "constraints",
                f"expected_parameters of {trainable.__name__} must return the number of parameters, or None",
                value=f"{type(error).__name__}: {error}".partition("\n")[0],
                remedy="correct the method, or remove it: the number is then known when the model is built",
            ) from error
