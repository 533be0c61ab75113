"""A failed test leaves no process behind, which would slow the following tests down and be reported as theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.killed import kill_started


@pytest.fixture(autouse=True)
def _end_processes() -> Iterator[None]:
    yield
    kill_started()
