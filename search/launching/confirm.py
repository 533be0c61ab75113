"""Confirmation phase of a search: full trainings on fresh seeds after its trials, their test scores, and the verdict."""

from __future__ import annotations

import functools
from collections.abc import Callable

from runtime.console import Console
from search.execution import tune
from search.execution.dataset_provider import DatasetSupplier
from search.execution.scoring import read_scenes
from search.execution.trial_stopper import ConfirmationStopper
from search.experiment import Experiment
from search.reporting.callback import SearchCallback
from search.reporting.confirmation_progress import ConfirmationProgress, describe_confirmations
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.results import log_test_scores
from search.reporting.report import Scorer
from search.reporting.verdict import format_verdict, verdict_metrics
from search.study.confirmations import Confirmation, pending_confirmations, plan_confirmations
from search.study.confirmed import ConfirmationResult, collect_confirmed, judge_confirmations
from search.study.study import Study
from spaces.configs import build_config
from trainables import registry
from trainables.contract import Trainable
from trainables.function import FunctionTrainable


def run_confirmations(
    experiment: Experiment,
    study: Study,
    callback: SearchCallback,
    stopper: ConfirmationStopper,
    datasets: DatasetSupplier,
    concurrency: Callable[[], int],
    console: Console,
) -> bool:
    """Run the confirmations that are left, unless a limit prevents it.

    Args:
        experiment: Search whose trials have ended.
        study: Its trials.
        callback: Receiver of the events of the search.
        stopper: Decides when confirmations start and end.
        datasets: Supplier of the datasets.
        concurrency: Returns how many trainings may run at the same time.
        console: Output.

    Returns:
        Whether a limit has interrupted them.
    """
    pending = list_pending(experiment, study)
    if not pending:
        return False
    trials = study.get_trials()
    planned = plan_confirmations(trials, experiment.space)
    if stopper.may_start():
        console.print_line(f"confirm  {describe_confirmations(experiment.space, pending, trials, concurrency())}")
        progress = ConfirmationProgress(console, experiment.space, concurrency())
        progress.planned = planned
        progress.trials |= {c.number: c for c in study.get_confirmations() if (c.confirms, c.seed) in planned}
        next_trial = functools.partial(study.next_confirmation, planned)
        tune.run_trials(experiment, study, callback.with_progress(progress), stopper, datasets, concurrency, next_trial)
    left = len(list_pending(experiment, study))
    if left:
        ended = len(planned) - left
        console.print_line(f"confirm  {ended} of {len(planned)} trainings have ended; the others wait for --resume")
    return left > 0


def list_pending(experiment: Experiment, study: Study) -> list[Confirmation]:
    """Return the confirmations that are left once the trials of a search have ended; none while trials are left."""
    if experiment.space.confirm is None or study.has_unfinished_trials():
        return []
    planned = plan_confirmations(study.get_trials(), experiment.space)
    return pending_confirmations(planned, study.get_confirmations())


def has_pending(experiment: Experiment, study: Study) -> bool:
    """Return whether confirmations are left once the trials have ended."""
    return bool(list_pending(experiment, study))


def score_confirmations(experiment: Experiment, study: Study, console: Console, score: Scorer) -> None:
    """Score the finished confirmations on the test splits, unless that has been done.

    Args:
        experiment: Search whose confirmations have ended.
        study: Its trials.
        console: Output.
        score: Scores models, and keeps their results per scene.
    """
    trainable = registry.load_trainable(experiment.space.trainable, "trainable")
    if issubclass(trainable, FunctionTrainable):
        return
    has_scenes = trainable.evaluate_scenes is not Trainable.evaluate_scenes
    unscored = [
        trial.number
        for trial in study.get_confirmations()
        if trial.outcome == "finished"
        and (not trial.test_scores or (has_scenes and not read_scenes(experiment.results, trial.number)))
        and experiment.results.has_file(experiment.results.model_path(trial.number))
    ]
    splits = ", ".join(experiment.space.dataset.test_names())
    if not unscored or not splits:
        return
    console.update_progress(f"tests    {splits}: scoring {len(unscored)} confirmations", final=True)
    for number, scores in score(experiment, unscored).items():
        trial = study.get_trial(number)
        if isinstance(scores, str):
            console.print_line(f"tests    confirm {trial.confirms} seed {trial.seed} has no test scores: {scores}")
        else:
            study.set_test_scores(number, scores)


def read_verdict(experiment: Experiment, study: Study) -> ConfirmationResult | None:
    """Return the results of the confirmations of a search and the verdict; None if there are none."""
    confirmations = study.get_confirmations()
    confirmed = collect_confirmed(study.get_trials(), confirmations)
    numbers = [confirmation.number for c in confirmed for confirmation in c.confirmations]
    scenes = {number: read_scenes(experiment.results, number) for number in numbers}
    failed = [trial for trial in confirmations if trial.outcome == "failed"]
    trainable = registry.load_trainable(experiment.space.trainable, "trainable")
    config = build_config(trainable.Config, experiment.space.config_values(experiment.space.baseline))
    return judge_confirmations(
        confirmed,
        failed,
        experiment.space.objectives,
        scenes,
        lambda sums: trainable.summarise_scenes(sums, config),
    )


def log_verdict(experiment: Experiment, study: Study, logger: MlflowLogger) -> ConfirmationResult | None:
    """Log the verdict on the confirmed trials in the MLflow run of the search, and return it; None without confirmations."""
    for trial in study.get_confirmations():
        log_test_scores(trial, logger)
    result = read_verdict(experiment, study)
    parent = study.parent_run_id()
    if result is not None and parent is not None:
        lines = format_verdict(result)
        logger.set_tags(parent, {"verdict": " ".join(lines), "mlflow.note.content": "\n\n".join(lines)})
        logger.log_values(parent, verdict_metrics(result))
    return result
