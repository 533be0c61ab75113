"""Reading of impulse responses from SOFA files (AES69): SingleRoomSRIR, SingleRoomMIMOSRIR, GeneralFIR(-E), MultiSpeakerBRIR.

Only the variables that a bank needs are read, with the names and dimensions of the standard (M measurements, R receivers,
E emitters, N samples), so that errors elsewhere in a file do not matter. Each pair of a measurement and an emitter is a
source position.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

_MOVEMENT_TOLERANCE_M: Final = 1e-3
"""Maximum difference between microphone positions that count as equal."""
_EMITTERS_BEFORE_SAMPLES: Final = "FIRE"
"""Data type of the older conventions with emitters, whose responses are (M, R, E, N); FIR-E has (M, R, N, E)."""
_DATA_TYPES: Final = ("FIR", "FIR-E", _EMITTERS_BEFORE_SAMPLES)
_DELAY_TAIL: Final = 64
"""Samples appended to a response for the decay of a fractional-delay filter."""


@dataclass(frozen=True)
class SofaMeasurements:
    """Content of a SOFA file, before the receivers are assigned to arrays.

    Attributes:
        responses: Impulse responses with their delays applied, shape (positions, receivers, taps).
        positions_m: Source positions, shape (positions, 2).
        microphones_m: Microphone positions, shape (receivers, 2).
        rate_hz: All sample rates in the file, shape (rates,), not validated.
        origin: Convention and title of the file.
    """

    responses: NDArray[np.float32]
    positions_m: NDArray[np.float64]
    microphones_m: NDArray[np.float64]
    rate_hz: NDArray[np.float64]
    origin: str


def read_sofa(path: Path) -> SofaMeasurements:
    """Read a SOFA file.

    Args:
        path: Path of a file with the suffix `.sofa`.

    Raises:
        InputError: If the file is unreadable or contains no impulse responses, a variable is missing or inconsistent, or
            the microphones move between measurements.
    """
    file = _SofaFile(path)
    responses = _read_responses(file)
    measurements, receivers, emitters, taps = responses.shape
    delays = _read_delays(file, (measurements, receivers, emitters))
    microphones = _to_room_coordinates(file, "Listener", "ReceiverPosition", measurements, receivers)
    _require_still(file, microphones)
    sources = _to_room_coordinates(file, "Source", "EmitterPosition", measurements, emitters)
    delayed = _apply_delays(responses.reshape(-1, taps), delays.reshape(-1))
    ordered = delayed.reshape(measurements, receivers, emitters, -1).transpose(0, 2, 1, 3)
    return SofaMeasurements(
        ordered.reshape(measurements * emitters, receivers, -1).astype(np.float32),
        sources.reshape(-1, 3)[:, :2],
        microphones[0, :, :2],
        np.ravel(file.get_array("Data.SamplingRate")),
        f"{file.get_text('GLOBAL:SOFAConventions')}: {file.get_text('GLOBAL:Title') or path.name}",
    )


class _SofaFile:
    """Variables of a SOFA file, validated when they are read."""

    def __init__(self, path: Path) -> None:
        import sofar

        self._path = path
        try:
            with warnings.catch_warnings():
                # Missing values are masked with a warning; `get_array` fills them with NaN, which is reported as an error.
                warnings.simplefilter("ignore")
                self._content: Any = sofar.read_sofa_as_netcdf(str(path))
        except Exception as error:  # HDF5 raises various errors for files that are corrupt
            raise InputError(
                str(path),
                "a SOFA file must be readable",
                value=str(error),
                remedy="export it again as AES69 (netCDF-4)",
            ) from error

    def format_error(self, name: str, rule: str, value: object, remedy: str) -> InputError:
        return InputError(f"{self._path}: {name}", rule, value=value, remedy=remedy)

    def get_text(self, name: str) -> str:
        return str(getattr(self._content, name.replace(":", "_").replace(".", "_"), ""))

    def has_variable(self, name: str) -> bool:
        return hasattr(self._content, name.replace(".", "_"))

    def get_array(self, name: str) -> NDArray[np.float64]:
        if not self.has_variable(name):
            raise self.format_error(name, "a SOFA file of impulse responses needs this variable", None, f"add {name}")
        values = np.ma.asarray(getattr(self._content, name.replace(".", "_")))
        if values.dtype.kind not in "fiu":
            raise self.format_error(name, "the values must be numbers", str(values.dtype), f"correct {name}")
        return np.ma.filled(values.astype(np.float64), np.nan)

    def get_vectors(self, name: str, rows: int | None, measurements: int) -> NDArray[np.float64]:
        """Return Cartesian vectors of all measurements, in metres.

        Args:
            name: Name of a variable of shape (1 or M, 3), or with `rows` (rows, 3, 1 or M); a trailing 1 may be absent.
            rows: Number of receivers or emitters, or None.
            measurements: Number of measurements, M.

        Returns:
            Vectors, shape (M, rows, 3); rows is 1 for None.
        """
        values = self.get_array(name)
        if rows is None:
            given = np.atleast_2d(values)[:, None] if values.ndim < 3 else np.empty(0)
        else:
            given = np.moveaxis(np.atleast_3d(np.atleast_2d(values)), -1, 0) if values.ndim < 4 else np.empty(0)
        wanted = (measurements, rows or 1, 3)
        if given.ndim != 3 or given.shape[0] not in (1, measurements) or given.shape[1:] != wanted[1:]:
            expected = "(1 or M, 3)" if rows is None else f"({rows}, 3, 1 or M)"
            raise self.format_error(
                name, f"the shape must be {expected}, M = {measurements}", values.shape, f"correct {name}"
            )
        if not np.isfinite(given).all():
            row = int(np.argmin(np.isfinite(given).all((1, 2))))
            raise self.format_error(
                f"{name}[{row}]", "coordinates must be finite numbers", "NaN or infinity", "correct them"
            )
        return np.broadcast_to(self._to_cartesian(name, given), wanted)

    def _to_cartesian(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        system = self.get_text(f"{name}:Type") or "cartesian"
        if system == "cartesian":
            return values
        if system != "spherical":
            raise self.format_error(
                f"{name}:Type", "coordinates must be cartesian or spherical", system, "convert them to cartesian"
            )
        azimuth, elevation, radius = np.deg2rad(values[..., 0]), np.deg2rad(values[..., 1]), values[..., 2]
        flat = radius * np.cos(elevation)
        return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), radius * np.sin(elevation)], axis=-1)


def _read_responses(file: _SofaFile) -> NDArray[np.float64]:
    """Return the impulse responses, shape (M, R, E, N)."""
    kind = file.get_text("GLOBAL:DataType")
    if kind not in _DATA_TYPES:
        raise file.format_error(
            "GLOBAL:DataType",
            f"the data type must be one of {', '.join(_DATA_TYPES)}",
            kind or None,
            "export impulse responses, e.g. with the convention SingleRoomSRIR",
        )
    values = file.get_array("Data.IR")
    shape = {"FIR": "(M, R, N)", "FIR-E": "(M, R, N, E)"}.get(kind, "(M, R, E, N)")
    if values.ndim != shape.count(",") + 1 or values.size == 0:
        raise file.format_error(
            "Data.IR", f"the shape must be {shape}", values.shape, "correct Data.IR or the data type"
        )
    if kind == "FIR":
        return values[:, :, None]
    return values if kind == _EMITTERS_BEFORE_SAMPLES else np.swapaxes(values, 2, 3)


def _read_delays(file: _SofaFile, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the delays in samples, shape (M, R, E); zeros if the file has none."""
    if not file.has_variable("Data.Delay"):
        return np.zeros(shape)
    values = file.get_array("Data.Delay")
    given = values[..., None] if values.ndim == 2 else values
    try:
        delays = np.broadcast_to(given, shape)
    except ValueError as error:
        raise file.format_error(
            "Data.Delay", f"the shape must be (M, R, E) = {shape}, or 1 instead", values.shape, "correct Data.Delay"
        ) from error
    if not (delays >= 0).all():  # also true for NaN
        raise file.format_error(
            "Data.Delay", "delays must be numbers of at least 0", float(values.min()), "correct them"
        )
    return delays


