"""Impulse responses to be drawn: read where the dataset is built, simulated or measured ones for a miniature."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import pyroom, rirs, shoebox
from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from datasets.acoustics.shoebox import ShoeboxRoom
from datasets.building.arrow import read_columns
from datasets.building.parts import DatasetPart
from datasets.preview.material import Material
from datasets.preview.miniature import image_order
from datasets.rooms.spec import MeasuredSpec, RoomSpec

_IMAGES: Final = 1_500_000
"""Image sources of one drawn impulse response at most: a second of work."""


@dataclass(frozen=True, eq=False)
class MeasuredRoom:
    """An impulse response.

    Attributes:
        splits: Which use it.
        label: Where it was taken.
        response: From one place to the first microphone, shape (taps,), 16 kHz.
        asked_s: Reverberation time that the spec asks for; None if it asks for none.
        note: What to know of it, or nothing.
    """

    splits: tuple[str, ...]
    label: str
    response: NDArray[np.float32]
    asked_s: float | None
    note: str = ""


def rooms_of(material: Material, split: str, most: int) -> list[ShoeboxRoom]:
    """The first rooms of a split that echoes, as the whole dataset has them; a miniature has fewer of the same."""
    spec = material.source.spec
    acoustics = spec.resolve_splits()[split].acoustics
    if not isinstance(spec, RoomSpec) or acoustics is None or not acoustics.is_reverberant:
        return []
    role = shoebox.rir_role(split)
    return [shoebox.draw_room(spec, acoustics, role, number) for number in range(min(most, acoustics.rooms))]


def source_positions_m(material: Material, split: str, most: int) -> NDArray[np.float64]:
    """Where sources may stand in the first rooms of a split that echoes, shape (places, 2)."""
    spec = material.source.spec
    acoustics = spec.resolve_splits()[split].acoustics
    if not isinstance(spec, RoomSpec) or acoustics is None or not acoustics.is_reverberant:
        return np.empty((0, 2))
    role = shoebox.rir_role(split)
    rooms = range(min(most, acoustics.rooms))
    return np.concatenate([shoebox.draw_source_positions(spec, acoustics, role, number)[:, :2] for number in rooms])


def sabine_s(room: ShoeboxRoom) -> float:
    """Reverberation time of a shoebox by Sabine's formula, s."""
    width, depth, height = room.size_m
    surface = 2 * (width * depth + width * height + depth * height)
    return 24 * math.log(10) / SPEED_OF_SOUND_M_S * width * depth * height / (surface * room.absorption)


def measure_rooms(material: Material, rooms: int) -> Iterator[MeasuredRoom]:
    """One impulse response a room, of the first rooms of everything that has rooms of its own; none without echo.

    Args:
        material: The dataset.
        rooms: At most so many of each.
    """
    spec = material.source.spec
    if isinstance(spec, MeasuredSpec):
        yield from _measured_room(spec)
    for folder, splits in _positions_in_room(material).items():
        if folder is None:
            continue
        drawn = rooms_of(material, splits[0], 1 if material.state == "miniature" else rooms)
        for number, room in enumerate(drawn):
            if material.state == "miniature":
                yield _simulate_responses(material, splits, room)
            else:
                yield from _read_responses(material, splits, number, room)


def _positions_in_room(material: Material) -> dict[str | None, tuple[str, ...]]:
    result: dict[str | None, tuple[str, ...]] = {}
    for part in material.source.list_parts():
        if part.split is not None:
            result[part.responses] = (*result.get(part.responses, ()), part.split)
    return result


def _requested_rt60_s(part: DatasetPart, room: ShoeboxRoom) -> float | None:
    asked = part.acoustics is not None and part.acoustics.rt60_s is not None
    return sabine_s(room) if asked else None


def _simulate_responses(material: Material, splits: tuple[str, ...], room: ShoeboxRoom) -> MeasuredRoom:
    spec, part = material.source.spec, material.find_part(splits[0])
    if not isinstance(spec, RoomSpec) or part.acoustics is None:
        raise TypeError(f"split {splits[0]!r} has no simulated rooms")
    place = shoebox.draw_source_positions(spec, part.acoustics, shoebox.rir_role(splits[0]), 0)[:1]
    order = room.max_order
    while image_order(order) > _IMAGES:
        order -= 1
    alone = replace(room, max_order=order, microphones_m=room.microphones_m[:1, :1])
    response = pyroom.compute_impulse_responses(alone, place + np.array([*room.origin_m, 0.0]))[0, 0, 0]
    note = ""
    if order < room.max_order:
        note = f"drawn with {order} reflections instead of {room.max_order}, so its end is too quiet"
    return MeasuredRoom(splits, _room_label(0, *place[0, :2].tolist()), response, _requested_rt60_s(part, room), note)


def _read_responses(
    material: Material, splits: tuple[str, ...], number: int, room: ShoeboxRoom
) -> Iterator[MeasuredRoom]:
    part = material.find_part(splits[0])
    responses = next(p for p in material.source.list_parts() if p.folder == part.responses)
    blocks = len(responses.list_shards()) // (part.acoustics.rooms if part.acoustics is not None else 1)
    path = material.data.store.local_path(responses.list_shards()[number * blocks].name)
    if path.is_file():  # of a bucket, only the beginning is here
        waves, places = read_columns(path, ("responses", "place"))
        yield MeasuredRoom(
            splits, _room_label(number, *places[0, :2].tolist()), waves[0, 0, 0], _requested_rt60_s(part, room)
        )


def _room_label(number: int, x_m: float, y_m: float) -> str:
    return f"room {number + 1}, source at ({x_m:.2f}, {y_m:.2f}) m, first microphone"


def _measured_room(spec: MeasuredSpec) -> Iterator[MeasuredRoom]:
    bank = rirs.read_rir_bank(Path(spec.bank), "dataset.bank", arrays=spec.bank_arrays, size_m=spec.size_m)
    by_role: dict[str, tuple[str, ...]] = {}
    for name in spec.resolve_splits():
        by_role[shoebox.rir_role(name)] = (*by_role.get(shoebox.rir_role(name), ()), name)
    for splits in by_role.values():
        row = int(shoebox.positions_of_split(spec, splits[0], len(bank.positions_m))[0])
        x, y = bank.positions_m[row]
        label = f"place {row + 1} of the bank at ({x:.2f}, {y:.2f}) m, first microphone"
        note = "noise of the measurement lengthens what is measured of the decay"
        yield MeasuredRoom(splits, label, bank.responses[row, 0, 0], None, note)
