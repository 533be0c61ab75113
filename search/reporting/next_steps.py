"""What a person can do after a search, as command lines to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runtime import machine, uris
from runtime.cli import Console
from search.plan import Plan


def print_next_steps(line: Console, plan: Plan, command: Sequence[str]) -> None:
    """Say how to look at the results, and how to go on."""
    more = [*_without_option(command, "--trials"), "--resume", "--trials", str(plan.space.budget.trials + 12)]
    storage = _find_option(command, "--storage")
    line.print_line("\nNext")
    if plan.tracking.startswith("http"):
        line.print_line(
            f"  {uris.redact_uri(plan.tracking)}    # MLflow; the trials are runs of the experiment {plan.space.name}"
        )
    else:
        line.print_line(
            f"  {machine.python_command()} -m search.ui {plan.space.name}{storage}    # compare the trials side by side"
        )
    line.print_line(f"  {machine.python_command()} -m search.launch {shlex.join(more)}    # go on with 12 more")


def _without_option(command: Sequence[str], option: str) -> list[str]:
    """A command line without an option and its value."""
    kept, skip = [], False
    for word in command:
        if not skip and not word.startswith(f"{option}="):
            skip = word == option
            if not skip:
                kept.append(word)
        else:
            skip = False
    return kept


def _find_option(command: Sequence[str], option: str) -> str:
    """An option of a command line with its value, as it was written, or nothing."""
    for place, word in enumerate(command):
        if word == option and place + 1 < len(command):
            return " " + shlex.join([word, command[place + 1]])
        if word.startswith(f"{option}="):
            return " " + shlex.quote(word)
    return ""