def _to_room_coordinates(
    file: _SofaFile, body: str, element: str, measurements: int, elements: int
) -> NDArray[np.float64]:
    """Return the room coordinates of the receivers or emitters of a body, shape (M, elements, 3).

    The file contains coordinates relative to the body (listener or source): x along its view vector, z along its up vector
    (AES69, sections on coordinate systems).
    """
    origin = file.get_vectors(f"{body}Position", None, measurements)
    local = file.get_vectors(element, elements, measurements)
    view = _view_direction(file, f"{body}View", (1.0, 0.0, 0.0), measurements)
    up = _view_direction(file, f"{body}Up", (0.0, 0.0, 1.0), measurements)
    left = np.cross(up, view)
    length = np.linalg.norm(left, axis=-1, keepdims=True)
    if (length < 1e-6).any():
        row = int(np.argmin(length))
        raise file.format_error(
            f"{body}View[{row}]", f"{body}View and {body}Up must not be parallel", view[row].tolist(), "correct one"
        )
    left = left / length
    axes = np.stack([view, left, np.cross(view, left)], axis=1)
    placed: NDArray[np.float64] = origin + local @ axes
    return placed


def _view_direction(
    file: _SofaFile, name: str, default: tuple[float, float, float], measurements: int
) -> NDArray[np.float64]:
    """Return the unit vectors of a direction, shape (M, 3)."""
    if not file.has_variable(name):
        return np.broadcast_to(np.asarray(default), (measurements, 3))
    values = file.get_vectors(name, None, measurements)[:, 0]
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    if (length == 0).any():
        raise file.format_error(
            f"{name}[{int(np.argmin(length))}]", "a direction must not be the zero vector", [0, 0, 0], f"correct {name}"
        )
    unit: NDArray[np.float64] = values / length
    return unit


def _require_still(file: _SofaFile, microphones: NDArray[np.float64]) -> None:
    moved = np.abs(microphones - microphones[0]).max((1, 2)) > _MOVEMENT_TOLERANCE_M
    if moved.any():
        index = int(np.argmax(moved))
        raise file.format_error(
            f"ListenerPosition[{index}]",
            "the microphones must not move between measurements",
            microphones[index, 0].round(4).tolist(),
            "export the measurements of a single pose of the listener",
        )


def _apply_delays(responses: NDArray[np.float64], delays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply delays to responses.

    Args:
        responses: Impulse responses, shape (responses, taps).
        delays: Delays in samples, shape (responses,).

    Returns:
        Delayed responses, longer by the largest delay.
    """
    if not delays.any():
        return responses
    taps = responses.shape[1]
    whole = np.floor(delays).astype(np.int64)
    fraction = delays - whole
    tail = _DELAY_TAIL if fraction.any() else 0
    delayed = np.zeros((len(responses), taps + math.ceil(delays.max()) + tail))
    for row, (response, start, part) in enumerate(zip(responses, whole, fraction, strict=True)):
        padded = np.pad(response, (0, tail))
        # A fractional delay is a linear phase; its pre-ringing wraps around to the end of the padding.
        phase = np.exp(-2j * np.pi * np.fft.rfftfreq(len(padded)) * part)
        delayed[row, start : start + len(padded)] = (
            np.fft.irfft(np.fft.rfft(padded) * phase, len(padded)) if part else padded
        )
    return delayed
