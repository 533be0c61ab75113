"""Registration of the winner of a search as the champion among the models of its name."""

from __future__ import annotations

from search.experiment import Experiment
from search.reporting.mlflow.logger import MlflowLogger
from search.study.trials import Trial
from trainables import registry


def register_winner(experiment: Experiment, winner: Trial, logger: MlflowLogger) -> None:
    """Register the model of the winner in the background, unless it has no run or its trainable no predictor.

    Args:
        experiment: Search that has ended.
        winner: Its best trial, whose model exists.
        logger: MLflow logger, which keeps errors of the registration for the end of the launch.
    """
    name = experiment.space.trainable
    if winner.run_id is None or not registry.has_predictor(registry.load_trainable(name, "trainable")):
        return
    results = experiment.results
    metrics = _list_metrics(experiment, winner)
    scores = ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items())
    tags = {"search": results.name, "trial": str(winner.number), "trainable": name, "mlflow_run": winner.run_id}
    tags |= {f"validation.{metric}": f"{value:.6g}" for metric, value in metrics.items()}
    description = f"Trial {winner.number} of the search {results.name}: {scores} on validation. Run `{winner.run_id}`."
    model = results.fetch_file(results.model_path(winner.number))
    logger.register_model(winner.run_id, results.name, model, description, tags)


def _list_metrics(experiment: Experiment, winner: Trial) -> dict[str, float]:
    """Return the objectives of the winner at its best epoch."""
    best = winner.best_epoch(experiment.space.objectives)
    metrics = {} if best is None else best.metrics
    return {name: metrics[name] for name, _ in experiment.space.objectives if name in metrics}
