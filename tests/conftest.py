"""What all tests share: annotations that are checked while tests run, one thread, and one small dataset."""

from __future__ import annotations

import jaxtyping
import pytest

# Before anything of ours is imported. Left out: `datasets.spec`, whose method returns `Self` outside a class that beartype
# decorates, and `datasets.library`, whose NDArray[np.str_] it takes for strings of length 0; neither annotates shapes.
CHECKED = [
    "trainables",
    *(
        f"datasets.{name}"
        for name in ("asked", "atomic", "banks", "blueprint", "build", "echo", "errors", "geometry", "makers")
    ),
    *(f"datasets.{name}" for name in ("procedural", "reference", "render", "scenes", "shards", "sofa", "soundfiles")),
    *(f"datasets.{name}" for name in ("manifest", "store")),
    *(f"datasets.dcase2020.{name}" for name in ("diffuse", "encode", "events", "procedural", "rooms", "schedule")),
    "datasets.dcase2020.synthesis",
    *(
        f"datasets.preview.{name}"
        for name in ("figures", "material", "miniature", "page", "responses", "scenes", "sounds")
    ),
    *(f"datasets.preview.{name}" for name in ("localizer", "recordings", "statistics")),
    *(f"datasets.recordings.{name}" for name in ("clips", "groups", "maker", "manifest", "rules", "sounds", "table")),
]
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
