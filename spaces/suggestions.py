"""Suggestions for keys and kinds of ranges that have other names in Optuna, Ray Tune and similar tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import InputError, suggest_name
from spaces.constraints import form_error

_RANGE: Final = "write the bounds as a list:  {uniform: [low, high]},  or log_uniform, int or log_int"
_NORMAL: Final = "write  {uniform: [low, high]}  over the range of interest"
_DIMENSION_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("loguniform", "reciprocal", "log"), "write  {log_uniform: [low, high]}"),
    **dict.fromkeys(("quniform", "discreteuniform", "quantizeduniform"), "write  {uniform: [low, high], step: …}"),
    **dict.fromkeys(("qloguniform", "qlograndint"), "write  {log_uniform: [low, high]}  or  {log_int: [low, high]}"),
    **dict.fromkeys(("randint", "integer", "intuniform", "uniformint"), "write  {int: [low, high]}, bounds included"),
    **dict.fromkeys(("qrandint",), "write  {int: [low, high], step: …}"),
    **dict.fromkeys(("lograndint", "loguniformint", "loginteger", "intloguniform"), "write  {log_int: [low, high]}"),
    **dict.fromkeys(("normal", "randn", "qrandn", "lognormal", "gaussian"), _NORMAL),
    **dict.fromkeys(
        ("float", "double", "suggestfloat"), "write  {uniform: [low, high]}  or  {log_uniform: [low, high]}"
    ),
    **dict.fromkeys(
        ("values", "value", "choices", "categorical", "categories", "options", "gridsearch", "grid", "oneof", "enum"),
        "write  {choice: [a, b, c]}",
    ),
    **dict.fromkeys(("min", "max", "low", "high", "lower", "upper", "bounds", "range", "interval"), _RANGE),
    **dict.fromkeys(("type", "distribution", "kind", "method"), "the kind is the key itself:  {uniform: [low, high]}"),
    **dict.fromkeys(("q", "stepsize", "increment"), "write  step: …  beside the range"),
    **dict.fromkeys(
        ("if", "condition", "conditions", "depends", "parent", "active"), "write  when: {other.name: value}"
    ),
    **dict.fromkeys(("default", "initial", "init"), "write the value under baseline:"),
    **dict.fromkeys(
        ("mean", "mu", "center", "centre", "mode", "guess", "preferred", "expected", "likely", "best"),
        "write  prior: …,  with  width: narrow, medium or wide",
    ),
    **dict.fromkeys(
        ("sigma", "std", "stddev", "spread", "confidence", "priorwidth", "priorstd"),
        "write  width: narrow, medium or wide  beside  prior: …",
    ),
}
"""Remedies for keys of a dimension, in lower case and without underscores and hyphens."""
_FILE_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("metric", "mode", "objective", "goal"), "write  objectives: [{metric: …, direction: maximize}]"),
    **dict.fromkeys(
        ("ntrials", "numsamples", "numtrials", "maxtrials", "trials"), "write  budget: {trials: …, epochs: …}"
    ),
    **dict.fromkeys(
        ("epochs", "maxepochs", "numepochs", "iterations", "maxt"), "write  budget: {trials: …, epochs: …}"
    ),
    **dict.fromkeys(("hours", "timeout", "timebudgets", "timelimit"), "write  budget: {hours: …}"),
    **dict.fromkeys(("scheduler", "pruner", "earlystopping", "asha"), "write  stopping: {rule: auto, reduction: 3}"),
    **dict.fromkeys(
        ("params", "parameters", "hyperparameters", "paramspace", "config", "space", "searchspace", "dimensions"),
        "write the ranges under search: and single values under fixed:",
    ),
    **dict.fromkeys(
        ("constraintsfunc", "constraint", "outcomeconstraints", "bounds", "limits"),
        "write  constraints: [parameters <= 2e6]",
    ),
    **dict.fromkeys(("model", "algorithm", "estimator"), "write  trainable: …"),
    **dict.fromkeys(("data", "datasets"), "write  dataset: {kind: …}"),
    **dict.fromkeys(("constants", "defaults", "const"), "write the values under fixed:"),
    **dict.fromkeys(("gpu", "gpus", "cpu", "cpus", "resourcespertrial"), "write  resources: {cpu: …, gpu: …}"),
    **dict.fromkeys(("pointstoevaluate", "enqueue", "initialpoints"), "write the points under start:"),
    **dict.fromkeys(
        ("searchalg", "searchalgorithm", "optimizer", "tuner", "samplers"), "write  sampler: tpe,  or leave it out"
    ),
}
"""Remedies for keys of a space file, in the same form."""
_INSIDE: Final[Mapping[str, Mapping[str, str]]] = {
    "objectives": dict.fromkeys(("mode", "goal", "minimize", "maximize"), "write  direction: maximize  or  minimize"),
    "stopping": {
        "graceperiod": "write  first_rung: …",
        "reductionfactor": "write  reduction: …",
        "eta": "write  reduction: …",
        "maxt": "write  budget: {epochs: …}",
        "type": "write  rule: auto, asha, hyperband, pasha, median  or  none",
    },
    "budget": {
        **dict.fromkeys(("ntrials", "numsamples", "samples"), "write  trials: …"),
        **dict.fromkeys(("iterations", "maxt", "steps"), "write  epochs: …"),
        **dict.fromkeys(("timeout", "seconds", "minutes", "timebudgets"), "write  hours: …"),
        **dict.fromkeys(("totalepochs", "maxepochstotal"), "write  epochs_total: …"),
        **dict.fromkeys(("examples", "trainingsamples", "samplesseen"), "write  presentations: …"),
        **dict.fromkeys(("gpus", "gputime"), "write  gpu_hours: …"),
        **dict.fromkeys(("cost", "price", "costs", "usd", "eur", "dollars", "euros"), "write  money: …"),
        **dict.fromkeys(("priceperhour", "hourlyprice"), "write  resources: {price_per_hour: …}"),
    },
    "resources": dict.fromkeys(("price", "cost", "hourlyprice", "costperhour"), "write  price_per_hour: …"),
}
"""Remedies for keys inside a key of a space file."""


def suggest_dimension_key(key: str, known: tuple[str, ...]) -> str:
    """Return a remedy for an unknown key of a dimension."""
    return _combine(suggest_name(key, known), _DIMENSION_KEYS.get(_normalize(key)))


def with_file_key_hint(error: InputError, path: str) -> InputError:
    """Return an error for an unknown key of a space file, with the remedy for a name that other tools use."""
    key = error.place.removeprefix(f"{path}: ")
    if error.rule != "the name must be known" or key == error.place:
        return error
    head, dot, _ = key.partition(".")
    last = _normalize(key.rpartition(".")[2])
    hint = _INSIDE.get(head, {}).get(last) if dot else _FILE_KEYS.get(last)
    return InputError(error.place, error.rule, value=error.value, remedy=_combine(error.remedy, hint))


def _combine(similar: str, hint: str | None) -> str:
    """Return a similar name together with the hint; a list of all names is replaced by the hint."""
    if hint is None:
        return similar
    return f"{similar} {hint}" if similar.startswith("did you mean") else hint


def check_forms(data: Mapping[str, Any], path: str) -> None:
    """Check the forms of keys that are often written too short, such as `objectives: f1_mean`.

    Raises:
        InputError: If a key has another form than it must have; the remedy shows the value in the right form.
    """
    _check_search(data.get("search"), path)
    objectives, stopping, start = (data.get(key) for key in ("objectives", "stopping", "start"))
    _check_constraints(data.get("constraints"), path)
    written = objectives if isinstance(objectives, list) else [objectives]
    if isinstance(objectives, str | dict) or any(isinstance(item, str) for item in written):
        items = [_in_flow(item) if isinstance(item, dict) else f"{{metric: {item}}}" for item in written]
        raise _form_error(f"{path}: objectives", "a list of mappings", objectives, f"objectives: [{', '.join(items)}]")
    if isinstance(sampler := data.get("sampler"), dict):
        name = next((sampler[key] for key in ("name", "type", "kind", "method") if key in sampler), "tpe")
        raise _form_error(f"{path}: sampler", "a name; a sampler has no options", sampler, f"sampler: {name}")
    if isinstance(stopping, str):
        raise _form_error(f"{path}: stopping", "a mapping", stopping, f"stopping: {{rule: {stopping}}}")
    if isinstance(start, dict) and start:
        raise _form_error(f"{path}: start", "a list of points", start, f"start: [{_in_flow(start)}]")
    if isinstance(warm := data.get("warm_start"), str):
        raise _form_error(f"{path}: warm_start", "a list of searches", warm, f"warm_start: [{warm}]")
    inner = data.get("inner")
    for name, values in inner.items() if isinstance(inner, dict) else ():
        if not isinstance(values, dict) and values is not None:
            choice = _in_flow(values if isinstance(values, list) else [values])
            raise _form_error(f"{path}: inner.{name}", "a mapping", values, f"{name}: {{choice: {choice}}}")


def _check_constraints(constraints: Any, path: str) -> None:
    """Check that constraints are a list of text.

    Raises:
        InputError: If they are not.
    """
    for number, entry in enumerate(constraints) if isinstance(constraints, list) else ():
        if not isinstance(entry, str):
            raise form_error(entry, f"{path}: constraints.{number}")
    if isinstance(constraints, str):
        raise _form_error(f"{path}: constraints", "a list of text", constraints, f"constraints: [{constraints}]")
    if isinstance(constraints, dict):
        items = [f"{name} <= {_in_flow(bound)}" for name, bound in constraints.items()]
        remedy = f"constraints: [{', '.join(items)}]  or, for lower bounds, >="
        raise _form_error(f"{path}: constraints", "a list of text", constraints, remedy)


def _form_error(place: str, form: str, value: Any, remedy: str) -> InputError:
    return InputError(place, f"the value must be {form}", value=value, remedy=f"write  {remedy}")


def _check_search(search: Any, path: str) -> None:
    """Check that every dimension is written as a mapping.

    Raises:
        InputError: If one is a plain value or a list; the remedy says how to fix the value or to search the list.
    """
    for name, written in search.items() if isinstance(search, dict) else ():
        if isinstance(written, list):
            remedy = f"write  {name}: {{choice: {_in_flow(written)}}}"
        elif not isinstance(written, dict):
            remedy = f"move  {name}: {_in_flow(written)}  to fixed:, or write a range:  {{uniform: [low, high]}}"
        else:
            continue
        raise InputError(f"{path}: search.{name}", "a dimension must be a mapping", value=written, remedy=remedy)


def _in_flow(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_in_flow, value[:5])) + (", …]" if len(value) > 5 else "]")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_in_flow(inside)}" for name, inside in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _normalize(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
