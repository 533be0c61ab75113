"""Banks of room impulse responses: measured or simulated, read from `.npz` or SOFA files and brought to 16 kHz."""

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

HIGHEST_RATE_HZ: Final = 1_000_000
_KEYS: Final = ("responses", "positions_m", "microphones_m", "rate_hz")
_TOLERANCE_M: Final = 1e-6
"""Positions on the border of the area belong to it, however they were rounded."""


@dataclass(frozen=True)
class RirBank:
    """Impulse responses from some positions to all microphones.

    Attributes:
        responses: Shape (positions, arrays, microphones, taps), float32; pressure at the microphone over source signal.
        positions_m: Where the source stood, shape (positions, 2).
        microphones_m: Shape (arrays, microphones, 2).
        rate_hz: Sampling rate of the responses.
        origin: Where they come from, for people to read.
    """

    responses: NDArray[np.float32]
    positions_m: NDArray[np.float64]
    microphones_m: NDArray[np.float64]
    rate_hz: int
    origin: str


@dataclass(frozen=True)
class _Names:
    """What the parts of a bank are called in a file, for errors."""

    responses: str
    positions: str
    microphones: str
    rate: str


_NPZ: Final = _Names(*_KEYS)
_SOFA: Final = _Names("Data.IR", "SourcePosition", "ReceiverPosition", "Data.SamplingRate")


def read_rir_bank(path: Path, place: str, *, arrays: int, size_m: tuple[float, float]) -> RirBank:
    """Read a bank, check it and resample it to 16 kHz.

    A resampled response is multiplied by the ratio of the rates, so that what is convolved with it keeps its level.
    Heights are dropped: the localizer works in the plane.

    Args:
        path: A `.npz` file as `write_bank` makes it, or a `.sofa` file (AES69; see `datasets.acoustics.sofa`).
        place: Where the file was named, for errors.
        arrays: Microphone arrays; the receivers of a SOFA file are dealt to them in their order, equally many each.
        size_m: The area, x by y; its corner is the origin of all positions.

    Raises:
        InputError: If the file or a key is missing or unreadable, a shape does not fit, a response is not finite or
            all zeros, a position is outside the area, the rate is not usable, or the receivers do not make `arrays`
            arrays.
    """
    if path.suffix not in (".npz", ".sofa"):
        raise InputError(
            place,
            "a bank of impulse responses must be a .npz or a .sofa file",
            value=str(path),
            remedy="convert it with datasets.acoustics.rirs.write_bank; docs/data.md shows how",
        )
    if not path.is_file():
        raise InputError(place, "the bank of impulse responses must exist", value=str(path), remedy="correct the path")
    if path.suffix == ".npz":
        return _resample_responses(_validate_bank(_read_npz(path, arrays), path, _NPZ, size_m))
    return _resample_responses(
        _validate_bank(_group_receivers(sofa.read_sofa(path), path, arrays), path, _SOFA, size_m)
    )


def write_rir_bank(path: Path, bank: RirBank) -> None:
    """Write a bank as a plain `.npz` file, whole or not at all."""
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
            f"the bank must have the {arrays} arrays that are wanted",
            value=f"{len(microphones)} arrays",
            remedy="give microphones_m the shape (arrays, microphones, 2)",
        )
    expected = (len(positions), *microphones.shape[:2])
    if responses.ndim != 4 or responses.shape[:3] != expected or responses.size == 0:
        raise InputError(
            f"{path}: responses",
            f"the shape must be (positions, arrays, microphones, taps), here ({', '.join(map(str, expected))}, taps)",
            value=responses.shape,
            remedy="make responses, positions_m and microphones_m agree",
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
    """All arrays of a file; pickled objects are refused, since reading them could run anything."""
    try:
        with path.open("rb") as file:  # opened here, since numpy leaves a broken archive open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array, not an archive of several")
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
    return values  # of the precision they have: responses can fill a memory


def _project_to_plane(path: Path, key: str, values: NDArray[Any], *, ndim: int) -> NDArray[np.float64]:
    """Coordinates (…, 2) of what may come with heights."""
    if values.ndim != ndim or values.shape[-1] not in (2, 3) or values.size == 0:
        named = "(positions, 2)" if ndim == 2 else "(arrays, microphones, 2)"
        raise InputError(
            f"{path}: {key}",
            f"the shape must be {named}, or 3 instead of 2 with heights",
            value=values.shape,
            remedy=f"reshape {key}",
        )
    return values[..., :2].astype(np.float64)


def _read_sample_rate(path: Path, key: str, values: NDArray[Any]) -> int:
    rates = np.unique(values)
    rate = float(rates[0]) if rates.size == 1 else float("nan")
    if not 0 < rate <= HIGHEST_RATE_HZ or rate != round(rate):
        raise InputError(
            f"{path}: {key}",
            f"the sampling rate must be one whole number of Hz, at most {HIGHEST_RATE_HZ}",
            value=rates.astype(float).tolist(),
            remedy=f"correct {key}",
        )
    return round(rate)


def _group_receivers(found: sofa.Measurements, path: Path, arrays: int) -> RirBank:
    """Deal the receivers to arrays, in their order."""
    positions, receivers, taps = found.responses.shape
    if receivers % arrays:
        raise InputError(
            f"{path}: ReceiverPosition",
            f"the receivers must make {arrays} arrays of equally many",
            value=f"{receivers} receivers",
            remedy="leave out receivers, or describe the arrays that were measured",
        )
    return RirBank(
        found.responses.reshape(positions, arrays, receivers // arrays, taps),
        found.positions_m,
        found.microphones_m.reshape(arrays, receivers // arrays, 2),
        _read_sample_rate(path, "Data.SamplingRate", found.rate_hz),
        found.origin,
    )


def _validate_bank(bank: RirBank, path: Path, names: _Names, size_m: tuple[float, float]) -> RirBank:
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
            f"a source must stand in the area of {size_m[0]:g} × {size_m[1]:g} m, whose corner is the origin",
            value=bank.positions_m[index].tolist(),
            remedy="shift the coordinates, or correct dataset.size_m",
        )
    return bank


def _require_sound(bank: RirBank, place: str) -> None:
    finite = np.isfinite(bank.responses).all((1, 2, 3))
    if not finite.all():
        raise InputError(
            f"{place}[{int(np.argmin(finite))}]",
            "responses must be finite numbers",
            value="NaN or infinity",
            remedy="measure this position again, or leave it out",
        )
    silent = ~bank.responses.any(axis=3)
    if silent.any():
        position, array, microphone = np.argwhere(silent)[0].tolist()
        raise InputError(
            f"{place}[{position}]",
            "every microphone must have a response",
            value=f"all zeros at array {array}, microphone {microphone}",
            remedy="measure this position again, or leave it out",
        )


def _resample_responses(bank: RirBank) -> RirBank:
    if bank.rate_hz == SAMPLE_RATE_HZ:
        return bank
    from scipy import signal

    divisor = np.gcd(bank.rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // divisor, bank.rate_hz // divisor
    # A response is a density over time: with fewer samples a second each of them has to weigh more.
    gain = np.float32(bank.rate_hz / SAMPLE_RATE_HZ)
    responses = np.stack([gain * signal.resample_poly(each, up, down, axis=-1) for each in bank.responses])
    return RirBank(responses.astype(np.float32), bank.positions_m, bank.microphones_m, SAMPLE_RATE_HZ, bank.origin)
