"""Replays of searches in simulated time from learning curves, to compare search methods per epoch.

Tables of learning curves of this project's own spaces are recorded once (`benchmarks.efficiency.record`) and kept in
`benchmarks/efficiency/tables/`.
"""
