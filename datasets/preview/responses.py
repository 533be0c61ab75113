"""Impulse responses to be plotted: read from a built dataset or a bank, or simulated for a miniature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import hybrid, rirs
from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from datasets.acoustics.shoebox import ShoeboxRoom, count_images
from datasets.building.arrow import read_columns
from datasets.preview.material import Material
from datasets.rooms import reverberation
from datasets.rooms.plan import SamplePart
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from runtime.uris import expand_home

_MAX_IMAGES: Final = 1_500_000
"""Maximum number of image sources per simulated response; takes about 1 s."""


@dataclass(frozen=True, eq=False)
class ExampleResponse:
    """Impulse response from one source position to the first microphone.

    Attributes:
        splits: Names of the splits that use its room.
        label: Room and source position, for display.
        response: Impulse response, shape (taps,), 16 kHz.
        requested_rt60_s: Requested reverberation time, in seconds; None if none is requested.
        note: Restriction of the plot, or an empty string.
    """

    splits: tuple[str, ...]
    label: str
    response: NDArray[np.float32]
    requested_rt60_s: float | None
    note: str = ""


def first_rooms(material: Material, split: str, limit: int) -> list[ShoeboxRoom]:
    """Draw the first rooms of a reverberant split of the complete dataset; a miniature uses the first of them."""
    spec = material.plan.spec
    acoustics = spec.resolve_splits()[split].acoustics
    if not isinstance(spec, RoomSpec) or acoustics is None or not acoustics.is_reverberant:
        return []
    role = reverberation.rir_role(split)
    return [reverberation.draw_room(spec, acoustics, role, number) for number in range(min(limit, acoustics.rooms))]


def source_positions_m(material: Material, split: str, limit: int) -> NDArray[np.float64]:
    """Draw the source positions in the first rooms of a reverberant split, shape (positions, 2)."""
    spec = material.plan.spec
    acoustics = spec.resolve_splits()[split].acoustics
    if not isinstance(spec, RoomSpec) or acoustics is None or not acoustics.is_reverberant:
        return np.empty((0, 2))
    role = reverberation.rir_role(split)
    rooms = range(min(limit, acoustics.rooms))
    return np.concatenate(
        [reverberation.draw_source_positions(spec, acoustics, role, number)[:, :2] for number in rooms]
    )


def sabine_rt60_s(room: ShoeboxRoom) -> float:
    """Return the reverberation time of a shoebox of uniform walls by Sabine's formula, in seconds."""
    if not isinstance(room.absorption, float):
        raise TypeError("Sabine's formula is for uniform walls here")
    width, depth, height = room.size_m
    surface = 2 * (width * depth + width * height + depth * height)
    return 24 * math.log(10) / SPEED_OF_SOUND_M_S * width * depth * height / (surface * room.absorption)


def iterate_responses(material: Material, rooms: int) -> Iterator[ExampleResponse]:
    """Iterate over example impulse responses: one per room, for the first rooms of each set of impulse responses.

    Anechoic splits have none.

    Args:
        material: Samples of the dataset.
        rooms: Maximum number of rooms per set of impulse responses.
    """
    spec = material.plan.spec
    if isinstance(spec, MeasuredSpec):
        yield from _bank_responses(spec, material.list_splits())
    for folder, splits in _splits_by_responses(material).items():
        if folder is None:
            continue
        drawn = first_rooms(material, splits[0], 1 if material.state == "miniature" else rooms)
        for number, room in enumerate(drawn):
            if material.state == "miniature":
                yield _simulate_response(material, splits, room)
            else:
                yield from _read_response(material, splits, number, room)


def _splits_by_responses(material: Material) -> dict[str | None, tuple[str, ...]]:
    result: dict[str | None, tuple[str, ...]] = {}
    for part in material.plan.list_parts():
        if part.split is not None:
            result[part.responses] = (*result.get(part.responses, ()), part.split)
    return result


def _requested_rt60_s(part: SamplePart, room: ShoeboxRoom) -> float | None:
    has_rt60 = part.acoustics is not None and part.acoustics.rt60_s is not None
    return sabine_rt60_s(room) if has_rt60 else None


def _simulate_response(material: Material, splits: tuple[str, ...], room: ShoeboxRoom) -> ExampleResponse:
    spec, part = material.plan.spec, material.find_part(splits[0])
    if not isinstance(spec, RoomSpec) or part.acoustics is None:
        raise TypeError(f"split {splits[0]!r} has no simulated rooms")
    role = reverberation.rir_role(splits[0])
    position = reverberation.draw_source_positions(spec, part.acoustics, role, 0)[:1]
    directivities = reverberation.draw_directivities(spec, part.acoustics, role, 0, slice(1))
    order = room.max_order
    while not room.is_hybrid and count_images(order) > _MAX_IMAGES:
        order -= 1
    single = replace(room, max_order=order, microphones_m=room.microphones_m[:1, :1])
    placed = position + np.array([*room.origin_m, 0.0])
    response = hybrid.compute_responses(
        np.random.default_rng(spec.seed),
        single,
        placed,
        directivities=directivities,
    )[0, 0, 0]
    note = ""
    if order < room.max_order:
        note = (
            f"simulated with reflections up to order {order} instead of {room.max_order}, so the late decay is too weak"
        )
    return ExampleResponse(
        splits, _room_label(0, *position[0, :2].tolist()), response, _requested_rt60_s(part, room), note
    )


def _read_response(
    material: Material, splits: tuple[str, ...], number: int, room: ShoeboxRoom
) -> Iterator[ExampleResponse]:
    part = material.find_part(splits[0])
    responses = next(p for p in material.plan.list_parts() if p.folder == part.responses)
    blocks = len(responses.list_shards()) // (part.acoustics.rooms if part.acoustics is not None else 1)
    path = material.data.store.local_path(responses.list_shards()[number * blocks].name)
    if path.is_file():  # of a dataset in a bucket, only the first shard is available
        waves, positions = read_columns(path, ("responses", "place"))
        yield ExampleResponse(
            splits, _room_label(number, *positions[0, :2].tolist()), waves[0, 0, 0], _requested_rt60_s(part, room)
        )


def _room_label(number: int, x_m: float, y_m: float) -> str:
    return f"room {number + 1}, source at ({x_m:.2f}, {y_m:.2f}) m, first microphone"


def _bank_responses(spec: MeasuredSpec, names: Sequence[str]) -> Iterator[ExampleResponse]:
    bank = rirs.read_rir_bank(expand_home(spec.bank), "dataset.bank", arrays=spec.bank_arrays, size_m=spec.size_m)
    by_role: dict[str, tuple[str, ...]] = {}
    for name in names:
        by_role[reverberation.rir_role(name)] = (*by_role.get(reverberation.rir_role(name), ()), name)
    for splits in by_role.values():
        row = int(reverberation.positions_of_split(spec, splits[0], len(bank.positions_m))[0])
        x, y = bank.positions_m[row]
        label = f"position {row + 1} of the bank at ({x:.2f}, {y:.2f}) m, first microphone"
        note = "measurement noise lengthens the measured decay"
        yield ExampleResponse(splits, label, bank.responses[row, 0, 0], None, note)
