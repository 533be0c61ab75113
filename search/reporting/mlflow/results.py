"""Result of a search in MLflow: scores, roles, description and files, from the study and the folder of the search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from search.experiment import Experiment
from search.reporting.mlflow.champion import register_winner
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.runs import role_of
from search.reporting.page.gathering import gather_content
from search.reporting.page.markdown import make_summary
from search.reporting.result_files import MARKDOWN_NAME
from search.study.confirmations import is_reference
from search.study.study import Study
from search.study.trials import Trial


def log_test_scores(trial: Trial, logger: MlflowLogger) -> None:
    """Log the test scores of a trial in its MLflow run."""
    if trial.run_id is not None and trial.test_scores:
        scores = {
            f"test.{split}.{name}": v for split, metrics in trial.test_scores.items() for name, v in metrics.items()
        }
        logger.log_values(trial.run_id, scores)


def log_result(experiment: Experiment, study: Study, logger: MlflowLogger, former: int | None = None) -> None:
    """Log the result of a search at its last end; nothing if it has none.

    Args:
        experiment: Search.
        study: Its trials.
        logger: MLflow logger.
        former: Number of the winner at an earlier end of the search, whose run still has that role.
    """
    result = experiment.results.read_result()
    if result is None:
        return
    winner = int(result["winner"])
    listed = {int(trial["number"]) for trial in result["trials"]}
    trials = study.get_trials()
    for trial in trials:
        if trial.number in listed:
            log_test_scores(trial, logger)
        if trial.number == winner or (trial.number in listed and is_reference(trial)):
            _log_files(experiment, trial, logger, is_winner=trial.number == winner)
        if trial.number in (winner, former) and trial.run_id is not None:
            is_winner = trial.number == winner and not trial.is_baseline
            logger.set_tags(trial.run_id, {"role": "winner" if is_winner else role_of(trial)})
    parent = study.parent_run_id()
    if parent is not None:
        _log_search(experiment, study, logger, parent, result)


def _log_files(experiment: Experiment, trial: Trial, logger: MlflowLogger, *, is_winner: bool) -> None:
    """Log the model of a trial and the figure with its predictions; register the model of the winner."""
    results, model = experiment.results, experiment.results.model_path(trial.number)
    if trial.run_id is None:
        return
    for path in (model, results.figure_path(trial.number)):
        if results.has_file(path):
            logger.log_artifact(trial.run_id, results.fetch_file(path))
    if is_winner and results.has_file(model):
        register_winner(experiment, trial, logger)


def _log_search(
    experiment: Experiment, study: Study, logger: MlflowLogger, parent: str, result: Mapping[str, Any]
) -> None:
    """Log values, description and files of the run of a search."""
    results, objectives = experiment.results, experiment.space.objectives
    best = study.get_trial(int(result["winner"])).best_epoch(objectives)
    if best is not None:
        defined = [name for name, _ in objectives if name in best.metrics]
        logger.log_values(parent, {f"best.{name}": best.metrics[name] for name in defined})
    files = [results.result_path, results.root_path / MARKDOWN_NAME, results.winner_path]
    files += [results.report_path, results.report_path.with_suffix(".md")]
    for path in files:
        if results.has_file(path):
            logger.log_artifact(parent, results.fetch_file(path))
    if experiment.space.table is None:
        identity = experiment.space.identity()
        trials, confirmations = study.get_trials(), study.get_confirmations()
        content = gather_content(results, identity, trials, confirmations, time=datetime.now(), is_live=False)
        logger.set_tags(parent, {"mlflow.note.content": make_summary(content)})
