"""Checkpoint files: written atomically, retried while the storage is unavailable, and read without running code."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from runtime.errors import StorageError
from runtime.retry import retry_call
from search.results import SearchFolder

RETRY_TIMEOUT_S: Final = 900.0
RETRY_PAUSE_S: Final = 15.0

T = TypeVar("T")


def save_checkpoint(folder: SearchFolder, path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; wait for a full disk or an unavailable bucket.

    Raises:
        StorageError: If it cannot be written within `RETRY_TIMEOUT_S`.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)

    def write() -> None:
        try:
            with folder.write_file(path) as temporary:
                temporary.write_bytes(buffer.getbuffer())
        except OSError as error:
            raise unwritable_error(folder.display_path(path), error) from error

    retry_storage(write)


def load_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values only, so that a file of unknown origin cannot run code."""
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content


def retry_storage(work: Callable[[], T]) -> T:
    """Return the result of `work`, repeating it while the storage is unavailable.

    Raises:
        StorageError: If the storage is still unavailable after `RETRY_TIMEOUT_S`.
    """
    return retry_call(
        work, lambda error: isinstance(error, StorageError), repeat(RETRY_PAUSE_S), timeout_s=RETRY_TIMEOUT_S
    )


def unwritable_error(location: str, error: OSError) -> StorageError:
    """Return the error for a file or folder of a trial that cannot be written."""
    remedy = "free some space, or restore the storage; nothing is lost: continue with --resume"
    value = f"{platform.node()}: {error}"
    return StorageError(location, "a trial's files must be written", value=value, remedy=remedy)
