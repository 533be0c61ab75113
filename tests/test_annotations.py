"""Annotations of shapes and types are checked at run time while tests run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from datasets.acoustics import arrays
from tests.conftest import CHECKED, UNCHECKED, WITH_ARRAYS
from trainables.localizer import features, grid


def test_a_wrong_shape_is_rejected() -> None:
    with pytest.raises(TypeCheckError, match="2560"):
        features.stft_features(torch.zeros(2, 2, 4, 2559))


def test_two_shapes_that_contradict_each_other_are_rejected() -> None:
    square = grid.CellGrid(6, (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(TypeCheckError, match="batch slots 2"):
        grid.tight_grid_target(square, torch.zeros(5, 2, 3))


def test_a_wrong_precision_is_rejected_in_the_data_layer_too() -> None:
    with pytest.raises(TypeCheckError, match="microphones_m"):
        arrays.draw_positions(
            np.random.default_rng(0),
            1,
            1,
            size_m=(6, 6),
            raster_m=0.05,
            min_distance_m=2,
            microphones_m=np.zeros((1, 2), np.float32),
            clearance_m=0.1,
        )


def test_modules_with_arrays_in_their_annotations_are_checked_but_for_named_exceptions() -> None:
    assert len(CHECKED) > 15
    assert set(UNCHECKED) <= set(WITH_ARRAYS)
    assert {"datasets.acoustics.propagation", "datasets.recordings.synthesis", "datasets.scenes.array_response"} <= set(
        CHECKED
    )
