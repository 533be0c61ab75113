"""Hooks of a Config, which `TrainableConfig` declares; a Config that derives from `pydantic.BaseModel` alone has the defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from runtime.errors import InputError
from trainables.contract import Metric, TrainableConfig

if TYPE_CHECKING:
    from datasets.building.provider import DatasetProvider


def check_data(config: BaseModel, dataset: DatasetProvider) -> None:
    """Check that a model with these hyperparameters can learn from a dataset.

    Raises:
        InputError: If the dataset is unsuitable, or the hook raises another exception.
    """
    hook = getattr(config, "check_data", None)
    if hook is None:
        return
    call_hook(
        hook,
        dataset,
        lambda raised: InputError(
            "dataset",
            f"check_data of {type(config).__qualname__} must accept the dataset",
            value=raised,
            remedy="name another dataset, or correct check_data",
        ),
    )


def call_hook(hook: Callable[[Any], Any], argument: object, explain: Callable[[str], InputError]) -> Any:
    """Return what a hook returns.

    Args:
        hook: The hook.
        argument: Its argument.
        explain: Returns the error for an exception, of which it is given the first line.

    Raises:
        InputError: If the hook raises one, or another exception.
    """
    try:
        return hook(argument)
    except InputError:
        raise
    except Exception as error:
        raise explain(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


def epoch_presentations(config: BaseModel, dataset: DatasetProvider) -> int | None:
    """Return the number of training samples that an epoch shows; None if the Config does not state it.

    Raises:
        InputError: If the hook raises an exception, or returns anything but a positive integer or None.
    """
    hook = getattr(config, "epoch_presentations", None)
    if hook is None:
        return None
    count = call_hook(hook, dataset, lambda raised: _presentations_error(config, raised))
    if count is None or (isinstance(count, int) and not isinstance(count, bool) and count > 0):
        return count
    raise _presentations_error(config, repr(count))


def _presentations_error(config: BaseModel, returned: str) -> InputError:
    return InputError(
        "budget.presentations",
        f"epoch_presentations of {type(config).__qualname__} must return a positive integer or None",
        value=returned.partition("\n")[0],
        remedy="correct epoch_presentations of the Config",
    )


def reported_metrics(config: BaseModel, declared: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Return the metrics of a model with these hyperparameters.

    Raises:
        InputError: If the hook raises an exception, or returns anything but metrics.
    """
    hook = getattr(config, "reported_metrics", None)
    if hook is None:
        return declared
    metrics: tuple[Any, ...] = call_hook(
        lambda known: tuple(hook(known)), declared, lambda raised: _metrics_error(config, raised)
    )
    if not metrics or not all(isinstance(metric, Metric) for metric in metrics):
        raise _metrics_error(config, repr(metrics))
    return metrics


def _metrics_error(config: BaseModel, returned: str) -> InputError:
    return InputError(
        "trainable",
        f"reported_metrics of {type(config).__qualname__} must return a tuple of trainables.contract.Metric",
        value=returned.partition("\n")[0],
        remedy="correct reported_metrics of the Config",
    )


def ddp_batch_size(config: BaseModel) -> int | None:
    """Return the batch size that several processes share; None if one process trains the model."""
    batch_size: int | None = getattr(config, "ddp_batch_size", None)
    return batch_size if getattr(config, "supports_ddp", False) else None


def lacks_batch_size(config: type[BaseModel]) -> bool:
    """Return whether a Config supports several processes without a batch size for them to share."""
    batch_size = getattr(config, "ddp_batch_size", TrainableConfig.ddp_batch_size)
    return getattr(config, "supports_ddp", False) is True and batch_size is TrainableConfig.ddp_batch_size
