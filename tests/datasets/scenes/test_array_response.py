"""Plane waves at the array, against the description of the data set and the physics of a rigid sphere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from datasets.acoustics.directions import unit_vectors
from datasets.scenes import array_response
from datasets.scenes.array_response import LEAD, RADIUS_M, TAPS
from datasets.tau2020.layout import SAMPLE_RATE_HZ

FREQUENCY_HZ = np.fft.rfftfreq(1_024, 1 / SAMPLE_RATE_HZ)


def direction(azimuth: float, elevation: float) -> NDArray[np.float64]:
    return unit_vectors(np.array(azimuth, np.float64), np.array(elevation, np.float64))


def response(azimuth: float, elevation: float) -> NDArray[np.complex128]:
    """Spectra of the eight channels, time 0 at the array's centre."""
    shift = np.exp(2j * np.pi * FREQUENCY_HZ * LEAD / SAMPLE_RATE_HZ)
    return np.fft.rfft(array_response.response_filters(direction(azimuth, elevation)), 1_024) * shift


@pytest.mark.parametrize(
    ("azimuth", "elevation", "gains"),
    [
        (0, 0, (1, 0, 0, 1)),
        (90, 0, (1, 1, 0, 0)),
        (180, 0, (1, 0, 0, -1)),
        (-90, 0, (1, -1, 0, 0)),
        (17, 90, (1, 0, 1, 0)),
        (30, 60, (1, 0.25, 0.8660254, 0.4330127)),
    ],
)
def test_foa_is_w_y_z_x_with_unit_dipoles(azimuth: float, elevation: float, gains: tuple[float, ...]) -> None:
    assert array_response.foa_gains(direction(azimuth, elevation)) == pytest.approx(gains, abs=1e-7)
    assert np.abs(response(azimuth, elevation)[:4] - np.array(gains)[:, None]).max() < 1e-6


@pytest.mark.parametrize("capsule", range(4))
def test_the_nearest_capsule_hears_first_and_loudest(capsule: int) -> None:
    azimuth, elevation = array_response.CAPSULES_DEG[capsule]
    heard = array_response.response_filters(direction(azimuth, elevation))[4:]
    arrival = [int(np.flatnonzero(np.abs(wave) > 0.3 * np.abs(wave).max())[0]) for wave in heard]
    assert all(arrival[capsule] < other for index, other in enumerate(arrival) if index != capsule)
    assert int(np.square(heard).sum(axis=-1).argmax()) == capsule
    # The front of the sphere is R / c = 2.9 samples before its centre.
    assert int(np.abs(heard[capsule]).argmax()) - LEAD == pytest.approx(-2.9, abs=1)


@pytest.mark.parametrize("angle", [0, 45, 90, 120, 180])
def test_low_frequencies_are_late_by_one_and_a_half_times_the_path(angle: float) -> None:
    """Below kR = 1 the field around a rigid sphere lags by 1.5 R cos(angle) / c (Kuhn, 1977), and nowhere is it louder."""
    capsule = array_response.CAPSULES_DEG[0]
    heard = response(capsule[0], capsule[1] - angle)[4]
    low = slice(3, 9)  # 70 to 190 Hz
    delay_s = -np.angle(heard[low]) / (2 * np.pi * FREQUENCY_HZ[low])
    assert delay_s == pytest.approx(-1.5 * RADIUS_M / 343 * np.cos(np.deg2rad(angle)), abs=4e-6)
    assert np.abs(heard[low]) == pytest.approx(1, abs=0.02)


def test_a_wall_doubles_the_pressure_of_short_waves() -> None:
    """Where the wave meets the sphere head-on, a sphere much larger than the wavelength acts as a plane wall."""
    modes = array_response.sphere_modes(np.array([20_000.0, 22_000.0]))
    assert np.abs(modes.sum(axis=1)) == pytest.approx(2, abs=0.05)
    behind = np.abs((modes * (-1.0) ** np.arange(modes.shape[1])).sum(axis=1))
    assert (behind < 1.3).all()


@pytest.mark.parametrize(("azimuth", "elevation"), [(10.3, -4.7), (-133.3, 51.1), (77.7, 20.2)])
def test_filters_equal_the_series_between_the_degrees_of_the_grid(azimuth: float, elevation: float) -> None:
    cosine = array_response.capsule_positions() @ direction(azimuth, elevation)
    bins = FREQUENCY_HZ < 9_000  # as far as the data set's own encoding goes
    order = np.arange(31)
    size = 2 * np.pi * FREQUENCY_HZ[bins][1:, None] / 343 * RADIUS_M
    # The derivative of the Hankel function by its recurrence, and the pressure as (incident + scattered) sound.
    hankel = special.spherical_jn(order, size) - 1j * special.spherical_yn(order, size)
    slope_j = special.spherical_jn(order, size, derivative=True)
    below = np.concatenate([np.exp(-1j * size) / size, hankel[:, :-1]], axis=1)  # one order down, from -1 on
    slope_h = below - (order + 1) / size * hankel
    radial = special.spherical_jn(order, size) - slope_j / slope_h * hankel
    exact = np.einsum("fn,nc->cf", 1j**order * (2 * order + 1) * radial, special.eval_legendre(order[:, None], cosine))
    error = np.abs(response(azimuth, elevation)[4:, bins][:, 1:] - exact)
    assert error.max() < 0.05
    assert np.sqrt(np.square(error).mean()) < 0.01


def test_shapes_follow_the_directions() -> None:
    assert array_response.response_filters(np.zeros((3, 5, 3)) + direction(0, 0)).shape == (3, 5, 8, TAPS)
