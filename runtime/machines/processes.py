"""Identity of processes across machines, and the end of the processes that this one has started."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

_FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""Process namespace of a machine outside containers, a constant of Linux."""
_SET_SUBREAPER: Final = 36
_GET_SUBREAPER: Final = 37
"""Options of Linux's `prctl`."""
_EXIT_GRACE_S: Final = 2.0
_KILL_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05
_PYTHON_HELPER: Final = "multiprocessing.resource_tracker"
"""Process that Python starts on its own account and ends with this process."""


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


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Postpone KeyboardInterrupt from SIGINT and SIGTERM until the end of the block.

    Raises:
        KeyboardInterrupt: At the end, if a signal has arrived that was not ignored before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in previous.items():
        if callable(handler):
            signal.signal(number, lambda received, _: arrived.append(received))
    try:
        yield
    finally:
        for number, handler in previous.items():
            if callable(handler):
                signal.signal(number, handler)
    if arrived:
        raise KeyboardInterrupt


@contextmanager
def end_started_processes() -> Iterator[None]:
    """At the end of the block, end all processes that were started in it and still run, including orphans.

    While the block runs, this process becomes the parent of processes whose parent has ended. Other systems than Linux do not
    support this; there nothing is done.
    """
    if sys.platform != "linux":
        yield
        return
    before = set(list_descendants())
    was_subreaper = ctypes.c_int(0)
    prctl = ctypes.CDLL(None).prctl
    prctl(_GET_SUBREAPER, ctypes.byref(was_subreaper), 0, 0, 0)
    prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        with defer_interrupts():
            _end_processes(before)
            prctl(_SET_SUBREAPER, was_subreaper.value, 0, 0, 0)


def _end_processes(spared: set[int]) -> None:
    """Give the descendants of this process a moment to exit, then kill them."""
    started = time.monotonic()
    while remaining := [pid for pid in list_descendants() if pid not in spared and not _is_python_helper(pid)]:
        waited = time.monotonic() - started
        if waited > _KILL_TIMEOUT_S:  # a process in an uninterruptible system call
            return
        if waited > _EXIT_GRACE_S:
            for pid in remaining:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _is_python_helper(pid: int) -> bool:
    return _PYTHON_HELPER in _read_text(f"/proc/{pid}/cmdline")


def list_descendants() -> list[int]:
    """Return the running processes that this one has started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _read_text(f"/proc/{entry.name}/stat").rpartition(")")[2].split() if entry.name.isdigit() else []
        if fields and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    generation = [os.getpid()]
    while generation:
        generation = [child for parent in generation for child in children.get(parent, [])]
        found += generation
    return found
