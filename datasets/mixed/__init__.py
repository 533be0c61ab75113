"""Datasets whose splits are of different kinds, such as simulated training data and recorded tests."""
