"""Command lines printed after a search: how to view its results and how to continue it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runtime import uris
from runtime.console import Console
from runtime.machines import machine
from search.experiment import Experiment
from trainables import registry

_MORE_TRIALS = 12


def resume_command(command: Sequence[str], *options: str) -> str:
    """Return the shell command that continues a search.

    Args:
        command: Arguments of its command line, without `--resume`.
        options: Further arguments.
    """
    return f"{machine.python_command()} -m search.launch {shlex.join([*command, '--resume', *options])}"


def print_next_steps(
    console: Console,
    experiment: Experiment,
    command: Sequence[str],
    *,
    is_interrupted: bool = False,
    has_failures: bool = False,
    larger_budget: Sequence[str] = (),
    winner: int | None = None,
) -> None:
    """Print how to view the results, and how to continue an interrupted search or to run more trials.

    Args:
        console: Output.
        experiment: Search that has ended.
        command: Arguments of its command line.
        is_interrupted: Whether a limit has interrupted it.
        has_failures: Whether trials have failed, which `--retry failed` takes up.
        larger_budget: Options that raise the budgets that are used up.
        winner: Number of the winner; None before the end of the search.
    """
    space = experiment.space
    trials = str(space.budget.trials + _MORE_TRIALS)
    python = machine.python_command()
    console.print_line("\nNext")
    if experiment.mlflow_uri.startswith("http"):
        uri = uris.redact_uri(experiment.mlflow_uri)
        console.print_line(f"  {uri}    # MLflow; the trials are runs of the experiment {space.name}")
    else:
        storage = _find_option(command, "--storage")
        console.print_line(f"  {python} -m search.ui {space.name}{storage}    # compare the trials in MLflow")
    if winner is not None:
        console.print_line(f"  {export_command(experiment, winner, _find_option(command, '--storage'))}")
    if has_failures:
        console.print_line(f"  {resume_command(command, '--retry', 'failed')}    # take up the failed trials")
    if is_interrupted:
        longer = resume_command(command, *larger_budget)
        with_budget = ", with a larger budget" if larger_budget else ""
        console.print_line(f"  {longer}    # continue all trials where they are{with_budget}")
    elif space.distinct_points is None:  # there are points left
        longer = resume_command(without_option(command, "--trials"), "--trials", trials)
        console.print_line(f"  {longer}    # run {_MORE_TRIALS} more trials")


def list_result_commands(experiment: Experiment, winner: int) -> list[str]:
    """Return the commands that show, train again or apply the winner of a search, for its result file."""
    python, results = machine.python_command(), experiment.results
    folder = shlex.quote(results.display_path(results.root_path))
    storage = results.display_path(results.storage) if results.bucket is None else results.bucket.name
    storage_option = f" --storage {shlex.quote(storage)}"
    commands = [export_command(experiment, winner, storage_option)]
    if not experiment.mlflow_uri.startswith("http"):
        commands.append(
            f"{python} -m search.ui {results.name} --storage {shlex.quote(storage)}    # compare the trials"
        )
    trainable = registry.load_trainable(experiment.space.trainable, "trainable")
    if registry.has_predictor(trainable):
        commands.append(f"{python} -m search.predict {folder} recording.wav    # apply the model")
    return [f"  {command}" for command in commands]


def export_command(experiment: Experiment, winner: int, storage_option: str) -> str:
    """Return the command that writes a space file with which the winner is trained again, with a remark."""
    command = f"{machine.python_command()} -m search.export {experiment.results.name} --trial {winner}{storage_option}"
    return f"{command}    # a space that trains the winner again, longer or on other seeds"


def without_option(command: Sequence[str], option: str) -> list[str]:
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
