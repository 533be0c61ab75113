"""Impulse responses from SOFA files (AES69): SingleRoomSRIR, SingleRoomMIMOSRIR, GeneralFIR(-E), MultiSpeakerBRIR.

Only what a bank needs is read, by the names and dimensions of the standard (M measurements, R receivers, E emitters,
N samples), so that a file with a fault elsewhere is still of use. Every pair of a measurement and an emitter is a position.
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

_SAME_M: Final = 1e-3
_EMITTERS_BEFORE_SAMPLES: Final = "FIRE"
"""The data type of the older conventions with emitters, whose responses are (M, R, E, N); FIR-E has (M, R, N, E)."""
_DATA_TYPES: Final = ("FIR", "FIR-E", _EMITTERS_BEFORE_SAMPLES)
_MARGIN: Final = 64
"""Samples after the end of a response for a fractional delay to ring out in."""


@dataclass(frozen=True)
class Measurements:
    """What a file holds, before it is dealt to arrays.

    Attributes:
        responses: Shape (positions, receivers, taps), delays applied.
        positions_m: Shape (positions, 2).
        microphones_m: Shape (receivers, 2).
        rate_hz: All sampling rates that the file names, shape (rates,); not checked yet.
        origin: Convention and title.
    """

    responses: NDArray[np.float32]
    positions_m: NDArray[np.float64]
    microphones_m: NDArray[np.float64]
    rate_hz: NDArray[np.float64]
    origin: str


def read_sofa(path: Path) -> Measurements:
    """Read a SOFA file.

    Args:
        path: A file with the suffix `.sofa`.

    Raises:
        InputError: If the file is unreadable, holds no impulse responses, or a variable is missing or does not fit;
            or if the microphones move between measurements.
    """
    file = _SofaFile(path)
    responses = _read_responses(file)
    measurements, receivers, emitters, taps = responses.shape
    delays = _read_delays(file, (measurements, receivers, emitters))
    microphones = _to_room_coordinates(file, "Listener", "ReceiverPosition", measurements, receivers)
    _require_still(file, microphones)
    sources = _to_room_coordinates(file, "Source", "EmitterPosition", measurements, emitters)
    late = _apply_delays(responses.reshape(-1, taps), delays.reshape(-1))
    ordered = late.reshape(measurements, receivers, emitters, -1).transpose(0, 2, 1, 3)
    return Measurements(
        ordered.reshape(measurements * emitters, receivers, -1).astype(np.float32),
        sources.reshape(-1, 3)[:, :2],
        microphones[0, :, :2],
        np.ravel(file.get_array("Data.SamplingRate")),
        f"{file.get_text('GLOBAL:SOFAConventions')}: {file.get_text('GLOBAL:Title') or path.name}",
    )


class _SofaFile:
    """Variables of a SOFA file, checked as they are asked for."""

    def __init__(self, path: Path) -> None:
        import sofar

        self._path = path
        try:
            with warnings.catch_warnings():
                # Missing values come as masks with a warning; they are filled with NaN below and answered there.
                warnings.simplefilter("ignore")
                self._content: Any = sofar.read_sofa_as_netcdf(str(path))
        except Exception as error:  # whatever HDF5 stumbles over, the file is what is wrong
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
        """Cartesian vectors of all measurements, in metres.

        Args:
            name: A variable of shape (1 or M, 3), or with `rows` (rows, 3, 1 or M); a trailing 1 may be absent.
            rows: Receivers or emitters, or None.
            measurements: M.

        Returns:
            Shape (M, rows, 3), where rows is 1 if it is None.
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
    """Shape (M, R, E, N)."""
    kind = file.get_text("GLOBAL:DataType")
    if kind not in _DATA_TYPES:
        raise file.format_error(
            "GLOBAL:DataType",
            f"the data type must be one of {', '.join(_DATA_TYPES)}",
            kind or None,
            "export impulse responses, e.g. by the convention SingleRoomSRIR",
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
    """Delays in samples, shape (M, R, E); zeros where the file has none."""
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
    if not (delays >= 0).all():  # NaN fails too
        raise file.format_error(
            "Data.Delay", "delays must be numbers of at least 0", float(values.min()), "correct them"
        )
    return delays


def _to_room_coordinates(file: _SofaFile, body: str, part: str, measurements: int, parts: int) -> NDArray[np.float64]:
    """Positions of the parts of a listener or source in the room, shape (M, parts, 3).

    They are given relative to the body: x along its view, z along its up vector (AES69, sections on coordinate systems).
    """
    origin = file.get_vectors(f"{body}Position", None, measurements)
    local = file.get_vectors(part, parts, measurements)
    view = _view_direction(file, f"{body}View", (1.0, 0.0, 0.0), measurements)
    up = _view_direction(file, f"{body}Up", (0.0, 0.0, 1.0), measurements)
    left = np.cross(up, view)
    length = np.linalg.norm(left, axis=-1, keepdims=True)
    if (length < 1e-6).any():
        row = int(np.argmin(length))
        raise file.format_error(
            f"{body}View[{row}]", f"{body}View and {body}Up must differ", view[row].tolist(), "correct one"
        )
    left = left / length
    axes = np.stack([view, left, np.cross(view, left)], axis=1)
    placed: NDArray[np.float64] = origin + local @ axes
    return placed


def _view_direction(
    file: _SofaFile, name: str, default: tuple[float, float, float], measurements: int
) -> NDArray[np.float64]:
    """Unit vectors, shape (M, 3)."""
    if not file.has_variable(name):
        return np.broadcast_to(np.asarray(default), (measurements, 3))
    values = file.get_vectors(name, None, measurements)[:, 0]
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    if (length == 0).any():
        raise file.format_error(
            f"{name}[{int(np.argmin(length))}]", "a direction must have a length", [0, 0, 0], f"correct {name}"
        )
    unit: NDArray[np.float64] = values / length
    return unit


def _require_still(file: _SofaFile, microphones: NDArray[np.float64]) -> None:
    moved = np.abs(microphones - microphones[0]).max((1, 2)) > _SAME_M
    if moved.any():
        index = int(np.argmax(moved))
        raise file.format_error(
            f"ListenerPosition[{index}]",
            "the microphones must stay where they are: one bank has one set of positions",
            microphones[index, 0].round(4).tolist(),
            "export the measurements of one pose of the listener",
        )


def _apply_delays(responses: NDArray[np.float64], delays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the delay that a file keeps apart back into each response; shape (responses, taps), longer by the largest."""
    if not delays.any():
        return responses
    taps = responses.shape[1]
    whole = np.floor(delays).astype(np.int64)
    fraction = delays - whole
    tail = _MARGIN if fraction.any() else 0
    late = np.zeros((len(responses), taps + math.ceil(delays.max()) + tail))
    for row, (response, start, part) in enumerate(zip(responses, whole, fraction, strict=True)):
        padded = np.pad(response, (0, tail))
        # A fraction of a sample is a phase; what rings ahead of the response wraps to the padding's end.
        phase = np.exp(-2j * np.pi * np.fft.rfftfreq(len(padded)) * part)
        late[row, start : start + len(padded)] = (
            np.fft.irfft(np.fft.rfft(padded) * phase, len(padded)) if part else padded
        )
    return late
