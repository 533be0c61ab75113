"""Searches without data and training, whose spaces change between launches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from search.experiment import Experiment
from search.launch import build_parser, prepare_experiment
from search.launching import edits
from search.study.edits import EDITS
from search.study.study import Study
from search.study.warm_start import WARM_START, to_plain
from spaces.schema import Value
from tests.search import path_model
from tests.search.support import epoch


class Config(path_model.Config):
    """Config with a default that depends on another value."""

    y: float = Field(0.25, ge=0, le=1, description="ordinate")
    kind: str = Field("a", description="kind")
    width: int = Field(8, ge=1, description="width")
    hidden: int = Field(0, ge=0, description="four times the width by default")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"hidden": 4 * values.get("width", 8), **values}


class Model(path_model.Model):
    """Trainable without data."""

    Config = Config
    needs_data = False


SPACE: dict[str, Any] = {
    "name": "edited",
    "trainable": f"{__name__}:Model",
    "fixed": {"y": 0.5},
    "search": {"x": {"uniform": [0, 0.5]}, "kind": {"choice": ["a", "b"]}, "width": {"int": [4, 8]}},
    "baseline": {"x": 0.25},
    "objectives": [{"metric": "score"}],
    "stopping": {"rule": "asha", "reduction": 3},
    "budget": {"trials": 4, "epochs": 9},
}


def write(folder: Path, **changes: Any) -> Path:
    """Write the space with changed keys."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE | changes, sort_keys=False))
    return path


def prepare(folder: Path, *options: str, **changes: Any) -> Experiment:
    """Return the experiment of a launch with changed keys."""
    words = [str(write(folder, **changes)), "--storage", str(folder / "runs"), *options]
    return prepare_experiment(build_parser().parse_args(words))


def record(experiment: Experiment, points: list[dict[str, Value]]) -> None:
    """Record a launch: its space, and trials at points, the later the better."""
    space = experiment.space
    experiment.results.root_path.mkdir(parents=True, exist_ok=True)
    study = Study(experiment.study_location, space, editing=edits.begin_editing(experiment))
    content = {"start": [], EDITS: study.edits, WARM_START: list(map(to_plain, space.warm_start))}
    experiment.results.write_identity(space.identity() | content)
    for point in points:
        study._enqueue(point, {})
    for _ in range(len(points) + 1):
        trial = study.next_trial()
        if trial is not None:
            study.record_epoch(trial.number, epoch(1, 0.5, score=0.1 * trial.number))
            study.end_trial(trial.number, "stopped", "")
    study.close()


class Other(Model):
    """Another trainable with the same Config."""
