"""Samplers by name: candidates for the next trial from a space, its comparable results and the number of the trial."""
