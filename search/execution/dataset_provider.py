"""Datasets that trials ask for: each is made once, beside the trials that run, and shared by all that ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from datasets.building.builder import Builder
from datasets.building.provider import DatasetProvider
from runtime.cli import BuildProgress, Console
from search.execution.trial import Job
from spaces.schema import Value


class DatasetSupplier:
    """Keeps trials waiting until their dataset is there.

    Args:
        job: The search.
        builder: Makes a dataset while nothing else runs.
        beside: Makes one while trials run, if not the same; called from a thread, one dataset at a time.
        say: Told in words when one is made beside the trials.
    """

    def __init__(
        self, job: Job, builder: Builder, beside: Builder | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._job = job
        self._builder = builder
        self._beside = beside or builder
        self._say = say
        self._there: set[str] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._seconds: dict[str, float] = {}

    @classmethod
    def in_process(cls, job: Job, line: Console) -> DatasetSupplier:
        """Make datasets in this process."""
        return cls(job, Builder(job.store, BuildProgress(line), cache=job.folder.datasets_path))

    @classmethod
    def on_ray(cls, job: Job, line: Console, beside: int) -> DatasetSupplier:
        """Make datasets on all of Ray's cores, or beside trials.

        Args:
            job: The search.
            line: Told about progress.
            beside: So many processes at once while trials run. They take none of the cores that Ray counts: trials may hold
                them all until their data is there.
        """
        from datasets.building import ray_data

        alone = Builder(job.store, BuildProgress(line), ray_data.ray_executor(), job.folder.datasets_path)
        over = ray_data.ray_executor(beside, cpus=0)
        return cls(job, alone, Builder(job.store, lambda *_: None, over, job.folder.datasets_path), line.print_line)

    def ensure_dataset(self, source: DatasetProvider) -> None:
        """Make a dataset, if it is not there, and wait for it."""
        self._build_dataset(source, self._builder)

    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        """Whether a trial's dataset is there; begins to make it otherwise.

        Raises:
            InputError: If an earlier one could not be made.
        """
        if self._error is not None:
            raise self._error
        source = self._job.dataset_for(parameters)
        if source.fingerprint in self._there:
            return True
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._build_in_background, args=(source,), name="data", daemon=True)
            self._thread.start()
        return False

    def report_seconds(self, source: DatasetProvider, tell: Callable[[float], None]) -> None:
        """Tell how many seconds a dataset took to make: once, and only if it was made now."""
        spent = self._seconds.pop(source.fingerprint, None)
        if spent is not None:
            tell(spent)

    def _build_in_background(self, source: DatasetProvider) -> None:
        try:
            if source.missing_bytes(self._beside.store):
                self._say(f"data     {source.fingerprint}: a trial waits for it; building it beside the others")
            self._build_dataset(source, self._beside)
            if source.fingerprint in self._seconds:
                self._say(f"data     {source.fingerprint}: there, in {self._seconds[source.fingerprint]:.0f} s")
        except BaseException as error:  # noqa: BLE001  # raised again where somebody listens
            self._error = error

    def _build_dataset(self, source: DatasetProvider, builder: Builder) -> None:
        started = time.monotonic()
        if source.missing_bytes(builder.store):
            source.build(builder)
            self._seconds[source.fingerprint] = time.monotonic() - started
        self._there.add(source.fingerprint)
