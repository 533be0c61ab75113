"""Summary of a search before it starts, also printed by --dry-run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from runtime import uris
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.machines import machine
from search.experiment import Experiment
from search.launching.budgets import budget_lines
from search.launching.constraint_plan import constraint_lines
from search.launching.table_plan import describe_trainings, row_lines
from search.launching.warm_start import warm_start_lines
from search.reporting.progress import format_value
from search.study.confirmations import seeds_of_space
from search.study.stopping.rule import expected_search_epochs, rung_epochs
from spaces.feasibility import survey_points
from spaces.points import describe_dimension
from spaces.samplers import DESCRIPTIONS
from spaces.schema import TRAIN_SEED, Resources, Space

_FRACTIONS: Final = {2: "the better half", 3: "the best third", 4: "the best quarter"}
_MOST_REASONS: Final = 3
"""Number of reasons for impossible points that are printed."""


def missing_bytes(experiment: Experiment) -> tuple[int, int]:
    """Return the bytes to be built for the space's own dataset, and for all datasets that trials may request."""
    own = experiment.dataset.missing_bytes(experiment.dataset_storage)
    total = dict(own)
    for spec in (experiment.space.list_dataset_specs() or [])[1:]:
        total |= experiment.dataset.with_spec(spec).missing_bytes(experiment.dataset_storage)
    return sum(own.values()), sum(total.values())


def confirmation_bytes(experiment: Experiment) -> int:
    """Return the bytes to be built for the confirmations: training data of the space's own dataset on their seeds."""
    space, store = experiment.space, experiment.dataset_storage
    parts: dict[str, int] = {}
    for seed in seeds_of_space(space):
        parts |= experiment.dataset_for({TRAIN_SEED: seed}).missing_bytes(store)
    return sum(size for part, size in parts.items() if part not in experiment.dataset.missing_bytes(store))


def summary_lines(experiment: Experiment, estimate_seconds: Callable[[], float] | None = None) -> list[str]:
    """Return the summary of a search, line by line.

    Args:
        experiment: Search that is about to start.
        estimate_seconds: Measures the build time of the dataset in seconds; None omits it.
    """
    space, results = experiment.space, experiment.results
    objectives = ", ".join(f"{direction} {name}" for name, direction in space.objectives)
    return [
        f"search   {space.name}: {objectives}" + (f"  (profile {space.profile})" if space.profile else ""),
        *[f"         {line}" for line in _space_lines(space)],
        *[f"         {remark}" for remark in space.remarks],
        *[f"{'data' * (index == 0):<9}{text}" for index, text in enumerate(_data_lines(experiment, estimate_seconds))],
        f"trials   {describe_trials(space)}",
        *warm_start_lines(space),
        *_sampler_lines(space),
        *_inference_lines(space),
        *constraint_lines(space),
        *_confirmation_lines(experiment),
        *budget_lines(experiment),
        f"each     {space.resources.cpu:g} CPU, {_describe_gpu(space.resources)}; {_describe_hardware(experiment)}",
        f"results  {results.display_path(results.root_path)}",
        *([f"study    {uris.redact_uri(experiment.study_uri)}"] if experiment.study_uri else []),
        f"MLflow   {uris.redact_uri(experiment.mlflow_uri)}",
    ]


def refusal_lines(refusals: Sequence[InputError]) -> list[str]:
    """Return lines that say why a launch on this machine would be refused, for the end of a dry run."""
    lines = [line for error in refusals for line in str(error).splitlines()]
    return ["", "on this machine a launch would be refused:", *(f"  {line}" for line in lines)] if lines else []


def _data_lines(experiment: Experiment, estimate_seconds: Callable[[], float] | None) -> list[str]:
    dataset = experiment.dataset
    sizes = ", ".join(f"{split.name} {split.samples:,}" for split in dataset.list_splits() if split.samples)
    own, total = missing_bytes(experiment)
    description = f"{dataset.fingerprint}: " + (f"{sizes} {dataset.unit}, " if sizes else "")
    lines = [description + (f"{format_bytes(own)} to be built" if own else dataset.ready)]
    if own and estimate_seconds is not None:
        lines[0] += f", about {max(0.1, estimate_seconds() / 60):.1f} min"
    lines += dataset.describe_notes()
    variants = experiment.space.list_dataset_specs()
    if variants is None:
        lines.append("trials may request their own training data; it is built on request, while other trials run")
    elif len(variants) > 1:
        lines.append(
            f"{len(variants)} variants of the training data, {format_bytes(total)} to be built for all of them; "
            "each one is built once, when a trial requests it"
        )
    return lines


