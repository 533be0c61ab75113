"""What can be trained. Nothing here knows of Ray, Optuna or MLflow."""
