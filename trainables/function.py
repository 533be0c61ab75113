"""Functions as trainables: a generator that yields the metrics of every epoch.

    @trainable(metrics=[Metric("score", "maximize", "made up")])
    def train(config: Config, data, *, device, seed, epochs, state=None):
        for epoch in range(epochs):
            ...
            yield {"score": score}

`registry.load_trainable` converts such a function to a class with `as_trainable`.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel

from runtime.errors import InputError, suggest_name
from trainables.contract import ContractError, InferenceParams, Metric, Metrics, Trainable
from trainables.returned_values import describe_value, read_metrics

_DATA: Final = ("data", "dataset")
_OPTIONAL: Final = (*_DATA, "device", "seed", "epochs", "state")
"""Parameters after the Config; a function takes those that it needs."""
_SIGNATURE: Final = "def train(config: MyConfig, data, *, device, seed, epochs, state=None)"

_F = TypeVar("_F", bound=Callable[..., Any])


def trainable(*, metrics: Iterable[Metric]) -> Callable[[_F], _F]:
    """Declare the metrics of a function that is used as a trainable.

    Without this decorator, the objectives of a space name the metrics, and each states its direction.

    Args:
        metrics: Metrics that the function yields.
    """

    def declare(function: _F) -> _F:
        function.metrics = metrics if isinstance(metrics, Metric) else tuple(metrics)  # type: ignore[attr-defined]
        return function

    return declare


class FunctionTrainable(Trainable):
    """Trainable that runs a generator function; `as_trainable` derives one class per function.

    An epoch ends where the function yields. It yields a mapping of metrics, or a tuple of metrics and state. A resumed training
    calls the function with its last state; without one, the function starts anew and the epochs that are already recorded are
    repeated without being recorded again. A function is not evaluated on test splits.

    Attributes:
        function: Function that trains.
        function_name: Name of the function, for messages.
    """

    function: ClassVar[Callable[..., Any]]
    function_name: ClassVar[str]

    def __init__(self, config: Any, data: Any, *, device: str, seed: int, epochs: int) -> None:
        values = {"data": data, "dataset": data, "device": device, "seed": seed, "epochs": epochs}
        accepted = _accepted_names(self.function)
        self._call = functools.partial(
            self.function, config, **{name: value for name, value in values.items() if name in accepted}
        )
        self._takes_state = "state" in accepted
        self._epochs = epochs
        self._results: Iterator[Any] | None = None
        self._completed = 0
        self._yielded = 0
        self._metrics: Metrics = {}
        self._state: Any = None

    def train_epoch(self) -> Metrics:
        """Run the function until it yields the next epoch; return no metrics, since all of them belong to `evaluate`."""
        if self._results is None:
            self._results = self._start()
        while self._yielded <= self._completed:
            self._metrics = self._advance(self._results)
        self._completed += 1
        return {}

    def _start(self) -> Iterator[Any]:
        results = self._call(state=self._state) if self._takes_state else self._call()
        if isinstance(results, Mapping):
            return iter([results])
        if not isinstance(results, Iterator):
            raise ContractError(
                f"{self.function_name} returned {describe_value(results)}, but must yield metrics after every epoch"
            )
        return results

    def _advance(self, results: Iterator[Any]) -> Metrics:
        try:
            result = next(results)
        except StopIteration:
            raise ContractError(
                f"{self.function_name} ended after {self._yielded} of {self._epochs} epochs, but must yield once per epoch"
            ) from None
        self._yielded += 1
        metrics, state = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if not isinstance(metrics, Mapping):
            raise ContractError(
                f"{self.function_name} yielded {describe_value(metrics)}, but must yield a mapping from metric names to "
                "numbers, or a tuple of it and a state"
            )
        self._keep_state(state)
        return read_metrics(f"{self.function_name} yielded", metrics)

    def _keep_state(self, state: Any) -> None:
        if state is not None and not self._takes_state:
            raise ContractError(
                f"{self.function_name} yielded a state, but has no parameter for it: add state=None, from which a resumed "
                "training continues"
            )
        if state is None and self._state is not None:
            raise ContractError(
                f"{self.function_name} yielded no state after epoch {self._yielded}, but did so before: yield it every time"
            )
        self._state = state

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the metrics of the last epoch for the validation split, and none for other splits."""
        return [dict(self._metrics) if split == "validate" else {} for _ in params_grid]

    def state(self) -> dict[str, Any]:
        """Return the number of epochs, and the metrics and the state that the function yielded last."""
        return {"epoch": self._completed, "metrics": self._metrics, "state": self._state}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state: the next epoch calls the function anew."""
        self._completed, self._metrics, self._state = state["epoch"], state["metrics"], state["state"]
        self._results, self._yielded = None, 0 if self._state is None else self._completed

    def weights(self) -> dict[str, Any]:
        """Return the last state that the function yielded; nothing if it yields none."""
        return {} if self._state is None else {"state": self._state}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take the state that the function yielded."""
        self._state = weights.get("state")


