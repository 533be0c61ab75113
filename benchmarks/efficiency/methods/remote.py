"""Methods that run in a process of their own, because their packages are not those of this one."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.problem import Problem, to_json

_SHOWN: Final = 2000
"""Number of characters of a failed process's messages that an error shows."""


@dataclass(frozen=True)
class Environment:
    """Environment of a method.

    Attributes:
        python: Python interpreter, 3.11 or later.
        folders: Folders to import from, the first one first.
    """

    python: Path
    folders: tuple[Path, ...]


class MethodProcess:
    """Process that serves methods; it ends by itself when this one does.

    Args:
        environment: Interpreter and folders.
    """

    def __init__(self, environment: Environment) -> None:
        self._messages = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(
            [environment.python, "-P", "-m", "benchmarks.efficiency.methods.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, environment.folders))},
        )

    def call(self, **content: Any) -> dict[str, Any]:
        """Send a call and return its answer.

        Raises:
            RuntimeError: If the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._messages.seek(0)
            raise RuntimeError(f"the process of the method has ended:\n{self._messages.read()[-_SHOWN:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()  # closes its input, which ends it
        self._messages.close()


@functools.cache
def start_process(environment: Environment) -> MethodProcess:
    """Return the process of an environment, which serves one replay after the other."""
    return MethodProcess(environment)


class RemoteMethod(Method):
    """Method of another environment.

    Args:
        problem: Dimensions, epochs and rungs.
        seed: Seed of its random choices.
        process: Process that serves it.
        path: Import path of its class.
    """

    def __init__(self, problem: Problem, seed: int, process: MethodProcess, path: str) -> None:
        super().__init__(problem, seed)
        self._process = process
        self._cpu = 0.0
        self._call(do="create", method=path, problem=to_json(problem), seed=seed)

    def _call(self, **content: Any) -> dict[str, Any]:
        answer = self._process.call(**content)
        self._cpu = answer["cpu"]
        return answer

    def clock(self) -> float:
        """Return the CPU time of the other process."""
        return self._cpu

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Ask the other process."""
        answer = self._call(do="ask", may_start=may_start)
        if "start" in answer:
            return Start(answer["start"])
        return Resume(answer["resume"]) if "resume" in answer else None

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Tell the other process."""
        self._call(do="begin", trial=trial, parameters=parameters)

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Tell the other process."""
        decision: Decision = self._call(do="tell", trial=trial, epoch=epoch, value=value, seconds=seconds)["decision"]
        return decision
