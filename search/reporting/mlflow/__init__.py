"""MLflow: runs, metrics, files, views and registered models of a search."""
