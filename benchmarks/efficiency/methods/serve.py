"""`python -m benchmarks.efficiency.methods.serve`: methods in a process of their own, by lines of JSON.

Each line on standard input is a call, and each line on standard output its answer, with the CPU time of this process. It needs
the standard library and what the method imports. Whatever the method prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

from benchmarks.efficiency.methods.base import Method, Resume, Start
from benchmarks.efficiency.problem import from_json


class Server:
    """Methods by calls; a new one replaces the last one."""

    def __init__(self) -> None:
        self._method: Method | None = None

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a call."""
        match call["do"]:
            case "create":
                module, _, name = call["method"].partition(":")
                kind = getattr(importlib.import_module(module), name)
                self._method = kind(from_json(call["problem"]), call["seed"])
                return {}
            case "ask":
                return self._ask(may_start=call["may_start"])
            case "begin":
                assert self._method is not None
                self._method.begin(call["trial"], call["parameters"])
                return {}
            case "tell":
                assert self._method is not None
                decision = self._method.tell(call["trial"], call["epoch"], call["value"], call["seconds"])
                return {"decision": decision}
            case other:
                raise ValueError(f"unknown call {other}")

    def _ask(self, *, may_start: bool) -> dict[str, Any]:
        assert self._method is not None
        work = self._method.ask(may_start=may_start)
        if isinstance(work, Start):
            return {"start": dict(work.point)}
        return {"resume": work.trial} if isinstance(work, Resume) else {}


def main() -> None:
    """Answer the calls on standard input until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    server = Server()
    for line in sys.stdin:
        answer = server.answer(json.loads(line))
        answers.write(json.dumps({**answer, "cpu": time.process_time()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
