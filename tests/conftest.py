"""What all tests share: annotations that are checked while tests run, one thread, and one small dataset."""

from __future__ import annotations

import jaxtyping
import pytest

# Before anything of ours is imported: every module with arrays in its annotations, but for those in UNCHECKED.
CHECKED = [
    "trainables",
    *(
        f"datasets.{name}"
        for name in ("asked", "atomic", "banks", "blueprint", "build", "echo", "errors", "geometry", "makers")
    ),
    *(f"datasets.{name}" for name in ("procedural", "reference", "render", "scenes", "shards", "sofa", "soundfiles")),
<<<<<<< HEAD
    *(f"datasets.{name}" for name in ("manifest", "noise", "store", "workshop")),
    *(f"datasets.dcase2020.{name}" for name in ("diffuse", "encode", "events", "labels", "procedural")),
    *(f"datasets.dcase2020.{name}" for name in ("rooms", "schedule", "synthesis")),
=======
    *(f"datasets.{name}" for name in ("manifest", "store")),
    *(f"datasets.dcase2020.{name}" for name in ("diffuse", "encode", "events", "procedural", "rooms", "schedule")),
    "datasets.dcase2020.synthesis",
    *(
        f"datasets.preview.{name}"
        for name in ("figures", "material", "miniature", "page", "responses", "scenes", "sounds")
    ),
    "datasets.preview.statistics",
>>>>>>> part-preview
    *(f"datasets.recordings.{name}" for name in ("clips", "groups", "maker", "manifest", "rules", "sounds", "table")),
]
UNCHECKED = {
    "datasets.spec": "methods return Self, which beartype knows in classes that it decorates alone",
    "datasets.dcase2020.layout": "likewise",
    "datasets.library": "beartype takes NDArray[np.str_] for strings of length 0",
}
# An int is a float to PEP 484 and to mypy; beartype has to be told.
jaxtyping.install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import torch  # noqa: E402

from datasets import blueprint, build  # noqa: E402
from datasets.shards import Dataset  # noqa: E402
from datasets.spec import RoomSpec  # noqa: E402

# Beside another busy process a second thread waits more than it works: minutes instead of seconds.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """All five splits of the paper, played by the procedural band, 180 samples in all."""
    spec = RoomSpec.model_validate(
        {"train": 96, "validate": 24, "tests": {"S0": 24, "S1": 12, "S2": 24}, "excerpts": 8, "excerpt_s": 2, "seed": 7}
    )
    return build.build(blueprint.prepare(spec, "tests"), tmp_path_factory.mktemp("datasets"), lambda *_: None)
