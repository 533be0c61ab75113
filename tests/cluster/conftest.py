"""Skip tests of the lab where it cannot run, with the reason."""

from __future__ import annotations

import pytest

from tests.cluster import lab


@pytest.fixture(autouse=True)
def _lab_possible(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("cluster") and (reason := lab.missing()):
        pytest.skip(reason)
