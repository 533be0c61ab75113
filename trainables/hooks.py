"""Hooks of a Config, which `TrainableConfig` declares; a Config that derives from `pydantic.BaseModel` alone has the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def ddp_batch_size(config: BaseModel) -> int | None:
    """Return the batch size that several processes share; None if one process trains the model."""
    batch_size: int | None = getattr(config, "ddp_batch_size", None)
    return batch_size if getattr(config, "supports_ddp", False) else None


def lacks_batch_size(config: type[BaseModel]) -> bool:
    """Return whether a Config supports several processes without a batch size for them to share."""
    batch_size = getattr(config, "ddp_batch_size", TrainableConfig.ddp_batch_size)
    return getattr(config, "supports_ddp", False) is True and batch_size is TrainableConfig.ddp_batch_size
