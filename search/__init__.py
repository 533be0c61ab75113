"""The search: plan, study, stopping, trials on Ray Tune, tracking in MLflow, and what is said in the terminal."""
