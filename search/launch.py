"""`python -m search.launch SPACE`: search a space of hyperparameters."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from datasets import cli_options, registry
from runtime import uris
from runtime.cli import Parser, parse_seed, positive_number_type, run_command
from runtime.machines import machine
from runtime.storage import storage_at
from search.experiment import Experiment
from search.launching import budgets, cost, edits, origin, plan, preflight, storage_options
from search.launching.constraint_changes import check_changed_constraints
from search.launching.constraint_plan import check_sizes
from search.launching.earlier_versions import with_earlier_defaults
from search.launching.warm_start import WarmStarter
from search.reporting.next_steps import without_option
from spaces import feasibility
from spaces.load import load_space
from spaces.schema import Space

_OPTIONS: Final = {
    "budget.trials": "--trials",
    "budget.hours": "--hours",
    "name": "--name",
    "seed": "--seed",
    "dataset.music": "--audio",
    "dataset.skip_broken": "--skip-broken",
    "warm_start": "--warm-start",
}
"""Options that stand for keys of a space file, by dotted name."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = Parser(
        prog="python -m search.launch",
        description="Search a space of hyperparameters; every trial is recorded in MLflow.",
        epilog="Example: python -m search.launch spaces/rg_rep.yaml --trials 24 --set optimizer.batch_size=64",
        allow_abbrev=False,
    )
    result.add_argument("space", type=Path, help="YAML file, e.g. spaces/rg_rep.yaml; described in docs/spaces.md")
    result.add_argument(
        "--profile",
        help="entry of `profiles:` in the file to apply; `full` for none (default: laptop on a machine without a GPU)",
    )
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a key of the file, or fix a field of the Config; may be repeated",
    )
    result.add_argument(
        "--audio", metavar="DIR", help="folder of music, one sub-folder per genre (default: a synthetic band)"
    )
    cli_options.add_skip_broken(result)
    result.add_argument(
        "--trials", type=positive_number_type(int), help="total number of trials, including the baseline"
    )
    result.add_argument(
        "--hours",
        type=positive_number_type(float),
        help="time limit of this launch in hours, from its start; trials that are running then continue with --resume",
    )
    result.add_argument("--name", help="name of the search (default: the name in the file)")
    result.add_argument(
        "--seed", type=parse_seed, help="random seed for the sampler and for training (default: the seed in the file)"
    )
    result.add_argument(
        "--warm-start",
        action="append",
        metavar="SEARCH",
        help="name or folder of an earlier search whose best trials are evaluated first; may be repeated",
    )
    storage_options.add_storage_options(result, "folder or s3://… for all results (default: ./runs)")
    storage_options.add_datasets_option(
        result, "storage of the datasets, e.g. s3://bucket/prefix (default: the storage folder)"
    )
    storage_options.add_tracking_option(result)
    result.add_argument(
        "--address",
        metavar="ADDRESS",
        help="Ray cluster that this machine is a node of: auto or HOST:PORT (default: this machine alone)",
    )
    result.add_argument(
        "--at-once",
        type=positive_number_type(int),
        metavar="N",
        help="keep N trials pending so that the Ray autoscaler adds nodes (default: as many as fit)",
    )
    result.add_argument(
        "--retry",
        choices=["failed"],
        help="with --resume: take up the failed trials from their last checkpoints, at no cost to the budget",
    )
    result.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan, why a launch on this machine would be refused, and what trials on a GPU would cost, and exit",
    )
    existing = result.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="continue the existing search of this name")
    existing.add_argument(
        "--resume-or-start",
        action="store_true",
        help="continue the search of this name if there is one, or start it: for job schedulers that repeat a command",
    )
    existing.add_argument(
        "--fresh", action="store_true", help="archive the existing search of this name and start over"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: launch(arguments, build_parser()), stopped="Stopped; the search had not started.")


