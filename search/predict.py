"""`python -m search.predict MODEL RECORDING …`: predictions of a saved model on recordings, as tables and plots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.config_file import read_change
from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError, suggest_name
from runtime.files import atomic_write, write_text_atomic
from search.launching import storage_options
from search.prediction import summary
from search.prediction.jobs import Conversion, PredictionJob, parse_channels, prepare_jobs
from trainables.contract import InnerParameter
from trainables.prediction import Prediction

if TYPE_CHECKING:
    from search.saved_models import SavedModel
    from trainables.prediction import Predictor


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    result = Parser(
        prog="python -m search.predict",
        description="Apply a saved model to recordings; write a table (csv) and a plot (png) per recording.",
        epilog="Example: python -m search.predict runs/searches/rg_rep evening.wav --set threshold=0.4",
        allow_abbrev=False,
    )
    result.add_argument(
        "model", help="model.pt, folder of a trial (both also s3://…), or folder of a search for its winner"
    )
    result.add_argument(
        "recordings",
        type=uris.expand_home,
        nargs="+",
        metavar="recording",
        help="wav or flac file; see docs/predict.md",
    )
    result.add_argument("--to", metavar="FOLDER", help="output folder (default: that of each recording)")
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="inference parameter, e.g. threshold=0.4 (default: the best on validation)",
    )
    result.add_argument(
        "--resample", action="store_true", help="resample recordings of another sample rate than that of the model"
    )
    result.add_argument(
        "--channels",
        metavar="N,N,…",
        help="channels of the recordings, from 0, in the order of the model, e.g. 3,1,2,0 (default: all as they are)",
    )
    result.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: _predict(arguments), stopped="Stopped; all files written so far are complete.")


def _predict(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    changes = [read_change(text, "threshold=0.4") for text in options.set]
    conversion = Conversion(parse_channels(options.channels), options.resample)
    with storage_options.open_model_path(options.model) as model:
        jobs = prepare_jobs(options.recordings, options.to, conversion)
        return run_predictions(model, changes, jobs, options.device)


def run_predictions(
    model: Path, changes: Sequence[tuple[str, object]], jobs: Sequence[PredictionJob], device: str | None
) -> int:
    """Predict all recordings, one after the other.

    Args:
        model: Path of a model file or of a folder of a trial or search.
        changes: Inference parameters to change.
        jobs: Recordings and output files.
        device: Torch device; None selects a GPU if there is one.

    Returns:
        Exit status.

    Raises:
        InputError: If model, parameters or recordings do not fit together, or a recording is corrupt.
    """
    from search import saved_models  # imports torch

    path = saved_models.find_model(model)
    saved = saved_models.read_model(path)
    params = {**saved.inference_params, **_changed_params(changes, saved.trainable.inner)}
    predictor = saved.load_predictor(saved_models.require_device(device))
    for job in jobs:
        job.require_format(predictor.sound)
    print(f"model    {path} ({saved.name})")
    print("params   " + (", ".join(f"{name} {value:g}" for name, value in params.items()) or "none"))
    for job in jobs:
        for line in _predict_recording(saved, predictor, job, params):
            print(line, flush=True)
    return 0


def _changed_params(changes: Sequence[tuple[str, object]], inner: Sequence[InnerParameter]) -> Mapping[str, float]:
    known = {parameter.name: parameter for parameter in inner}
    result = {}
    for name, value in changes:
        if name not in known:
            raise InputError(
                f"--set {name}",
                "the name must be an inference parameter of the model",
                remedy=suggest_name(name, known),
            )
        low, high = known[name].low, known[name].high
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(
                f"--set {name}",
                f"{known[name].meaning}: a number in [{low:g}, {high:g}]",
                value=value,
                remedy="choose a value in the range, or omit the option",
            )
        result[name] = float(value)
    return result


def _predict_recording(
    saved: SavedModel, predictor: Predictor, job: PredictionJob, params: Mapping[str, float]
) -> list[str]:
    """Predict one recording, write its table and plot, and return lines of text about them."""
    recording = job.open_recording(predictor.sound)
    prediction = predictor.predict(recording, params)
    try:
        job.table_path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(job.table_path, _format_table(prediction))
        with atomic_write(job.figure_path) as temporary:
            prediction.draw_figure().savefig(temporary, dpi=110, format="png")
    except OSError as error:
        raise InputError(
            str(job.table_path),
            "predictions must be written",
            value=error.strerror,
            remedy="free disk space, or use --to",
        ) from error
    return [
        f"{job.path}, {job.seconds:.1f} s: {len(prediction.rows)} rows",
        f"  {job.table_path}",
        f"  {job.figure_path}",
        *summary.describe_tracks(prediction.tracks),
        *summary.describe_warnings(saved.compare_sound(recording, predictor.sound)),
    ]


def _format_table(prediction: Prediction) -> str:
    lines = [prediction.columns] if prediction.header else []
    return "".join(",".join(map(str, line)) + "\n" for line in [*lines, *prediction.rows])


if __name__ == "__main__":
    sys.exit(main())
