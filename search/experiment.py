"""A search as one value: what is searched, on which data, and where its files, study and MLflow runs are."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from pydantic import ValidationError

from datasets.building.provider import DatasetProvider
from runtime import uris
from runtime.errors import InputError
from runtime.machines.working_folder import enter_folder
from runtime.storage import Storage
from search.results import SearchFolder
from spaces.configs import build_config
from spaces.schema import Space, Value
from trainables import hooks, registry


@dataclass(frozen=True)
class Experiment:
    """A search with its dataset and its storage locations; picklable, since Ray sends it to every trial.

    Attributes:
        space: Search space, budget and resources per trial.
        dataset: Provider of the space's own dataset, with verified sound files; trials may use variants of it.
        results: Files of the search.
        dataset_storage: Storage of the datasets.
        tracking_uri: URI of the MLflow store; None for SQLite in the storage folder.
        ray_address: Address of the Ray cluster; None for a Ray on this machine alone.
        at_once: Number of trials to keep pending or running on the cluster; None for as many as fit.
        study_uri: URI of the study's database; None for a journal file in the results folder.
        launch_folder: Working directory of the launch, to which relative paths refer in all processes.
    """

    space: Space
    dataset: DatasetProvider
    results: SearchFolder
    dataset_storage: Storage
    tracking_uri: str | None = None
    ray_address: str | None = None
    at_once: int | None = None
    study_uri: str | None = None
    launch_folder: Path = field(default_factory=Path.cwd)

    def __reduce__(self) -> tuple[object, ...]:
        """Enter the launch folder before the rest is unpickled: the dataset may be of a class that is defined there."""
        return (_rebuild, (self.launch_folder, pickle.dumps({f.name: getattr(self, f.name) for f in fields(self)})))

    @property
    def mlflow_uri(self) -> str:
        """URI of the MLflow store, with the default filled in."""
        return self.tracking_uri or uris.sqlite_uri(self.results.storage / "mlflow.db")

    @property
    def study_location(self) -> Path | str:
        """Journal file or URI of the study."""
        return self.study_uri or self.results.journal_path

    def dataset_for(self, parameters: Mapping[str, Value]) -> DatasetProvider:
        """Return the provider of the dataset that a trial with these parameters trains on."""
        spec = self.space.dataset_of(parameters)
        return self.dataset if spec == self.dataset.spec else self.dataset.with_spec(spec)

    def with_seed(self, seed: int | None) -> Experiment:
        """Return the experiment of a trial whose seed differs from the space's; None stands for that of the space."""
        return self if seed is None else replace(self, space=replace(self.space, seed=seed))

    def epoch_presentations(self, parameters: Mapping[str, Value]) -> int | None:
        """Return the number of training samples that a trial is shown per epoch; None if its Config does not state it."""
        config = registry.describe_trainable(self.space.trainable, "trainable").config
        try:
            values = build_config(config, self.space.config_values(parameters))
            return hooks.epoch_presentations(values, self.dataset_for(parameters))
        except (
            ValidationError,
            InputError,
        ):  # a trial of an earlier version, or a wrong hook: no reason to stop a search
            return None

    def shared_folders(self) -> list[Path]:
        """Return the folders that every node of a cluster must be able to write to."""
        folders = [self.results.storage] if self.results.bucket is None else []
        return [*folders, *([Path(self.dataset_storage.uri).absolute()] if self.dataset_storage.is_local else [])]


def _rebuild(launch_folder: Path, content: bytes) -> Experiment:
    enter_folder(launch_folder)
    return Experiment(**pickle.loads(content))
