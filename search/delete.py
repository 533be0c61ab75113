"""`python -m search.delete NAME`: delete a search with its trials, models and study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.cli import Parser, run_command
from runtime.console import format_bytes
from runtime.errors import InputError
from search.catalog.deletion import delete_search, require_idle
from search.catalog.reading import SearchRecord, locate_search, read_record
from search.launching.lock import hold_lock
from search.launching.storage_options import add_storage_options, add_tracking_option
from search.results import SearchFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.delete",
        description="Delete a search: its trials, models and study. Datasets stay, and MLflow's runs without --mlflow.",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument("--yes", action="store_true", help="delete without asking for the name of the search again")
    parser.add_argument("--mlflow", action="store_true", help="delete its runs in MLflow as well")
    add_tracking_option(parser, "MLflow store for --mlflow")
    add_storage_options(parser)
    return run_command(lambda: _delete(parser.parse_args(arguments)), stopped="Stopped.")


def _delete(options: argparse.Namespace) -> int:
    folder = locate_search(options, options.search)
    if options.study is None and not folder.journal_path.exists() and any(folder.root_path.glob("trials/*")):
        print("study    not in the storage: with --study it is deleted from its database, too")
    require_idle(folder)
    with hold_lock(folder):
        if not options.yes:
            _confirm_name(folder)
        runs = _list_runs(read_record(options, options.search)) if options.mlflow else []
        deletion = delete_search(folder, options.study)
    freed = f", {format_bytes(deletion.size)}" if deletion.size else ""
    print(f"deleted  {folder.display_path(folder.root_path)}: {deletion.files} files{freed}")
    if deletion.has_study:
        print("study    deleted from the database")
    if options.mlflow:
        _delete_runs(options, folder, runs)
    return 0


def _confirm_name(folder: SearchFolder) -> None:
    """Ask for the name of the search on a terminal.

    Raises:
        InputError: If there is no terminal, or another name is given.
    """
    place = folder.display_path(folder.root_path)
    if not sys.stdin.isatty():
        raise InputError(place, "the deletion of a search must be confirmed", remedy="add --yes")
    typed = input(f"All trials and models in {place} are deleted. Type the name of the search to confirm: ")
    if typed.strip() != folder.name:
        raise InputError(place, "the name must be that of the search", value=typed, remedy="nothing was deleted")


def _list_runs(record: SearchRecord) -> list[str]:
    parent = [record.study.run_id] if record.study.run_id else []
    return [*(trial.run_id for trial in record.study.trainings if trial.run_id), *parent]


def _delete_runs(options: argparse.Namespace, folder: SearchFolder, runs: Sequence[str]) -> None:
    from search.reporting.mlflow.store import MlflowStore, delete_runs

    count = delete_runs(MlflowStore.from_uri(folder.storage, options.tracking_uri), runs)
    print(f"MLflow   {count} runs deleted; `mlflow gc` removes their files")


if __name__ == "__main__":
    sys.exit(main())
