"""Lease of a search: a record that one launch holds and renews, so that launches on other machines do not run it as well.

The lock file of a search protects it on one machine. The lease protects it wherever its storage or the database of its study
can be reached. Clocks of different machines are not compared: a lease has expired when its record has not changed for the time
of the lease.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from runtime.errors import InputError
from runtime.machines.processes import ProcessIdentity, process_state, this_process
from runtime.storage import Storage, storage_at
from search.results import SearchFolder

LEASE_S: Final = 90.0
"""Time without a renewal after which another machine may take over, in seconds."""
RENEWAL_S: Final = 15.0
_POLL_S: Final = 3.0
_SETTLE_S: Final = 0.3
"""Pause before a new record is read back: another machine may have written at the same moment."""


class LeaseStore(Protocol):
    """Location of a record."""

    def read(self) -> str | None:
        """Return the record; None or empty if there is none."""
        ...

    def write(self, record: str) -> None:
        """Replace the record."""
        ...

    def delete(self) -> None:
        """Remove the record."""
        ...


@dataclass(frozen=True)
class StoredRecord:
    """Record in the storage of a search.

    Attributes:
        storage: Storage of the search.
        name: Path of the record.
    """

    storage: Storage
    name: str

    @classmethod
    def of_search(cls, folder: SearchFolder) -> StoredRecord:
        """Return the location of a search's record: beside its folder, which `--fresh` moves."""
        return cls(folder.bucket or storage_at(str(folder.storage)), f"searches/.{folder.name}.lease")

    def read(self) -> str | None:
        """Return the record; None if there is none."""
        content = self.storage.read_file(self.name)
        return None if content is None else content.decode(errors="replace")

    def write(self, record: str) -> None:
        """Replace the record."""
        self.storage.write_file(self.name, record.encode())

    def delete(self) -> None:
        """Remove the record."""
        self.storage.delete_file(self.name)


