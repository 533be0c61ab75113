"""What a search is going to do, said before it does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.building.provider import DatasetProvider
from runtime import machine, uris
from runtime.errors import InputError
from runtime.storage import Store
from search.results import SearchFolder
from search.study.stopping import rung_epochs
from spaces.schema import Dimension, Resources, Space

_ROOM_FOR_CHECKPOINTS = 2 * 10**9


@dataclass(frozen=True)
class Plan:
    """A search, its data and its place.

    Attributes:
        space: The search.
        source: Its dataset.
        folder: Its files.
        tracking: MLflow's store.
        store: Where datasets lie.
        address: Of the Ray cluster; None for this machine alone.
        at_once: Trials that shall wait for room there; None for as many as fit.
        study: URI of the study's database; None for a journal in the folder.
    """

    space: Space
    source: DatasetProvider
    folder: SearchFolder
    tracking: str
    store: Store
    address: str | None = None
    at_once: int | None = None
    study: str | None = None

    def missing_bytes(self) -> tuple[int, int]:
        """Bytes still to be built of the space's own dataset, and of all that trials may ask for."""
        own = self.source.missing_bytes(self.store)
        everything = dict(own)
        for spec in (self.space.list_dataset_specs() or [])[1:]:
            everything |= self.source.with_spec(spec).missing_bytes(self.store)
        return sum(own.values()), sum(everything.values())

    def check_disk(self) -> None:
        """Refuse to start what will not fit.

        Raises:
            InputError: If the disk is too full.
        """
        needed = _ROOM_FOR_CHECKPOINTS + sum(self.source.missing_bytes(self.store).values())
        free = machine.free_bytes(self.folder.root_path)
        if free < needed:
            raise InputError(
                "--storage",
                f"the search needs {_format_bytes(needed)} of free disk",
                value=f"{_format_bytes(free)} free at {self.folder.storage}",
                remedy="free some space, name another --storage, or make dataset.train smaller",
            )

    def summary_lines(self, data_seconds: Callable[[], float] | None = None) -> list[str]:
        """The plan in words.

        Args:
            data_seconds: Measures how long the data will take; None leaves that out.
        """
        space = self.space
        objectives = ", ".join(f"{direction} {name}" for name, direction in space.objectives)
        lines = [
            f"search   {space.name}: {objectives}" + (f"  (profile {space.profile})" if space.profile else ""),
            *[f"         {_describe_dimension(dimension)}" for dimension in space.search],
            *[f"{'data' * (n == 0):<9}{text}" for n, text in enumerate(self._data_lines(data_seconds))],
            f"trials   {self._describe_trials()}",
            f"each     {space.resources.cpu:g} CPU, {_describe_gpu(space.resources)}; {self._describe_hardware()}",
            f"results  {self.folder.display_path(self.folder.root_path)}",
            *([f"study    {uris.redact_uri(self.study)}"] if self.study else []),
            f"MLflow   {uris.redact_uri(self.tracking)}",
        ]
        if space.inner:
            settings = 1
            for values in space.inner.values():
                settings *= len(values)
            lines.insert(
                -4 if self.study else -3,
                f"         each validation tries {settings} settings of {', '.join(space.inner)}",
            )
        return lines

    def _data_lines(self, data_seconds: Callable[[], float] | None) -> list[str]:
        sizes = ", ".join(f"{split.name} {split.samples:,}" for split in self.source.list_splits() if split.samples)
        own, everything = self.missing_bytes()
        what = f"{self.source.fingerprint}: {sizes} {self.source.unit}, " if sizes else f"{self.source.fingerprint}: "
        lines = [what + (f"{_format_bytes(own)} to be built" if own else self.source.ready)]
        if own and data_seconds is not None:
            lines[0] += f", about {max(0.1, data_seconds() / 60):.1f} min"
        several = self.space.list_dataset_specs()
        if several is None:
            lines.append("trials may ask for training data of their own; it is built beside the others when they do")
        elif len(several) > 1:
            lines.append(
                f"{len(several)} sets of training data can be asked for, in all {_format_bytes(everything)} more; "
                "each is built once, when a trial asks"
            )
        return lines

    def _describe_hardware(self) -> str:
        if self.address is not None:
            return f"of the cluster at {self.address}"
        return f"this machine has {machine.count_cores()} cores" + (" and a GPU" if machine.has_gpu() else ", no GPU")

    def shared_folders(self) -> list[Path]:
        """Folders that every node of a cluster has to write to."""
        results = [self.folder.storage] if self.folder.bucket is None else []
        return [*results, *([Path(self.store.uri).absolute()] if self.store.is_local else [])]

    def _describe_trials(self) -> str:
        budget, stopping = self.space.budget, self.space.stopping
        steps = rung_epochs(stopping, budget.epochs)
        stops = f", after epochs {', '.join(map(str, steps))} one in {stopping.reduction} goes on" if steps else ""
        hours = f", at most {budget.hours:g} h" if budget.hours is not None else ""
        return f"{budget.trials} × up to {budget.epochs} epochs{stops}; trial 0 is the baseline{hours}"


def _describe_dimension(dimension: Dimension) -> str:
    values = ", ".join(map(str, dimension.choices)) or f"{dimension.low:g} to {dimension.high:g} ({dimension.kind})"
    when = "".join(f", if {name} is {' or '.join(map(str, allowed))}" for name, allowed in dimension.when)
    return f"{dimension.name}: {values}{when}"


def _describe_gpu(resources: Resources) -> str:
    return "what it needs of a GPU" if resources.gpu == "auto" else f"{resources.gpu_share:g} GPU"


def _format_bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
