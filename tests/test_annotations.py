"""The annotations are not decoration: while tests run, each call is held to them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import datasets
from datasets import geometry
from tests.conftest import CHECKED, UNCHECKED
from trainables.localizer import features, grid


def test_a_wrong_shape_is_rejected() -> None:
    with pytest.raises(TypeCheckError, match="2560"):
        features.stft_features(torch.zeros(2, 2, 4, 2559))


def test_two_shapes_that_contradict_each_other_are_rejected() -> None:
    square = grid.CellGrid(6, (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(TypeCheckError, match="batch slots 2"):
        grid.tight_grid(square, torch.zeros(5, 2, 3))


def test_a_wrong_precision_is_rejected_in_the_data_layer_too() -> None:
    with pytest.raises(TypeCheckError, match="microphones_m"):
        geometry.draw_positions(
            np.random.default_rng(0),
            1,
            1,
            size_m=(6, 6),
            raster_m=0.05,
            min_distance_m=2,
            microphones_m=np.zeros((1, 2), np.float32),
            clearance_m=0.1,
        )


def test_every_module_with_arrays_in_its_annotations_is_checked() -> None:
    root = Path(datasets.__file__).parent
    modules = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path.read_text() for path in root.rglob("*.py")
    }
    with_arrays = {name for name, text in modules.items() if "NDArray[" in text or "import Tensor" in text}
    assert len(with_arrays) > 15
    assert with_arrays - set(CHECKED) == set(UNCHECKED)


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_to_be_checked_is_there(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
