"""Errors of a trial's model on the test splits, for its report: computed once, and kept in a file of the trial."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from search.execution.scoring import load_trial_model
from search.experiment import Experiment
from search.results import SearchFolder
from trainables import returned_values
from trainables.contract import InnerParameter, Trainable
from trainables.error_analysis import ErrorAnalysis, Estimates, Example, PositionAxes, SourceErrors

_VERSION: Final = 1
_SWEEP_VALUES: Final = 25
"""Number of values of an inference parameter in its sweep."""
_PLAYED_S: Final = 20.0
"""Length of the sound of an example that is kept, in seconds: the first ones."""
_META: Final = "meta"


@dataclass(frozen=True)
class Sweep:
    """Metrics on a split as a function of one inference parameter, the others as chosen on validation.

    Attributes:
        parameter: Name of the inference parameter.
        values: Its values, in increasing order.
        metrics: Value per metric, of the same length; undefined ones are None.
    """

    parameter: str
    values: tuple[float, ...]
    metrics: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class ModelErrors:
    """Errors of a model on the test splits.

    Attributes:
        analyses: Errors by source, by split; without splits on which the trainable gives none.
        sweeps: Sweeps of the inference parameters, by split.
        model: Digest of the file of the model; empty if it is unknown.
        yardsticks: Metrics of methods without training, by name of the method and split.
    """

    analyses: Mapping[str, ErrorAnalysis] = field(default_factory=dict)
    sweeps: Mapping[str, tuple[Sweep, ...]] = field(default_factory=dict)
    model: str = ""
    yardsticks: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)


def analyse_model(experiment: Experiment, number: int, device: str) -> ModelErrors:
    """Return the errors of a trial's saved model on the test splits, and keep them in the folder of the trial.

    The model predicts all splits twice, so that errors are computed again only if the file of the model has changed, as it does
    when an interrupted trial continues.

    Args:
        experiment: Search that the trial belongs to.
        number: Number of the trial.
        device: Torch device.
    """
    results = experiment.results
    digest = hashlib.sha256(results.fetch_file(results.model_path(number)).read_bytes()).hexdigest()
    known = read_errors(results, number)
    if known.model == digest:
        return known
    model, setting = load_trial_model(experiment, number, device)
    splits = experiment.space.dataset.test_names()
    analyses = {split: analysis for split in splits if (analysis := model.analyse_errors(split, setting)) is not None}
    for analysis in analyses.values():
        analysis.check_shapes()
    errors = ModelErrors(
        analyses,
        {split: sweep_parameters(model, split, setting) for split in splits} if model.inner else {},
        digest,
        _score_yardsticks(model, splits),
    )
    write_errors(results, number, errors)
    return errors


def _score_yardsticks(model: Trainable, splits: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        method: {
            split: {name: float(value) for name, value in metrics.items() if np.isfinite(value)}
            for split, metrics in by_split.items()
        }
        for method, by_split in model.score_yardsticks(splits).items()
    }


def sweep_parameters(model: Trainable, split: str, setting: Mapping[str, float]) -> tuple[Sweep, ...]:
    """Return the metrics on a split for a range of values of each chosen inference parameter, from one pass of the model."""
    swept = [parameter for parameter in model.inner if parameter.name in setting]
    ranges = {parameter.name: _spread_values(parameter, setting[parameter.name]) for parameter in swept}
    grid = [{**setting, name: value} for name, values in ranges.items() for value in values]
    if not grid:
        return ()
    results = returned_values.evaluate_split(model, split, grid)
    ends = np.cumsum([0, *map(len, ranges.values())])
    return tuple(
        Sweep(name, tuple(values), _gather_metrics(results[begin:end]))
        for (name, values), (begin, end) in zip(ranges.items(), pairwise(ends), strict=True)
    )


def _spread_values(parameter: InnerParameter, chosen: float) -> list[float]:
    """Return values over the range of a parameter, up to three times the chosen one where that range is much larger."""
    high = min(parameter.high, max(3 * chosen, parameter.low))
    spread = np.linspace(parameter.low, high, _SWEEP_VALUES).tolist()
    return sorted({*spread, chosen})


def _gather_metrics(results: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for result in results for name in result)
    return {
        name: tuple(
            None if value is None or not np.isfinite(value) else float(value)
            for value in (result.get(name) for result in results)
        )
        for name in names
    }


def write_errors(results: SearchFolder, number: int, errors: ModelErrors) -> None:
    """Write the errors of a trial's model into the folder of the trial, atomically."""
    arrays: dict[str, NDArray[Any]] = {}
    meta: dict[str, Any] = {"version": _VERSION, "model": errors.model, "splits": {}, "sweeps": {}}
    meta["yardsticks"] = errors.yardsticks
    for split, analysis in errors.analyses.items():
        meta["splits"][split] = _describe_analysis(analysis)
        arrays |= {f"{split}/{name}": array for name, array in _list_arrays(analysis).items()}
    for split, sweeps in errors.sweeps.items():
        meta["sweeps"][split] = [vars(sweep) | {"metrics": dict(sweep.metrics)} for sweep in sweeps]
    with results.write_file(results.errors_path(number)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{_META: np.array(json.dumps(meta))}, **arrays)


