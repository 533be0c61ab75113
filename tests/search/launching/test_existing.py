"""Searches that exist, that do not, and whose files are damaged, as `--resume` and `--fresh` find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import InputError
from search import predict
from search.launch import main
from search.launching.preflight import check_existing_search
from search.results import SearchFolder
from search.study.study import Study
from spaces.load import load_space
from spaces.schema import Space

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture(scope="module")
def rg_rep() -> Space:
    return load_space(ROOT / "spaces" / "rg_rep.yaml", has_gpu=False)


@pytest.fixture
def folder(tmp_path: Path, rg_rep: Space) -> SearchFolder:
    """Return the folder of a search with one running trial."""
    started = SearchFolder(tmp_path, "rg_rep")
    started.write_identity(rg_rep.identity())
    Study(started.journal_path, rg_rep).next_trial()
    started.checkpoint_path(0).parent.mkdir(parents=True)
    started.checkpoint_path(0).write_bytes(b"state")
    return started


def check(folder: SearchFolder, space: Space, *, resume: bool = True, in_database: bool = False) -> None:
    check_existing_search(folder, space, resume=resume, fresh=False, in_database=in_database)


def launch(storage: Path, *options: str) -> int:
    return main([str(ROOT / "spaces" / "rg_rep.yaml"), "--dry-run", "--storage", str(storage), *options])


@pytest.mark.parametrize(
    ("name", "told"),
    [("rg_rap", "did you mean 'rg_rep'? The storage holds: rg_rep, other"), ("zzz", "The storage holds:")],
)
def test_a_search_to_resume_that_does_not_exist_is_an_error_that_lists_the_others(
    name: str, told: str, folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    SearchFolder(folder.storage, "other").write_identity({"seed": 0})
    (folder.storage / "searches" / "no search").mkdir()
    assert launch(folder.storage, "--resume", "--name", name) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: --resume")
    assert told in printed
    assert "omit --resume" in printed
    assert "no search" not in printed
    assert not (folder.storage / "searches" / name).exists()


def test_in_a_storage_without_searches_there_is_none_to_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(tmp_path / "runs", "--resume") == 2
    assert "the storage holds no search" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_launch_that_was_killed_before_it_wrote_anything_has_started_nothing(tmp_path: Path, rg_rep: Space) -> None:
    folder = SearchFolder(tmp_path, "rg_rep")
    folder.root_path.mkdir(parents=True)
    check(folder, rg_rep, resume=False)
    with pytest.raises(InputError, match="omit --resume to start it"):
        check(folder, rg_rep)


def test_a_repeated_command_starts_a_search_and_then_continues_it(tmp_path: Path, folder: SearchFolder) -> None:
    assert launch(tmp_path / "new", "--resume-or-start") == 0
    assert launch(folder.storage, "--resume-or-start") == 0
    assert launch(folder.storage) == 2


def replace_journal_by_folder(folder: SearchFolder) -> None:
    folder.journal_path.unlink()
    folder.journal_path.mkdir()


DAMAGE: dict[str, tuple[Callable[[SearchFolder], object], str]] = {
    "no space": (lambda f: f.identity_path.unlink(), r"space\.json"),
    "an empty space": (lambda f: f.identity_path.write_bytes(b""), r"space\.json"),
    "a space of zeros": (lambda f: f.identity_path.write_bytes(bytes(512)), r"space\.json"),
    "half a space": (lambda f: f.identity_path.write_bytes(f.identity_path.read_bytes()[:90]), r"space\.json"),
    "a space that is a list": (lambda f: f.identity_path.write_text("[]"), r"space\.json"),
    "no journal": (lambda f: f.journal_path.unlink(), "file is missing"),
    "an empty journal": (lambda f: f.journal_path.write_bytes(b""), "file is empty"),
    "a journal of zeros": (lambda f: f.journal_path.write_bytes(bytes(512)), r"study\.journal"),
    "a journal that is a folder": (replace_journal_by_folder, r"study\.journal"),
    "a broken line": (lambda f: f.journal_path.write_bytes(b"?\n" + f.journal_path.read_bytes()), "line 1"),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_a_search_with_damaged_files_is_refused_and_can_be_archived(
    kind: str, folder: SearchFolder, rg_rep: Space
) -> None:
    damage, message = DAMAGE[kind]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        check(folder, rg_rep)
    assert "--fresh" in caught.value.remedy
    check_existing_search(folder, rg_rep, resume=False, fresh=True)
    folder.archive_search()
    check(folder, rg_rep, resume=False)
    assert not folder.root_path.exists()
    assert (folder.storage / "searches" / "rg_rep.old1" / "trials" / "0000" / "checkpoint.pt").is_file()


def test_a_search_without_its_space_does_not_start_over_into_its_journal(folder: SearchFolder, rg_rep: Space) -> None:
    folder.identity_path.unlink()
    with pytest.raises(InputError, match=r"holds the study of a search"):
        check(folder, rg_rep, resume=False)


def test_an_incomplete_last_entry_is_no_error(folder: SearchFolder, rg_rep: Space) -> None:
    torn = folder.journal_path.read_bytes()[:-7]
    folder.journal_path.write_bytes(torn)
    check(folder, rg_rep)
    assert folder.journal_path.read_bytes() == torn


def test_a_study_stays_where_it_is(folder: SearchFolder, rg_rep: Space) -> None:
    with pytest.raises(InputError, match="omit --study"):
        check(folder, rg_rep, in_database=True)
    folder.journal_path.unlink()
    check(folder, rg_rep, in_database=True)
    with pytest.raises(InputError, match="add --study if"):
        check(folder, rg_rep)


@pytest.mark.parametrize("named", ["rg_rap", "runs/searches/rg_rap", "{storage}/searches/rg_rap"])
def test_a_prediction_with_an_unknown_search_lists_those_that_exist(
    named: str, folder: SearchFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.storage / "runs").symlink_to(folder.storage)
    monkeypatch.chdir(folder.storage)
    assert predict.main([named.format(storage=folder.storage), "any.wav"]) == 2
    assert "did you mean 'rg_rep'? The storage holds: rg_rep" in capsys.readouterr().err