@dataclass(frozen=True)
class Holder:
    """Content of a record.

    Attributes:
        process: Process that holds the lease.
        token: Identifier of this lease.
        since: Time at which the process took the lease, by its own clock.
        renewals: Number of renewals.
        expires_in_s: Time without a renewal after which the lease expires, in seconds.
    """

    process: ProcessIdentity
    token: str
    since: str
    renewals: int
    expires_in_s: float

    @classmethod
    def parse(cls, text: str | None) -> Holder | None:
        """Return the content of a record; None if there is none or it is incomplete."""
        try:
            values = json.loads(text or "")
            process = ProcessIdentity(**values.pop("process"))
            return cls(**{**values, "process": process, "expires_in_s": float(values["expires_in_s"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def format(self) -> str:
        """Return the record as text."""
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        return f"process {self.process.pid} on {self.process.host}, since {self.since}"


class LeaseLostError(Exception):
    """Another process has taken over a lease.

    Attributes:
        holder: The other process.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


def boot_clock() -> float:
    """Return a monotonic time in seconds that continues while the machine sleeps, unlike `time.monotonic`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """Lease with one record.

    Args:
        store: Location of the record.
        place: Name of the search, for errors.
        process: Process that takes the lease.
        now: Monotonic clock, in seconds.
        sleep: Function that waits for a number of seconds.
    """

    def __init__(
        self,
        store: LeaseStore,
        place: str,
        process: ProcessIdentity | None = None,
        now: Callable[[], float] = boot_clock,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        since = datetime.now(UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        self._mine = Holder(process or this_process(), uuid.uuid4().hex, since, 0, LEASE_S)
        self._store = store
        self._place = place
        self._now = now
        self._sleep = sleep or time.sleep
        self._renewed_at = now()
        self._tried_at = now()

    def acquire(self, report: Callable[[str], None]) -> None:
        """Take the lease; wait for that of another machine to expire, which may have failed.

        Args:
            report: Prints a line before waiting.

        Raises:
            InputError: If another process holds the lease, or the storage cannot be used.
        """
        holder = Holder.parse(self._store.read())
        if holder is not None:
            state = process_state(holder.process, self._mine.process)
            if state == "running":
                raise held_error(self._place, holder)
            if state == "unknown":
                self._wait_for_expiry(holder, report)
        self._write()
        self._sleep(_SETTLE_S)
        holder = Holder.parse(self._store.read())
        if holder is not None and holder.token != self._mine.token:
            raise held_error(self._place, holder)

    def _wait_for_expiry(self, holder: Holder, report: Callable[[str], None]) -> None:
        patience = min(holder.expires_in_s, 2 * LEASE_S)
        report(f"lease    held by {holder}: waiting up to {patience:.0f} s to see whether that process still runs")
        deadline = self._now() + patience
        while self._now() < deadline:
            self._sleep(_POLL_S)
            current = Holder.parse(self._store.read())
            if current is None:
                return
            if (current.token, current.renewals) != (holder.token, holder.renewals):
                raise held_error(self._place, current)
        report("lease    not renewed: taking over the search")

    def _write(self) -> None:
        self._store.write(self._mine.format())
        self._renewed_at = self._now()

    def renew(self) -> None:
        """Renew the lease.

        Raises:
            LeaseLostError: If another process has taken it.
            InputError: If the storage cannot be used.
        """
        self._tried_at = self._now()
        holder = Holder.parse(self._store.read())
        if holder is not None and holder.token != self._mine.token:
            raise LeaseLostError(holder)
        self._mine = replace(self._mine, renewals=self._mine.renewals + 1)
        self._write()

    def is_due(self) -> bool:
        """Return whether the last renewal is so long ago that another process may soon take over.

        After an attempt that failed, the next one is due after an interval, since requests may take long to fail.
        """
        now = self._now()
        return now - self._renewed_at > LEASE_S / 2 and now - self._tried_at > RENEWAL_S

    def release(self) -> None:
        """Give the lease back, unless another process has taken it."""
        holder = Holder.parse(self._store.read())
        if holder is not None and holder.token == self._mine.token:
            self._store.delete()


class SearchLease:
    """Leases of a running search, renewed by a thread.

    Attributes:
        lost_to: Process that has taken over the search; None while the search is this process's.
    """

    def __init__(self) -> None:
        self.lost_to: Holder | None = None
        self._leases: list[Lease] = []
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_regularly, name="lease", daemon=True)

    def acquire(self, lease: Lease, report: Callable[[str], None]) -> None:
        """Take a lease, and renew it until the end.

        Raises:
            InputError: If another process holds it.
        """
        lease.acquire(report)
        with self._lock:
            self._leases.append(lease)
        if not self._thread.is_alive():
            self._thread.start()

    def require_held(self) -> None:
        """Check that the search is still this process's; to be called before every write to the study.

        Raises:
            KeyboardInterrupt: If another process has taken over, e.g. because this machine was suspended.
        """
        with self._lock:
            self._renew([lease for lease in self._leases if lease.is_due()])
        if self.lost_to is not None:
            raise KeyboardInterrupt

    def _renew(self, leases: list[Lease]) -> None:
        for lease in leases:
            try:
                lease.renew()
            except LeaseLostError as error:
                self.lost_to = error.holder
            except Exception:  # noqa: BLE001  # storage or database out of reach: the next renewal may succeed
                continue

    def _renew_regularly(self) -> None:
        while not self._released.wait(RENEWAL_S):
            with self._lock:
                if not self._released.is_set():
                    self._renew(self._leases)
            if self.lost_to is not None:
                os.kill(
                    os.getpid(), signal.SIGTERM
                )  # `search.launching.shutdown` raises KeyboardInterrupt in the main thread
                return

    @contextmanager
    def hold(self, folder: SearchFolder, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the lease of a search in its storage, and give all leases back at the end.

        Raises:
            InputError: If another process holds it.
        """
        try:
            self.acquire(Lease(StoredRecord.of_search(folder), folder.display_path(folder.root_path)), report)
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Give the leases back."""
        self._released.set()
        with self._lock:
            for lease in self._leases:
                with suppress(Exception):  # it expires by itself
                    lease.release()
            self._leases.clear()


def held_error(place: str, holder: Holder | None) -> InputError:
    """Return the error for a search that another process runs."""
    detail: Any = None if holder is None else str(holder)
    remedy = "wait until the other one has ended, stop it, or choose another --name"
    if holder is not None:
        remedy += (
            "; if that machine has failed, repeat the command: "
            f"the lease expires {holder.expires_in_s:.0f} s after its last renewal"
        )
    return InputError(place, "one launch at a time may run a search", value=detail, remedy=remedy)


def read_holder(folder: SearchFolder) -> Holder | None:
    """Return the process that holds the lease of a search, as far as it can be read."""
    with suppress(InputError, OSError):
        return Holder.parse(StoredRecord.of_search(folder).read())
    return None
