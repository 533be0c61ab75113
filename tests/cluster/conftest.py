"""Skip the tests on simulated hosts where these are not possible; fail instead where SOUNDSWEEP_REQUIRE_LAB is set."""

from __future__ import annotations

import os

import pytest

from tests.cluster import lab


@pytest.fixture(autouse=True)
def _lab_possible(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("cluster") and (reason := lab.missing()):
        (pytest.fail if os.environ.get("SOUNDSWEEP_REQUIRE_LAB") else pytest.skip)(reason)
