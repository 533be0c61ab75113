"""Identity of processes across machines, and the end of the processes that this one has started."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

_FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""Process namespace of a machine outside containers, a constant of Linux."""


@dataclass(frozen=True)
class ProcessIdentity:
    """Process of some machine, distinguishable from later ones with the same number.

    Attributes:
        host: Name of the machine.
        machine: Identifier of its installation; empty if unknown.
        boot: Identifier of its last start; empty if unknown.
        namespace: Process namespace, which differs between containers.
        pid: Number of the process.
        started: Start time of the process, in clock ticks since the boot; empty if unknown.
    """

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: str


def this_process() -> ProcessIdentity:
    """Return the identity of this process."""
    return ProcessIdentity(
        host=platform.node(),
        machine=_read_text("/etc/machine-id"),
        boot=_read_text("/proc/sys/kernel/random/boot_id"),
        namespace=_pid_namespace(),
        pid=os.getpid(),
        started=_start_time(os.getpid()),
    )


def process_state(process: ProcessIdentity, here: ProcessIdentity) -> Literal["running", "ended", "unknown"]:
    """Return whether a process runs, as far as it can be observed from here.

    Args:
        process: Process of any machine.
        here: Identity of this process.
    """
    if not process.boot or process.host != here.host:
        return "unknown"
    if process.boot != here.boot:  # the machine has been started again, or another one has the same name
        is_same = process.machine == here.machine != "" and process.namespace == here.namespace == _FIRST_NAMESPACE
        return "ended" if is_same else "unknown"
    if process.namespace != here.namespace:
        return "unknown"
    return "running" if _start_time(process.pid) == process.started != "" else "ended"


def _start_time(pid: int) -> str:
    """Return the start time of a process; empty if it does not run."""
    fields = _read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return "" if len(fields) < 20 or fields[0] in "ZX" else fields[19]


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
