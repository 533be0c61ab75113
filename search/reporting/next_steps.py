"""Command lines printed after a search: how to view its results and how to continue it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runtime import machine, uris
from runtime.console import Console
from search.experiment import Experiment

_MORE_TRIALS = 12


def print_next_steps(console: Console, experiment: Experiment, command: Sequence[str]) -> None:
    """Print how to view the results and how to run more trials.

    Args:
        console: Output.
        experiment: Search that has ended.
        command: Arguments of its command line.
    """
    space = experiment.space
    trials = str(space.budget.trials + _MORE_TRIALS)
    longer = [*_without_option(command, "--trials"), "--resume", "--trials", trials]
    python = machine.python_command()
    console.print_line("\nNext")
    if experiment.mlflow_uri.startswith("http"):
        uri = uris.redact_uri(experiment.mlflow_uri)
        console.print_line(f"  {uri}    # MLflow; the trials are runs of the experiment {space.name}")
    else:
        storage = _find_option(command, "--storage")
        console.print_line(f"  {python} -m search.ui {space.name}{storage}    # compare the trials in MLflow")
    console.print_line(f"  {python} -m search.launch {shlex.join(longer)}    # run {_MORE_TRIALS} more trials")


def _without_option(command: Sequence[str], option: str) -> list[str]:
    """Return a command line without an option and its value."""
    words, skip = [], False
    for word in command:
        if not skip and not word.startswith(f"{option}="):
            skip = word == option
            if not skip:
                words.append(word)
        else:
            skip = False
    return words


def _find_option(command: Sequence[str], option: str) -> str:
    """Return an option of a command line with its value as written, or an empty string."""
    for index, word in enumerate(command):
        if word == option and index + 1 < len(command):
            return " " + shlex.join([word, command[index + 1]])
        if word.startswith(f"{option}="):
            return " " + shlex.quote(word)
    return ""
