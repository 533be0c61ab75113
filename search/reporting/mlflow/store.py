"""MLflow's store: where it is, its client, and what commands read and delete in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime import uris
from search.reporting.mlflow.api import MlflowClient, MlflowException
from search.reporting.mlflow.files import ARTIFACTS, DATABASE
from search.reporting.mlflow.views import TableView, experiment_link, view_link, view_tag

_SEARCH_RUNS: Final = "tags.role = 'search'"


@dataclass(frozen=True)
class MlflowStore:
    """Locations of MLflow's data.

    Attributes:
        uri: Tracking URI.
        artifacts: URI of the artifact root; None leaves the location to the server.
    """

    uri: str
    artifacts: str | None

    @classmethod
    def from_uri(cls, storage: Path, uri: str | None) -> MlflowStore:
        """Create the store at a tracking URI, or by default in SQLite in the storage folder."""
        if uri is not None:
            return cls(uri, None if uri.startswith("http") else (storage / ARTIFACTS).as_uri())
        return cls(uris.sqlite_uri(storage / DATABASE), (storage / ARTIFACTS).as_uri())

    def open_client(self) -> MlflowClient:
        """Return a client of the store."""
        return MlflowClient(tracking_uri=self.uri)


def search_links(store: MlflowStore, parent: str | None, view: TableView | None) -> list[tuple[str, str]]:
    """Return the URL fragments of the tables of searches by the names of their experiments.

    Args:
        store: Locations of MLflow's data.
        parent: MLflow run of a search; None for all searches of the store.
        view: View of that search, which is stored if it is not there yet: earlier versions did not.
    """
    client = store.open_client()
    if parent is None:
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()], _SEARCH_RUNS)
    else:
        runs = []
        with suppress(MlflowException):
            runs = [client.get_run(parent)]
    links = []
    for run in runs:
        experiment = client.get_experiment(run.info.experiment_id)
        number, own = experiment.experiment_id, run.info.run_id
        has_view = view_tag(own) in experiment.tags
        if view is not None and not has_view:
            client.set_experiment_tag(number, view_tag(own), view.to_json(own))
        is_known = has_view or view is not None
        links.append((experiment.name, view_link(number, own) if is_known else experiment_link(number)))
    return links


def delete_runs(store: MlflowStore, run_ids: Sequence[str]) -> int:
    """Delete runs; return their number without those that do not exist any more."""
    client = store.open_client()
    deleted = 0
    for run_id in run_ids:
        with suppress(MlflowException):
            client.delete_run(run_id)
            deleted += 1
    return deleted


def read_run_tags(store: MlflowStore, run_id: str) -> dict[str, str]:
    """Return the tags of a run; empty if it does not exist or the store cannot be read."""
    with suppress(MlflowException, OSError):
        return dict(store.open_client().get_run(run_id).data.tags)
    return {}
