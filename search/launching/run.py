"""One search from its first to its last line: plan, dataset, study, trials, final report."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from runtime import uris
from runtime.console import Console
from runtime.errors import InputError, StorageError
from runtime.machines import ray_cluster
from runtime.storage import FULL
from search.execution import tune
from search.execution.capacity import ConcurrencyLimit
from search.execution.dataset_provider import DatasetSupplier
from search.execution.trial_stopper import ConfirmationStopper, TimeBudget, TrialStopper
from search.experiment import Experiment
from search.launching import confirm, edits, plan, shutdown
from search.launching.constraint_changes import record_constraints
from search.launching.export import write_launched_space, write_winner
from search.launching.lease import Lease, SearchLease
from search.launching.lock import hold_lock
from search.launching.mirror import open_logger
from search.launching.table_results import report_table
from search.reporting import next_steps, report
from search.reporting.callback import SearchCallback
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.page.live import LivePage
from search.reporting.progress import SearchProgress
from search.reporting.spending import format_limits, format_spending, larger_budget_options
from search.results import FINGERPRINT, MAX_TRIALS, SearchFolder
from search.study import storage as study_storage
from search.study.edits import EDITS, START
from search.study.spending import SpendingMeter
from search.study.study import Study
from search.study.trials import Trial
from search.study.warm_start import WARM_START, to_plain

FAILED: Final = 1
"""Exit status of a search in which no trial has a result."""


@dataclass(frozen=True)
class _Ending:
    """End of a launch.

    Attributes:
        is_interrupted: Whether trials were interrupted that the next launch continues.
        common_failure: Cause and trials, if all trials failed alike.
        problems: What MLflow could not record.
        larger_budget: Options that raise the budgets that are used up.
    """

    is_interrupted: bool
    common_failure: tuple[str, list[Trial]] | None
    problems: list[str]
    larger_budget: tuple[str, ...] = ()


def run_search(
    experiment: Experiment,
    *,
    fresh: bool,
    command: Sequence[str],
    retry: bool = False,
    console: Console | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> int:
    """Start or resume a search.

    Args:
        experiment: Search, checked by `search.launch`.
        fresh: Whether to archive an existing search.
        command: Arguments of this command line, without `--resume`, `--fresh` and `--retry`.
        retry: Whether to take up the failed trials of an existing search, and not only a failed baseline.
        console: Output; None for standard output.
        on_trial: Called with the state of a trial when it starts, after each epoch, and when it ends.

    Returns:
        The exit status.
    """
    console = Console(sys.stdout) if console is None else console
    time_budget = TimeBudget(experiment.space.budget.hours)
    command = [uris.redact_argument(word) for word in command]  # only printed from here on
    lease = SearchLease()
    with hold_lock(experiment.results):
        try:
            with (
                shutdown.handle_signals(),
                study_storage.readable_errors(experiment.study_location),
                _explain_full_disk(experiment.results),
                lease.hold(experiment.results, console.print_line),
            ):
                _prepare_folder(experiment, console, fresh=fresh)
                return _run_locked(experiment, console, lease, time_budget, command, retry=retry, on_trial=on_trial)
        except KeyboardInterrupt:
            if lease.lost_to is not None:
                console.print_line(f"\nStopped, since another launch continues this search: {lease.lost_to}.")
                return shutdown.INTERRUPTED
            console.print_line(f"\nStopped. Nothing is lost; continue with\n  {next_steps.resume_command(command)}")
            return shutdown.INTERRUPTED


def _prepare_folder(experiment: Experiment, console: Console, *, fresh: bool) -> None:
    """Archive an existing search if requested, and print the plan."""
    results = experiment.results
    if fresh and (results.is_started() or results.journal_path.exists()):
        console.print_line(f"existing search archived at {results.archive_search()}")
    for text in plan.summary_lines(experiment):
        console.print_line(text)
    for text in edits.edit_lines(experiment, edits.plan_edit(results, experiment.space)):
        console.print_line(text)


def _run_locked(
    experiment: Experiment,
    console: Console,
    lease: SearchLease,
    time_budget: TimeBudget,
    command: Sequence[str],
    *,
    retry: bool,
    on_trial: Callable[[Trial], None] | None,
) -> int:
    results = experiment.results
    study = _open_study(experiment, lease, console) if results.is_started() else None
    if study is not None:
        _write_identity(experiment, study)
        _retry_failed(study, console, only_baseline=not retry)
    with _ray_if_needed(experiment, console, needed=study is None or _may_run(experiment, study)) as has_ray:
        if study is None:
            _write_identity(experiment)
            study = _open_study(experiment, lease, console)
        ending = _run_with_data(experiment, study, console, time_budget, has_ray=has_ray, on_trial=on_trial)
    status = report.exit_status(study, experiment.space.objectives)
    has_failures = any(trial.outcome == "failed" for trial in study.get_trainings())
    lease.release()
    study.close()
    _print_problems(experiment, ending.problems, console)
    if ending.common_failure is not None:
        report.print_common_failure(experiment, ending.common_failure, console, command)
        return FAILED
    next_steps.print_next_steps(
        console,
        experiment,
        command,
        is_interrupted=ending.is_interrupted,
        has_failures=has_failures,
        larger_budget=ending.larger_budget,
        winner=None if ending.is_interrupted else experiment.results.read_winner(),
    )
    return status


def _write_identity(experiment: Experiment, study: Study | None = None) -> None:
    """Record the space, and the edits of a resumed one directly after its study has them."""
    space = experiment.space
    record: dict[str, Any] = {FINGERPRINT: experiment.dataset.fingerprint, MAX_TRIALS: space.max_trials}
    record[START] = [dict(point) for point in space.start]
    record |= {WARM_START: list(map(to_plain, space.warm_start))} if space.warm_start else {}
    record |= record_constraints(space)
    record |= {EDITS: study.edits} if study is not None and study.edits else {}
    experiment.results.write_identity(space.identity() | record, experiment.launch_folder)
    write_launched_space(experiment)


def _may_run(experiment: Experiment, study: Study) -> bool:
    """Return whether trials or confirmations are left to run, and a budget for them."""
    is_left = study.has_unfinished() or bool(confirm.list_pending(experiment, study))
    return is_left and not _open_meter(experiment, study).exhausted_limits()


def _open_meter(experiment: Experiment, study: Study) -> SpendingMeter:
    return SpendingMeter(experiment.space, experiment.epoch_presentations, study.get_trainings())


def _retry_failed(study: Study, console: Console, *, only_baseline: bool) -> None:
    retries = study.retry_failed(only_baseline=only_baseline)
    if not only_baseline and not retries:
        console.print_line("retry    no trial has failed: there is nothing to retry")
    for failed, number in retries.items():
        epochs = len(study.get_trial(number).epochs)
        start = f"continues after epoch {epochs}" if epochs else "starts again"
        console.print_line(f"retry    trial {failed} {start} as trial {number}")


def _print_problems(experiment: Experiment, problems: Sequence[str], console: Console) -> None:
    for problem in problems[:3]:
        console.print_line(f"MLflow could not record: {problem}")
    if problems and experiment.mlflow_uri.startswith("http"):
        console.print_line("         the study is complete; the next launch with --resume brings MLflow up to date")


def _open_study(experiment: Experiment, lease: SearchLease, console: Console) -> Study:
    name = None if experiment.study_uri is None else experiment.results.study_name()
    study = Study(experiment.study_location, experiment.space, name, editing=edits.begin_editing(experiment))
    if experiment.study_uri is not None:  # copies of a results folder share the study, but not its lease
        lease.acquire(Lease(study.attribute("lease"), uris.redact_uri(experiment.study_uri)), console.print_line)
    study.guard_writes(lease.require_held)
    study.finalize_ended_trials()
    return study


@contextmanager
def _ray_if_needed(experiment: Experiment, console: Console, *, needed: bool) -> Iterator[bool]:
    """Start Ray if trials are left to run; yield whether they are."""
    if not needed:
        yield False
        return
    address = experiment.ray_address
    console.print_line("starting Ray" if address is None else f"joining the cluster at {address}")
    with ray_cluster.ray_session(address, experiment.shared_folders()):
        _concurrency_limit(experiment).require_capacity()
        yield True


def _concurrency_limit(experiment: Experiment) -> ConcurrencyLimit:
    return ConcurrencyLimit(experiment.space.resources, ray_cluster.alive_nodes, experiment.at_once)


def _run_with_data(
    experiment: Experiment,
    study: Study,
    console: Console,
    time_budget: TimeBudget,
    *,
    has_ray: bool,
    on_trial: Callable[[Trial], None] | None,
) -> _Ending:
    """Build the dataset, run the remaining trials if Ray is running, and report."""
    datasets = _dataset_supplier(experiment, console, has_ray=has_ray)
    datasets.ensure_dataset(experiment.dataset)
    if has_ray:
        experiment = _measure_resources(experiment, console)
    limit = _concurrency_limit(experiment)
    meter = _open_meter(experiment, study)
    progress = SearchProgress(console, experiment.space, limit() if has_ray else 1, meter=meter)
    logger = open_logger(experiment, study)
    page = LivePage(experiment, study, console)
    callback = SearchCallback(experiment, study, logger, progress, datasets, on_trial, page.renew_if_due)
    try:
        with shutdown.end_runs_on_error(study, callback.on_interrupt):
            callback.on_search_start()
            logger.reconcile(study, callback.open_run)
            _print_notices(logger, console)
            stopper = TrialStopper(study, experiment.space, time_budget, meter)
            is_interrupted = bool(stopper.exhausted_budget)
            if has_ray:
                limit.require_capacity()
                is_interrupted = tune.run_trials(experiment, study, callback, stopper, datasets, limit)
            if not is_interrupted:
                stopper = ConfirmationStopper(
                    study, experiment.space, time_budget, meter, lambda: confirm.has_pending(experiment, study)
                )
                is_interrupted = confirm.run_confirmations(
                    experiment, study, callback, stopper, datasets, limit, console
                )
            if has_ray and logger.problems:  # record what MLflow has missed while it was unavailable
                logger.reconcile(study, callback.open_run)
            meter.refresh(study.get_trainings())  # their outcomes
            is_spent = bool(stopper.exhausted_budget) and stopper.common_failure is None
            if is_interrupted and not is_spent:
                callback.on_interrupt()
                if stopper.common_failure is None:
                    report.write_interim_report(experiment, study, console, made_progress=progress.made_progress)
            else:
                if is_spent:
                    reason = f"The budget is used up ({format_limits(meter.total(), stopper.exhausted_budget)})"
                    report.print_interruption(experiment, study, console, reason)
                _report_results(experiment, study, logger, console, meter, has_ray=has_ray)
                callback.on_search_end()
            console.print_line()
            console.print_line("\n".join(format_spending(meter.total(), meter.limits, progress.elapsed_s())))
    finally:
        page.close()
        logger.close()
    larger = larger_budget_options(stopper.exhausted_budget)
    return _Ending(is_interrupted, stopper.common_failure, logger.problems, larger)


def _report_results(
    experiment: Experiment,
    study: Study,
    logger: MlflowLogger,
    console: Console,
    meter: SpendingMeter,
    *,
    has_ray: bool,
) -> None:
    score = tune.score_models if has_ray else tune.score_in_process
    if experiment.space.table is not None:
        report_table(experiment, study, logger, console, functools.partial(score, keeps_scenes=True))
        return
    confirm.score_confirmations(experiment, study, console, functools.partial(score, keeps_scenes=True))
    confirmed = confirm.log_verdict(experiment, study, logger)
    report.write_final_report(experiment, study, logger, console, score, meter.total(), confirmed)
    _keep_winner(experiment, study, logger, console)


def _keep_winner(experiment: Experiment, study: Study, logger: MlflowLogger, console: Console) -> None:
    """Write and log the space file that trains the winner again, if the search has a winner."""
    results, parent = experiment.results, study.parent_run_id()
    winner = results.read_winner()
    if winner is None:
        return
    try:
        write_winner(results, study.get_trial(winner))
    except StorageError:
        raise
    except InputError as error:  # a trial of another version
        console.print_line(f"winner   {results.winner_path.name} is not written: {error.rule}")
        return
    if parent is not None:
        logger.log_artifact(parent, results.fetch_file(results.winner_path))


def _print_notices(logger: MlflowLogger, console: Console) -> None:
    for notice in logger.notices:
        console.print_line(f"MLflow   {notice}")


def _dataset_supplier(experiment: Experiment, console: Console, *, has_ray: bool) -> DatasetSupplier:
    """Return a supplier that builds data during the trials on a trial's cores, or on all cores that no trial uses."""
    if not has_ray:
        return DatasetSupplier.in_process(experiment, console)
    resources = experiment.space.resources
    idle_cores = ConcurrencyLimit(resources, ray_cluster.alive_nodes).idle_cores()
    return DatasetSupplier.on_ray(experiment, console, max(1, int(resources.cpu), idle_cores))


def _measure_resources(experiment: Experiment, console: Console) -> Experiment:
    measured = tune.with_measured_resources(experiment)
    resources = measured.space.resources
    if resources != experiment.space.resources:
        console.print_line(f"each     {resources.cpu:g} CPU, {resources.gpu_share:g} GPU, as measured")
    return measured


@contextmanager
def _explain_full_disk(folder: SearchFolder) -> Iterator[None]:
    """Replace errors of a full disk by a `StorageError`, wherever a file of the search is written.

    Raises:
        StorageError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*FULL, errno.EIO, errno.EROFS):
            raise
        raise StorageError(
            folder.display_path(folder.root_path),
            "the files of a search must be written",
            value=str(error),
            remedy="free some space, or restore the storage; nothing is lost: continue with --resume",
        ) from error
