"""SRP-PHAT and MUSIC find sources in free field, and are scored as the localizer is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pyroomacoustics import doa

from datasets.acoustics import propagation
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.rooms.dataset import Dataset
from datasets.rooms.spec import RoomSpec
from tests.trainables.localizer.support import small
from trainables.localizer import features, music, response_maps, srp_phat
from trainables.localizer.config import EvaluationConfig
from trainables.localizer.grid import CellGrid
from trainables.localizer.trainable import Localizer

AREA = (6.0, 6.0)


METHODS = pytest.mark.parametrize("method", [srp_phat.SteeredResponse, music.PseudoSpectrum])


def peak_of(method: type[Any], microphones_m: NDArray[np.float64], place: tuple[float, float]) -> NDArray[np.float64]:
    """Return the centre of the strongest cell for white noise at a place in free field."""
    field = propagation.FreeField(AREA, microphones_m)
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(1, 1, field.window.length, generator=generator)
    waves = field.propagate(sources, torch.tensor([[place]]))
    grid = CellGrid.over_area(response_maps.reading_config(AREA, EvaluationConfig()).grid, AREA)
    centres = grid.centres_m()
    logits = method(microphones_m, centres)(features.stft_features(waves))
    assert logits.shape == (1, 1, grid.cells, grid.cells)
    assert logits.sigmoid().max() == pytest.approx(1, abs=1e-4)
    found: NDArray[np.float64] = centres.reshape(-1, 2)[int(logits.flatten().argmax())].numpy()
    return found


@METHODS
@pytest.mark.parametrize("place", [(1.5, 2.0), (4.2, 1.1), (3.0, 3.5)])
def test_the_response_is_highest_at_the_source(method: type[Any], place: tuple[float, float]) -> None:
    assert np.linalg.norm(peak_of(method, RoomSpec().microphones_m(), place) - place) < 0.15


@METHODS
@pytest.mark.parametrize(
    "arrays",
    [
        [
            {"centre_m": c, "mics_m": [[0, 0]]} for c in ([0, 0], [6, 0], [0, 6], [6, 6])
        ],  # their pairs are those of one array
        [{"centre_m": [1, 1], "model": "tetrahedron"}, {"centre_m": [5, 1], "model": "tetrahedron"}],
    ],
)
def test_arrays_of_other_shapes_are_steered_too(method: type[Any], arrays: list[dict[str, Any]]) -> None:
    microphones_m = RoomSpec.model_validate({"arrays": arrays}).microphones_m()
    assert np.linalg.norm(peak_of(method, microphones_m, (3.2, 2.6)) - (3.2, 2.6)) < 0.3


@METHODS
def test_methods_without_training_compute_in_single_precision_wherever_networks_use_bf16(method: type[Any]) -> None:
    assert response_maps.reading_config(AREA, EvaluationConfig()).precision == "fp32"
    microphones_m = RoomSpec().microphones_m()
    grid = CellGrid.over_area(response_maps.reading_config(AREA, EvaluationConfig()).grid, AREA)
    steered = method(microphones_m, grid.centres_m())
    spectra = torch.randn(1, *microphones_m.shape[:1], 8, 9, 256, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = steered(spectra)
    assert torch.equal(under_autocast, steered(spectra))


def test_the_pseudo_spectrum_is_that_of_pyroomacoustics() -> None:
    microphones_m = np.array([[[0.0, 0.0], [0.06, 0.0], [0.0, 0.06], [0.07, 0.05]]])
    azimuth = np.linspace(0, 2 * np.pi, 144, endpoint=False)
    circle = torch.from_numpy(1000 * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)).reshape(12, 12, 2)
    generator = torch.Generator().manual_seed(3)
    spectra = torch.randn(1, 1, 8, 9, 256, generator=generator)
    method = music.PseudoSpectrum(microphones_m, circle)
    ours = method(spectra).sigmoid().flatten().double().numpy()
    reference = doa.NormMUSIC(
        microphones_m[0].T, SAMPLE_RATE_HZ, 512, c=SPEED_OF_SOUND_M_S, num_src=2, mode="far", azimuth=azimuth
    )
    waves = torch.complex(spectra[0, 0, :4], spectra[0, 0, 4:]).transpose(1, 2).numpy()
    padded = np.concatenate([np.zeros_like(waves[:, :1]), waves], axis=1)  # with the bin at 0 Hz
    reference.locate_sources(padded.astype(np.complex128), freq_bins=np.array(method.bins) + 1)
    expected = reference.grid.values / reference.grid.values.max()
    assert ours == pytest.approx(expected, abs=5e-3)


def test_a_localizer_is_compared_with_the_tuned_response(tiny: Dataset) -> None:
    model = Localizer(small(), tiny, device="cpu", seed=0, epochs=1)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    scores = model.score_yardsticks(["S0", "S1"])
    assert list(scores) == ["SRP-PHAT", "MUSIC"]
    for by_split in scores.values():
        assert list(by_split) == ["S0", "S1"]
        assert set(by_split["S0"]) == {metric.name for metric in Localizer.metrics}
        assert by_split["S0"]["f1_1m"] > 0.5
        assert by_split["S0"]["f1_mean"] == pytest.approx((by_split["S0"]["f1_1m"] + by_split["S0"]["f1_0.3m"]) / 2)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
