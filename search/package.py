"""`python -m search.package MODEL`: the network of a saved model as a file that runs without this project."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.cli import Parser, require_output, run_command
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.files import atomic_write
from search.launching import storage_options
from search.prediction.formats import FORMATS

if TYPE_CHECKING:
    from search.prediction.network_files import RunNetwork
    from search.saved_models import SavedModel
    from trainables.prediction import ExportableNetwork, Predictor

_RECORDING_S: Final = 10.0
"""Duration of the recording with which the complete model is measured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.package",
        description="Write the network of a saved model as a file that runs without this project; check that its outputs"
        " agree with the model's, and measure latency and real-time factor on this machine's CPU.",
        epilog="Example: python -m search.package runs/searches/rg_rep --format torchscript -o room.ts",
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", help="model.pt, folder of a trial (both also s3://…), or folder of a search for its winner"
    )
    parser.add_argument("--format", choices=list(FORMATS), default="pt2", help="format of the file (default: pt2)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file to write (default: network.pt2, .ts or .onnx)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    return run_command(lambda: _package(parser.parse_args(arguments)), stopped="Stopped; nothing was written.")


def _package(options: argparse.Namespace) -> int:
    output = options.output or Path(FORMATS[options.format])
    require_output(output, force=options.force)
    with storage_options.open_model_path(options.model) as model:
        from search import saved_models  # imports torch

        saved = saved_models.read_model(saved_models.find_model(model))
        predictor = saved.load_predictor("cpu")
        network = _require_network(saved, predictor)
        print(f"model    {saved.path} ({saved.name})")
        return _write_checked(saved, predictor, network, options.format, output)


def _require_network(saved: SavedModel, predictor: Predictor) -> ExportableNetwork:
    network = predictor.export_network()
    if network is None:
        raise InputError(
            str(saved.path),
            "the predictor of the model must have a network to export",
            value=saved.name,
            remedy="define `export_network` in the predictor; see docs/predict.md",
        )
    return network


def _write_checked(
    saved: SavedModel, predictor: Predictor, network: ExportableNetwork, file_format: str, output: Path
) -> int:
    """Write and check the file, which gets its name only if its outputs agree; then measure it."""
    from search.prediction.network_files import ABSOLUTE, RELATIVE, compare_outputs, write_network

    tolerance = f"{ABSOLUTE:g} + {RELATIVE:g} of the value"
    with atomic_write(output) as temporary:
        run = write_network(saved, network, file_format, temporary)
        difference, agrees = compare_outputs(network, run)
        if not agrees:
            raise InputError(
                f"--format {file_format}",
                f"outputs of the file must agree with the model's within {tolerance}",
                value=f"largest difference {difference:.2g}",
                remedy="choose another format; nothing was written",
            )
    print(f"written  {output}, {file_format}, {format_bytes(output.stat().st_size)}")
    print(f"input    {network.inputs}")
    for meaning in network.outputs:
        print(f"output   {meaning}")
    print(
        f"agrees   largest difference {difference:.2g}, allowed {tolerance}; batches of 1, 2 and {len(network.examples)}"
    )
    _print_speed(predictor, network, run)
    return 0


def _print_speed(predictor: Predictor, network: ExportableNetwork, run: RunNetwork) -> None:
    import numpy as np
    import torch

    from search.prediction.speed import measure_speed
    from trainables.prediction import Recording

    with torch.inference_mode():
        file_speed = measure_speed(lambda: run(network.examples[:1]))
    sound = predictor.sound
    count = max(sound.least_samples, round(_RECORDING_S * sound.rate_hz))
    noise = np.random.default_rng(0).standard_normal((count, sound.channels)).astype(np.float32) * 0.1
    recording = Recording("noise", count, lambda first, length: noise[first : first + length])
    model_speed = measure_speed(lambda: predictor.predict(recording, {}))
    seconds = count / sound.rate_hz
    print(f"latency  of the file, {1000 * network.seconds:g} ms of sound: {file_speed.describe()}")
    print(f"         of the complete model, {seconds:g} s of sound: {model_speed.describe()}")
    print(
        f"speed    real-time factor {file_speed.median_s / network.seconds:.3g} (file),"
        f" {model_speed.median_s / seconds:.3g} (complete model); CPU, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    sys.exit(main())