def as_trainable(function: Callable[..., Any], path: str, place: str) -> type[Trainable]:
    """Return the class that runs a function as a trainable.

    Args:
        function: Generator function whose first parameter is annotated with its Config.
        path: Import path of the function.
        place: Location of the path, for errors.

    Raises:
        InputError: If the parameters are not those of a trainable.
    """
    _check_parameters(function, path, place)
    return _derive_class(function, path, _find_config(function, path, place))


@functools.cache
def _derive_class(function: Callable[..., Any], path: str, config: type[BaseModel]) -> type[Trainable]:
    name = path.rpartition(":")[2]
    members: dict[str, Any] = {
        "__doc__": inspect.getdoc(function),
        "__module__": getattr(function, "__module__", __name__),
        "Config": config,
        "metrics": getattr(function, "metrics", ()),
        "inner": (),
        "needs_data": any(p.name in _DATA and p.default is p.empty for p in _parameters(function)[1:]),
        "function": staticmethod(function),
        "function_name": name,
    }
    return type(name, (FunctionTrainable,), members)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a function of an extension module has no signature
        return []


def _accepted_names(function: Callable[..., Any]) -> set[str]:
    """Return the names among `_OPTIONAL` that a function accepts."""
    others = _parameters(function)[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in others):
        return {*_OPTIONAL} - {"dataset"}
    return {parameter.name for parameter in others} & {*_OPTIONAL}


def _check_parameters(function: Callable[..., Any], path: str, place: str) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        rule = "a function used as a trainable must not be async"
        raise InputError(place, rule, value=path, remedy=f"write  {_SIGNATURE}, which yields metrics")
    others = _parameters(function)[1:]
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    for parameter in others:
        required = parameter.default is parameter.empty and parameter.kind not in variadic
        if required and (parameter.name not in _OPTIONAL or parameter.kind is parameter.POSITIONAL_ONLY):
            raise InputError(
                place,
                f"the parameters of a function used as a trainable must be among {', '.join(_OPTIONAL)}",
                value=f"{path}: {parameter.name}",
                remedy=f"{suggest_name(parameter.name, _OPTIONAL)}; e.g.  {_SIGNATURE}",
            )


def _find_config(function: Callable[..., Any], path: str, place: str) -> type[BaseModel]:
    """Return the pydantic model with which the first parameter is annotated.

    Raises:
        InputError: If there is none.
    """
    annotation: Any = _resolve_annotation(function)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    raise InputError(
        place,
        "the first parameter of a function used as a trainable must be annotated with its Config, a pydantic model",
        value=f"{path}: {getattr(annotation, '__name__', annotation)}",
        remedy=f"write  {_SIGNATURE}",
    )


def _resolve_annotation(function: Callable[..., Any]) -> object:
    """Return the annotation of the first parameter, evaluated if it is text; None if there is none."""
    parameters = _parameters(function)
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return None
    annotation: object = parameters[0].annotation
    if not isinstance(annotation, str):
        return annotation
    holder = type("_Holder", (), {"__annotations__": {"config": annotation}})
    while isinstance(function, functools.partial):
        function = function.func
    plain: Any = inspect.unwrap(function)
    scope = getattr(plain, "__globals__", None) or getattr(type(plain).__call__, "__globals__", {})
    try:
        return typing.get_type_hints(holder, scope)["config"]
    except (NameError, TypeError, SyntaxError, AttributeError):
        return annotation
