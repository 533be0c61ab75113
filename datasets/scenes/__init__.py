"""Simulated spatial sound scenes in the layout of TAU-NIGENS Spatial Sound Events 2020."""
