"""Banks of measured or simulated room impulse responses, read from `.npz` or SOFA files and resampled to 16 kHz."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import sofa
from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from runtime.errors import InputError, suggest_name
from runtime.files import atomic_write

MAX_RATE_HZ: Final = 1_000_000
_KEYS: Final = ("responses", "positions_m", "microphones_m", "rate_hz")
_TOLERANCE_M: Final = 1e-6
"""Tolerance for positions on the border of the area, which may be rounded."""


@dataclass(frozen=True)
class RirBank:
    """Impulse responses from a set of source positions to all microphones.

    Attributes:
        responses: Sound pressure at the microphone relative to the source signal, shape (positions, arrays, microphones,
            taps), float32.
        positions_m: Source positions, shape (positions, 2).
        microphones_m: Microphone positions, shape (arrays, microphones, 2).
        rate_hz: Sample rate of the responses.
        origin: Description of the source of the bank, for display.
    """

    responses: NDArray[np.float32]
    positions_m: NDArray[np.float64]
    microphones_m: NDArray[np.float64]
    rate_hz: int
    origin: str


@dataclass(frozen=True)
class _FieldNames:
    """Names of the components of a bank in a file format, for error messages."""

    responses: str
    positions: str
    microphones: str
    rate: str


_NPZ: Final = _FieldNames(*_KEYS)
_SOFA: Final = _FieldNames("Data.IR", "SourcePosition", "ReceiverPosition", "Data.SamplingRate")


def read_rir_bank(path: Path, location: str, *, arrays: int, size_m: tuple[float, float]) -> RirBank:
    """Read a bank, validate it and resample it to 16 kHz.

    Resampled responses are scaled by the ratio of the sample rates, which preserves the level of convolved sound. Heights
    are discarded, since the localizer works in the horizontal plane.

    Args:
        path: A `.npz` file as written by `write_rir_bank`, or a `.sofa` file (AES69; see `datasets.acoustics.sofa`).
        location: Key of the file in the configuration, for error messages.
        arrays: Number of microphone arrays; the receivers of a SOFA file are distributed to them evenly, in order.
        size_m: Size of the area, x by y; its corner is the origin of all positions.

    Raises:
        InputError: If the file or a key is missing or unreadable, a shape is inconsistent, a response is not finite or
            all zeros, a position is outside the area, the sample rate is not supported, or the receivers cannot be
            distributed to `arrays` arrays.
    """
    if path.suffix not in (".npz", ".sofa"):
        raise InputError(
            location,
            "a bank of impulse responses must be a .npz or a .sofa file",
            value=str(path),
            remedy="convert it with datasets.acoustics.rirs.write_rir_bank, as described in docs/data.md",
        )
    if not path.is_file():
        raise InputError(
            location, "the bank of impulse responses must exist", value=str(path), remedy="correct the path"
        )
    if path.suffix == ".npz":
        return _resample_responses(_validate_bank(_read_npz(path, arrays), path, _NPZ, size_m))
    return _resample_responses(
        _validate_bank(_group_receivers(sofa.read_sofa(path), path, arrays), path, _SOFA, size_m)
    )


def write_rir_bank(path: Path, bank: RirBank) -> None:
    """Write a bank as a plain `.npz` file, atomically."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            responses=bank.responses,
            positions_m=bank.positions_m,
            microphones_m=bank.microphones_m,
            rate_hz=np.int64(bank.rate_hz),
            origin=np.str_(bank.origin),
        )


def _read_npz(path: Path, arrays: int) -> RirBank:
    entries = _require_entries(path)
    for key in _KEYS:
        if key not in entries:
            raise InputError(
                f"{path}: {key}",
                f"a bank needs the keys {', '.join(_KEYS)}",
                value=sorted(entries),
                remedy=f"add {key}; {suggest_name(key, entries) if entries else 'the file is empty'}",
            )
    numbers = {key: _read_numbers(path, key, entries[key]) for key in _KEYS}
    microphones = _project_to_plane(path, "microphones_m", numbers["microphones_m"], ndim=3)
    positions = _project_to_plane(path, "positions_m", numbers["positions_m"], ndim=2)
    responses = numbers["responses"]
    if len(microphones) != arrays:
        raise InputError(
            f"{path}: microphones_m",
            f"the bank must have {arrays} arrays",
            value=f"{len(microphones)} arrays",
            remedy="give microphones_m the shape (arrays, microphones, 2)",
        )
    expected = (len(positions), *microphones.shape[:2])
    if responses.ndim != 4 or responses.shape[:3] != expected or responses.size == 0:
        raise InputError(
            f"{path}: responses",
            f"the shape must be (positions, arrays, microphones, taps), here ({', '.join(map(str, expected))}, taps)",
            value=responses.shape,
            remedy="make the shapes of responses, positions_m and microphones_m consistent",
        )
    origin = str(entries["origin"]) if "origin" in entries else path.name
    return RirBank(
        responses.astype(np.float32, copy=False),
        positions,
        microphones,
        _read_sample_rate(path, "rate_hz", numbers["rate_hz"]),
        origin,
    )


