"""Commands of a user on the laptop."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.lab import ROOT, SHARED, Lab

FILE = f"{SHARED}/cluster.yaml"


class Laptop:
    """First host of the lab, with the project and a cluster file."""

    def __init__(self, lab: Lab, config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self._lab = lab
        self._environment = {"PYTHONPATH": str(ROOT), **(environment or {})}
        self.write(config)
        self.run_checked("ray get-auth-token --generate > /dev/null")

    def write(self, config: Mapping[str, Any]) -> None:
        """Write the cluster file."""
        (self._lab.shared / "cluster.yaml").write_text(yaml.safe_dump(dict(config)))

    def run(self, command: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder of the project."""
        return self._lab.run("laptop", f"cd {ROOT} && {command}", timeout_s=timeout_s, environment=self._environment)

    def run_checked(self, command: str, timeout_s: float = 900) -> str:
        """Run a command that must succeed, and return its output."""
        completed = self.run(command, timeout_s)
        assert completed.returncode == 0, f"{command}\n{completed.stdout[-8000:]}"
        return completed.stdout

    def python(self, program: str) -> str:
        """Run a Python program that must succeed, and return its output."""
        return self.run_checked(f"python -c {shlex.quote(program)}")

    def start(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command in the folder of the project."""
        return self._lab.start("laptop", f"cd {ROOT} && {command}", log, self._environment)

    def up(self) -> float:
        """Run `ray up`, and return the seconds it took."""
        started = time.monotonic()
        self.run_checked(f"ray up --yes {FILE}")
        return time.monotonic() - started

    def down(self) -> None:
        """Run `ray down`."""
        self.run_checked(f"ray down --yes {FILE}")

    def dashboard(self) -> None:
        """Start `ray dashboard`, which forwards port 8265 of this host to the job server on the head."""
        self.start(f"ray dashboard {FILE}", self._lab.shared / "dashboard.log")
        probe = "for _ in $(seq 60); do (</dev/tcp/127.0.0.1/8265) && exit 0; sleep 0.5; done 2>/dev/null; exit 1"
        self.run_checked(f"bash -c '{probe}'")

    def on_head(self, command: str) -> str:
        """Run a command that must succeed with `ray exec` on the head, in the folder of the project."""
        return self.run_checked(exec_line(command))


def exec_line(command: str) -> str:
    """Return the command line that runs a command on the head."""
    return f"ray exec {FILE} 'cd ~/soundsweep && {command}'"
