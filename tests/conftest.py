"""What all tests share: annotations that are checked while tests run, one thread, and one small dataset."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import pytest

UNCHECKED = {
    "datasets.rooms.spec": "methods return Self, which beartype knows in classes that it decorates alone",
    "datasets.tau2020.layout": "likewise",
    "datasets.audio.corpus": "beartype takes NDArray[np.str_] for strings of length 0",
}
ROOT = Path(__file__).resolve().parent.parent
WITH_ARRAYS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "datasets").rglob("*.py"))
    if "NDArray[" in (text := path.read_text()) or "import Tensor" in text
]
# Before anything of ours is imported.
CHECKED = ["trainables", *(name for name in WITH_ARRAYS if name not in UNCHECKED)]
# An int is a float to PEP 484 and to mypy; beartype has to be told.
jaxtyping.install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import torch  # noqa: E402

from datasets.building import builder  # noqa: E402
from datasets.building import parts as blueprint  # noqa: E402
from datasets.building.arrow import Dataset  # noqa: E402
from datasets.rooms.spec import RoomSpec  # noqa: E402

# Beside another busy process a second thread waits more than it works: minutes instead of seconds.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """All five splits of the paper, played by the procedural band, 180 samples in all."""
    spec = RoomSpec.model_validate(
        {"train": 96, "validate": 24, "tests": {"S0": 24, "S1": 12, "S2": 24}, "excerpts": 8, "excerpt_s": 2, "seed": 7}
    )
    return builder.build_dataset(
        blueprint.plan_dataset(spec, "tests"), tmp_path_factory.mktemp("datasets"), lambda *_: None
    )
