"""End of a table: test scores of all trainings, then the table as files, in MLflow and on the terminal."""

from __future__ import annotations

from typing import Final

from runtime.console import Console
from search.experiment import Experiment
from search.launching.confirm import score_confirmations
from search.reporting import table as formats
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.results import log_test_scores
from search.reporting.report import Scorer, print_failures, score_trials
from search.study.study import Study
from search.study.table import ResultTable, collect_table, row_of

FILES: Final = {
    "table.md": formats.format_markdown,
    "table.csv": formats.format_csv,
    "table.html": formats.format_html,
}
"""Functions that write the table, by file name."""


def report_table(experiment: Experiment, study: Study, logger: MlflowLogger, console: Console, score: Scorer) -> None:
    """Score the rows that have no test scores, and write the table to the folder of the search, to MLflow and the terminal.

    Args:
        experiment: Search with rows whose trainings have ended.
        study: Its trials.
        logger: MLflow logger.
        console: Output.
        score: Scores models on the test splits.
    """
    finished = [trial.number for trial in study.get_trials() if trial.outcome == "finished"]
    score_trials(experiment, study, console, score, finished)
    score_confirmations(experiment, study, console, score)
    trials, confirmations = study.get_trials(), study.get_confirmations()
    table = collect_table(experiment.space, trials, confirmations)
    _write_files(experiment, table)
    log_table(experiment, study, logger)
    for line in formats.format_terminal(table):
        console.print_line(line)
    print_failures(experiment, [*trials, *confirmations], console)
    results = experiment.results
    names = ", ".join(results.display_path(results.root_path / name) for name in FILES)
    console.print_line(f"\nTable    {names}")


def _write_files(experiment: Experiment, table: ResultTable) -> None:
    results = experiment.results
    for name, write in FILES.items():
        with results.write_file(results.root_path / name) as temporary:
            temporary.write_text(write(table), encoding="utf-8")


def log_table(experiment: Experiment, study: Study, logger: MlflowLogger) -> None:
    """Log a table that has ended: its test scores, the rows of its runs, and its files."""
    results, parent = experiment.results, study.parent_run_id()
    table = collect_table(experiment.space, study.get_trials(), study.get_confirmations())
    for trial in study.get_trainings():
        log_test_scores(trial, logger)
    rows = {trial.number: row_of(trial, experiment.space) for trial in study.get_trials()}
    for trial in study.get_trainings():
        name = rows.get(trial.number if trial.confirms is None else trial.confirms)
        if trial.run_id is not None and name is not None:
            logger.set_tags(trial.run_id, {"row": name})
    if parent is None:
        return
    logger.set_tags(parent, {"mlflow.note.content": formats.format_markdown(table)})
    logger.log_values(parent, formats.table_metrics(table))
    for name in FILES:
        logger.log_artifact(parent, results.fetch_file(results.root_path / name))
