"""After the last trial: test scores, the winner's picture, the table, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.cli import Console
from search.execution import test_scores
from search.execution.trial import Job
from search.reporting import progress as terminal
from search.reporting.mlflow_logger import MlflowLogger
from search.study.sampler import parameter_importances
from search.study.study import Study
from search.study.trials import Trial, rank_trials
from trainables import registry

Scorer = Callable[[Job, Sequence[int]], dict[int, dict[str, dict[str, float]]]]


def winner_and_baseline(study: Study, job: Job) -> tuple[Trial | None, Trial | None]:
    """The best trial and the baseline; the same one where nothing beat the paper."""
    ranked = rank_trials(study.get_trials(), job.space.objectives)
    return (ranked[0] if ranked else None), next((trial for trial in ranked if trial.is_baseline), None)


def write_final_report(study: Study, job: Job, tracker: MlflowLogger, line: Console, score: Scorer) -> None:
    """Score, draw, record and say how the search came out."""
    winner, baseline = winner_and_baseline(study, job)
    if winner is None:
        line.print_line("No trial has a result; the reasons are above, and in MLflow.")
        return
    finalists = [
        trial.number for trial in {winner.number: winner, **({baseline.number: baseline} if baseline else {})}.values()
    ]
    missing = [
        number
        for number in finalists
        if not study.get_trial(number).tests and job.folder.has_file(job.folder.model_path(number))
    ]
    if missing:
        line.update_progress(
            f"tests    {', '.join(job.space.dataset.test_names())}: scoring the winner and the baseline", final=True
        )
        for number, scores in score(job, missing).items():
            study.set_test_scores(number, scores)
    for number in finalists:
        _log_test_scores(study.get_trial(number), tracker)
    _log_winner(study, job, tracker, study.get_trial(winner.number))
    _print_summary(
        study, job, line, study.get_trial(winner.number), study.get_trial(baseline.number) if baseline else None
    )


def _log_test_scores(trial: Trial, tracker: MlflowLogger) -> None:
    if trial.run_id is not None and trial.tests:
        tracker.log_values(
            trial.run_id, {f"test.{s}.{name}": v for s, scores in trial.tests.items() for name, v in scores.items()}
        )


def _log_winner(study: Study, job: Job, tracker: MlflowLogger, winner: Trial) -> None:
    model = job.folder.fetch_file(job.folder.model_path(winner.number))
    if not model.is_file():
        return
    draw_predictions(job, winner.number)
    if winner.run_id is not None:
        for path in (model, job.folder.fetch_file(job.folder.figure_path(winner.number))):
            if path.is_file():
                tracker.log_file(winner.run_id, path)
    parent = study.parent_run_id()
    kept = winner.best_epoch(job.space.objectives)
    if parent is not None and kept is not None:
        tracker.log_values(parent, {f"best.{name}": kept.metrics[name] for name, _ in job.space.objectives})


def draw_predictions(job: Job, number: int) -> None:
    """Draw a kept model's predictions on test samples into the trial's folder."""
    model, setting = test_scores.load_trial_model(job, number, "cpu")
    figure = model.plot_predictions(list(job.space.dataset.test_names())[:2], setting)
    if figure is not None:
        with job.folder.write_file(job.folder.figure_path(number)) as temporary:
            figure.savefig(temporary, dpi=110, format="png")


def _print_summary(study: Study, job: Job, line: Console, winner: Trial, baseline: Trial | None) -> None:
    trials = study.get_trials()
    line.print_line("\nBest trials, on validation\n")
    described = registry.describe_trainable(job.space.trainable, "trainable")
    headlines = [metric.name for metric in described.metrics if metric.headline]
    objectives = [name for name, _ in job.space.objectives if name not in headlines]
    line.print_line(terminal.format_best_trials(trials, job.space, headlines))
    if baseline is not None and winner.number == baseline.number:
        line.print_line("\nNo trial beat the baseline.")
    elif baseline is not None and winner.tests and baseline.tests:
        line.print_line(
            f"\nTrial {winner.number} against the baseline, on the test sets (settings chosen on validation)\n"
        )
        line.print_line(terminal.format_test_scores(winner, baseline, [*objectives, *headlines]))
    mattered = parameter_importances(trials, job.space)
    if mattered:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in mattered.items() if share >= 0.01)
        line.print_line(
            f"\nWhat mattered (fANOVA over {len([t for t in trials if t.epochs])} trials, a rough guide): {shares}"
        )
    line.print_line(f"\nModel    {job.folder.display_path(job.folder.model_path(winner.number))}")
    if job.folder.has_file(job.folder.figure_path(winner.number)):
        line.print_line(f"Picture  {job.folder.display_path(job.folder.figure_path(winner.number))}")
