"""Models that can be trained and searched, independent of Ray, Optuna and MLflow."""
