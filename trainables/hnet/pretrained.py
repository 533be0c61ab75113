"""Trained Hungarian networks on disk: one per Config, trained at first use."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any, Final

import torch
from torch import nn

from datasets.matrices import MatricesSpec
from runtime import hashing
from runtime.errors import InputError
from runtime.files import atomic_write
from trainables.hnet.config import HnetConfig
from trainables.hnet.network import HungarianNetwork
from trainables.hnet.trainable import Hnet

_VERSION: Final = 1
"""Part of the file name; raised when training changes."""
EPOCHS: Final = 12
_OVERRIDES: Final = {
    "network": {"scaled_attention": True, "distance_limit": 4.0},
    "optimizer": {"lr": 8e-3, "batch_size": 1024, "schedule": "one_cycle"},
}
"""Values that reach the accuracy of the authors within minutes on two cores; their own values take many epochs."""


def default_config(max_sources: int) -> HnetConfig:
    """Return the Config of the network that `hnet: trained` uses."""
    return HnetConfig.model_validate({"max_sources": max_sources, **_OVERRIDES})


def train_or_load(config: HnetConfig, folder: Path, *, device: str, epochs: int = EPOCHS) -> Path:
    """Return the file of a trained network, after training it if there is none.

    A file lock makes concurrent callers wait for one training.

    Args:
        config: Hyperparameters of the network.
        folder: Folder of the files.
        device: Name of the torch device to train on.
        epochs: Length of the training, in epochs.
    """
    path = folder / f"hnet-{hashing.hash_values([_VERSION, epochs, config.model_dump(mode='json')])}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        _wait_for_lock(lock, path)
        if not path.is_file():
            network = Hnet(config, MatricesSpec(), device=device, seed=0, epochs=epochs)
            for _ in range(epochs):
                network.train_epoch()
            content = {
                "trainable": "hnet",
                "config": config.model_dump(mode="json"),
                "weights": network.weights(),
                "metrics": network.evaluate("test", [{}])[0],
            }
            with atomic_write(path) as temporary:
                torch.save(content, temporary)
    return path


def _wait_for_lock(lock: IO[str], path: Path) -> None:
    """Lock a file; print a line if another process holds it, which is training the same network."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process, which is training {path.name} in {path.parent}", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def load_pretrained(path: Path, place: str) -> tuple[HnetConfig, nn.Module]:
    """Read a trained network and freeze it.

    Args:
        path: File written by `train_or_load`, or the `model.pt` of a search.
        place: Location of the path, for errors.

    Returns:
        The Config and the network, on the CPU.

    Raises:
        InputError: If there is no such file, or it contains no Hungarian network.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        config = HnetConfig.model_validate(content["config"])
        network = HungarianNetwork(config)
        network.load_state_dict(content["weights"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            place,
            "the Hungarian network must be a file written by a search of spaces/hnet.yaml",
            value=f"{path}: {type(error).__name__}",
            remedy="name its model.pt, or write `trained` or `exact`",
        ) from error
    network.eval().requires_grad_(requires_grad=False)
    return config, network
