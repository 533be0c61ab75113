"""Prediction from recordings with saved models: the interface that `python -m search.predict` uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.source_tracks import FoundTrack

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class SoundFormat:
    """Required format of a recording.

    Attributes:
        rate_hz: Sample rate, in Hz.
        channels: Number of channels.
        meaning: Description of the channels in their order, for errors.
        least_samples: Length of the shortest recording that yields a prediction, in samples.
    """

    rate_hz: int
    channels: int
    meaning: str
    least_samples: int


@dataclass(frozen=True, eq=False)
class Recording:
    """Recording of any length, read segment by segment.

    Attributes:
        name: Title in figures.
        samples: Number of samples per channel.
        read: Function of the first sample and the number of samples; returns shape (samples, channels), full scale 1.
    """

    name: str
    samples: int
    read: Callable[[int, int], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Table of a prediction for programs, with times in seconds and units in the names of columns.

    Attributes:
        columns: Names of the columns.
        rows: Rows of the table, one value per column.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[float]]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction from one recording, as a table and a figure.

    Attributes:
        columns: Names of the columns.
        rows: Rows of the table, one value per column.
        header: Whether the file begins with the names of the columns.
        figure: A matplotlib figure, or a function that draws it when a figure is wanted.
        tracks: Sources that were tracked over windows, for the summary; none by default.
        served: Table for programs, which a served model returns; None, the default, for `columns` and `rows`.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[float]]
    header: bool
    figure: Any
    tracks: Sequence[FoundTrack] = ()
    served: PredictionTable | None = None

    def draw_figure(self) -> Any:
        """Return the figure, which is drawn now if it has not been yet."""
        return self.figure() if callable(self.figure) else self.figure

    def to_table(self) -> PredictionTable:
        """Return the table for programs."""
        return self.served or PredictionTable(self.columns, self.rows)


@dataclass(frozen=True, eq=False)
class ExportableNetwork:
    """Network of a model as a function of tensors, for files that run without this project.

    Attributes:
        module: Module from a tensor to a tensor or a tuple of tensors, on the CPU in evaluation mode.
        examples: Inputs of at least two samples; the first dimension is the batch, of any size later.
        seconds: Duration of the sound of one sample, in seconds.
        inputs: Meaning and shape of the input.
        outputs: Meaning and shape of each output.
    """

    module: nn.Module
    examples: Tensor
    seconds: float
    inputs: str
    outputs: tuple[str, ...]


class Predictor(ABC):
    """Saved model that predicts from recordings.

    Attributes:
        sound: Required format of the recordings.
    """

    sound: SoundFormat

    @abstractmethod
    def predict(self, recording: Recording, inference_params: Mapping[str, float]) -> Prediction:
        """Predict from a complete recording.

        Args:
            recording: Recording in the format of `sound`.
            inference_params: Inner parameters; missing ones take the Config's values.
        """

    def export_network(self) -> ExportableNetwork | None:
        """Return the network for an export; None, the default, if it has none that can be exported."""
        return None


def cover_segments(total: int, length: int) -> list[tuple[int, int]]:
    """Cover a range by segments of one length, the last of which ends with the range and may overlap the previous one.

    Args:
        total: Length of the range; a range shorter than a segment is covered by one segment of its own length.
        length: Length of a segment.

    Returns:
        Start of each segment, and the length at its beginning that the previous segment already covers.
    """
    full, remainder = divmod(total, length)
    segments = [(number * length, 0) for number in range(full)]
    if remainder and full:
        segments.append((total - length, length - remainder))
    return segments or [(0, 0)]
