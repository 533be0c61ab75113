"""Result of a check by the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Attributes:
        state: "ok", "note" for a remark on a passed check, or "error" for a problem.
        message: Description of what was checked or found.
        remedy: Advice on how to solve the problem; empty if there is none.
    """

    state: Literal["ok", "note", "error"]
    message: str
    remedy: str = ""
