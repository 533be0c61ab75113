"""Machines: cores and GPUs, processes, nodes of a cluster, Ray sessions, and the surroundings of a command."""
