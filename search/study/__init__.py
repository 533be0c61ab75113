"""The durable Optuna study, and decisions derived from it: sampling, early stopping, ranking."""
