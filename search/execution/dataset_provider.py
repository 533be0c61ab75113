"""Datasets of the trials: each one is built once, in parallel with the trials, and shared by all that use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from datasets.building.builder import Builder
from datasets.building.provider import DatasetProvider
from runtime.console import BuildProgress, Console
from search.execution.hooks import DatasetReadiness
from search.experiment import Experiment
from spaces.schema import Value


class DatasetSupplier(DatasetReadiness):
    """Builder of the datasets that trials request; a trial starts once its dataset is available.

    Args:
        experiment: Search whose trials request datasets.
        builder: Builds a dataset while nothing else runs.
        background_builder: Builds a dataset while trials run, in a thread, one dataset at a time; `builder` by default.
        print_line: Prints a message about a dataset that is built while trials run.
    """

    def __init__(
        self,
        experiment: Experiment,
        builder: Builder,
        background_builder: Builder | None = None,
        print_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._experiment = experiment
        self._builder = builder
        self._background_builder = background_builder or builder
        self._print_line = print_line
        self._ready: set[str] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._seconds: dict[str, float] = {}

    @classmethod
    def in_process(cls, experiment: Experiment, console: Console) -> DatasetSupplier:
        """Create a supplier that builds datasets in this process."""
        cache = experiment.results.datasets_path
        return cls(
            experiment,
            Builder(experiment.dataset_storage, BuildProgress(console), cache=cache, print_line=console.print_line),
        )

    @classmethod
    def on_ray(cls, experiment: Experiment, console: Console, background_processes: int) -> DatasetSupplier:
        """Create a supplier that builds datasets on all of Ray's cores, or in a few processes while trials run.

        Args:
            experiment: Search whose trials request datasets.
            console: Output for progress.
            background_processes: Number of processes while trials run. They reserve none of Ray's cores: the trials may
                hold all of them while they wait for their data.
        """
        from datasets.building import ray_data

        storage, cache = experiment.dataset_storage, experiment.results.datasets_path
        builder = Builder(storage, BuildProgress(console), ray_data.ray_executor(), cache, console.print_line)
        background_executor = ray_data.ray_executor(background_processes, cpus=0)
        background_builder = Builder(storage, lambda *_: None, background_executor, cache, console.print_line)
        return cls(experiment, builder, background_builder, console.print_line)

    def ensure_dataset(self, dataset: DatasetProvider) -> None:
        """Build a dataset unless it exists, and wait for it."""
        self._build_dataset(dataset, self._builder)

    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        """Return whether a trial's dataset is available; start building it otherwise.

        Raises:
            InputError: If a dataset could not be built.
        """
        if self._error is not None:
            raise self._error
        dataset = self._experiment.dataset_for(parameters)
        if dataset.fingerprint in self._ready:
            return True
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._build_in_background, args=(dataset,), name="data", daemon=True)
            self._thread.start()
        return False

    def report_seconds(self, dataset: DatasetProvider, report: Callable[[float], None]) -> None:
        """Report the build time of a dataset in seconds: once, and only if this process has built it."""
        seconds = self._seconds.pop(dataset.fingerprint, None)
        if seconds is not None:
            report(seconds)

    def _build_in_background(self, dataset: DatasetProvider) -> None:
        try:
            if dataset.missing_bytes(self._background_builder.store):
                self._print_line(
                    f"data     {dataset.fingerprint}: needed by a trial; building it while other trials run"
                )
            self._build_dataset(dataset, self._background_builder)
            if dataset.fingerprint in self._seconds:
                self._print_line(f"data     {dataset.fingerprint}: built in {self._seconds[dataset.fingerprint]:.0f} s")
        except BaseException as error:  # noqa: BLE001  # raised again by `is_ready`, in the main thread
            self._error = error

    def _build_dataset(self, dataset: DatasetProvider, builder: Builder) -> None:
        started = time.monotonic()
        if dataset.missing_bytes(builder.store):
            dataset.build(builder)
            self._seconds[dataset.fingerprint] = time.monotonic() - started
        self._ready.add(dataset.fingerprint)
