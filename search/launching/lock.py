"""Lock of a search among the processes of one machine, beside the lease, which holds between machines."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from search.launching.lease import held_error, read_holder
from search.results import SearchFolder


@contextmanager
def hold_lock(folder: SearchFolder) -> Iterator[None]:
    """Hold the lock of a search; the kernel releases it even after a crash.

    Raises:
        InputError: If another process holds it.
    """
    path = folder.lock_path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held_error(folder.display_path(folder.root_path), read_holder(folder)) from None
        except OSError:  # the file system has no locks; the lease remains
            pass
        yield
