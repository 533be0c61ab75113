"""Networks of models as files that run without this project, checked against the model."""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from runtime.errors import InputError
from search.prediction.formats import FORMATS
from search.saved_models import SavedModel
from trainables.prediction import ExportableNetwork

METADATA: Final = "soundsweep.json"
"""Name of the description inside a file."""
ABSOLUTE: Final = 1e-5
RELATIVE: Final = 1e-4
"""Outputs agree if they differ by at most `ABSOLUTE` plus this share of the value."""

RunNetwork = Callable[[Tensor], tuple[Tensor, ...]]
"""Function that computes the outputs of a network in a file."""


class NetworkFormat(ABC):
    """Format of a file with a network."""

    @abstractmethod
    def write(self, network: ExportableNetwork, path: Path, metadata: str) -> None:
        """Write a network with a description in JSON."""

    @abstractmethod
    def load(self, path: Path) -> RunNetwork:
        """Load the network of a file as its users do."""


class ExportedProgram(NetworkFormat):
    """File of `torch.export`, which `torch.export.load` reads."""

    def write(self, network: ExportableNetwork, path: Path, metadata: str) -> None:
        """Write a program whose batch has any size."""
        shapes = ({0: torch.export.Dim("batch")},)
        with torch.no_grad():
            program = torch.export.export(network.module, (network.examples,), dynamic_shapes=shapes)
        with path.open("wb") as file:  # a buffer, since torch warns of names that end otherwise than in .pt2
            torch.export.save(program, file, extra_files={METADATA: metadata})

    def load(self, path: Path) -> RunNetwork:
        """Load the program."""
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()
        return lambda inputs: _as_tuple(module(inputs))


class TorchScript(NetworkFormat):
    """Traced module, which `torch.jit.load` and LibTorch in C++ read."""

    def write(self, network: ExportableNetwork, path: Path, metadata: str) -> None:
        """Trace the network on its examples."""
        with torch.no_grad():
            traced = torch.jit.trace(network.module, network.examples, check_trace=False)
        torch.jit.save(traced, str(path), _extra_files={METADATA: metadata.encode()})

    def load(self, path: Path) -> RunNetwork:
        """Load the module."""
        module = torch.jit.load(str(path))
        return lambda inputs: _as_tuple(module(inputs))


class Onnx(NetworkFormat):
    """ONNX model, which ONNX Runtime and others read."""

    def write(self, network: ExportableNetwork, path: Path, metadata: str) -> None:
        """Write a model with its weights in the same file.

        Raises:
            InputError: If the packages that write and check it are not installed.
        """
        packages = ("onnx", "onnxscript", "onnxruntime")
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                "--format onnx",
                "the packages that write and check the file must be installed",
                value=f"missing: {', '.join(missing)}",
                remedy="pip install -c constraints.txt -e '.[onnx]', or choose --format pt2 or torchscript, which need no more",
            )
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(
            network.module, (network.examples,), dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        assert program is not None
        program.model.metadata_props[METADATA] = metadata
        program.save(path, external_data=False)

    def load(self, path: Path) -> RunNetwork:
        """Load the model on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda inputs: tuple(torch.from_numpy(array) for array in session.run(None, {name: inputs.numpy()}))


_FORMATS: Final[Mapping[str, NetworkFormat]] = dict(
    zip(FORMATS, (ExportedProgram(), TorchScript(), Onnx()), strict=True)
)


def write_network(saved: SavedModel, network: ExportableNetwork, file_format: str, path: Path) -> RunNetwork:
    """Write a network, and return that of the file.

    Args:
        saved: Model of the network.
        network: Network to write.
        file_format: One of `FORMATS`.
        path: File to write.

    Raises:
        InputError: If the format cannot express the network, or needs packages that are not installed.
    """
    chosen = _FORMATS[file_format]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and tracing warns of checks of shapes
        try:
            chosen.write(network, path, json.dumps(_describe(saved, network), indent=1))
            return chosen.load(path)
        except InputError:
            raise
        except Exception as error:  # any exception of the exporters of torch
            first = str(error).strip().partition("\n")[0]
            raise InputError(
                f"--format {file_format}",
                "the format must be able to express the network",
                value=f"{type(error).__name__}: {first}",
                remedy=f"choose another format: {', '.join(name for name in FORMATS if name != file_format)}",
            ) from error


def _describe(saved: SavedModel, network: ExportableNetwork) -> dict[str, Any]:
    return {
        "trainable": saved.name,
        "config": saved.config.model_dump(mode="json"),
        "inference_params": dict(saved.inference_params),
        "input": network.inputs,
        "outputs": list(network.outputs),
    }


def compare_outputs(network: ExportableNetwork, run: RunNetwork) -> tuple[float, bool]:
    """Compare a file with the network on batches of one, two and all examples.

    Returns:
        Largest difference, and whether all outputs agree.
    """
    largest, agrees = 0.0, True
    for inputs in (network.examples[:1], network.examples[-2:], network.examples):
        with torch.inference_mode():
            expected = [tensor.numpy() for tensor in _as_tuple(network.module(inputs))]
            outputs = [tensor.numpy() for tensor in run(inputs)]
        for output, value in zip(outputs, expected, strict=True):
            agrees = agrees and output.shape == value.shape
            agrees = agrees and np.allclose(output, value, rtol=RELATIVE, atol=ABSOLUTE)
            largest = max(largest, float(np.abs(output - value).max())) if output.shape == value.shape else np.inf
    return largest, agrees


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
