"""Saved models for other programs: samples in, a table of predictions out.

MLflow loads a registered model with `_load_pyfunc`, in processes that may have nothing of this project but the packages
`runtime`, `datasets` and `trainables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables import registry
from trainables.contract import Trainable
from trainables.prediction import Predictor, Recording, SoundFormat

if TYPE_CHECKING:
    import pandas as pd


class ServedModel:
    """Model that predicts from the samples of a recording.

    Args:
        trainable: Trainable that the model was trained with.
        predictor: Predictor of the model.
        inference_params: Inference parameters with the best validation result.

    Attributes:
        trainable: Trainable that the model was trained with.
    """

    def __init__(self, trainable: type[Trainable], predictor: Predictor, inference_params: Mapping[str, float]) -> None:
        self.trainable = trainable
        self._predictor = predictor
        self._inference_params = dict(inference_params)

    @property
    def sound(self) -> SoundFormat:
        """Required format of the samples."""
        return self._predictor.sound

    def predict(
        self,
        samples: np.ndarray,  # MLflow infers nothing from the bare class, and warns of others
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the predictions of a recording as a table: `Prediction.served`, or else the columns of `search.predict`.

        Args:
            samples: Samples with full scale 1 at the sample rate of the model, shape (samples, channels).
            params: Inference parameters to change, e.g. `{"threshold": 0.4}`; None as a value changes nothing.

        Raises:
            ValueError: If the number of channels is wrong, the recording is shorter than a prediction needs, a sample is not
                finite, or a parameter is unknown or out of its range.
        """
        import pandas as pd

        sound = self._predictor.sound
        wave: NDArray[np.float32] = np.ascontiguousarray(samples, dtype=np.float32)
        if wave.ndim != 2 or wave.shape[1] != sound.channels:
            raise ValueError(
                f"the samples have the shape {wave.shape} instead of (samples, {sound.channels}): {sound.meaning}"
            )
        if len(wave) < sound.least_samples:
            raise ValueError(f"{len(wave)} samples are fewer than the {sound.least_samples} that a prediction needs")
        if not np.isfinite(wave).all():
            row = int(np.argmin(np.isfinite(wave).all(axis=1)))
            raise ValueError(f"sample {row} is NaN or infinite; samples are finite numbers with full scale 1")
        recording = Recording("samples", len(wave), lambda first, count: wave[first : first + count])
        changed = self._check_params(params or {})
        table = self._predictor.predict(recording, {**self._inference_params, **changed}).to_table()
        return pd.DataFrame([list(row) for row in table.rows], columns=list(table.columns))

    def list_params(self) -> dict[str, float | None]:
        """Return the inference parameters with the values of the model; None where its Config has the value."""
        return {parameter.name: self._inference_params.get(parameter.name) for parameter in self.trainable.inner}

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, float]:
        known = {parameter.name: parameter for parameter in self.trainable.inner}
        changed = {name: value for name, value in params.items() if value is not None}
        for name, value in changed.items():
            if name not in known:
                raise ValueError(f"{name} is no inference parameter of the model; it has {', '.join(known) or 'none'}")
            if not known[name].low <= value <= known[name].high:
                raise ValueError(f"{name} must be in [{known[name].low:g}, {known[name].high:g}], and is {value:g}")
        return {name: float(value) for name, value in changed.items()}


def load_served_model(path: Path, device: str = "cpu") -> ServedModel:
    """Load the `model.pt` of a trial.

    Raises:
        ValueError: If its trainable predicts from no recordings.
    """
    content = torch.load(path, map_location=device, weights_only=True)
    trainable = registry.load_trainable(content["trainable"], f"{path}: trainable")
    predictor = trainable.predictor(
        trainable.Config.model_validate(content["config"]), content["weights"], device=device
    )
    if predictor is None:
        raise ValueError(f"{content['trainable']} predicts from no recordings")
    return ServedModel(trainable, predictor, content["setting"])


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model for MLflow; the name is MLflow's."""
    return load_served_model(Path(path))
