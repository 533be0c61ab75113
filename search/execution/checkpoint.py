"""Checkpoint files: written atomically, retried while the storage is unavailable, and read without running code."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable, Collection, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from runtime.errors import StorageError
from runtime.retry import retry_call
from search.results import SearchFolder

RETRY_TIMEOUT_S: Final = 900.0
RETRY_PAUSE_S: Final = 15.0
_EXCERPT: Final = 80

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


def load_or_put_aside(
    folder: SearchFolder, path: Path, keys: Collection[str], report: Callable[[str], None], device: str = "cpu"
) -> dict[str, Any] | None:
    """Read a trial's file; rename it if it is corrupt, e.g. after a power cut.

    Args:
        folder: Files of the search.
        path: Path of the file.
        keys: Keys that its content must have.
        report: Receives a message about a corrupt file.
        device: Torch device of the tensors.

    Returns:
        The content, or None if there is no file or it is corrupt.

    Raises:
        StorageError: If the storage cannot be read.
    """
    local = folder.fetch_file(path)
    try:
        content = load_checkpoint(local, device)
        missing = set(keys) - set(content)
        reason = f"without {', '.join(sorted(missing))}"
    except FileNotFoundError:  # absent, or renamed by another process of the trial
        return None
    except OSError as error:
        raise _unreadable_error(folder.display_path(path), error) from error
    except Exception as error:  # noqa: BLE001  # a corrupt pickle may raise any exception
        missing, reason = set(keys), f"{type(error).__name__}: {str(error).partition(chr(10))[0][:_EXCERPT]}"
    if not missing:
        return content
    report(f"{path.name} is corrupt ({reason}); it was moved to {folder.put_aside(path)}")
    return None


def _unreadable_error(location: str, error: OSError) -> StorageError:
    remedy = "restore the storage; nothing is lost: continue with --resume"
    return StorageError(
        location, "a trial's files must be readable", value=f"{platform.node()}: {error}", remedy=remedy
    )


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
