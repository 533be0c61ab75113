"""The page about a search as one HTML document: the answer first, then what it rests on."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from datasets.preview.playback import encode_wav, loop_sound, make_playable
from runtime.console import format_duration
from runtime.html_page import (
    DataTable,
    Markup,
    PageExtras,
    Section,
    join_markup,
    make_audio,
    make_data_table,
    make_document,
    make_heading,
    make_paragraph,
    make_table,
)
from search.reporting.page import error_charts, examples, maps, robustness, trial_charts
from search.reporting.page.chart import (
    THEME_BUTTON,
    arrange_charts,
    page_scripts,
    page_style,
    render_chart,
    render_charts,
)
from search.reporting.page.content import PageContent, format_number, format_score
from search.study.trials import Trial
from trainables.error_analysis import Example

_REFRESH_S: Final = 30
_LOOPED_S: Final = 0.5
"""Length of a sound below which it is repeated, in seconds."""
_REFERENCES: Final = (
    "Inference parameters are those that were best on validation. The baseline is `baseline` of the space, "
    "and start N is point N of its `start`: settings that were known before the search."
)
_YARDSTICKS: Final = (
    "Columns beyond the trials are methods without training, whose parameters were chosen on validation as well."
)
_SKIP: Final = Markup('<a class="skip" href="#answer">Skip to the answer</a>')


def make_page(content: PageContent) -> str:
    """Return the page about a search as a complete HTML document without external resources."""
    lead = f"Search of {content.trainable}: {_count_trials(content.trials)}"
    if content.confirmations:
        lead += f", {len(content.confirmations)} confirmations"
    state = "" if content.time is None else f", state of {content.time:%Y-%m-%d %H:%M}"
    notices = ("The search is running; this page is renewed while it does.",) if content.is_live else ()
    refresh = f'<meta http-equiv="refresh" content="{_REFRESH_S}">\n' if content.is_live else ""
    extras = PageExtras(Markup(refresh), page_style(), join_markup([_SKIP, THEME_BUTTON]), page_scripts())
    sections = [section for section in _list_sections(content) if section is not None]
    return make_document(content.name, f"{lead}{state}.", notices, _make_answer(content), sections, extras)


def list_conclusions(content: PageContent) -> list[str]:
    """Return the answer of a search in sentences."""
    if content.winner is None:
        return ["No trial has a result yet."]
    if content.result is not None and content.result.get("conclusion"):
        return list(content.result["conclusion"])
    verdict = None if content.result is None else content.result.get("verdict")
    if verdict:
        return list(verdict["text"])
    metric = content.objectives[0][0]
    best = (
        f"{content.label(content.winner)} has {metric} {format_score(content.objective(content.winner))} on validation"
    )
    others = [
        f"{trial.role} {format_score(content.objective(trial))}"
        for trial in content.references
        if trial is not content.winner
    ]
    return [f"So far {best}" + (f"; {', '.join(others)}." if others else ".")]


def tabulate_configurations(content: PageContent) -> DataTable:
    """Return the values of winner, baseline and starting points."""
    trials = content.finalists
    rows = [
        [d.name, *(format_number(trial.parameters.get(d.name)) for trial in trials)] for d in content.ordered_dimensions
    ]
    settings = [{} if (best := trial.best_epoch(content.objectives)) is None else best.setting for trial in trials]
    names = dict.fromkeys(name for setting in settings for name in setting)
    rows += [[f"{name} (inference)", *(format_number(setting.get(name)) for setting in settings)] for name in names]
    return DataTable(["", *map(content.label, trials)], rows)


def tabulate_scores(content: PageContent, *, in_full: bool = False) -> DataTable:
    """Return the metrics of winner, baseline and starting points on validation and on the test splits.

    Args:
        content: The search.
        in_full: Whether to list all metrics; otherwise the objectives and the headlines.
    """
    trials = content.finalists
    best = [trial.best_epoch(content.objectives) for trial in trials]
    columns = [
        {"validation": {} if b is None else b.metrics, **t.test_scores} for b, t in zip(best, trials, strict=True)
    ]
    columns += [dict(scores) for scores in content.errors.yardsticks.values()]
    splits = dict.fromkeys(split for column in columns for split in column)
    rows = []
    for split in splits:
        present = dict.fromkeys(name for column in columns for name in column.get(split, {}))
        objectives = [name for name, _ in content.objectives]
        names = [*objectives, *content.meanings, *present] if in_full else [*objectives, *content.headlines]
        rows += [
            [split, name, *(format_score(column.get(split, {}).get(name)) for column in columns)]
            for name in dict.fromkeys(names)
            if name in present
        ]
    return DataTable(["split", "metric", *map(content.label, trials), *content.errors.yardsticks], rows)


def tabulate_splits(content: PageContent) -> DataTable:
    """Return what the splits of the dataset contain, as far as its description says so."""
    if content.dataset.get("kind") == "mixed":
        return DataTable(["split", "content"], _list_mixed_splits(content.dataset))
    tests = content.dataset.get("tests")
    described = {name: content.dataset.get(name) for name in ("train", "validate")}
    described |= tests if isinstance(tests, dict) else {}
    rows = [[name, _describe_split(split)] for name, split in described.items() if isinstance(split, dict)]
    return DataTable(["split", "content"], rows)


def _list_mixed_splits(dataset: Mapping[str, Any]) -> list[list[str]]:
    """Return the splits of a mixed dataset, each with the kind of data that it comes from."""
    rows = [["train", part["kind"], part["train"]] for part in dataset["train"]]
    rows.append(["validate", dataset["validate"]["kind"], dataset["validate"]["validate"]])
    rows += [[name, part["kind"], split] for part in dataset["tests"] for name, split in part["tests"].items()]
    return [[name, f"{kind}: {_describe_split(split)}"] for name, kind, split in rows]


def _describe_split(split: dict[str, Any]) -> str:
    parts = []
    for name, value in split.items():
        if isinstance(value, list) and all(isinstance(each, int | float | str) for each in value):
            parts.append(f"{name} {' – '.join(map(format_number, dict.fromkeys(value)))}")
        elif isinstance(value, int | float | str):
            parts.append(f"{name} {format_number(value)}")
    return ", ".join(parts)


def tabulate_trials(content: PageContent) -> DataTable:
    """Return all trials, best first, with the dimensions in the order of their importance."""
    names = [name for name, _ in content.objectives]
    header = ["trial", *names, "epochs", "outcome", *(dimension.name for dimension in content.ordered_dimensions)]
    unranked = [trial for trial in content.trials if trial not in content.ranked]
    rows = [
        [
            content.label(trial),
            *(format_score(content.objective(trial, n)) for n in range(len(names))),
            str(len(trial.epochs)),
            trial.outcome,
            *(format_number(trial.parameters.get(d.name)) for d in content.ordered_dimensions),
        ]
        for trial in [*content.ranked, *unranked]
    ]
    return DataTable(header, rows)


def list_spending(content: PageContent) -> list[tuple[str, str]]:
    """Return what the search has spent."""
    outcomes = Counter(trial.outcome for trial in content.trials)
    trainings = [*content.trials, *content.confirmations]
    epochs = sum(len(trial.epochs) for trial in trainings)
    seconds = sum(epoch.seconds for trial in trainings for epoch in trial.epochs)
    rows = [
        ("trials", ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())),
        ("confirmations", str(len(content.confirmations))),
        ("epochs", f"{epochs:,} ({sum(len(trial.epochs) for trial in content.confirmations):,} of confirmations)"),
        ("training and validation", format_duration(seconds)),
    ]
    spent = {} if content.result is None else content.result.get("spent") or {}
    if spent.get("gpu_seconds"):
        rows.append(("GPU-hours", format_number(spent["gpu_seconds"] / 3600)))
    if spent.get("money"):
        rows.append(("money", format_number(spent["money"])))
    return rows


def list_provenance(content: PageContent) -> list[tuple[str, str]]:
    """Return versions, commit, seed and digests of the data, as the search has recorded them."""
    recorded = {} if content.result is None else content.result.get("provenance") or {}
    return [(str(name), str(value)) for name, value in recorded.items()]


def _count_trials(trials: Sequence[Trial]) -> str:
    return f"{len(trials)} trial{'s' * (len(trials) != 1)}"


def _make_answer(content: PageContent) -> Markup:
    sentences = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in list_conclusions(content))
    return Markup(f'<div class="answer" id="answer" tabindex="-1">{sentences}</div>')


def _list_sections(content: PageContent) -> Iterable[Section | None]:
    yield _section_winner(content)
    yield _section_progress(content)
    yield _section_dimensions(content)
    yield _section_errors(content)
    yield _section_robustness(content)
    yield _section_examples(content)
    yield Section("trials", "All trials", _make_trials(content))
    yield _section_provenance(content)


def _section_winner(content: PageContent) -> Section | None:
    if content.winner is None:
        return None
    parts = [
        make_heading("Scores"),
        make_paragraph(_REFERENCES, "soft"),
        make_data_table(tabulate_scores(content)),
    ]
    if content.errors.yardsticks:
        parts.append(make_paragraph(_YARDSTICKS, "soft"))
    splits = tabulate_splits(content)
    if splits.rows:
        parts.append(_fold("What the splits contain", make_data_table(splits)))
    confirmed = trial_charts.chart_confirmed(content)
    if confirmed is not None:
        parts.append(render_chart(confirmed, "confirmed"))
    parts += [make_heading("Configurations"), make_data_table(tabulate_configurations(content))]
    described = [(name, meaning) for name, meaning in content.meanings.items()]
    if described:
        parts.append(_fold("What the metrics mean", make_table(described)))
    full = tabulate_scores(content, in_full=True)
    parts.append(_fold("All metrics", make_data_table(full)))
    edges = [] if content.result is None else [edge["text"] for edge in content.result.get("edges", ())]
    if edges:
        parts += [make_heading("Values at an edge of the space"), *(make_paragraph(edge) for edge in edges)]
    return Section("winner", "Winner against baseline and starts", join_markup(parts))


def _section_progress(content: PageContent) -> Section | None:
    spent = make_table(list_spending(content))
    if not content.ranked:
        return Section("progress", "Progress and costs", spent)
    charts = render_charts(trial_charts.list_progress_charts(content), "progress")
    return Section("progress", "Progress and costs", join_markup([spent, *charts]))


def _section_dimensions(content: PageContent) -> Section | None:
    if not content.search or len(content.ranked) < 2:
        return None
    parts = render_charts(trial_charts.list_dimension_charts(content), "dimensions")
    if not content.importances:
        parts.insert(
            0, make_paragraph("There are too few trials, or too similar ones, to estimate importances.", "soft")
        )
    slices = render_charts(trial_charts.list_slices(content), "slice")
    parts += [make_heading("The objective over each dimension"), arrange_charts(slices)]
    if len(content.objectives) > 1:
        parts.append(render_chart(trial_charts.chart_front(content), "front"))
    return Section("dimensions", "What mattered", join_markup(parts))


def _section_errors(content: PageContent) -> Section | None:
    errors, objective = content.errors, content.objectives[0][0]
    if content.winner is None or not (errors.analyses or errors.sweeps):
        return None
    best = content.winner.best_epoch(content.objectives)
    chosen = {} if best is None else best.setting
    parts: list[Markup] = []
    for number, split in enumerate(dict.fromkeys([*errors.analyses, *errors.sweeps])):
        inside: list[Markup] = []
        analysis = errors.analyses.get(split)
        if analysis is not None:
            near, far = analysis.axes.gates[0], analysis.axes.gates[-1]
            header = ["sources at the same time", *(f"F1 at {gate:g} {analysis.axes.unit}" for gate in (near, far))]
            inside.append(make_data_table(DataTable(header, error_charts.count_simultaneous(analysis))))
            if analysis.switches is not None:
                inside.append(
                    make_paragraph(f"Sources were switched {analysis.switches} times (MOTA's count at {near:g}°).")
                )
            inside.append(arrange_charts(render_charts(maps.list_maps(analysis), f"map-{number}")))
            factors = [*error_charts.list_factor_charts(analysis), error_charts.chart_scores(analysis)]
            inside.append(arrange_charts(render_charts(factors, f"factor-{number}")))
        sweeps = error_charts.list_sweep_charts(errors.sweeps.get(split, ()), chosen, objective)
        inside.append(arrange_charts(render_charts(sweeps, f"sweep-{number}")))
        parts.append(_fold(_head_split(content, split), join_markup(inside), is_open=number == 0))
    return Section("errors", "Where it fails", join_markup(parts))


def _head_split(content: PageContent, split: str) -> str:
    """Return the title of a split with the objective of the winner, so that closed ones can be compared."""
    metric = content.objectives[0][0]
    value = None if content.winner is None else content.winner.test_scores.get(split, {}).get(metric)
    return f"Test split {split}" + ("" if value is None else f": {metric} {format_score(value)}")


def _section_robustness(content: PageContent) -> Section | None:
    if not content.robustness:
        return None
    rows = content.robustness
    parts = [make_paragraph(sentence) for sentence in robustness.summarise_conditions(rows)]
    parts.append(
        make_paragraph("Measured by `search.stress` on new music in simulated rooms of the same geometry.", "soft")
    )
    parts.append(arrange_charts(render_charts(robustness.list_condition_maps(rows), "robustness")))
    parts.append(_fold("All conditions", make_data_table(robustness.tabulate_conditions(rows), "sortable")))
    return Section("robustness", "How it holds elsewhere", join_markup(parts))


def _section_examples(content: PageContent) -> Section | None:
    parts: list[Markup] = []
    for number, (split, analysis) in enumerate(content.errors.analyses.items()):
        cards = []
        for place, example in enumerate(analysis.examples):
            card = render_chart(examples.chart_example(example, analysis.axes), f"example-{number}-{place}")
            cards.append(Markup(f"<div>{join_markup([card, *_play_example(example)])}</div>"))
        parts += [make_heading(f"Test split {split}"), arrange_charts(cards)]
    return Section("examples", "Best, median and worst scenes", join_markup(parts)) if parts else None


def _play_example(example: Example) -> list[Markup]:
    if not len(example.sound):
        return []
    sound, gain_db = make_playable(example.sound[None])
    seconds = sound.shape[1] / example.rate_hz
    label = f"first microphone, amplified by {gain_db:.0f} dB"
    if seconds < _LOOPED_S:
        sound, label = loop_sound(sound), f"{label}, repeated"
    return [make_audio(encode_wav(sound, example.rate_hz), label)]


def _make_trials(content: PageContent) -> Markup:
    note = make_paragraph(
        "Best first, by the best epoch of each; stopped and paused trials have had fewer epochs. "
        "A click on a heading sorts by that column.",
        "soft",
    )
    return join_markup([note, make_data_table(tabulate_trials(content), "sortable")])


def _section_provenance(content: PageContent) -> Section:
    parts: list[Markup] = []
    if content.commands:
        parts += [make_heading("Commands"), _preformat([line.strip() for line in content.commands])]
    winner = None if content.result is None else _find_winner(content)
    if winner is not None:
        values = [(name, format_number(value)) for name, value in winner.items()]
        parts.append(_fold("Complete Config of the winner", make_table(values)))
    if content.dataset:
        described = yaml.safe_dump(dict(content.dataset), sort_keys=False, allow_unicode=True, default_flow_style=None)
        parts.append(_fold("Dataset", _preformat(described.splitlines())))
    recorded = list_provenance(content)
    if recorded:
        parts += [make_heading("Recorded at the start"), make_table(recorded)]
    return Section("reproduce", "How to reproduce it", join_markup(parts))


def _find_winner(content: PageContent) -> dict[str, object] | None:
    result = content.result or {}
    chosen = next((trial for trial in result.get("trials", ()) if trial["number"] == result.get("winner")), None)
    return None if chosen is None else dict(chosen["config"])


def _preformat(lines: Sequence[str]) -> Markup:
    return Markup(f'<pre tabindex="0">{html.escape(chr(10).join(lines))}</pre>')


def _fold(title: str, body: Markup, *, is_open: bool = False) -> Markup:
    return Markup(f"<details{' open' if is_open else ''}><summary>{html.escape(title)}</summary>{body}</details>")
