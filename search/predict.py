"""`python -m search.predict MODEL RECORDING …`: what a kept model hears in recordings, as tables and pictures."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datasets.audio.files import SoundHeader, decode_sound, read_header
from datasets.config_file import read_change
from runtime.cli import Parser
from runtime.errors import InputError, suggest_name
from runtime.files import atomic_write, write_text_atomic
from search import storage_options
from trainables.contract import InnerParameter
from trainables.prediction import Prediction, Recording, SoundFormat

if TYPE_CHECKING:
    from trainables.prediction import Predictor

_ENDING: Final = ".predicted"
"""Between the recording's name and the suffix, so that no labels are overwritten that lie beside a recording."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m search.predict",
        description="Use a model that a search has kept: for each recording a table (csv) and a picture (png).",
        epilog="Example: python -m search.predict runs/searches/rg_rep evening.wav --set threshold=0.4",
        allow_abbrev=False,
    )
    result.add_argument("model", help="a model.pt, a trial's folder (also s3://…), or a search's folder: its winner")
    result.add_argument("recordings", type=Path, nargs="+", metavar="recording", help="wav or flac; docs/predict.md")
    result.add_argument("--to", metavar="FOLDER", help="where tables and pictures go (default: beside each recording)")
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an inner parameter, e.g. threshold=0.4 (default: as chosen on validation)",
    )
    result.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    return result


@dataclass(frozen=True)
class Job:
    """A recording and what is to be written of it."""

    path: Path
    header: SoundHeader
    table: Path
    picture: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = build_parser().parse_args(arguments)
        changes = [read_change(text, "threshold=0.4") for text in options.set]
        with storage_options.open_model_path(options.model) as model:
            jobs = prepare_jobs(options.recordings, options.to)
            return run_predictions(model, changes, jobs, options.device)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; what is written is whole.", file=sys.stderr)
        return 130


def prepare_jobs(recordings: Sequence[Path], to: str | None) -> list[Job]:
    """Check recordings and where their predictions shall go, before anything heavy is loaded.

    Raises:
        InputError: If a recording is missing or unreadable, two would be written to one file, or a folder is not writable.
    """
    if to is not None and "://" in to:
        raise InputError("--to", "predictions go to a local folder", value=to, remedy="name a folder")
    jobs: dict[Path, Job] = {}
    for path in recordings:
        if not path.is_file():
            what = "a folder" if path.is_dir() else None
            raise InputError(
                str(path), "a recording is a file that exists", value=what, remedy="name a wav or flac file"
            )
        folder = path.parent if to is None else Path(to)
        table, picture = (folder / f"{path.stem}{_ENDING}{suffix}" for suffix in (".csv", ".png"))
        if table in jobs:
            raise InputError(
                str(path),
                "no two recordings may have their predictions in one file",
                value=f"{table}, as of {jobs[table].path}",
                remedy="name each once, and those of one name in two calls with another --to",
            )
        jobs[table] = Job(path, read_header(path), table, picture)
    for folder in {job.table.parent for job in jobs.values()}:
        _require_writable(folder)
    return list(jobs.values())


def _require_writable(folder: Path) -> None:
    """Check without creating anything."""
    absolute = folder.absolute()
    existing = next(parent for parent in (absolute, *absolute.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            str(folder),
            "predictions need a folder that can be written",
            value=error.strerror,
            remedy="name another folder by --to",
        ) from error


def run_predictions(model: Path, changes: Sequence[tuple[str, object]], jobs: Sequence[Job], device: str | None) -> int:
    """Predict, recording by recording.

    Raises:
        InputError: If model, settings or recordings do not fit together, or a recording turns out to be spoilt.
    """
    from search import saved_models  # torch comes with it

    found = saved_models.find_model(model)
    kept = saved_models.read_model(found)
    settings = {**kept.setting, **_changed_params(changes, kept.trainable.inner)}
    predictor = kept.load_predictor(saved_models.require_device(device))
    for job in jobs:
        _require_format(job, predictor.sound)
    print(f"model    {found} ({kept.name})")
    print("setting  " + (", ".join(f"{name} {value:g}" for name, value in settings.items()) or "the Config's"))
    for job in jobs:
        rows = _predict_recording(predictor, job, settings)
        seconds = job.header.frames / job.header.rate_hz
        print(f"{job.path}, {seconds:.1f} s: {rows} rows\n  {job.table}\n  {job.picture}", flush=True)
    return 0


def _changed_params(changes: Sequence[tuple[str, object]], inner: Sequence[InnerParameter]) -> Mapping[str, float]:
    known = {parameter.name: parameter for parameter in inner}
    result = {}
    for name, value in changes:
        if name not in known:
            raise InputError(
                f"--set {name}", "a setting is an inner parameter of the model", remedy=suggest_name(name, known)
            )
        low, high = known[name].low, known[name].high
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(
                f"--set {name}",
                f"{known[name].meaning}: a number in [{low:g}, {high:g}]",
                value=value,
                remedy="keep to that range, or leave the option out",
            )
        result[name] = float(value)
    return result


def _require_format(job: Job, sound: SoundFormat) -> None:
    header = job.header
    if header.channels != sound.channels:
        raise InputError(
            str(job.path),
            f"the model hears {sound.channels} channels: {sound.meaning}",
            value=f"{header.channels} channel" + "s" * (header.channels > 1),
            remedy="name a recording of these microphones, or another model",
        )
    if header.rate_hz != sound.rate_hz:
        raise InputError(
            str(job.path),
            f"the model hears {sound.rate_hz} samples a second",
            value=f"{header.rate_hz} Hz",
            remedy=f"resample it, e.g.  sox {job.path.name} -r {sound.rate_hz} resampled.wav",
        )
    if header.frames < sound.least_samples:
        raise InputError(
            str(job.path),
            f"a recording lasts {1000 * sound.least_samples / sound.rate_hz:g} ms or more",
            value=f"{1000 * header.frames / header.rate_hz:.3g} ms",
            remedy="leave it out",
        )


def _predict_recording(predictor: Predictor, job: Job, settings: Mapping[str, float]) -> int:
    """Predict from one recording and write what comes of it; returns the number of rows."""
    recording = Recording(job.path.stem, job.header.frames, functools.partial(decode_sound, job.path))
    prediction = predictor.predict(recording, settings)
    try:
        job.table.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(job.table, _format_table(prediction))
        with atomic_write(job.picture) as temporary:
            prediction.figure.savefig(temporary, dpi=110, format="png")
    except OSError as error:
        raise InputError(
            str(job.table), "predictions must be written", value=error.strerror, remedy="free some space, or use --to"
        ) from error
    return len(prediction.rows)


def _format_table(prediction: Prediction) -> str:
    lines = [prediction.columns] if prediction.header else []
    return "".join(",".join(map(str, line)) + "\n" for line in [*lines, *prediction.rows])


if __name__ == "__main__":
    sys.exit(main())
