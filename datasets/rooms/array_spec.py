"""Description of a microphone array of the 2D localizer. Imports neither torch nor scipy."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from datasets.acoustics import arrays as geometry
from datasets.building.spec import Frozen

_LEAST_APART_M: Final = 1e-4
"""Distance of two microphones of an array below which they are at the same place."""

Place = tuple[float, float] | tuple[float, float, float]


class ArraySpec(Frozen):
    """Microphone array: on a bar, of a common model, or with any positions."""

    centre_m: tuple[float, float] = Field(description="centre of the array, m")
    direction_deg: float = Field(
        0.0, description="direction of the bar, or of the array's x axis, degrees counter-clockwise from x"
    )
    offsets_m: tuple[float, ...] = Field(
        geometry.KINECT_OFFSETS_M, min_length=1, description="microphones along the bar, m"
    )
    model: str | None = Field(
        None, description=f"common array, instead of a bar: {', '.join(geometry.MICROPHONE_ARRAYS)}"
    )
    mics_m: tuple[Place, ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="microphones relative to the centre, instead of a bar: [x, y], or [x, y, height above the sources], m",
    )

    @model_validator(mode="after")
    def _check_microphones(self) -> Self:
        given = [name for name in ("offsets_m", "model", "mics_m") if name in self.model_fields_set]
        if len(given) > 1:
            raise ValueError(f"an array has one of offsets_m, model and mics_m, got {' and '.join(given)}")
        if self.model is not None and self.model not in geometry.MICROPHONE_ARRAYS:
            raise ValueError(
                f"model {self.model!r} is unknown; known models: {', '.join(geometry.MICROPHONE_ARRAYS)}; "
                "write other arrays as mics_m"
            )
        positions = self.positions_m()
        apart = np.linalg.norm(positions[:, None] - positions, axis=-1) + np.where(
            np.eye(len(positions)) > 0, np.inf, 0
        )
        if apart.min() < _LEAST_APART_M:
            first, second = sorted(np.unravel_index(int(apart.argmin()), apart.shape))
            raise ValueError(f"microphones {first} and {second} are at the same place, {positions[first].tolist()} m")
        return self

    @model_serializer(mode="wrap")
    def _omit_unused_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields without effect, as in the descriptions of versions that lack them."""
        described: dict[str, Any] = serialize(self)
        is_bar = self.model is None and self.mics_m is None
        unused = (
            {"model", "mics_m"} if is_bar else {"offsets_m"} | {n for n in ("model", "mics_m") if described[n] is None}
        )
        return {name: value for name, value in described.items() if name not in unused}

    def positions_m(self) -> NDArray[np.float64]:
        """Return the positions of the microphones and their heights above the sources in metres, shape (microphones, 3)."""
        if self.model is None and self.mics_m is None:
            bar = geometry.linear_array(self.centre_m, self.direction_deg, self.offsets_m)
            return np.column_stack([bar, np.zeros(len(bar))])
        places = self.mics_m if self.model is None else geometry.MICROPHONE_ARRAYS[self.model]
        return geometry.place_array(self.centre_m, self.direction_deg, places or ())
