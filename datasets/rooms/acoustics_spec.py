"""Description of reverberant rooms: decay, surfaces, geometry, sources and microphones. Imports neither torch nor scipy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from datasets.acoustics.materials import list_materials
from datasets.building.spec import Frozen, Range, require_ordered


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


MaterialNames = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


def _suggest_material(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else "docs/data.md says where the names are listed"


class SurfaceMaterials(Frozen):
    """Materials of the surfaces of rooms, by the names of pyroomacoustics; each room draws one per surface."""

    walls: MaterialNames = Field(description="materials of which each of the four walls has one")
    floor: MaterialNames = Field(description="materials of which the floor has one")
    ceiling: MaterialNames = Field(description="materials of which the ceiling has one")

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        known = list_materials()
        for surface in ("walls", "floor", "ceiling"):
            for name in getattr(self, surface):
                if name not in known:
                    raise ValueError(f"material {name!r} of {surface} is unknown; {_suggest_material(name, known)}")
        return self


class Acoustics(Frozen):
    """Reverberant shoebox rooms, by the image source method (Allen and Berkley 1979); ranges are drawn per room."""

    method: Literal["image_sources", "hybrid"] = Field(
        "image_sources",
        description="`image_sources`: all reflections, up to `max_order` if given; `hybrid`: image sources until the mixing "
        "time, then noise with the same decay and directions, much faster",
    )
    rt60_s: Range | None = Field(
        None,
        description="reverberation time after Sabine, s; 0 for anechoic rooms",
        json_schema_extra={"bounds": "≥ 0"},
    )
    absorption: Range | None = Field(
        None,
        description="energy absorption of all surfaces, instead of rt60_s",
        json_schema_extra={"bounds": "> 0, ≤ 1"},
    )
    materials: SurfaceMaterials | None = Field(
        None, description="materials with absorption in octaves, instead of rt60_s; the air absorbs, too, then"
    )
    margin_m: Range = Field(
        (0.5, 1.5), description="distance from the area to each wall, m", json_schema_extra={"bounds": "≥ 0"}
    )
    height_m: Range = Field(
        (2.5, 3.0),
        description="height of the room, m",
        json_schema_extra={"bounds": "≥ 0"},
    )
    array_height_m: Range = Field(
        (1.2, 1.2), description="height of the arrays, m", json_schema_extra={"bounds": "≥ 0, below height_m"}
    )
    source_height_m: Range = Field(
        (1.2, 1.2),
        description="height of the sources, drawn per position, m",
        json_schema_extra={"bounds": "≥ 0, below height_m"},
    )
    microphone_error_m: float = Field(
        0.0,
        ge=0,
        le=0.1,
        description="standard deviation of the positions of the microphones along each axis, drawn per room; the labels and the "
        "model know nothing of it, m",
    )
    source_directivity: Range | None = Field(
        None,
        description="pattern p + (1 - p) cos of the sources, drawn per position: 1 omnidirectional, 0.5 a cardioid; each faces a "
        "direction of its own in the plane",
        json_schema_extra={"bounds": "≥ 0, ≤ 1"},
    )
    max_order: int | None = Field(
        None, ge=0, le=200, description="order of reflections; as high as the RT60 needs if absent"
    )
    rooms: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="number of rooms")
    positions: Annotated[int, Field(ge=4, le=20_000)] = Field(100, description="number of source positions per room")

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if [self.rt60_s, self.absorption, self.materials].count(None) != 2:
            raise ValueError("acoustics takes rt60_s, absorption or materials, one of them")
        for name in ("rt60_s", "absorption", "margin_m", "height_m", "array_height_m", "source_height_m"):
            require_ordered(name, getattr(self, name) or (0.0, 0.0), least=0.0)
        if self.rt60_s is not None and self.rt60_s[0] == 0 < self.rt60_s[1]:
            raise ValueError("rt60_s is 0 or above 0, not a range from one to the other")
        if self.absorption is not None and not 0 < self.absorption[0] <= self.absorption[1] <= 1:
            raise ValueError(f"absorption lies above 0 and at most at 1, got {list(self.absorption)}")
        if self.method == "hybrid" and self.max_order is not None:
            raise ValueError("max_order belongs to method: image_sources; remove it, or method: hybrid")
        if self.rt60_s is None and self.max_order is None and self.method != "hybrid":
            given = "absorption needs" if self.materials is None else "materials need"
            raise ValueError(f"{given} max_order, the number of reflections to follow, or method: hybrid")
        highest = max(self.array_height_m[1], self.source_height_m[1])
        if highest >= self.height_m[0]:
            raise ValueError(f"arrays and sources stand below the ceiling: {highest} m in {self.height_m[0]} m")
        return self

    @model_validator(mode="after")
    def _check_directivity(self) -> Self:
        if self.source_directivity is not None:
            require_ordered("source_directivity", self.source_directivity, least=0.0)
            if self.source_directivity[1] > 1:
                raise ValueError(f"source_directivity lies between 0 and 1, got {list(self.source_directivity)}")
        return self

    @model_serializer(mode="wrap")
    def _omit_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields without effect, as in the descriptions of versions that lack them."""
        described: dict[str, Any] = serialize(self)
        unused = {
            "method": "image_sources",
            "materials": None,
            "microphone_error_m": 0.0,
            "source_directivity": None,
        }
        return {name: value for name, value in described.items() if name not in unused or value != unused[name]}

    @property
    def is_reverberant(self) -> bool:
        """Whether the rooms have reflections."""
        return self.rt60_s != (0.0, 0.0) and self.max_order != 0