def _space_lines(space: Space) -> list[str]:
    """Describe the dimensions, a baseline outside of them, and the share of impossible points."""
    if space.table is not None:
        return row_lines(space)
    lines = [f"{dimension.name}: {describe_dimension(dimension)}" for dimension in space.search]
    outside = ", ".join(f"{name} {format_value(value)}" for name, value in space.outside.items())
    if outside:
        lines.append(f"baseline outside of the searched range: {outside}")
    survey = survey_points(space)
    if survey.impossible:
        lines.append(
            f"{survey.impossible} of {survey.points} random points are impossible, and are drawn again: "
            + "; ".join(f"{reason} ({count})" for reason, count in survey.reasons[:_MOST_REASONS])
        )
    return lines


def describe_trials(space: Space) -> str:
    """Return the number of trials, their epochs and the rule that lets some of them wait, in words."""
    budget = space.budget
    stops = _describe_stopping(space) if budget.trials > 1 else ""
    hours = f"; this launch takes at most {budget.hours:g} h" if budget.hours is not None else ""
    if space.table is not None:
        return f"{describe_trainings(space)}{hours}"
    if not space.search:
        return f"1 training of {budget.epochs} epochs{hours}"
    few = ""
    if space.max_trials < budget.trials:
        few = f"; the space has {space.max_trials} distinct points, fewer than the budget of {budget.trials} trials"
    return f"{space.max_trials} × up to {budget.epochs} epochs{stops}; trial 0 is the baseline{few}{hours}"


def _describe_stopping(space: Space) -> str:
    stopping, rungs = space.stopping, rung_epochs(space.stopping, space.budget.epochs)
    if not rungs:
        return ""
    charge = "" if stopping.charge == "epochs" else ", measured in seconds per epoch,"
    if stopping.chosen_rule == "median":
        return f", the better half{charge} continues after each epoch from {rungs[0]}, the others wait"
    fraction = _FRACTIONS.get(stopping.reduction, f"the best 1/{stopping.reduction}")
    where = {
        "hyperband": f"in {len(rungs) + 1} brackets",
        "pasha": "the later ones only if the order of the trials changes",
    }.get(stopping.chosen_rule)
    remark = "" if where is None else f" ({where})"
    epochs = "epoch" if len(rungs) == 1 else "epochs"
    return f", {fraction}{charge} continues after {epochs} {', '.join(map(str, rungs))}{remark}, the others wait"


def _confirmation_lines(experiment: Experiment) -> list[str]:
    """Describe which trials are confirmed, and the length of their trainings next to that of the trials."""
    space = experiment.space
    if space.confirm is None or space.table is not None:
        return []
    top, seeds, starts = min(space.confirm.top, space.max_trials), space.confirm.seeds, len(space.start)
    count = (top + 1 + starts) * seeds
    best = "the best trial" if top == 1 else f"the best {top} trials"
    references = "the baseline" + (f" and {starts} start{'s' * (starts > 1)}" if starts else "")
    typical = round(expected_search_epochs(space))
    fresh = confirmation_bytes(experiment)
    data = [f"         {format_bytes(fresh)} of fresh training data to be built for them"] if fresh else []
    return [
        f"confirm  {best}, {references}, on {seeds} fresh seed{'s' * (seeds > 1)}: {count} full trainings, "
        f"{count * space.budget.epochs} epochs after about {typical} of the trials",
        *data,
    ]


def _describe_gpu(resources: Resources) -> str:
    return "a measured share of a GPU" if resources.gpu == "auto" else f"{resources.gpu_share:g} GPU"


def _describe_hardware(experiment: Experiment) -> str:
    if experiment.ray_address is not None:
        return f"of the cluster at {experiment.ray_address}"
    return f"this machine has {machine.count_cores()} cores" + (" and a GPU" if machine.has_gpu() else ", no GPU")


def _sampler_lines(space: Space) -> list[str]:
    """Describe the sampler, unless no point is proposed."""
    if space.table is not None or not space.search or space.max_trials == 1:
        return []
    return [f"sampler  {space.sampler}: {DESCRIPTIONS[space.sampler]}"]


def _inference_lines(space: Space) -> list[str]:
    if not space.inner:
        return []
    settings = math.prod(len(values) for values in space.inner.values())
    return [f"         each validation sweeps {settings} settings of {', '.join(space.inner)}"]
