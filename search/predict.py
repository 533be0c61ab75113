"""`python -m search.predict MODEL RECORDING …`: predictions of a saved model on recordings, as tables and plots."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datasets.audio.sound_files import SoundHeader, decode_sound, read_header
from datasets.config_file import read_change
from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError, suggest_name
from runtime.files import atomic_write, write_obstacle, write_text_atomic
from search.launching import storage_options
from trainables.contract import InnerParameter
from trainables.prediction import Prediction, Recording, SoundFormat

if TYPE_CHECKING:
    from trainables.prediction import Predictor

_INFIX: Final = ".predicted"
"""Infix between the name of a recording and the suffix, so that label files next to recordings are not overwritten."""


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
    result.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    return result


@dataclass(frozen=True)
class PredictionJob:
    """Recording to predict, and its output files.

    Attributes:
        path: Path of the recording.
        header: Header of the recording.
        table_path: Path of the table (csv).
        figure_path: Path of the plot (png).
    """

    path: Path
    header: SoundHeader
    table_path: Path
    figure_path: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: _predict(arguments), stopped="Stopped; all files written so far are complete.")


def _predict(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    changes = [read_change(text, "threshold=0.4") for text in options.set]
    with storage_options.open_model_path(options.model) as model:
        jobs = prepare_jobs(options.recordings, options.to)
        return run_predictions(model, changes, jobs, options.device)


def prepare_jobs(recordings: Sequence[Path], to: str | None) -> list[PredictionJob]:
    """Check recordings and output folders, before torch is imported.

    Raises:
        InputError: If a recording is missing or unreadable, two recordings share an output file, or a folder is not writable.
    """
    if to is not None and "://" in to:
        raise InputError("--to", "the output folder must be local", value=to, remedy="name a local folder")
    jobs: dict[Path, PredictionJob] = {}
    for path in recordings:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else None
            raise InputError(
                str(path), "the recording must be an existing file", value=kind, remedy="name a wav or flac file"
            )
        folder = path.parent if to is None else uris.expand_home(to)
        table, figure = (folder / f"{path.stem}{_INFIX}{suffix}" for suffix in (".csv", ".png"))
        if table in jobs:
            raise InputError(
                str(path),
                "no two recordings may share an output file",
                value=f"{table}, also that of {jobs[table].path}",
                remedy="name each recording once; for equal names run the command once per --to",
            )
        jobs[table] = PredictionJob(path, read_header(path), table, figure)
    for folder in {job.table_path.parent for job in jobs.values()}:
        _require_writable(folder)
    return list(jobs.values())


def _require_writable(folder: Path) -> None:
    """Check that a folder is or could be created and written, without creating it."""
    obstacle = write_obstacle(folder)
    if obstacle is not None:
        raise InputError(
            str(folder), "the output folder must be writable", value=obstacle, remedy="name another folder with --to"
        )


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
        _require_format(job, predictor.sound)
    print(f"model    {path} ({saved.name})")
    print("params   " + (", ".join(f"{name} {value:g}" for name, value in params.items()) or "none"))
    for job in jobs:
        rows = _predict_recording(predictor, job, params)
        seconds = job.header.frames / job.header.rate_hz
        print(f"{job.path}, {seconds:.1f} s: {rows} rows\n  {job.table_path}\n  {job.figure_path}", flush=True)
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


def _require_format(job: PredictionJob, sound: SoundFormat) -> None:
    header = job.header
    if header.channels != sound.channels:
        raise InputError(
            str(job.path),
            f"the model takes {sound.channels} channels: {sound.meaning}",
            value=f"{header.channels} channel" + "s" * (header.channels > 1),
            remedy="use a recording of this microphone array, or another model",
        )
    if header.rate_hz != sound.rate_hz:
        raise InputError(
            str(job.path),
            f"the model takes {sound.rate_hz} samples per second",
            value=f"{header.rate_hz} Hz",
            remedy=f"resample the recording, e.g.  sox {job.path.name} -r {sound.rate_hz} resampled.wav",
        )
    if header.frames < sound.least_samples:
        raise InputError(
            str(job.path),
            f"a recording must last at least {1000 * sound.least_samples / sound.rate_hz:g} ms",
            value=f"{1000 * header.frames / header.rate_hz:.3g} ms",
            remedy="omit this recording",
        )


def _predict_recording(predictor: Predictor, job: PredictionJob, params: Mapping[str, float]) -> int:
    """Predict one recording, write its table and plot, and return the number of rows."""
    recording = Recording(job.path.stem, job.header.frames, functools.partial(decode_sound, job.path))
    prediction = predictor.predict(recording, params)
    try:
        job.table_path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(job.table_path, _format_table(prediction))
        with atomic_write(job.figure_path) as temporary:
            prediction.figure.savefig(temporary, dpi=110, format="png")
    except OSError as error:
        raise InputError(
            str(job.table_path),
            "predictions must be written",
            value=error.strerror,
            remedy="free disk space, or use --to",
        ) from error
    return len(prediction.rows)


def _format_table(prediction: Prediction) -> str:
    lines = [prediction.columns] if prediction.header else []
    return "".join(",".join(map(str, line)) + "\n" for line in [*lines, *prediction.rows])


if __name__ == "__main__":
    sys.exit(main())
