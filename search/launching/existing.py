"""Searches that a storage holds already: their names, and checks that one of them can be continued."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from runtime.errors import InputError
from search.results import SearchFolder
from search.study.journal import read_journal


def unknown_search_error(folder: SearchFolder) -> InputError:
    """Return the error for a search to be resumed that was never started, with the searches that exist.

    Raises:
        InputError: If the bucket rejects the request.
    """
    return InputError(
        "--resume",
        f"a search of this name must have been started in {folder.display_path(folder.storage / 'searches')}",
        value=folder.name,
        remedy=f"omit --resume to start it, or give --name or --storage of another search; {describe_searches(folder)}",
    )


def describe_searches(folder: SearchFolder) -> str:
    """Return a list of the searches in a storage, the most similar name first.

    Raises:
        InputError: If the bucket rejects the request.
    """
    return describe_names(folder.name, folder.list_searches())


def describe_names(name: str, names: Sequence[str]) -> str:
    """Return a list of the names of searches, the one most similar to an unknown name first."""
    if not names:
        return "the storage holds no search"
    ordered = sorted(names, key=lambda known: -difflib.SequenceMatcher(None, name, known).ratio())
    similar = difflib.get_close_matches(name, ordered[:1], cutoff=0.6)
    hint = f"did you mean {similar[0]!r}? " if similar else ""
    return f"{hint}The storage holds: {', '.join(ordered)}"


def require_new_folder(folder: SearchFolder) -> None:
    """Check that a search that starts finds no study of an earlier one, which it would continue.

    Raises:
        InputError: If it does.
    """
    journal = folder.journal_path
    if journal.is_file() and read_journal(journal).entries:
        raise InputError(
            folder.display_path(folder.identity_path),
            f"the file with the space must exist, since {journal.name} holds the study of a search",
            value="missing",
            remedy="restore the file from a backup, or archive the search with --fresh and start over",
        )


def check_study(folder: SearchFolder, *, in_database: bool) -> None:
    """Check that a search to be resumed has its study; an incomplete last entry of a journal is not an error.

    Args:
        folder: Files of the search.
        in_database: Whether the study is expected in a database.

    Raises:
        InputError: If the journal is corrupt, the study is elsewhere, or trials have files but no study.
    """
    journal = folder.journal_path
    has_entries = journal.exists() and bool(read_journal(journal).entries)
    if in_database and has_entries:
        raise InputError(
            "--study",
            "a resumed search keeps its study where it is",
            value=f"the study is in {journal}",
            remedy="omit --study, or start over with --fresh or --name",
        )
    if not in_database and not has_entries and any(folder.root_path.glob("trials/*/*.pt")):
        raise InputError(
            str(journal),
            "the study of a search that has trials must exist",
            value="the file is empty" if journal.exists() else "the file is missing",
            remedy="restore it from a backup, add --study if the study is in a database, or archive the search with --fresh",
        )
