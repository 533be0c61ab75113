"""Checks of a machine, a cluster and its services, as printed by `python -m search.doctor`."""
