"""Checks of a trainable's class before anything is built: names, signatures, metrics, inference parameters and Config."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from runtime.errors import InputError
from trainables import hooks
from trainables.contract import InnerParameter, Metric, Trainable, TrainableConfig

_CONFIG_HOOKS: Final = ("check_data", "ddp_batch_size", "reported_metrics", "supports_ddp")
"""Members of `TrainableConfig` that a Config may override."""
_SIMILARITY: Final = 0.85
"""Ratio of common characters from which a public name of a Config counts as a misspelt hook."""
_METHOD_SIMILARITY: Final = 0.88
"""The same for a class; `predict`, which many classes have, differs more from `predictor`."""
_REQUIRED: Final = ("Config", "metrics")
_CALLS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "__init__": (("config", "data"), ("device", "seed", "epochs")),
    "train_epoch": ((), ()),
    "evaluate": (("split", "params_grid"), ()),
    "state": ((), ()),
    "load_state": (("state",), ()),
    "weights": ((), ()),
    "load_weights": (("weights",), ()),
    "plot_predictions": (("splits", "inference_params"), ()),
    "predictor": (("config", "weights"), ("device",)),
    "training_excerpts": (("count",), ()),
    "score_yardsticks": (("splits",), ()),
    "summarise_scenes": (("sums", "config"), ()),
    "count_parameters": ((), ()),
    "expected_parameters": (("config", "dataset"), ()),
    "sample_step": (("config", "dataset"), ()),
    "prepare_prediction": ((), ()),
}
"""Positional and keyword arguments of each method."""
_METRIC_EXAMPLE: Final = (
    'metrics = (Metric("f1", "maximize", "F1 of the active class"),)  in a class, '
    'or @trainable(metrics=[Metric("f1", "maximize", "F1")])  above a function'
)
_INNER_EXAMPLE: Final = 'inner = (InnerParameter("threshold", 0, 1, "smallest probability that counts as active"),)'

_T = TypeVar("_T", Metric, InnerParameter)


def check_trainable(trainable: type[Trainable], path: str, place: str) -> None:
    """Check a class against the contract, and turn its `metrics` and `inner` into tuples.

    Args:
        trainable: Class of a trainable.
        path: Its import path, for errors.
        place: Location of the path, for errors.

    Raises:
        InputError: If it departs from the contract.
    """
    _require_members(trainable, path, place)
    _refuse_misspellings(trainable, path, place)
    for name in _CALLS:
        _check_method(trainable, name, path, place)
    trainable.metrics = read_metrics(trainable.metrics, path, place)
    trainable.inner = _read_inner(trainable.inner, path, place)
    check_config(trainable.Config, path, place)


def _require_members(trainable: type[Trainable], path: str, place: str) -> None:
    missing = sorted(trainable.__abstractmethods__) + [name for name in _REQUIRED if not hasattr(trainable, name)]
    if not missing:
        return
    similar = {
        name: difflib.get_close_matches(
            name.lower(), [added.lower() for added in _added_names(trainable)], 1, _SIMILARITY
        )
        for name in missing
    }
    listed = [name + (f" (not {similar[name][0]})" if similar[name] else "") for name in missing]
    value = "missing: " + ", ".join(listed)
    raise InputError(
        place, f"{path} must keep the contract", value=value, remedy="add them, see docs/tutorial/trainable.md"
    )


def _added_names(trainable: type[Trainable]) -> list[str]:
    """Return the public names that a class and its bases add to `Trainable`."""
    members = [name for kind in trainable.__mro__ if kind not in Trainable.__mro__ for name in vars(kind)]
    return [name for name in members if not name.startswith("_") and name not in (*vars(Trainable), *_REQUIRED)]


def _refuse_misspellings(trainable: type[Trainable], path: str, place: str) -> None:
    absent = (name for name, value in vars(Trainable).items() if inspect.getattr_static(trainable, name) is value)
    optional = {name.lower(): name for name in absent if not name.startswith("_")}
    for name in _added_names(trainable):
        similar = difflib.get_close_matches(name.lower(), optional, 1, _METHOD_SIMILARITY)
        if similar and similar[0][0] == name[0].lower():
            raise InputError(
                place,
                "names of a trainable must not resemble those of trainables.contract.Trainable",
                value=f"{path}: {name}",
                remedy=f"write {optional[similar[0]]} if that is meant, or choose another name",
            )


def _check_method(trainable: type[Trainable], name: str, path: str, place: str) -> None:
    """Check that a method can be called as a search calls it, and that calling it runs it.

    Raises:
        InputError: If not.
    """
    member = inspect.getattr_static(trainable, name)
    positional, keywords = _CALLS[name]
    written = f"{name}({', '.join(['self', *positional, *(['*', *keywords] if keywords else [])])})"
    if not callable(member) and not isinstance(member, staticmethod | classmethod):
        value = f"{path}: {name} is {type(member).__name__}"
        raise InputError(place, f"{name} of a trainable must be a method", value=value, remedy=f"define  def {written}")
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        value = f"{path}: {name} contains `yield` or is `async`"
        raise InputError(
            place, f"{name} of a trainable must return its result", value=value, remedy="use a plain method"
        )
    bound = () if isinstance(member, staticmethod) else (None,)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function of an extension module has none
        return
    try:
        signature.bind(*bound, *positional, **dict.fromkeys(keywords))
    except TypeError as error:
        rule = f"a trainable must accept the arguments of {written}"
        value = f"{path}: {name}{signature}: {error}"
        raise InputError(place, rule, value=value, remedy="change the parameters") from error


def read_metrics(metrics: object, path: str, place: str) -> tuple[Metric, ...]:
    """Return the metrics of a trainable as a tuple; one metric counts as a tuple of one.

    Raises:
        InputError: If they are no metrics, or two have the same name.
    """
    found = _read_members(metrics, Metric, "metrics", _METRIC_EXAMPLE, (path, place))
    for metric in found:
        if metric.direction not in ("maximize", "minimize"):
            value = f"{path}: {metric.name}: {metric.direction!r}"
            rule = "the direction of a metric must be maximize or minimize"
            raise InputError(place, rule, value=value, remedy=_METRIC_EXAMPLE)
    return found


def _read_inner(inner: object, path: str, place: str) -> tuple[InnerParameter, ...]:
    found = _read_members(inner, InnerParameter, "inner", _INNER_EXAMPLE, (path, place))
    for parameter in found:
        if not parameter.low <= parameter.high:
            value = f"{path}: {parameter.name}: {parameter.low} to {parameter.high}"
            rule = "the lower bound of an inference parameter must not exceed the upper bound"
            raise InputError(place, rule, value=value, remedy=_INNER_EXAMPLE)
    return found


def _read_members(
    written: object, kind: type[_T], attribute: str, example: str, location: tuple[str, str]
) -> tuple[_T, ...]:
    path, place = location
    members: Sequence[Any] = (written,) if isinstance(written, kind) else _as_tuple(written)
    wrong = [member for member in members if not isinstance(member, kind) or not isinstance(member.name, str)]
    names = [getattr(member, "name", member) for member in members]
    if wrong:
        rule = f"{attribute} of a trainable must be a tuple of trainables.contract.{kind.__name__}"
        raise InputError(place, rule, value=f"{path}: {attribute} contains {wrong[0]!r}", remedy=f"write  {example}")
    if len(set(names)) < len(names):
        raise InputError(
            place,
            f"the names in {attribute} must differ",
            value=f"{path}: {names}",
            remedy="remove one of the same name",
        )
    return tuple(members)


def _as_tuple(written: object) -> tuple[object, ...]:
    if isinstance(written, Iterable) and not isinstance(written, str | bytes | dict):
        return tuple(written)
    return (written,)


def check_config(config: Any, path: str, place: str) -> None:
    """Check the base class and the hooks of a Config.

    Raises:
        InputError: If it is no pydantic model, or its hooks are misspelt or incomplete.
    """
    if not (inspect.isclass(config) and issubclass(config, BaseModel)):
        raise InputError(
            place,
            "the Config of a trainable is a pydantic model, such as trainables.contract.TrainableConfig",
            value=f"{path}: Config = {getattr(config, '__name__', config)!s}",
            remedy="derive a class from it, and assign the class, not an instance",
        )
    _require_plain_defaults(config, config.__name__, place)
    for name in _added_config_names(config):
        similar = difflib.get_close_matches(name, _CONFIG_HOOKS, 1, _SIMILARITY)
        if similar:
            raise InputError(
                place,
                "fields and methods of a Config must not resemble the hooks of TrainableConfig",
                value=f"{config.__name__}.{name}",
                remedy=f"define {similar[0]} as TrainableConfig does if the hook is meant, or choose another name",
            )
    if hooks.lacks_batch_size(config):
        raise InputError(
            place,
            "a Config with supports_ddp must define ddp_batch_size",
            value=config.__name__,
            remedy="add a property that returns the number of items per training step",
        )


def _require_plain_defaults(config: type[BaseModel], name: str, place: str) -> None:
    """Check that no default is an array or a NumPy scalar, which pydantic does not validate and JSON does not contain.

    Raises:
        InputError: If one is.
    """
    for field_name, field in config.model_fields.items():
        where, default = f"{name}.{field_name}", field.default
        if isinstance(default, BaseModel):
            _require_plain_defaults(type(default), where, place)
        elif inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            _require_plain_defaults(field.annotation, where, place)
        if hasattr(default, "dtype") or hasattr(type(default), "__array__"):
            raise InputError(
                place,
                "the defaults of a Config must be plain numbers, text, lists or mappings",
                value=f"{where} = {default!r} of type {type(default).__module__}.{type(default).__qualname__}",
                remedy="write the number itself, or convert it with .item() or .tolist()",
            )


def _added_config_names(config: type[BaseModel]) -> list[str]:
    """Return the public methods and class variables that a Config adds to `TrainableConfig`, and all its fields."""
    members = [name for kind in config.__mro__ if kind not in TrainableConfig.__mro__ for name in vars(kind)]
    public = [name for name in members if not (name.startswith("_") or hasattr(TrainableConfig, name))]
    return [*public, *config.model_fields]
