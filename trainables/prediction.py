"""What a trainable offers whose kept models can be used on recordings: all that `python -m search.predict` asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SoundFormat:
    """What a recording has to be.

    Attributes:
        rate_hz: Sample rate.
        channels: How many.
        meaning: What the channels are, in order, for errors.
        least_samples: The shortest recording there is something to say about.
    """

    rate_hz: int
    channels: int
    meaning: str
    least_samples: int


@dataclass(frozen=True, eq=False)
class Recording:
    """Sound of any length, read piece by piece.

    Attributes:
        name: For pictures.
        samples: How many each channel has.
        read: Takes the first sample that is wanted and how many, returns shape (samples, channels), full scale 1.
    """

    name: str
    samples: int
    read: Callable[[int, int], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is written of a recording.

    Attributes:
        columns: Names.
        rows: Of the table, a value a column.
        header: Whether the file begins with the names.
        figure: A matplotlib figure.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[float]]
    header: bool
    figure: Any


class Predictor(ABC):
    """A kept model in use.

    Attributes:
        sound: What recordings have to be.
    """

    sound: SoundFormat

    @abstractmethod
    def predict(self, recording: Recording, settings: Mapping[str, float]) -> Prediction:
        """Predict from a whole recording.

        Args:
            recording: In the format of `sound`.
            settings: Inner parameters; missing ones take the Config's values.
        """


def cover_segments(total: int, length: int) -> list[tuple[int, int]]:
    """Cover a range by stretches of one length, the last one of which ends where the range does.

    Args:
        total: Of the range; if it is shorter than a stretch, there is one, as long as the range.
        length: Of a stretch.

    Returns:
        Where each begins, and how much at its beginning the stretch before has covered.
    """
    whole, rest = divmod(total, length)
    found = [(number * length, 0) for number in range(whole)]
    if rest and whole:
        found.append((total - length, length - rest))
    return found or [(0, 0)]
