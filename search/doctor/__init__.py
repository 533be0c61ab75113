"""Checks of a machine, a cluster and its services."""
