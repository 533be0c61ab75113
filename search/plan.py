"""What a search is going to do, said before it does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasets import machine
from datasets.blueprint import Source, bytes_of
from datasets.errors import InputError
from datasets.manifest import missing
from datasets.spec import LocalizerSpec
from datasets.store import Store
from search import folder
from search.folder import SearchFolder
from search.stopping import rungs
from spaces.schema import Dimension, Space

_ROOM_FOR_CHECKPOINTS = 2 * 10**9


@dataclass(frozen=True)
class Plan:
    """A search, its data and its place."""

    space: Space
    source: Source
    folder: SearchFolder
    tracking: str
    store: Store

    def datasets(self) -> list[LocalizerSpec]:
        """All datasets that trials may ask for, as far as they can be counted."""
        return self.space.datasets() or [self.source.spec]

    def lacking(self) -> dict[str, int]:
        """Parts of these datasets that are still to be built, with their bytes."""
        sources = [self.source.with_spec(spec) for spec in self.datasets()]
        sizes = {folder: size for source in sources for folder, size in bytes_of(source).items()}
        return {p.folder: sizes[p.folder] for source in sources for p in missing(source, self.store)}

    def check_disk(self) -> None:
        """Refuse to start what will not fit.

        Raises:
            InputError: If the disk is too full.
        """
        needed = _ROOM_FOR_CHECKPOINTS + sum(self.lacking().values())
        free = folder.free_bytes(self.folder.root)
        if free < needed:
            raise InputError(
                "--storage",
                f"the search needs {_size(needed)} of free disk",
                value=f"{_size(free)} free at {self.folder.storage}",
                remedy="free some space, name another --storage, or make dataset.train smaller",
            )

    def lines(self, data_seconds: Callable[[], float] | None = None) -> list[str]:
        """The plan in words.

        Args:
            data_seconds: Measures how long the data will take; None leaves that out.
        """
        space = self.space
        objectives = ", ".join(f"{direction} {name}" for name, direction in space.objectives)
        lines = [
            f"search   {space.name}: {objectives}" + (f"  (profile {space.profile})" if space.profile else ""),
            *[f"         {_dimension(dimension)}" for dimension in space.search],
            *[f"{'data' * (n == 0):<9}{text}" for n, text in enumerate(self._data(data_seconds))],
            f"trials   {self._trials()}",
            f"each     {space.resources.cpu:g} CPU, {space.resources.gpu:g} GPU; this machine has {machine.cores()} cores"
            + (" and a GPU" if machine.has_gpu() else ", no GPU"),
            f"results  {self.folder.root}",
            f"MLflow   {self.tracking}",
        ]
        if space.inner:
            settings = 1
            for values in space.inner.values():
                settings *= len(values)
            lines.insert(-3, f"         each validation tries {settings} settings of {', '.join(space.inner)}")
        return lines

    def _data(self, data_seconds: Callable[[], float] | None) -> list[str]:
        sizes = ", ".join(f"{name} {split.samples:,}" for name, split in self.source.spec.splits().items())
        lacking = self.lacking()
        what = f"{self.source.fingerprint}: {sizes} samples, "
        lines = [what + (f"{_size(sum(lacking.values()))} to be built" if lacking else "already built")]
        if lacking and data_seconds is not None:
            lines[0] += f", about {max(0.1, data_seconds() / 60):.1f} min"
        several = self.space.datasets()
        if several is None:
            lines.append("each trial may ask for training data of its own, built beside the others when it does")
        elif len(several) > 1:
            lines.append(f"{len(several)} sets of training data in all, each built when the first trial asks for it")
        return lines

    def _trials(self) -> str:
        budget, stopping = self.space.budget, self.space.stopping
        steps = rungs(stopping, budget.epochs)
        stops = f", after epochs {', '.join(map(str, steps))} one in {stopping.reduction} goes on" if steps else ""
        hours = f", at most {budget.hours:g} h" if budget.hours is not None else ""
        return f"{budget.trials} × up to {budget.epochs} epochs{stops}; trial 0 is the baseline{hours}"


def _dimension(dimension: Dimension) -> str:
    values = ", ".join(map(str, dimension.choices)) or f"{dimension.low:g} to {dimension.high:g} ({dimension.kind})"
    when = "".join(f", if {name} is {' or '.join(map(str, allowed))}" for name, allowed in dimension.when)
    return f"{dimension.name}: {values}{when}"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
