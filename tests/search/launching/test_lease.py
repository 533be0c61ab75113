"""A search is run by one launch at a time, on whichever machines, and is free again when its launch has ended or failed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import InputError, StorageError
from runtime.machines.processes import ProcessIdentity, this_process
from search.launch import main
from search.launching import lease as leases
from search.launching import shutdown
from search.launching.lease import Holder, Lease, LeaseLostError, SearchLease, StoredRecord, read_holder
from search.launching.lock import hold_lock
from search.results import SearchFolder
from search.study.study import Study
from spaces.load import load_space
from tests.datasets import bucket
from tests.datasets.bucket import Bucket
from tests.search.support import epoch, space

FAR = replace(this_process(), host="far", boot="another")
ROOT = Path(__file__).resolve().parent.parent.parent.parent


class Clock:
    """Clock that advances by sleeping; `during` is called after every pause."""

    def __init__(self) -> None:
        self.now = 0.0
        self.during: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during()


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with bucket.serving() as served:
        served.buckets.add("results")
        yield served


@pytest.fixture(params=["folder", "bucket", "study"])
def store(request: pytest.FixtureRequest, tmp_path: Path, server: Bucket) -> leases.LeaseStore:
    server.objects.clear()
    if request.param == "study":
        return Study(tmp_path / "journal", space()).attribute("lease")
    where = str(tmp_path / "runs") if request.param == "folder" else server.uri("results/deep")
    return StoredRecord.of_search(SearchFolder.from_storage(where, "toy", str(tmp_path / "cache")))


def lease_of(store: leases.LeaseStore, clock: Clock, process: ProcessIdentity | None = None) -> Lease:
    return Lease(store, "searches/toy", process, lambda: clock.now, clock.sleep)


def fail_report(text: str) -> None:
    pytest.fail(f"waited: {text}")


def test_a_lease_that_was_given_back_is_free_at_once(store: leases.LeaseStore) -> None:
    clock = Clock()
    for process in (None, FAR, None):
        taken = lease_of(store, clock, process)
        taken.acquire(fail_report)
        taken.renew()
        taken.release()
    assert clock.now < 2


def test_another_machine_is_refused_once_the_lease_is_renewed(store: leases.LeaseStore) -> None:
    clock, printed = Clock(), list[str]()
    far = lease_of(store, clock, FAR)
    far.acquire(fail_report)
    clock.during = lambda: far.renew() if clock.now > 10 else None
    with pytest.raises(InputError, match="one launch at a time") as caught:
        lease_of(store, clock).acquire(printed.append)
    assert f"process {FAR.pid} on far, since 20" in str(caught.value.value)
    assert "90 s after its last renewal" in caught.value.remedy
    assert len(printed) == 1
    assert clock.now < 20
    far.renew()  # the refused launch has left the lease alone


def test_another_machine_takes_over_when_the_lease_has_expired(store: leases.LeaseStore) -> None:
    clock, printed = Clock(), list[str]()
    far = lease_of(store, clock, FAR)
    far.acquire(fail_report)
    near = lease_of(store, clock)
    near.acquire(printed.append)
    assert clock.now >= leases.LEASE_S
    assert "waiting up to 90 s" in printed[0]
    assert "taking over" in printed[1]
    with pytest.raises(LeaseLostError, match=f"process {os.getpid()}"):
        far.renew()
    far.release()
    near.renew()


def test_another_machine_takes_over_at_once_when_the_lease_is_given_back_meanwhile(store: leases.LeaseStore) -> None:
    clock = Clock()
    far = lease_of(store, clock, FAR)
    far.acquire(fail_report)
    clock.during = far.release
    near = lease_of(store, clock)
    near.acquire(lambda _: None)
    assert clock.now < 10
    near.renew()


def test_of_two_launches_at_the_same_moment_one_is_refused(store: leases.LeaseStore) -> None:
    clock = Clock()
    near, far = lease_of(store, clock), lease_of(store, Clock(), FAR)

    def write_too() -> None:
        clock.during = lambda: None
        far._write()  # it has seen no lease either

    clock.during = write_too
    with pytest.raises(InputError, match="one launch at a time"):
        near.acquire(fail_report)
    far.renew()


@pytest.mark.parametrize("text", ["", "{", "[]", "\0" * 300, '{"token": "a"}'])
def test_a_damaged_record_holds_nothing(text: str, store: leases.LeaseStore) -> None:
    store.write(text)
    lease_of(store, Clock()).acquire(fail_report)


PROGRAM = """
import sys, time
from search.launching.lease import SearchLease, Lease, StoredRecord
from search.results import SearchFolder
search = SearchLease()
search.acquire(Lease(StoredRecord.of_search(SearchFolder.from_storage(sys.argv[1], "toy")), "toy"), print)
print("held", flush=True)
time.sleep(100)
"""


def test_on_one_machine_a_running_process_is_refused_and_a_killed_one_not_waited_for(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "toy")
    holder = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {holder.pid} on"), SearchLease().hold(folder, fail_report):
            pass
        found = read_holder(folder)
        assert found is not None
        assert found.process.pid == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    started = time.monotonic()
    with SearchLease().hold(folder, fail_report):
        pass
    assert time.monotonic() - started < 5
    assert read_holder(folder) is None


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[SearchLease, leases.LeaseStore]]:
    """Return a lease of this process that is being held, and its record."""
    folder = SearchFolder(tmp_path, "toy")
    search = SearchLease()
    with ExitStack() as stack:
        stack.enter_context(search.hold(folder, fail_report))
        yield search, StoredRecord.of_search(folder)


def take_over(store: leases.LeaseStore) -> None:
    store.write(Holder(FAR, "theirs", "2026-01-01", 0, 90.0).format())


def test_a_launch_whose_lease_was_taken_over_stops_and_writes_nothing(
    held: tuple[SearchLease, leases.LeaseStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, store = held
    study = Study(tmp_path / "journal", space())
    study.guard_writes(search.require_held)
    study.next_trial()
    take_over(store)
    whole = (tmp_path / "journal").read_bytes()
    later = leases.boot_clock() + 1000  # the machine was suspended; the thread has not renewed the lease yet
    monkeypatch.setattr(search._leases[0], "_now", lambda: later)
    with pytest.raises(KeyboardInterrupt):
        study.record_epoch(0, epoch(1, 0.5))
    assert not study.is_writable()
    assert (tmp_path / "journal").read_bytes() == whole
    search.release()
    assert Holder.parse(store.read()) == search.lost_to


def test_the_main_thread_is_interrupted_when_the_lease_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWAL_S", 0.05)
    folder = SearchFolder(tmp_path, "toy")
    search = SearchLease()

    def work() -> None:
        with shutdown.handle_signals(), search.hold(folder, fail_report):
            take_over(StoredRecord.of_search(folder))
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert search.lost_to is not None
    assert search.lost_to.token == "theirs"


def test_a_storage_that_is_away_for_a_while_loses_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWAL_S", 0.02)
    away = threading.Event()
    read = StoredRecord.read

    def read_or_fail(record: StoredRecord) -> str | None:
        if away.is_set():
            raise StorageError("s3://b", "must answer", remedy="wait")
        return read(record)

    monkeypatch.setattr(StoredRecord, "read", read_or_fail)
    search, folder = SearchLease(), SearchFolder(tmp_path, "toy")
    with search.hold(folder, fail_report):
        away.set()
        time.sleep(0.2)
        search.require_held()
        away.clear()
        before = read_holder(folder)
        time.sleep(0.3)
        after = read_holder(folder)
    assert before is not None
    assert after is not None
    assert after.renewals > before.renewals
    assert search.lost_to is None


@pytest.mark.parametrize("option", ["--resume", "--fresh"])
def test_a_search_that_another_launch_runs_is_neither_resumed_nor_archived(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space_file = str(ROOT / "spaces" / "rg_rep.yaml")
    folder = SearchFolder(tmp_path, "rg_rep")
    folder.write_identity(load_space(ROOT / "spaces" / "rg_rep.yaml", has_gpu=False).identity())
    command = [space_file, "--storage", str(tmp_path), "--profile", "laptop", option]
    with SearchLease().hold(folder, fail_report):
        assert main(command) == 2
    assert f"process {os.getpid()} on" in capsys.readouterr().err
    with hold_lock(folder):
        assert main(command) == 2
    assert "one launch at a time" in capsys.readouterr().err
    assert folder.is_started()