def _require_entries(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file; pickled objects are refused, since reading them can execute arbitrary code."""
    try:
        with path.open("rb") as file:  # opened explicitly, since numpy does not close a corrupt archive
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array instead of an archive")
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            str(path),
            "a .npz file must be a readable archive of plain arrays",
            value=str(error),
            remedy="write it again with numpy.savez, without object arrays",
        ) from error


def _read_numbers(path: Path, key: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {key}",
            "the values must be real numbers",
            value=str(values.dtype),
            remedy=f"store {key} as float32 or float64",
        )
    return values  # not converted to double precision: responses may take much of the memory


def _project_to_plane(path: Path, key: str, values: NDArray[Any], *, ndim: int) -> NDArray[np.float64]:
    """Return coordinates in the plane, shape (…, 2), without heights if there are any."""
    if values.ndim != ndim or values.shape[-1] not in (2, 3) or values.size == 0:
        named = "(positions, 2)" if ndim == 2 else "(arrays, microphones, 2)"
        raise InputError(
            f"{path}: {key}",
            f"the shape must be {named}, or with 3 instead of 2 for coordinates with heights",
            value=values.shape,
            remedy=f"reshape {key}",
        )
    return values[..., :2].astype(np.float64)


def _read_sample_rate(path: Path, key: str, values: NDArray[Any]) -> int:
    rates = np.unique(values)
    rate = float(rates[0]) if rates.size == 1 else float("nan")
    if not 0 < rate <= MAX_RATE_HZ or rate != round(rate):
        raise InputError(
            f"{path}: {key}",
            f"the sample rate must be a whole number of Hz, at most {MAX_RATE_HZ}",
            value=rates.astype(float).tolist(),
            remedy=f"correct {key}",
        )
    return round(rate)


def _group_receivers(measured: sofa.SofaMeasurements, path: Path, arrays: int) -> RirBank:
    """Distribute the receivers to the arrays, in order."""
    positions, receivers, taps = measured.responses.shape
    if receivers % arrays:
        raise InputError(
            f"{path}: ReceiverPosition",
            f"the receivers must be divisible into {arrays} arrays of equal size",
            value=f"{receivers} receivers",
            remedy="remove receivers, or set the number of arrays of the measurement",
        )
    return RirBank(
        measured.responses.reshape(positions, arrays, receivers // arrays, taps),
        measured.positions_m,
        measured.microphones_m.reshape(arrays, receivers // arrays, 2),
        _read_sample_rate(path, "Data.SamplingRate", measured.rate_hz),
        measured.origin,
    )


def _validate_bank(bank: RirBank, path: Path, names: _FieldNames, size_m: tuple[float, float]) -> RirBank:
    _require_sound(bank, f"{path}: {names.responses}")
    if not np.isfinite(bank.microphones_m).all():
        raise InputError(
            f"{path}: {names.microphones}",
            "coordinates must be finite numbers",
            value=bank.microphones_m.tolist(),
            remedy="correct the microphones' positions",
        )
    inside = ((bank.positions_m >= -_TOLERANCE_M) & (bank.positions_m <= np.asarray(size_m) + _TOLERANCE_M)).all(1)
    if not inside.all():
        index = int(np.argmin(inside))
        raise InputError(
            f"{path}: {names.positions}[{index}]",
            f"source positions must be inside the area of {size_m[0]:g} × {size_m[1]:g} m, whose corner is the origin",
            value=bank.positions_m[index].tolist(),
            remedy="shift the coordinates, or correct dataset.size_m",
        )
    return bank


def _require_sound(bank: RirBank, location: str) -> None:
    finite = np.isfinite(bank.responses).all((1, 2, 3))
    if not finite.all():
        raise InputError(
            f"{location}[{int(np.argmin(finite))}]",
            "responses must be finite numbers",
            value="NaN or infinity",
            remedy="measure this position again, or remove it",
        )
    silent = ~bank.responses.any(axis=3)
    if silent.any():
        position, array, microphone = np.argwhere(silent)[0].tolist()
        raise InputError(
            f"{location}[{position}]",
            "every microphone must have a response",
            value=f"all zeros at array {array}, microphone {microphone}",
            remedy="measure this position again, or remove it",
        )


def _resample_responses(bank: RirBank) -> RirBank:
    if bank.rate_hz == SAMPLE_RATE_HZ:
        return bank
    from scipy import signal

    divisor = np.gcd(bank.rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // divisor, bank.rate_hz // divisor
    # A response is a density over time: its values are inversely proportional to the sample rate.
    gain = np.float32(bank.rate_hz / SAMPLE_RATE_HZ)
    responses = np.stack([gain * signal.resample_poly(each, up, down, axis=-1) for each in bank.responses])
    return RirBank(responses.astype(np.float32), bank.positions_m, bank.microphones_m, SAMPLE_RATE_HZ, bank.origin)
