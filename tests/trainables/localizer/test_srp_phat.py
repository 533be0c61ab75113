"""The steered response finds sources in free field, and is scored as the localizer is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datasets.acoustics import propagation
from datasets.rooms.dataset import Dataset
from datasets.rooms.spec import RoomSpec
from tests.trainables.localizer.support import small
from trainables.localizer import features, srp_phat
from trainables.localizer.grid import CellGrid
from trainables.localizer.trainable import Localizer

AREA = (6.0, 6.0)


def peak_of(microphones_m: NDArray[np.float64], place: tuple[float, float]) -> NDArray[np.float64]:
    """Return the centre of the strongest cell for white noise at a place in free field."""
    field = propagation.FreeField(AREA, microphones_m)
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(1, 1, field.window.length, generator=generator)
    waves = field.propagate(sources, torch.tensor([[place]]))
    grid = CellGrid.over_area(srp_phat.reading_config(AREA).grid, AREA)
    centres = grid.centres_m()
    logits = srp_phat.SteeredResponse(microphones_m, centres)(features.stft_features(waves))
    assert logits.shape == (1, 1, grid.cells, grid.cells)
    assert logits.sigmoid().max() == pytest.approx(1, abs=1e-4)
    found: NDArray[np.float64] = centres.reshape(-1, 2)[int(logits.flatten().argmax())].numpy()
    return found


@pytest.mark.parametrize("place", [(1.5, 2.0), (4.2, 1.1), (3.0, 3.5)])
def test_the_response_is_highest_at_the_source(place: tuple[float, float]) -> None:
    assert np.linalg.norm(peak_of(RoomSpec().microphones_m(), place) - place) < 0.15


@pytest.mark.parametrize(
    "arrays",
    [
        [
            {"centre_m": c, "mics_m": [[0, 0]]} for c in ([0, 0], [6, 0], [0, 6], [6, 6])
        ],  # their pairs are those of one array
        [{"centre_m": [1, 1], "model": "tetrahedron"}, {"centre_m": [5, 1], "model": "tetrahedron"}],
    ],
)
def test_arrays_of_other_shapes_are_steered_too(arrays: list[dict[str, Any]]) -> None:
    microphones_m = RoomSpec.model_validate({"arrays": arrays}).microphones_m()
    assert np.linalg.norm(peak_of(microphones_m, (3.2, 2.6)) - (3.2, 2.6)) < 0.3


def test_a_localizer_is_compared_with_the_tuned_response(tiny: Dataset) -> None:
    model = Localizer(small(), tiny, device="cpu", seed=0, epochs=1)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    scores = model.score_yardsticks(["S0", "S1"])
    assert list(scores) == ["SRP-PHAT"]
    by_split = scores["SRP-PHAT"]
    assert list(by_split) == ["S0", "S1"]
    assert set(by_split["S0"]) == {metric.name for metric in Localizer.metrics}
    assert by_split["S0"]["f1_1m"] > 0.5
    assert by_split["S0"]["f1_mean"] == pytest.approx((by_split["S0"]["f1_1m"] + by_split["S0"]["f1_0.3m"]) / 2)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
