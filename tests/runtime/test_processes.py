"""Processes are told apart from later ones with the same number, and judged only where they can be observed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from runtime.processes import process_state, this_process

HERE = replace(this_process(), machine="m", boot="b", namespace="pid:[4026531836]")


def test_a_process_runs_until_it_ends() -> None:
    here = this_process()
    assert process_state(here, here) == "running"
    program = "from runtime.processes import this_process as t; from dataclasses import asdict; print(asdict(t()))"
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
