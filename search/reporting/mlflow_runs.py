"""Names, parameters and tags of the MLflow runs of a search."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from runtime.errors import InputError
from runtime.machines import machine
from search.experiment import Experiment
from search.reporting.progress import format_value
from search.study.confirmations import is_reference
from search.study.trials import Trial
from spaces.configs import build_config
from spaces.schema import Dimension, Value, flatten_names
from trainables import registry

_MAX_NAME: Final = 60
"""Length of the name of a run at most, in characters."""


def name_run(trial: Trial, search: Sequence[Dimension]) -> str:
    """Return the name of a trial's run: its number and what tells it from others, such as "#12 lr=0.0026 cells=8"."""
    if trial.confirms is not None:
        return f"confirm #{trial.confirms} seed {trial.seed}"
    retry = "" if trial.retry_of is None else f" (retry of #{trial.retry_of})"
    if is_reference(trial):
        return f"#{trial.number} {trial.role}{retry}"
    short = shorten_names([dimension.name for dimension in search])
    name = f"#{trial.number}"
    for dimension in search:
        if dimension.name in trial.parameters:
            part = f" {short[dimension.name]}={format_value(trial.parameters[dimension.name])}"
            if len(name) + len(part) + len(retry) > _MAX_NAME - 2:
                return f"{name} …{retry}"
            name += part
    return name + retry


def shorten_names(names: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted name, or the whole name where two have the same last part."""
    last = {name: name.rpartition(".")[2] for name in names}
    count = Counter(last.values())
    return {name: part if count[part] == 1 else name for name, part in last.items()}


def role_of(trial: Trial) -> str:
    """Return the role of a trial's run before the end of its search."""
    if trial.confirms is not None:
        return "confirmation"
    if trial.is_baseline:
        return "baseline"
    return "start" if is_reference(trial) else "trial"


def list_parameters(experiment: Experiment, trial: Trial) -> dict[str, Value]:
    """Return all values of a trial's Config: the searched ones first, then the fixed ones, then the defaults.

    A dimension that is not active in the trial is left out: its default has no effect.
    """
    space = experiment.space
    given = {**trial.parameters, **space.config_values(trial.parameters)}
    try:
        config = build_config(
            registry.describe_trainable(space.trainable, "trainable").config, space.config_values(trial.parameters)
        )
    except (ValidationError, InputError):  # a trial of an earlier version
        return given
    defaults = flatten_names(config.model_dump(mode="json"))
    inactive = {dimension.name for dimension in space.search}
    return {**given, **{name: value for name, value in defaults.items() if name not in given and name not in inactive}}


def origin_tags() -> dict[str, str]:
    """Return the tags with which MLflow shows the user, the source and the commit of a run."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a name for this user
        user = "unknown"
    return {
        "mlflow.user": user,
        "mlflow.source.name": "search.launch",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": machine.git_commit(),
    }
