"""Shared fixtures: annotations are checked at run time, torch uses one thread, and a small dataset is built once."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import pytest

UNCHECKED = {
    "datasets.rooms.spec": "beartype supports methods that return Self only in classes decorated as a whole",
    "datasets.tau2020.layout": "methods return Self, as above",
    "datasets.rooms.array_spec": "methods return Self, as above",
    "datasets.mixed.spec": "methods return Self, as above",
    "datasets.rooms.provider": "methods return Self, as above",
    "datasets.rooms.music": "beartype treats NDArray[np.str_] as strings of length 0",
}
ROOT = Path(__file__).resolve().parent.parent
WITH_ARRAYS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "datasets").rglob("*.py"))
    if "NDArray[" in (text := path.read_text()) or "import Tensor" in text
]
# The hook must be installed before any module of the project is imported.
CHECKED = ["trainables", *(name for name in WITH_ARRAYS if name not in UNCHECKED)]
# PEP 484 and mypy accept an int for a float; beartype does so with is_pep484_tower.
jaxtyping.install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import torch  # noqa: E402

from datasets.rooms.dataset import Dataset, build_dataset  # noqa: E402
from datasets.rooms.spec import RoomSpec  # noqa: E402
from tests.datasets.small import plan_samples  # noqa: E402

# On a busy machine a second thread mostly waits, which takes minutes instead of seconds.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Build the five splits of the paper with procedural music, 180 samples in total."""
    spec = RoomSpec.model_validate(
        {"train": 96, "validate": 24, "tests": {"S0": 24, "S1": 12, "S2": 24}, "excerpts": 8, "excerpt_s": 2, "seed": 7}
    )
    return build_dataset(plan_samples(spec, "tests"), tmp_path_factory.mktemp("datasets"), lambda *_: None)
