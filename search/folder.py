"""Where things lie under the storage folder. Nothing else knows these names."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import machine
from datasets.atomic import write_text
from datasets.errors import InputError


@dataclass(frozen=True)
class SearchFolder:
    """The files of one search.

    Attributes:
        storage: The storage folder of all searches.
        name: Of the search.
    """

    storage: Path
    name: str

    @property
    def root(self) -> Path:
        """Everything of this search."""
        return self.storage / "searches" / self.name

    @property
    def identity(self) -> Path:
        """What must not change between launches."""
        return self.root / "space.json"

    @property
    def journal(self) -> Path:
        """The Optuna study."""
        return self.root / "study.journal"

    @property
    def datasets(self) -> Path:
        """Datasets, shared by all searches."""
        return self.storage / "datasets"

    @property
    def ray(self) -> Path:
        """Ray Tune's own files; nothing in them is needed afterwards."""
        return self.root / "ray"

    def trial(self, number: int) -> Path:
        """Checkpoints of one trial."""
        return self.root / "trials" / f"{number:04d}"

    def checkpoint(self, number: int) -> Path:
        """The state after the last epoch."""
        return self.trial(number) / "checkpoint.pt"

    def model(self, number: int) -> Path:
        """The weights of the best epoch."""
        return self.trial(number) / "model.pt"

    def picture(self, number: int) -> Path:
        """Predictions on the room plan."""
        return self.trial(number) / "room.png"

    def exists(self) -> bool:
        """Whether the search was started before."""
        return self.identity.is_file()

    def read_identity(self) -> dict[str, Any]:
        """The space as it was when the search started."""
        loaded: dict[str, Any] = json.loads(self.identity.read_text(encoding="utf-8"))
        return loaded

    def write_identity(self, identity: dict[str, Any]) -> None:
        """Record the space."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.identity, json.dumps(identity, indent=1))

    def set_aside(self) -> Path:
        """Rename the search out of the way; nothing is deleted."""
        number = 1
        while (aside := self.root.with_name(f"{self.name}.old{number}")).exists():
            number += 1
        self.root.rename(aside)
        return aside


def require_writable(storage: str) -> Path:
    """Check that results can be stored, without creating anything.

    Raises:
        InputError: If not.
    """
    if "://" in storage:
        raise InputError("--storage", "storage is a local folder so far", value=storage, remedy="name a folder")
    path = Path(storage).absolute()
    existing = machine.standing(path)
    if not existing.is_dir():
        raise InputError(
            "--storage", "storage must be a folder", value=str(existing), remedy="name a folder, or remove that file"
        )
    try:
        # Root passes every permission check and still cannot write everywhere, so write; the file never has a name.
        with tempfile.TemporaryFile(dir=existing):
            return path
    except OSError as error:
        remedy = "change its permissions, or name another folder"
        raise InputError(
            "--storage", "storage must be writable", value=f"{existing}: {error.strerror}", remedy=remedy
        ) from error
