"""Verdict of a search on its confirmed trials, in words, as a table and as values for JSON and MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runtime.console import format_duration
from search.reporting.progress import format_table
from search.study.confirmed import VALIDATION, ConfirmationResult, ConfirmedValue
from search.study.verdict import Difference

_LISTED_FAILURES = 3


def format_verdict(result: ConfirmationResult) -> list[str]:
    """Return the verdict in words, one sentence per line, and what it rests on."""
    return [*_conclusion(result), *_list_infeasible(result), *_equals(result), _basis(result), *_failures(result)]


def format_confirmed(result: ConfirmationResult, splits: Sequence[str] | None = None) -> str:
    """Return a table with the mean of each confirmed trial on each split, and its difference from the reference.

    Args:
        result: Results of the confirmations.
        splits: Splits to show; None for all.
    """
    reference = result.verdict.reference
    versus = "" if reference is None else f"better than {result.find(reference).label} by"
    rows = [["split", "configuration", f"mean {result.objective[0]}", "per seed", versus]]
    for split, values in result.table.items():
        for confirmed in result.confirmed if splits is None or split in splits else ():
            number = confirmed.trial.number
            rows.append([split, confirmed.label, *_format_cells(values[number], "reference" * (number == reference))])
    return format_table(rows)


def summarise_verdict(result: ConfirmationResult) -> dict[str, Any]:
    """Return the verdict and the table as plain values, for the result file of a search."""
    verdict = result.verdict
    return {
        "objective": result.objective[0],
        "direction": result.objective[1],
        "split": result.split,
        "winner": verdict.winner,
        "reference": verdict.reference,
        "gain": None if verdict.gain is None else _describe_difference(verdict.gain),
        "equals": list(verdict.equals),
        "confidence": verdict.confidence,
        "text": format_verdict(result),
        "configurations": [
            {
                "trial": c.trial.number,
                "role": c.trial.role,
                "violated": list(map(str, c.trial.violated)),
                "confirmations": [confirmation.number for confirmation in c.confirmations],
                "seeds": [confirmation.seed for confirmation in c.confirmations],
                "seconds": c.seconds,
                "splits": {split: _describe_value(values[c.trial.number]) for split, values in result.table.items()},
            }
            for c in result.confirmed
        ],
        "failed": [{"trial": t.confirms, "seed": t.seed, "reason": t.reason} for t in result.failed],
    }


def verdict_metrics(result: ConfirmationResult) -> dict[str, float]:
    """Return the finite figures of the verdict, as metrics of the search."""
    gain = result.verdict.gain
    values = {f"confirmed.{split}": table[result.verdict.winner].mean for split, table in result.table.items()}
    if gain is not None:
        values |= {"verdict.gain": gain.estimate, "verdict.low": gain.low, "verdict.high": gain.high}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _conclusion(result: ConfirmationResult) -> list[str]:
    verdict, metric = result.verdict, result.objective[0]
    winner = result.find(verdict.winner).label
    where = f"{metric} on {_name_split(result.split)}"
    value = result.table[result.split][verdict.winner].mean
    if verdict.reference is None:
        return [f"{_capitalise(winner)} has {where} {value:.3f}; neither a baseline nor a start is confirmed."]
    if verdict.gain is None:
        rivals = [c for c in result.confirmed if c.trial.number != verdict.winner]
        claim = "no other configuration is better" if rivals else "nothing else is confirmed"
        return [f"{_capitalise(winner)} wins with {where} {value:.3f}: {claim}."]
    reference = result.find(verdict.reference).label
    gain = _format_difference(verdict.gain)
    if verdict.is_open:
        return [
            f"{_capitalise(winner)} has the best {where}, {value:.3f}: {verdict.gain.estimate:+.3f} against {reference}. "
            "Whether that is noise is open: each configuration has one seed."
        ]
    if not verdict.gain.is_distinguishable:
        return [f"{_capitalise(winner)} and {reference} are not distinguishable: {gain} in {where}."]
    relation = "better" if verdict.gain.low > 0 else "worse"
    return [
        f"{_capitalise(winner)} is {relation} than {reference}, with a confidence of {verdict.confidence:.0%}: "
        f"{gain} in {where}."
    ]


def _list_infeasible(result: ConfirmationResult) -> list[str]:
    """Return which configurations violate constraints, and could not win for that reason."""
    violating = [confirmed for confirmed in result.confirmed if confirmed.trial.violated]
    if violating and len(violating) == len(result.confirmed):
        return ["No confirmed configuration satisfies the constraints."]
    return [f"{_capitalise(c.label)} cannot win: {c.trial.describe_violations()}." for c in violating]


def _equals(result: ConfirmationResult) -> list[str]:
    """Return which configurations are not distinguishable from the best one, and why one of them wins."""
    verdict = result.verdict
    if len(verdict.equals) < 2 or verdict.is_open:
        return []
    names = [result.find(number).label for number in verdict.equals]
    listed = f"Not distinguishable from the best: {', '.join(names[:-1])} and {names[-1]}."
    winner, best = result.find(verdict.winner), result.find(verdict.equals[0])
    if winner is best:
        return [f"{listed} None of them is cheaper by a tenth, so that {best.label} wins with the best mean."]
    durations = (
        f"{format_duration(winner.seconds)} per training, against {format_duration(best.seconds)} of {best.label}"
    )
    return [f"{listed} Of equals the cheapest wins: {winner.label} ({durations})."]


def _basis(result: ConfirmationResult) -> str:
    seeds = {len(c.confirmations) for c in result.confirmed}
    count = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    plural = "s" * (max(seeds) > 1)
    more = "; --resume --set 'confirm.seeds=3' adds two more" if max(seeds) == 1 else ""
    return f"It rests on {count} fresh seed{plural} of {len(result.confirmed)} configurations{more}."


def _failures(result: ConfirmationResult) -> list[str]:
    shown = [f"trial {t.confirms} seed {t.seed}: {t.reason}" for t in result.failed[:_LISTED_FAILURES]]
    return [f"{len(result.failed)} confirmations failed and are not part of it ({'; '.join(shown)})."] if shown else []


def _format_cells(value: ConfirmedValue, absent: str) -> list[str]:
    seeds = " ".join(f"{each:.3f}" for each in value.values)
    return [f"{value.mean:.3f}", seeds, absent if value.difference is None else _format_difference(value.difference)]


def _format_difference(difference: Difference) -> str:
    if not math.isfinite(difference.low):
        return f"{difference.estimate:+.3f} (interval unknown)"
    return f"{difference.estimate:+.3f} ({difference.low:+.3f} … {difference.high:+.3f})"


def _describe_difference(difference: Difference) -> dict[str, float | bool | None]:
    """Return a difference as plain values; JSON has no infinity."""
    bounds = {"low": difference.low, "high": difference.high}
    return {
        "estimate": difference.estimate,
        **{name: bound if math.isfinite(bound) else None for name, bound in bounds.items()},
        "is_distinguishable": difference.is_distinguishable,
    }


def _describe_value(value: ConfirmedValue) -> dict[str, Any]:
    difference = None if value.difference is None else _describe_difference(value.difference)
    return {"mean": value.mean, "values": list(value.values), "difference": difference}


def _name_split(split: str) -> str:
    return "validation" if split == VALIDATION else split


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