def launch(
    arguments: Sequence[str] | None,
    parser: argparse.ArgumentParser,
    check: Callable[[Space, str], None] = lambda *_: None,
) -> int:
    """Run a search as a command line describes it.

    Args:
        arguments: Command line; None for that of the process.
        parser: Parser with the options of `build_parser`.
        check: Called with the space and the path of its file; an InputError that it raises refuses the space.

    Returns:
        The exit status.
    """
    options = parser.parse_args(arguments)
    experiment = prepare_experiment(options)
    check(experiment.space, str(options.space))
    if options.dry_run:
        for line in dry_run_lines(options, experiment):
            print(line, flush=True)
        return 0
    from search.launching.run import run_search  # loads torch, Ray and MLflow, after all checks have passed

    command = _command_without_mode(arguments)
    return run_search(experiment, fresh=options.fresh, retry=options.retry is not None, command=command)


def dry_run_lines(options: argparse.Namespace, experiment: Experiment) -> Iterator[str]:
    """Yield the lines of a dry run: the plan, why a launch would be refused, and, after a while, the cost on GPUs."""
    cores = machine.count_cores()
    yield from plan.summary_lines(experiment, lambda: experiment.dataset.estimate_seconds(cores))
    if not options.fresh:
        yield from edits.edit_lines(experiment, edits.plan_edit(experiment.results, experiment.space))
    yield from plan.refusal_lines(preflight.list_refusals(options, experiment.space, experiment.results))
    yield from cost.cost_lines(experiment)


def prepare_experiment(options: argparse.Namespace) -> Experiment:
    """Return the search that the command line describes, after all checks that need nothing to be started.

    Raises:
        InputError: If a check fails.
    """
    preflight.check_retry(options)
    preflight.check_cluster_options(options)
    # The head of a cluster often has no GPU; whether a trial fits is checked once the cluster has answered.
    has_gpu = machine.has_gpu() or options.address is not None
    space = load_space(
        options.space,
        has_gpu=has_gpu,
        profile=options.profile,
        overrides=options.set,
        arguments=_collect_arguments(options),
        options=_OPTIONS,
    )
    results = storage_options.open_results(options, space.name)
    preflight.check_services(options)
    resume = options.resume or (options.resume_or_start and results.is_started())
    if resume and results.is_started():
        space = with_earlier_defaults(space, results.read_identity())
    preflight.check_existing_search(
        results,
        space,
        resume=resume,
        fresh=options.fresh,
        in_database=options.study is not None,
        path=str(options.space),
    )
    if space.warm_start or resume:
        place = f"{options.space}: warm_start" if options.warm_start is None else "--warm-start"
        starter = WarmStarter(results, place, options.study, connects=not options.dry_run)
        space = starter.read_searches(space, resume=resume and results.is_started())
    constraints_place = f"{options.space}: constraints"
    if resume and results.is_started():
        check_changed_constraints(results, space, options.study or results.journal_path, constraints_place)
    if not options.dry_run and options.address is None:  # a dry run may precede a search on another machine
        preflight.check_resources(space)
    sound_key = f"{options.space}: dataset.{registry.sound_key(space.dataset)}"
    resumed = results if resume and results.is_started() else None
    with origin.explain_missing_data(resumed, Path.cwd()):
        dataset = registry.prepare_dataset(space.dataset, "--audio" if options.audio else sound_key)
    if resumed is not None:
        origin.require_same_data(resumed, Path.cwd(), dataset.fingerprint, space.fixed)
    feasibility.require_feasible_datasets(space)
    preflight.check_data(space, dataset)
    preflight.check_several_gpus(space)
    check_sizes(space, constraints_place)
    experiment = Experiment(
        space,
        dataset,
        results,
        storage_at(options.datasets or uris.join_uri(options.storage, "datasets")),
        tracking_uri=options.tracking_uri,
        ray_address=options.address,
        at_once=options.at_once,
        study_uri=options.study,
    )
    budgets.check_budgets(options.space, experiment, preflight.boundary_configs(space))
    preflight.check_disk(experiment)
    return experiment


def _collect_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the options that stand for keys of the file; text stays as the shell passes it."""
    given = {key: getattr(options, option.removeprefix("--").replace("-", "_")) for key, option in _OPTIONS.items()}
    return {key: value for key, value in given.items() if value is not None}


def _command_without_mode(arguments: Sequence[str] | None) -> list[str]:
    """Return the command line without the options for existing searches, to be printed again with --resume."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    kept = [word for word in words if word not in ("--resume", "--resume-or-start", "--fresh")]
    return without_option(kept, "--retry")


if __name__ == "__main__":
    sys.exit(main())
