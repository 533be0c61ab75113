"""Hooks of a Config, which `TrainableConfig` declares; a Config that derives from `pydantic.BaseModel` alone has the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from runtime.errors import InputError
from trainables.contract import TrainableConfig

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
    try:
        hook(dataset)
    except InputError:
        raise
    except Exception as error:
        message = str(error).partition("\n")[0]
        raise InputError(
            "dataset",
            f"check_data of {type(config).__qualname__} must accept the dataset",
            value=f"{type(error).__name__}: {message}",
            remedy="name another dataset, or correct check_data",
        ) from error


def epoch_presentations(config: BaseModel, dataset: DatasetProvider) -> int | None:
    """Return the number of training samples that an epoch shows; None if the Config does not state it.

    Raises:
        InputError: If the hook raises an exception, or returns anything but a positive integer or None.
    """
    hook = getattr(config, "epoch_presentations", None)
    if hook is None:
        return None
    try:
        count: Any = hook(dataset)
    except InputError:
        raise
    except Exception as error:
        raise _presentations_error(config, f"{type(error).__name__}: {error}") from error
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


def ddp_batch_size(config: BaseModel) -> int | None:
    """Return the batch size that several processes share; None if one process trains the model."""
    batch_size: int | None = getattr(config, "ddp_batch_size", None)
    return batch_size if getattr(config, "supports_ddp", False) else None


def lacks_batch_size(config: type[BaseModel]) -> bool:
    """Return whether a Config supports several processes without a batch size for them to share."""
    batch_size = getattr(config, "ddp_batch_size", TrainableConfig.ddp_batch_size)
    return getattr(config, "supports_ddp", False) is True and batch_size is TrainableConfig.ddp_batch_size
