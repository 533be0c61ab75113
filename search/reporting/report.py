"""Final report of a search: test scores, figure of the best model, tables and hyperparameter importance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from io import StringIO
from typing import Final

from runtime.console import Console
from runtime.errors import InputError
from search.execution import scoring
from search.execution.error_files import analyse_model, read_errors
from search.execution.error_text import describe_error
from search.experiment import Experiment
from search.reporting import next_steps, progress
from search.reporting.finalists import Finalists, choose_finalists
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.results import log_result
from search.reporting.mlflow.runs import provenance_tags
from search.reporting.page.gathering import gather_content
from search.reporting.page.live import write_pages
from search.reporting.result_files import (
    MARKDOWN_NAME,
    format_markdown,
    summarise_result,
    write_result,
)
from search.reporting.spending import format_spending
from search.reporting.summary import Summary, format_summary, summarise_search
from search.study import pareto
from search.study.confirmed import ConfirmationResult
from search.study.failures import failure_cause, group_failures
from search.study.spending import Spending, SpendingMeter, budget_limits
from search.study.study import Study
from search.study.trials import Trial, rank_trials
from spaces.configs import describe_space
from trainables import registry
from trainables.function import FunctionTrainable

_LISTED_TRIALS: Final = 8
"""Number of trials that a line lists one by one."""

Scorer = Callable[[Experiment, Sequence[int]], dict[int, scoring.TestScores | str]]
"""Function from trial numbers to metrics per test split, or to the reason why there are none."""


def write_final_report(
    experiment: Experiment,
    study: Study,
    logger: MlflowLogger,
    console: Console,
    score: Scorer,
    spending: Spending | None = None,
    confirmed: ConfirmationResult | None = None,
) -> None:
    """Score the finalists on the test splits, plot predictions, print the result, and keep it as files and in MLflow.

    Args:
        experiment: Search whose trials and confirmations have ended.
        study: Trials of the search.
        logger: MLflow logger.
        console: Output.
        score: Scores models on the test splits.
        spending: What the trials and confirmations have spent; None for that of the trials alone.
        confirmed: Results of the confirmations; None without any.
    """
    preferred = None if confirmed is None else confirmed.verdict.winner
    finalists = choose_finalists(study.get_trials(), experiment.space, preferred)
    if finalists is None:
        console.print_line("\nNo trial has a result.")
        print_failures(experiment, study.get_trials(), console)
        return
    score_trials(experiment, study, console, score, [trial.number for trial in finalists.list_trials()])
    finalists = choose_finalists(study.get_trials(), experiment.space, preferred) or finalists  # with test scores
    _draw_models(experiment, finalists, console)
    described = describe_space(experiment.space)
    summary = summarise_search(experiment.space, study.get_trials(), finalists, described, confirmed)
    errors = read_errors(experiment.results, finalists.winner.number)
    summary = replace(summary, yardsticks=errors.yardsticks)
    screen = _format_screen(experiment, study, summary)
    for line in screen:
        console.print_line(line)
    spending = spending or SpendingMeter(experiment.space, trials=study.get_trials()).total()
    _keep_result(experiment, study, logger, summary, screen, spending)


def print_interruption(experiment: Experiment, study: Study, console: Console, reason: str) -> None:
    """Print which trials a limit has interrupted.

    Args:
        experiment: Search that is interrupted.
        study: Trials of the search.
        console: Output.
        reason: Limit that is reached, as the beginning of a sentence.
    """
    trials = study.get_trials()
    interrupted = [trial for trial in trials if trial.outcome == "running"]
    paused = sum(trial.outcome == "paused" for trial in trials)
    ended = f"{len(trials) - len(interrupted) - paused} of {experiment.space.max_trials} trials have ended"
    waiting = f", {paused} {'waits' if paused == 1 else 'wait'}" if paused else ""
    console.print_line(f"\n{reason}: {ended}{waiting}, {_count_interrupted(interrupted)}.")


def write_interim_report(experiment: Experiment, study: Study, console: Console, *, made_progress: bool) -> None:
    """Print which trials the time limit has interrupted, and the best results so far; no test split is scored.

    Args:
        experiment: Search that is interrupted.
        study: Trials of the search.
        console: Output.
        made_progress: Whether any epoch was completed in this launch.
    """
    trials = study.get_trials()
    print_interruption(experiment, study, console, "The time limit is reached")
    if not made_progress:
        console.print_line("No epoch was completed in this launch; give the next one more --hours.")
    if rank_trials(trials, experiment.space.objectives):
        console.print_line("\nBest trials so far, on validation (interim)\n")
        console.print_line(progress.format_best_trials(trials, experiment.space, _headlines(experiment)))
    _print_failed_baseline(trials, console)
    print_failures(experiment, trials, console)


def print_common_failure(
    experiment: Experiment, failure: tuple[str, Sequence[Trial]], console: Console, command: Sequence[str]
) -> None:
    """Print why a search stops whose first trials failed alike, and how to continue it.

    Args:
        experiment: Search that is stopped.
        failure: Cause, and the trials that failed.
        console: Output.
        command: Arguments of the command line.
    """
    cause, trials = failure
    results = experiment.results
    retry = next_steps.resume_command(command, "--retry", "failed")
    console.print_line(f"\nStopped: all trials that have ended failed alike ({_list_numbers(trials)}).")
    console.print_line(f"  cause:  {cause}")
    console.print_line(f"  log:    {results.display_path(results.log_path(trials[-1].number))}")
    console.print_line(f"  remedy: remove the cause, then continue with\n          {retry}")


def print_failures(experiment: Experiment, trials: Sequence[Trial], console: Console) -> None:
    """Print the failed trials by cause, with the log of one of each."""
    results = experiment.results
    groups = group_failures(trials)
    if groups:
        count = sum(len(group) for _, group in groups)
        console.print_line(f"\nFailed: {count} of {len(trials)} trials\n")
    for cause, group in groups:
        console.print_line(f"  {_list_numbers(group)}: {cause}")
        console.print_line(f"    log {results.display_path(results.log_path(group[-1].number))}")


def _print_failed_baseline(trials: Sequence[Trial], console: Console) -> None:
    failed = next((trial for trial in trials if trial.is_baseline and trial.outcome == "failed"), None)
    if failed is not None:
        console.print_line(
            f"\nThere is no baseline to compare with: trial {failed.number} failed ({failure_cause(failed)})."
        )
        console.print_line("The next launch with --resume tries it again.")


def _list_numbers(trials: Sequence[Trial]) -> str:
    numbers = [f"{t.number} (baseline)" if t.is_baseline else str(t.number) for t in trials[:_LISTED_TRIALS]]
    more = f" and {len(trials) - _LISTED_TRIALS} more" if len(trials) > _LISTED_TRIALS else ""
    return f"trial{'s' * (len(trials) > 1)} {', '.join(numbers)}{more}"


def _count_interrupted(trials: Sequence[Trial]) -> str:
    listed = ", ".join(f"{trial.number} after epoch {len(trial.epochs)}" for trial in trials[:_LISTED_TRIALS])
    more = ", …" if len(trials) > _LISTED_TRIALS else ""
    return f"{len(trials)} interrupted and will continue ({listed}{more})" if trials else "none is running"


def _headlines(experiment: Experiment) -> list[str]:
    described = describe_space(experiment.space)
    return [metric.name for metric in described.metrics if metric.headline]


def exit_status(study: Study, objectives: pareto.Objectives) -> int:
    """Return the exit status of a launch: 1 if trials have ended and none of them, nor a running one, has a result."""
    trials = study.get_trials()
    has_ended = any(trial.outcome != "running" for trial in trials)
    return int(has_ended and not rank_trials(trials, objectives))


def score_trials(
    experiment: Experiment, study: Study, console: Console, score: Scorer, finalists: Sequence[int]
) -> None:
    """Score the trials that have no test scores yet but a saved model; a function is not evaluated on test splits.

    Args:
        experiment: Search that they belong to.
        study: Its trials.
        console: Output.
        score: Scores models on the test splits.
        finalists: Numbers of the trials.
    """
    if issubclass(registry.load_trainable(experiment.space.trainable, "trainable"), FunctionTrainable):
        return
    results = experiment.results
    unscored = [
        number
        for number in finalists
        if not study.get_trial(number).test_scores and results.has_file(results.model_path(number))
    ]
    if unscored and experiment.space.dataset.test_names():
        splits = ", ".join(experiment.space.dataset.test_names())
        console.update_progress(
            f"tests    {splits}: scoring {_list_numbers([study.get_trial(number) for number in unscored])}", final=True
        )
        for number, scores in score(experiment, unscored).items():
            if isinstance(scores, str):
                console.print_line(f"tests    trial {number} has no test scores: {scores}")
            else:
                study.set_test_scores(number, scores)


def _draw_models(experiment: Experiment, finalists: Finalists, console: Console) -> None:
    """Plot predictions of the winner, the baseline and the starting points, and analyse the errors of the winner."""
    results, winner = experiment.results, finalists.winner
    if not results.has_file(results.model_path(winner.number)):
        return
    problem = "page     the errors of the winner are not analysed"
    _try(lambda: analyse_model(experiment, winner.number, "cpu"), problem, console)
    for number in {trial.number: None for trial in (winner, *finalists.references)}:
        if results.has_file(results.model_path(number)):
            _try_drawing(experiment, number, console)


def _try(action: Callable[[], object], problem: str, console: Console) -> None:
    """Call a function that uses a trainable; print the problem with the reason if it raises an exception."""
    try:
        action()
    except InputError:  # the storage or the dataset, not the trainable
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # any exception of a trainable; the search has its results
        console.print_line(f"{problem}: {describe_error(error)}")


def _try_drawing(experiment: Experiment, number: int, console: Console) -> None:
    _try(lambda: draw_predictions(experiment, number), "figure   no predictions are plotted", console)


def draw_predictions(experiment: Experiment, number: int) -> None:
    """Plot the predictions of a trial's saved model on test samples into the trial's folder."""
    model, setting = scoring.load_trial_model(experiment, number, "cpu")
    figure = model.plot_predictions(list(experiment.space.dataset.test_names())[:2], setting)
    if figure is not None:
        with experiment.results.write_file(experiment.results.figure_path(number)) as temporary:
            figure.savefig(temporary, dpi=110, format="png")


def _format_screen(experiment: Experiment, study: Study, summary: Summary) -> list[str]:
    """Return the lines of the final report."""
    space, results, trials = experiment.space, experiment.results, summary.trials
    lines = []
    if (reason := study.explain_early_end()) is not None:
        lines += ["", f"The search ends after {len(trials)} of {space.budget.trials} trials: {reason}."]
    lines += format_summary(summary)
    out = StringIO()
    _print_failed_baseline(trials, Console(out))
    print_failures(experiment, trials, Console(out))
    lines += out.getvalue().splitlines()
    winner = summary.finalists.winner.number
    lines += ["", f"Model    {results.display_path(results.model_path(winner))}"]
    if not registry.has_predictor(registry.load_trainable(space.trainable, "trainable")):
        lines.append(f"         not registered in MLflow: {space.trainable} has no predictor for recordings")
    if results.has_file(results.figure_path(winner)):
        lines.append(f"Figure   {results.display_path(results.figure_path(winner))}")
    lines.append(f"Report   {results.display_path(results.report_path)}")
    return [*lines, f"Files    {results.display_path(results.root_path / MARKDOWN_NAME)}, {results.result_path.name}"]


def _write_page(experiment: Experiment, study: Study) -> None:
    """Write the page about a search that is no table."""
    if experiment.space.table is None:
        results = experiment.results
        trials, confirmations = study.get_trials(), study.get_confirmations()
        now = datetime.now()
        content = gather_content(results, experiment.space.identity(), trials, confirmations, time=now, is_live=False)
        write_pages(results, content)


def _keep_result(
    experiment: Experiment,
    study: Study,
    logger: MlflowLogger,
    summary: Summary,
    screen: Sequence[str],
    spending: Spending,
) -> None:
    """Write the result into the folder of the search, and log it in MLflow."""
    results, winner = experiment.results, summary.finalists.winner
    former = results.read_result()
    content = summarise_result(summary, results, spending, provenance_tags(experiment), study.edits)
    page = [*screen, "", *format_spending(spending, budget_limits(experiment.space.budget))]
    page += ["", "Next", *next_steps.list_result_commands(experiment, winner.number)]
    write_result(results, content, format_markdown(results.name, page, summary))
    _write_page(experiment, study)
    trials = [t.number for t in (winner, *summary.finalists.references)]
    files = [results.report_path, results.root_path / MARKDOWN_NAME, results.winner_path]
    files += [
        path for number in dict.fromkeys(trials) for path in (results.figure_path(number), results.model_path(number))
    ]
    study.name_artifacts(p.relative_to(results.root_path).as_posix() for p in files if results.has_file(p))
    log_result(experiment, study, logger, None if former is None else int(former["winner"]))
