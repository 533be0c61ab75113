"""Journals survive power cuts and full disks: nothing but the entry that was being written is lost."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import InputError, StorageError
from search.study import journal_storage
from search.study.journal import read_journal
from search.study.study import Study, read_trials
from search.study.trials import Outcome, Trial
from tests.search.support import epoch, space


def record_three_trials(journal: Path) -> list[Trial]:
    """Record a finished, a stopped and a running trial."""
    study = Study(journal, space())
    for number in range(3):
        study.next_trial()
        for done in range(1, 3):
            study.record_epoch(number, epoch(done, 0.1 * number + 0.2 * done))
        if number < 2:
            study.end_trial(number, "finished" if number == 0 else "stopped", "by a rung")
    return study.get_trials()


def torn_copies(whole: bytes) -> list[bytes]:
    """Return the journal cut and zero-filled at every length of its last three entries."""
    start = sum(len(line) for line in whole.splitlines(keepends=True)[:-3])
    cut = [whole[:length] for length in range(start, len(whole))]
    return [*cut, *(part + bytes(len(whole) - len(part)) for part in cut), *(part + bytes(5000) for part in cut[::9])]


def test_a_journal_that_was_cut_or_filled_with_zeros_opens_and_grows(tmp_path: Path) -> None:
    before = record_three_trials(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    entries = whole.splitlines(keepends=True)
    copies = torn_copies(whole)
    assert len(copies) > 2 * 3 * 50
    for number, torn in enumerate(copies):
        journal = tmp_path / f"{number}" / "study.journal"
        journal.parent.mkdir()
        journal.write_bytes(torn)
        kept = [line for n, line in enumerate(entries) if torn.startswith(b"".join(entries[: n + 1])[:-1])]
        assert read_trials(journal)[0] == before[0]
        assert journal.read_bytes() == torn  # a reader changes nothing
        study = Study(journal, space())
        assert journal.read_bytes().startswith(b"".join(kept))
        aside = [path.read_bytes() for path in journal.parent.glob("study.journal.torn-*")]
        rest = torn.removeprefix(b"".join(kept)[:-1]).removeprefix(b"\n")
        assert aside == ([rest] if rest else [])
        running = study.get_trials()[2]
        for done in range(1, 3):
            assert study.record_epoch(2, epoch(done, 0.2 + 0.2 * done)) == (done > len(running.epochs))
        assert Study(journal, space()).get_trials() == study.get_trials()
        assert [e.epoch for e in study.get_trial(2).epochs] == [1, 2]
        shutil.rmtree(journal.parent)


def test_what_was_incomplete_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "study.journal"
    record_three_trials(journal)
    journal.write_bytes(journal.read_bytes()[:-7])
    (tmp_path / "study.journal.torn-1").write_text("of an earlier power cut")
    capsys.readouterr()
    Study(journal, space())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "study.journal.torn-2" in lines[0]
    Study(journal, space())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", bytes(4096), b"\n", b'{"op_code":'])
def test_a_journal_without_any_entry_is_a_new_one(content: bytes, tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    journal.write_bytes(content)
    assert read_trials(journal) == []  # a launch creates the file and then the study, and may be watched meanwhile
    study = Study(journal, space())
    assert study.get_trials() == []
    assert study.next_trial() is not None


BREAKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "garbage": lambda lines: [*lines[:4], b"garbage\n", *lines[5:]],
    "zeros": lambda lines: [*lines[:4], bytes(len(lines[4]) - 1) + b"\n", *lines[5:]],
    "an appended torn line": lambda lines: [*lines[:4], lines[4][:9], *lines[5:]],
    "a blank line": lambda lines: [*lines[:4], b"\n", *lines[4:]],
    "no entry": lambda lines: [*lines[:4], b"17\n", *lines[4:]],
    "not UTF-8": lambda lines: [*lines[:4], b"\xff\xfe\n", *lines[4:]],
}


@pytest.mark.parametrize("kind", list(BREAKS))
def test_a_journal_that_is_corrupt_in_the_middle_is_an_error_with_its_line(kind: str, tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    record_three_trials(journal)
    journal.write_bytes(b"".join(BREAKS[kind](journal.read_bytes().splitlines(keepends=True))))
    broken = journal.read_bytes()
    for read in (lambda: Study(journal, space()), lambda: read_trials(journal), lambda: read_journal(journal)):
        with pytest.raises(InputError, match=r"study\.journal: line 5"):
            read()
    assert journal.read_bytes() == broken


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{"op_code":4,"worker_id":"a","study_id":0}', "follow from each other"),
        ('{"op_code":99,"worker_id":"a"}', "follow from each other"),
        ('{"op_code":8,"worker_id":"a","trial_id":7,"user_attr":{"a":1}}', r"line 7"),
    ],
)
def test_entries_that_do_not_follow_from_each_other_are_an_error(entry: str, message: str, tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    record_three_trials(journal)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:6], entry, *lines[6:], ""]))
    for read in (lambda: Study(journal, space()), lambda: read_trials(journal)):
        with pytest.raises(InputError, match=message):
            read()


def test_a_journal_that_has_lost_its_first_lines_is_an_error(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    record_three_trials(journal)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[6:]))
    with pytest.raises(InputError, match="line 1"):
        Study(journal, space())


def test_a_journal_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "study.journal").mkdir()
    for read in (lambda: Study(tmp_path / "study.journal", space()), lambda: read_trials(tmp_path / "study.journal")):
        with pytest.raises(InputError, match=r"study\.journal"):
            read()


def test_the_lock_of_a_killed_process_is_not_waited_for(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    record_three_trials(journal)
    (tmp_path / "study.journal.lock").symlink_to(journal)
    Study(journal, space()).next_trial()  # Optuna's lock would take 30 s


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses of retries, which take no time."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_waited_for_and_no_part_of_an_entry_stays(
    code: int,
    call: str,
    pauses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, space())
    study.next_trial()
    whole, true_call, failures = journal.read_bytes(), getattr(os, call), itertools.count()

    def fail_thrice(file: int, *content: bytes) -> object:
        if content and len(content[0]) > 9:
            return true_call(file, bytes(content[0][:9]))  # the disk takes a part of an entry
        if next(failures) < 3:
            raise OSError(code, os.strerror(code))
        return true_call(file, *content)

    monkeypatch.setattr(os, call, fail_thrice)
    study.record_epoch(0, epoch(1, 0.5))
    monkeypatch.undo()
    assert len(pauses) == 3
    printed = capsys.readouterr().err
    assert printed.count("waiting to write") == 1
    assert os.strerror(code) in printed
    assert "continues" in printed
    assert journal.read_bytes().startswith(whole)
    assert len(Study(journal, space()).get_trial(0).epochs) == 1


def test_a_disk_that_stays_full_ends_the_search_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, space())
    study.next_trial()
    whole = journal.read_bytes()
    monkeypatch.setattr(journal_storage, "RETRY_TIMEOUT_S", 0.01)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        study.record_epoch(0, epoch(1, 0.5))
    assert pauses
    study.stop_retrying()
    pauses.clear()
    with pytest.raises(StorageError, match="No space left"):
        study.set_run_id(0, "abc")
    assert pauses == []  # a search that ends does not wait
    monkeypatch.undo()
    assert journal.read_bytes() == whole
    assert study.record_epoch(0, epoch(1, 0.5))
    assert len(Study(journal, space()).get_trial(0).epochs) == 1


def test_a_part_that_could_not_be_removed_is_removed_before_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, space())
    study.next_trial()
    codes = iter([errno.EIO])
    true_truncate = os.ftruncate

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def truncate(file: int, size: int) -> None:
        if next(codes, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        true_truncate(file, size)

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(os, "ftruncate", truncate)
    monkeypatch.setattr("time.sleep", lambda _: monkeypatch.undo())
    study.record_epoch(0, epoch(1, 0.5))
    assert pauses == []
    assert len(Study(journal, space()).get_trial(0).epochs) == 1
    assert list(tmp_path.iterdir()) == [journal]


def test_a_refused_entry_is_not_written(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, space())
    whole = journal.read_bytes()

    def refuse() -> None:
        raise KeyboardInterrupt

    study.guard_writes(refuse)
    with pytest.raises(KeyboardInterrupt):
        study.next_trial()
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize(("outcome", "reason"), [("stopped", "by a rung"), ("failed", "NameError: lamda")])
def test_an_end_that_was_recorded_in_part_is_completed(
    outcome: Outcome, reason: str, lost: int, tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    study = Study(journal, space())
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.5))
    study.end_trial(0, outcome, reason)
    expected = study.get_trials()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-lost]))
    restarted = Study(journal, space())
    assert restarted.get_trial(0).outcome == "running"
    restarted.finalize_ended_trials()
    assert restarted.get_trials() == expected
    upcoming = restarted.next_trial()
    assert upcoming is not None
    assert upcoming.number == 1
