"""Choice of the MLflow experiment of a search: found by its runs, restored if it was deleted, and never shared with archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_DELETED: Final = "deleted"
_SEARCH_RUNS: Final = "tags.role = 'search'"


class ExperimentFinder:
    """Finder of the experiment that receives the runs of a search.

    Args:
        client: Client of MLflow.
        find_run: Returns a run by its id, also a deleted one; None if there is none.
        notify: Receives a message about every change that was made to an existing experiment.
    """

    def __init__(self, client: Any, find_run: Callable[[str], Any], notify: Callable[[str], None]) -> None:
        self._client = client
        self._find_run = find_run
        self._notify = notify

    def find_or_create(self, name: str, artifacts: str | None, parent: str | None, archives: Mapping[str, str]) -> str:
        """Return the id of the experiment.

        A search that has a run stays in the experiment of that run, whatever its name is now. A new search gets an
        experiment without runs of archived searches, which move out of its way under the name of the archive.

        Args:
            name: Name of the search.
            artifacts: URI of the artifact root; None leaves the location to the server.
            parent: MLflow run of the search, if it has been started before.
            archives: Names of the archived searches of this name, by their MLflow run, oldest first.
        """
        run = None if parent is None else self._find_run(parent)
        if run is not None:
            return self._restore(self._client.get_experiment(run.info.experiment_id))
        existing = self._client.get_experiment_by_name(name)
        if existing is not None and (parent is not None or not self._set_aside(existing, archives)):
            return self._restore(existing)
        location = None if artifacts is None else f"{artifacts}/{name}"
        return str(self._client.create_experiment(name, artifact_location=location))

    def _restore(self, experiment: Any) -> str:
        if experiment.lifecycle_stage == _DELETED:
            self._client.restore_experiment(experiment.experiment_id)
            self._notify(f"the deleted experiment {experiment.name!r} and its runs are restored")
        return str(experiment.experiment_id)

    def _set_aside(self, experiment: Any, archives: Mapping[str, str]) -> bool:
        """Rename the experiment if it is deleted, or if it holds archived searches only; return whether it was renamed."""
        if experiment.lifecycle_stage == _DELETED:
            self._client.restore_experiment(experiment.experiment_id)  # only active ones can be renamed
            self._rename(experiment, f"{experiment.name}.{_DELETED}")
            self._client.delete_experiment(experiment.experiment_id)
            return True
        archived = [run for run in self._search_runs(experiment) if run.info.run_id in archives]
        for run in archived:
            self._client.update_run(run.info.run_id, name=f"search {archives[run.info.run_id]}")
        if not archived or len(archived) < len(self._search_runs(experiment)):
            return False  # shared with a search from another storage folder
        latest = max(archived, key=lambda run: list(archives).index(run.info.run_id))
        self._rename(experiment, archives[latest.info.run_id])
        return True

    def _search_runs(self, experiment: Any) -> Sequence[Any]:
        runs: Sequence[Any] = self._client.search_runs([experiment.experiment_id], _SEARCH_RUNS)
        return runs

    def _rename(self, experiment: Any, name: str) -> None:
        number, unused = 1, name
        while self._client.get_experiment_by_name(unused) is not None:
            number += 1
            unused = f"{name}-{number}"
        self._client.rename_experiment(experiment.experiment_id, unused)
        self._notify(f"the experiment {experiment.name!r} of an earlier search is now called {unused!r}")
