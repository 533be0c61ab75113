"""Registration of a search's winner in MLflow's model registry, with all that loading it needs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import sys
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import datasets
import runtime
import trainables
from search.reporting.mlflow.api import MlflowClient, MlflowException
from trainables import served_model
from trainables.contract import Trainable
from trainables.prediction import SoundFormat
from trainables.served_model import ServedModel

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

CHAMPION: Final = "champion"
"""Alias of the version that the last end of a search has registered."""
_DIGEST: Final = "model_sha256"
_DIGEST_LENGTH: Final = 12
_FOLDER: Final = "champion"
_REQUIRED: Final = (
    "torch",
    "numpy",
    "scipy",
    "pydantic",
    "pyyaml",
    "matplotlib",
    "pandas",
    "jaxtyping",
    "pyarrow",
)
"""Packages that a prediction imports; those of a trainable of one's own are its user's to install."""
_EXAMPLE_S: Final = 0.32


def register_model(
    client: MlflowClient, run_id: str, name: str, model: Path, description: str, tags: Mapping[str, str]
) -> str | None:
    """Register a model as a new version with the alias `champion`, unless it is the current one.

    Args:
        client: Client of MLflow.
        run_id: MLflow run of the winner.
        name: Name of the registered model.
        model: Path of its `model.pt`.
        description: Description of the version, in Markdown.
        tags: Tags of the version.

    Returns:
        Number of the new version; None if this model has the alias already, from this run.
    """
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    with suppress(MlflowException):
        champion = client.get_model_version_by_alias(name, CHAMPION)
        if (champion.tags.get(_DIGEST), champion.run_id) == (digest, run_id):
            return None
    artifact = f"{_FOLDER}-{digest[:_DIGEST_LENGTH]}"  # a run may have several, and a version must keep its files
    with tempfile.TemporaryDirectory() as folder:
        save_package(model, Path(folder) / _FOLDER)
        client.log_artifacts(run_id, str(Path(folder) / _FOLDER), artifact)
    with suppress(MlflowException):  # it exists already
        client.create_registered_model(name, description=f"Winners of the search {name}.")
    source = f"{client.get_run(run_id).info.artifact_uri}/{artifact}"
    version = client.create_model_version(name, source, run_id, tags={**tags, _DIGEST: digest}, description=description)
    client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)


def save_package(model: Path, folder: Path) -> None:
    """Write a model as a folder that `mlflow.pyfunc.load_model` reads without this project being installed.

    Args:
        model: Path of a `model.pt`.
        folder: Folder to create.
    """
    served = served_model.load_served_model(model)
    sound = served.sound
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own modules, and advice on packages of this environment
        import mlflow.pyfunc  # takes seconds

        mlflow.pyfunc.save_model(
            str(folder),
            loader_module="trainables.served_model",
            data_path=str(model),
            code_paths=_list_code(served.trainable),
            pip_requirements=_list_requirements(),
            signature=_describe_signature(served),
            input_example=_draw_example(sound),
            metadata={"rate_hz": sound.rate_hz, "channels": sound.meaning},
        )


def _list_requirements() -> list[str]:
    """Return the required packages with their versions, without local labels such as `+cpu`, which no index has."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in _REQUIRED]


def _describe_signature(served: ServedModel) -> ModelSignature:
    """Return the signature of a model: samples, the columns of its table, and inference parameters with their values.

    MLflow ignores parameters that no signature names.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    lowest = {parameter.name: parameter.low for parameter in served.trainable.inner}  # so that the table has rows
    table = served.predict(_draw_example(served.sound), lowest)
    kinds = {name: "long" if dtype.kind == "i" else "double" for name, dtype in table.dtypes.items()}
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, served.sound.channels))]),
        outputs=Schema([ColSpec(kind, name) for name, kind in kinds.items()]),
        params=ParamSchema([ParamSpec(name, "double", value) for name, value in served.list_params().items()]),
    )


def _draw_example(sound: SoundFormat) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return quiet noise in the format of a model, as an example of its input."""
    count = max(sound.least_samples, round(_EXAMPLE_S * sound.rate_hz))
    generator = np.random.default_rng(0)
    return (0.01 * generator.standard_normal((count, sound.channels))).astype(np.float32)


def _list_code(trainable: type[Trainable]) -> list[str]:
    """Return the folders of the packages that a model needs, and the file or package of a trainable of one's own."""
    paths = [Path(str(package.__path__[0])) for package in (runtime, datasets, trainables)]
    top = sys.modules[trainable.__module__.partition(".")[0]]
    own = Path(str(top.__path__[0])) if hasattr(top, "__path__") else Path(inspect.getfile(top))  # a package or a file
    return list(dict.fromkeys(str(path) for path in [*paths, own]))
