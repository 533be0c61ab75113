"""`python -m datasets.preview SPEC`: render a dataset as an HTML page with plots and audio players."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datasets import cli_options, config_file, registry
from datasets.building.provider import DatasetProvider
from datasets.mixed.provider import MixedProvider
from datasets.rooms.provider import SampleProvider
from datasets.rooms.spec import SampleSpec
from datasets.scenes.plan import ScenePlan
from datasets.scenes.spec import SceneSpec
from runtime import uris
from runtime.cli import Parser, run_command, whole_number_type
from runtime.console import Console, format_bytes
from runtime.errors import InputError
from runtime.files import write_obstacle, write_text_atomic
from runtime.machines import machine
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.preview.material import Material
    from runtime.html_page import Markup, Section

_DEFAULT_SAMPLES: Final = 6
_DEFAULT_RECORDINGS: Final = 3
_MAX_SHOWN: Final = 30


def build_parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser(
        prog="python -m datasets.preview",
        description="Render a dataset as one HTML page with statistics, floor plans, spectrograms and audio players. A dataset "
        "that has been built is read; otherwise a miniature is generated for the page within seconds.",
        epilog="Example: python -m datasets.preview spaces/rg_rep.yaml --profile full",
        allow_abbrev=False,
    )
    cli_options.add_options(result)
    result.add_argument(
        "--samples",
        type=whole_number_type(1, _MAX_SHOWN),
        metavar="N",
        help=f"number of samples per split (default: {_DEFAULT_SAMPLES}) or of simulated recordings (default: "
        f"{_DEFAULT_RECORDINGS}), from 1 to {_MAX_SHOWN}",
    )
    result.add_argument(
        "--out", type=uris.expand_home, metavar="FILE", help="output file (default: STORAGE/previews/NAME.html)"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: _run_preview(build_parser().parse_args(arguments)))


def _run_preview(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    specs, store, location = cli_options.read_options(options)
    out = options.out or cli_options.local_folder(options.storage) / "previews" / f"{options.spec.stem}.html"
    _require_writable(out)
    console = Console(sys.stdout)
    lead = _lead_paragraph(options, len(specs) - 1)
    spec, heading = specs[0], (options.spec.stem, lead)
    if isinstance(spec, SceneSpec):
        plan = ScenePlan.from_spec(spec, location)
        document = _scene_page(plan, store, heading, options.samples or _DEFAULT_RECORDINGS)
    elif isinstance(spec, SampleSpec):
        document = _localizer_page(spec, store, location, heading, options.samples or _DEFAULT_SAMPLES)
    else:
        raise InputError(
            str(options.spec),
            "a preview needs a dataset that contains sound (kind room, measured, recordings, mixed or scenes)",
            value=f"kind {spec.kind}",
            remedy="choose a dataset of one of these kinds",
        )
    try:
        write_text_atomic(out, document)
    except OSError as error:
        raise _unwritable_error(out, error.strerror or str(error)) from error
    console.print_line(f"page     {out} ({format_bytes(out.stat().st_size)}, {time.perf_counter() - started:.1f} s)")
    return 0


def _require_writable(out: Path) -> None:
    """Check that the output file can be written before anything is computed."""
    if out.is_dir():
        raise _unwritable_error(out, "a folder")
    obstacle = write_obstacle(out.parent, create=True)
    if obstacle is not None:
        raise _unwritable_error(out, obstacle)


def _unwritable_error(out: Path, reason: str) -> InputError:
    return InputError(
        str(out), "the output must be a file that can be written", value=reason, remedy="choose another --out"
    )


def _lead_paragraph(options: argparse.Namespace, variants: int) -> str:
    """Return one or two sentences that identify the dataset."""
    profiles = config_file.read_yaml(options.spec).get("profiles") or {}
    chosen = config_file.choose_profile(profiles, options.profile, options.spec, has_gpu=machine.has_gpu())
    words = [f"The dataset of {options.spec}"]
    if chosen is not None:
        words.append(f"with the profile {chosen}")
    if options.set:
        words.append("with " + ", ".join(options.set))
    more = (
        f" A search over this space may use {variants} further datasets, which differ in the training split."
        if variants
        else ""
    )
    return " ".join(words) + "." + more


def _localizer_page(spec: SampleSpec, store: Storage, location: str, heading: tuple[str, str], samples: int) -> str:
    provider = registry.prepare_dataset(spec, location)
    # Imported late: torch and matplotlib take seconds to load, and mistakes are to be reported at once.
    from datasets.preview import localizer_page
    from datasets.preview.material import gather_material
    from runtime import html_page

    members = _list_members(provider)
    notices: list[str] = []
    facts: list[Markup] = []
    sections: list[Section] = []
    for name, member in members:
        with gather_material(member.plan, store) as material:
            noted = _list_notices(material)
            notices += [f"{name}: {notice}" for notice in noted] if len(members) > 1 else noted
            facts += [html_page.make_heading(name)] * (len(members) > 1)
            facts.append(localizer_page.build_facts(material, store.name))
            sections += _mark_sections(
                localizer_page.build_sections(material, samples), name if len(members) > 1 else ""
            )
    return html_page.make_document(*heading, notices, html_page.join_markup(facts), sections)


def _list_notices(material: Material) -> list[str]:
    """Return how the samples that are shown differ from the dataset."""
    if material.state == "miniature":
        return [_MINIATURE_NOTICE, *material.notes]
    return [_BUCKET_NOTICE] if material.state == "first_shards" else []


def _list_members(provider: DatasetProvider) -> list[tuple[str, SampleProvider]]:
    """Return the datasets that a dataset consists of, with their places in it."""
    if isinstance(provider, MixedProvider):
        return [(member.place, member.provider) for member in provider.members]
    if isinstance(provider, SampleProvider):
        return [("", provider)]
    raise TypeError(f"data of kind {provider.spec.kind!r} has no samples for the localizer")


def _mark_sections(sections: Sequence[Section], place: str) -> list[Section]:
    """Return sections whose titles and ids name the place of their dataset, if it has one; figures of two may be the same."""
    if not place:
        return list(sections)
    from runtime import html_page

    prefix = place.replace(".", "-")
    return [
        replace(
            section,
            anchor=f"{prefix}-{section.anchor}",
            title=f"{place}: {section.title}",
            body=html_page.Markup(re.sub(r'( id="|url\(#|xlink:href="#)', rf"\1{prefix}-", section.body)),
        )
        for section in sections
    ]


_BUCKET_NOTICE: Final = "The dataset is stored in a bucket: this page shows the first shard of each split only."


_MINIATURE_NOTICE: Final = (
    "This dataset has not been built. The page shows a miniature: new samples of the same specification, with few samples "
    "per split and few excerpts of music. They resemble the samples of the dataset but are not part of it."
)


def _scene_page(plan: ScenePlan, store: Storage, heading: tuple[str, str], count: int) -> str:
    from datasets.preview import scene_material, scene_page
    from runtime import html_page

    material = scene_material.gather_recordings(plan, store, count)
    notices = () if material.manifest is not None else (_UNBUILT_NOTICE.format(len(material.shown)), *material.notes)
    facts = scene_page.build_facts(material, store.name)
    return html_page.make_document(*heading, notices, facts, scene_page.build_sections(material))


_UNBUILT_NOTICE: Final = (
    "This dataset has not been built. The page shows a miniature: all statistics refer to the {} recordings that were "
    "generated for it."
)


if __name__ == "__main__":
    sys.exit(main())
