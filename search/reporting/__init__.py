"""Progress, MLflow logging and the final report of a search."""
