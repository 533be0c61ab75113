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
from spaces.schema import Dimension, Space, Value, flatten_names
from trainables import registry

_MAX_NAME: Final = 64
"""Length of the name of a run at most, in characters."""
_LONG_WORD: Final = 6
"""Length beyond which the first word of a name is cut to `_CUT_WORD` characters."""
_CUT_WORD: Final = 5


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
    """Return the shortest form of each dotted name that no other one has.

    The forms are the beginning of the first word of the last part, this word, the last part, and the whole name.
    """
    last = {name: name.rpartition(".")[2] for name in names}
    words = {name: part.partition("_")[0] or part for name, part in last.items()}
    cut = {name: word if len(word) <= _LONG_WORD else word[:_CUT_WORD] for name, word in words.items()}
    short = {name: name for name in names}
    for forms in (last, words, cut):
        count = Counter(forms.values())
        short |= {name: form for name, form in forms.items() if count[form] == 1}
    return short


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


def provenance_tags(experiment: Experiment) -> dict[str, str]:
    """Return the tags that make the results of a run reproducible."""
    versions = {f"version.{package}": version for package, version in machine.package_versions().items()}
    return {
        "git.commit": machine.git_commit(),
        "version.project": machine.project_digest(),  # cluster nodes have the code without its repository
        "dataset": experiment.dataset.fingerprint,
        "seed": str(experiment.space.seed),
        "profile": experiment.space.profile or "full",
        "sampler": experiment.space.sampler,
        "processor": machine.processor_name(),
        **versions,
    }


def list_search_parameters(space: Space) -> dict[str, object]:
    """Return the parameters of the run of a search."""
    return {
        "epochs": space.budget.epochs,
        "objectives": ", ".join(f"{direction} {name}" for name, direction in space.objectives),
        **{f"fixed.{name}": value for name, value in space.fixed.items()},
    }


def describe_search(experiment: Experiment) -> str:
    """Return the description in Markdown of a search that has not ended."""
    space, results = experiment.space, experiment.results
    objectives = " and ".join(f"{direction} `{name}`" for name, direction in space.objectives)
    names = ", ".join(f"`{dimension.name}`" for dimension in space.search) or "nothing"
    return "\n\n".join(
        [
            f"Search of `{space.trainable}`: {objectives}, over {names}.",
            f"Files: `{results.display_path(results.root_path)}`. It has no result yet.",
        ]
    )


def describe_trial(trial: Trial, experiment: Experiment) -> str:
    """Return what a trial is, with its searched values, in Markdown."""
    if trial.confirms is not None:
        kind = f"Full training of trial {trial.confirms} on the fresh seed {trial.seed}, for the verdict."
    elif trial.is_baseline:
        kind = "Baseline: what the others are compared with."
    elif is_reference(trial):
        kind = f"Named starting point ({trial.role}) of the space."
    else:
        kind = "Proposal of the sampler."
    if trial.retry_of is not None:
        kind += f" It takes up trial {trial.retry_of}, which failed."
    rows = [f"| `{name}` | {format_value(value)} |" for name, value in trial.parameters.items()]
    table = ["| searched | value |\n|---|---|\n" + "\n".join(rows)] if rows else []
    folder = experiment.results.display_path(experiment.results.trial_path(trial.number))
    return "\n\n".join([kind, *table, f"Files: `{folder}`."])
