"""Benchmarks of speed and quality, one command each, with paired measurements of the alternatives."""