def read_errors(results: SearchFolder, number: int) -> ModelErrors:
    """Return the errors of a trial's model; empty if there is no file, or it is corrupt or of another version."""
    path = results.fetch_file(results.errors_path(number))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            meta = json.loads(str(content[_META]))
            if meta["version"] != _VERSION:
                return ModelErrors()
            arrays = {name: _widen(content[name]) for name in content.files}
        sweeps = {
            split: tuple(
                Sweep(one["parameter"], tuple(one["values"]), {n: tuple(v) for n, v in one["metrics"].items()})
                for one in each
            )
            for split, each in meta["sweeps"].items()
        }
        analyses = {split: _build_analysis(split, described, arrays) for split, described in meta["splits"].items()}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return ModelErrors()
    return ModelErrors(analyses, sweeps, meta.get("model", ""), meta.get("yardsticks", {}))


def _widen(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in double precision if it was stored in single precision, for a smaller file."""
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _describe_analysis(analysis: ErrorAnalysis) -> dict[str, Any]:
    axes = analysis.axes
    return {
        "axes": {"names": axes.names, "limits": axes.limits, "unit": axes.unit, "gates": axes.gates},
        "is_circular": axes.is_circular,
        "source_factors": list(analysis.sources.factors),
        "estimate_factors": list(analysis.estimates.factors),
        "score_name": analysis.score_name,
        "examples": [{"title": example.title, "rate_hz": example.rate_hz} for example in analysis.examples],
        "switches": analysis.switches,
    }


def _list_arrays(analysis: ErrorAnalysis) -> dict[str, NDArray[Any]]:
    sources, estimates = analysis.sources, analysis.estimates
    arrays: dict[str, NDArray[Any]] = {
        "landmarks": analysis.axes.landmarks,
        "scores": analysis.scene_scores,
        "sources": sources.positions,
        "errors": sources.errors,
        "biases": sources.biases,
        "estimates": estimates.positions,
        "is_false": estimates.is_false,
    }
    arrays |= {f"source_factor/{n}": values for n, values in enumerate(sources.factors.values())}
    arrays |= {f"estimate_factor/{n}": values for n, values in enumerate(estimates.factors.values())}
    for n, example in enumerate(analysis.examples):
        arrays |= {f"example/{n}/{name}": getattr(example, name) for name in ("time_s", "truth", "estimates")}
        arrays[f"example/{n}/sound"] = np.frombuffer(_encode_sound(example), np.uint8)
    return {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in arrays.items()}


def _encode_sound(example: Example) -> bytes:
    """Return the beginning of the sound of an example without loss of quality, in 16 bits; empty without sound."""
    sound = example.sound[: round(_PLAYED_S * example.rate_hz)]
    if not len(sound):
        return b""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, example.rate_hz, subtype="PCM_16", format="FLAC")
    return buffer.getvalue()


def _decode_sound(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    if not len(encoded):
        return np.zeros(0, np.float32)
    sound: NDArray[np.float32] = soundfile.read(io.BytesIO(encoded.tobytes()), dtype="float32")[0]
    return sound


def _build_analysis(split: str, described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ErrorAnalysis:
    own = {name.removeprefix(f"{split}/"): array for name, array in arrays.items() if name.startswith(f"{split}/")}
    axes = described["axes"]
    limits = tuple(tuple(each) for each in axes["limits"])
    return ErrorAnalysis(
        PositionAxes(
            tuple(axes["names"]),
            limits,  # type: ignore[arg-type]
            axes["unit"],
            tuple(axes["gates"]),
            own["landmarks"],
            described["is_circular"],
        ),
        SourceErrors(own["sources"], own["errors"], own["biases"], _read_factors("source", described, own)),
        Estimates(own["estimates"], own["is_false"], _read_factors("estimate", described, own)),
        own["scores"],
        described["score_name"],
        tuple(
            Example(
                example["title"],
                own[f"example/{n}/time_s"],
                own[f"example/{n}/truth"],
                own[f"example/{n}/estimates"],
                _decode_sound(own[f"example/{n}/sound"]),
                example["rate_hz"],
            )
            for n, example in enumerate(described["examples"])
        ),
        described["switches"],
    )


def _read_factors(
    kind: str, described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.float64]]:
    return {name: arrays[f"{kind}_factor/{n}"] for n, name in enumerate(described[f"{kind}_factors"])}
