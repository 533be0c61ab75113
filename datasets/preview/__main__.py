"""`python -m datasets.preview SPEC`: a page that shows a dataset and lets one listen to it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datasets import cli_options, config_file
from datasets.building import parts
from datasets.rooms.spec import LocalizerSpec
from datasets.scenes.provider import ScenePlan
from datasets.scenes.spec import SceneSpec
from runtime import machine
from runtime.cli import Console, Parser, run_command, format_bytes, whole_number_type
from runtime.errors import InputError
from runtime.files import write_text_atomic
from runtime.storage import Store

_SAMPLES: Final = 6
_RECORDINGS: Final = 3
_MOST: Final = 30


def build_parser() -> Parser:
    """The command line."""
    result = Parser(
        prog="python -m datasets.preview",
        description="Show a dataset on one HTML page: statistics, plans, spectrograms and sound. Where the dataset is "
        "built it is read; where it is not, a miniature is made for the page, in seconds.",
        epilog="Example: python -m datasets.preview spaces/rg_rep.yaml --profile full",
        allow_abbrev=False,
    )
    cli_options.add_options(result)
    result.add_argument(
        "--samples",
        type=whole_number_type(1, _MOST),
        metavar="N",
        help=f"samples of each split, or recordings of scenes, from 1 to {_MOST} (default: {_SAMPLES}, {_RECORDINGS})",
    )
    result.add_argument("--out", type=Path, metavar="FILE", help="default: STORAGE/previews/NAME.html")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return run_command(lambda: _run_preview(build_parser().parse_args(arguments)))


def _run_preview(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    specs, store, place = cli_options.read_options(options)
    out = options.out or cli_options.local_folder(options.storage) / "previews" / f"{options.spec.stem}.html"
    _require_writable(out)
    line = Console(sys.stdout)
    lead = _lead_paragraph(options, len(specs) - 1)
    if isinstance(specs[0], SceneSpec):
        written = _scene_page(specs[0], store, place, (options.spec.stem, lead), options.samples or _RECORDINGS)
    elif not isinstance(specs[0], LocalizerSpec):
        raise InputError(
            str(options.spec),
            "a preview shows sound that is simulated or recorded for the localizer, and simulated scenes",
            value=f"kind {specs[0].kind}",
            remedy="look at another dataset",
        )
    else:
        written = _localizer_page(specs[0], store, place, (options.spec.stem, lead), options.samples or _SAMPLES)
    try:
        write_text_atomic(out, written)
    except OSError as error:
        raise _unwritable_error(out, error.strerror or str(error)) from error
    line.print_line(f"page     {out} ({format_bytes(out.stat().st_size)}, {time.perf_counter() - started:.1f} s)")
    return 0


def _require_writable(out: Path) -> None:
    """Refuse a place that cannot be written before anything is computed for it."""
    if out.is_dir():
        raise _unwritable_error(out, "a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable_error(out, error.strerror or str(error)) from error


def _unwritable_error(out: Path, reason: str) -> InputError:
    return InputError(
        str(out), "the page must be a file that can be written", value=reason, remedy="name another --out"
    )


def _lead_paragraph(options: argparse.Namespace, variants: int) -> str:
    """What the page is of, in a sentence or two."""
    profiles = config_file.read_yaml(options.spec).get("profiles") or {}
    chosen = config_file.choose_profile(profiles, options.profile, options.spec, has_gpu=machine.has_gpu())
    words = [f"The dataset of {options.spec}"]
    if chosen is not None:
        words.append(f"with the profile {chosen}")
    if options.set:
        words.append("with " + ", ".join(options.set))
    more = f" Its search may ask for {variants} more, which differ in the training split." if variants else ""
    return " ".join(words) + "." + more


def _localizer_page(spec: LocalizerSpec, store: Store, place: str, named: tuple[str, str], samples: int) -> str:
    source = parts.plan_dataset(spec, place)
    # Imported here: torch and matplotlib take seconds to load, which a mistake should not wait for.
    from datasets.preview import localizer, page
    from datasets.preview.material import gather_material

    with gather_material(source, store) as material:
        notices: tuple[str, ...] = ()
        if material.state == "miniature":
            notices = (_MINIATURE, *material.notes)
        elif material.state == "beginning":
            notices = ("The dataset lies in a bucket: this page shows the first shard of each split only.",)
        facts = localizer.build_facts(material, store.name)
        return page.make_document(*named, notices, facts, localizer.build_sections(material, samples))


_MINIATURE: Final = (
    "This dataset is not built. What follows is a miniature: new samples from the same spec, few of each split and from few "
    "excerpts of music. They are like the dataset's samples, but not among them."
)


def _scene_page(spec: SceneSpec, store: Store, place: str, named: tuple[str, str], shown: int) -> str:
    source = ScenePlan.from_spec(spec, place)
    from datasets.preview import page, recordings, scenes

    found = recordings.gather_recordings(source, store, shown)
    notices = () if found.built is not None else (_UNBUILT.format(len(found.shown)), *found.notes)
    return page.make_document(*named, notices, scenes.build_facts(found, store.name), scenes.build_sections(found))


_UNBUILT: Final = (
    "This dataset is not built. What follows is a miniature: all statistics are of the recordings that were made "
    "for this page, {} in number."
)


if __name__ == "__main__":
    sys.exit(main())
