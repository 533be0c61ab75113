"""Registration of the winner of a search as the champion among the models of its name."""

from __future__ import annotations

from pathlib import Path

from runtime.console import Console
from search.experiment import Experiment
from search.reporting.mlflow_logger import MlflowLogger
from search.reporting.mlflow_models import can_register
from search.study.trials import Trial
from trainables import registry


def register_winner(experiment: Experiment, winner: Trial, model: Path, logger: MlflowLogger, console: Console) -> None:
    """Register the model of the winner in the background, or print that its trainable cannot be served.

    Args:
        experiment: Search that has ended.
        winner: Its best trial.
        model: Local path of the winner's model.
        logger: MLflow logger, which keeps errors of the registration for the end of the launch.
        console: Output.
    """
    name = experiment.space.trainable
    if not can_register(registry.load_trainable(name, "trainable")):
        console.print_line(f"model    not registered in MLflow: {name} has no predictor for recordings")
    elif winner.run_id is not None:
        search = experiment.results.name
        results = _list_results(experiment, winner)
        scores = ", ".join(f"{metric} {value:.4g}" for metric, value in results.items())
        tags = {"search": search, "trial": str(winner.number), "trainable": name, "mlflow_run": winner.run_id}
        tags |= {f"validation.{metric}": f"{value:.6g}" for metric, value in results.items()}
        description = f"Trial {winner.number} of the search {search}: {scores} on validation. Run `{winner.run_id}`."
        logger.register_model(winner.run_id, search, model, description, tags)


def _list_results(experiment: Experiment, winner: Trial) -> dict[str, float]:
    """Return the objectives of the winner at its best epoch."""
    best = winner.best_epoch(experiment.space.objectives)
    metrics = {} if best is None else best.metrics
    return {name: metrics[name] for name, _ in experiment.space.objectives if name in metrics}
