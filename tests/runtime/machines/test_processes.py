"""Processes are told apart from later ones with the same number, and judged only where they can be observed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from runtime.machines import processes
from runtime.machines.processes import process_state, this_process

HERE = replace(this_process(), machine="m", boot="b", namespace="pid:[4026531836]")


def test_a_process_runs_until_it_ends() -> None:
    here = this_process()
    assert process_state(here, here) == "running"
    program = (
        "from runtime.machines.processes import this_process as t; from dataclasses import asdict; print(asdict(t()))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{program}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    there = replace(here, pid=child.pid)
    assert process_state(there, here) == "ended"  # the start time is that of another process
    child.communicate(b"\n")
    assert process_state(there, here) == "ended"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"host": "other"}, "unknown"),
        ({"namespace": "pid:[1]"}, "unknown"),  # another container
        ({"boot": ""}, "unknown"),
        ({"boot": "earlier"}, "ended"),  # this machine has been restarted
        ({"boot": "earlier", "machine": "another of this name"}, "unknown"),
        ({"pid": 2**30}, "ended"),
        ({"started": ""}, "ended"),
    ],
)
def test_what_cannot_be_observed_is_unknown(change: dict[str, str], state: str) -> None:
    assert process_state(replace(HERE, **change), HERE) == state  # type: ignore[arg-type]


def test_the_restart_of_a_container_cannot_be_told_from_another_machine() -> None:
    inside = replace(HERE, namespace="pid:[7]")
    assert process_state(replace(inside, boot="earlier"), inside) == "unknown"


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(100)"])
if sys.argv[1] == "waits":
    time.sleep(100)
"""
"""A process with a child, which becomes an orphan unless its parent waits."""


def start_family(kind: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen([sys.executable, "-c", FAMILY, kind], stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no subreapers")
def test_processes_that_outlive_a_session_are_ended_with_their_orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_EXIT_GRACE_S", 0.1)
    with processes.end_started_processes():
        families = [start_family("waits")]
        before = set(processes.list_descendants())
        assert families[0].pid in before
        with processes.end_started_processes():
            families += [start_family("waits"), start_family("exits")]
            families[2].wait()
            assert len(set(processes.list_descendants()) - before) == 3
        assert set(processes.list_descendants()) == before
    assert not set(processes.list_descendants()) & before
    for family in families:
        family.communicate()


def test_an_interrupt_is_postponed_until_the_end_of_the_block() -> None:
    done: list[str] = []

    def work() -> None:
        with processes.defer_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with processes.defer_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
