"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CheckResult:
    """What one check found."""

    state: Literal["ok", "note", "bad"]
    what: str
    remedy: str = ""
