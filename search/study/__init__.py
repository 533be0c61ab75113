"""The Optuna study and all decisions that are made from it."""
