"""What a person types on the laptop."""

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
    """The lab's first host, with the project checked out and a cluster's file beside it."""

    def __init__(self, lab: Lab, config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self._lab = lab
        self._environment = {"PYTHONPATH": str(ROOT), **(environment or {})}
        self.write(config)
        self.says("ray get-auth-token --generate > /dev/null")

    def write(self, config: Mapping[str, Any]) -> None:
        """Change the cluster's file."""
        (self._lab.shared / "cluster.yaml").write_text(yaml.safe_dump(dict(config)))

    def does(self, command: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder."""
        return self._lab.run("laptop", f"cd {ROOT} && {command}", timeout_s=timeout_s, environment=self._environment)

    def says(self, command: str, timeout_s: float = 900) -> str:
        """Run a command that has to succeed; returns what it printed."""
        done = self.does(command, timeout_s)
        assert done.returncode == 0, f"{command}\n{done.stdout[-8000:]}"
        return done.stdout

    def python(self, program: str) -> str:
        """Run a program that has to succeed; returns what it printed."""
        return self.says(f"python -c {shlex.quote(program)}")

    def starts(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command in the project's folder."""
        return self._lab.start("laptop", f"cd {ROOT} && {command}", log, self._environment)

    def up(self) -> float:
        """`ray up`; returns its seconds."""
        started = time.monotonic()
        self.says(f"ray up --yes {FILE}")
        return time.monotonic() - started

    def down(self) -> None:
        """`ray down`."""
        self.says(f"ray down --yes {FILE}")

    def dashboard(self) -> None:
        """`ray dashboard`, in another terminal: the head's job server is then on this host's port 8265."""
        self.starts(f"ray dashboard {FILE}", self._lab.shared / "dashboard.log")
        knock = "for _ in $(seq 60); do (</dev/tcp/127.0.0.1/8265) && exit 0; sleep 0.5; done 2>/dev/null; exit 1"
        self.says(f"bash -c '{knock}'")

    def on_head(self, command: str) -> str:
        """`ray exec`: a command that has to succeed on the head, in the project's folder there."""
        return self.says(exec_line(command))


def exec_line(command: str) -> str:
    """The command line that runs another on the head."""
    return f"ray exec {FILE} 'cd ~/soundsweep && {command}'"
