"""Execution of trials on Ray Tune."""
