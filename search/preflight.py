"""Whether what a space asks for can be had, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from datasets.building.provider import DatasetProvider
from runtime import machine
from runtime.errors import InputError
from spaces.schema import Space, nest_names
from trainables import registry


def check_data(space: Space, source: DatasetProvider) -> None:
    """Ask the trainable whether it can learn from the data, wherever in the space a trial may be.

    Raises:
        InputError: If it cannot.
    """
    for corner in _boundary_configs(space):
        getattr(corner, "check_data", lambda _: None)(source)


def check_several_gpus(space: Space) -> None:
    """Check that trials which ask for several GPUs can use them, wherever in the space they may be.

    Raises:
        InputError: If not.
    """
    gpus = int(space.resources.gpu_share)
    if gpus <= 1:
        return
    for corner in _boundary_configs(space):
        if not getattr(corner, "several", False):
            raise InputError(
                "resources.gpu",
                f"{space.trainable} trains on one GPU",
                value=gpus,
                remedy="--set resources.gpu=1, or a part of one",
            )
        size: int = corner.optimizer.batch_size  # type: ignore[attr-defined]
        if size < gpus:
            raise InputError(
                "optimizer.batch_size",
                "every GPU of a trial takes a part of each batch",
                value=f"{size}, with resources.gpu={gpus}",
                remedy=f"a batch_size of {gpus} or more, or fewer GPUs",
            )


def _boundary_configs(space: Space) -> Iterator[BaseModel]:
    config = registry.describe_trainable(space.trainable, "trainable").config
    for values in space.boundary_points():
        try:
            yield config.model_validate(nest_names(values))
        except ValidationError:  # values that do not go together are no question of ours
            continue


def check_resources(space: Space) -> None:
    """Check that this machine has what a trial asks for.

    Raises:
        InputError: If not.
    """
    share = space.resources.gpu_share
    if share and not machine.has_gpu():
        raise InputError(
            "resources.gpu",
            "a GPU must be there if trials ask for one",
            value=space.resources.gpu,
            remedy="add --profile laptop, or --set resources.gpu=0",
        )
    if share > 1 and (there := len(machine.list_gpus())) < share:
        raise InputError(
            "resources.gpu",
            "a trial cannot ask for more GPUs than there are",
            value=f"{share:g} of {there}",
            remedy="--set resources.gpu=1",
        )
    if space.resources.cpu > machine.count_cores():
        raise InputError(
            "resources.cpu",
            "a trial cannot ask for more cores than there are",
            value=f"{space.resources.cpu:g} of {machine.count_cores()}",
            remedy=f"--set resources.cpu={machine.count_cores()}",
        )
