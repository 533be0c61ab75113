"""How many trials run side by side, while nodes come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from runtime.nodes import Node
from search.execution import placement
from spaces.schema import Resources

_GLANCE_S: Final = 5.0


class ConcurrencyLimit:
    """Counts the trials that fit; asks Ray again now and then.

    Args:
        resources: Of a trial.
        nodes: Lists the nodes that are there.
        asked: At least so many, even if they do not fit yet: what waits makes Ray's autoscaler start nodes.
        now: A clock, in seconds.
    """

    def __init__(
        self,
        resources: Resources,
        nodes: Callable[[], Sequence[Node]],
        asked: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources = resources
        self._nodes = nodes
        self._asked = asked or 0
        self._now = now
        self._looked = -_GLANCE_S
        self._fit = 0

    def __call__(self) -> int:
        """Trials that run side by side."""
        if self._now() - self._looked >= _GLANCE_S:
            self._fit = placement.count_slots(self._nodes(), self._resources)
            self._looked = self._now()
        return max(self._fit, self._asked)

    def idle_cores(self) -> int:
        """Cores that no trial takes while all that fit are running."""
        cores = sum(node.cpus for node in self._nodes())
        return max(0, int(cores - placement.count_slots(self._nodes(), self._resources) * self._resources.cpu))

    def require_capacity(self) -> None:
        """Refuse to begin where no trial can run.

        Raises:
            InputError: If none fits and none was asked for.
        """
        if not self():
            raise placement.no_capacity_error(self._nodes(), self._resources)
