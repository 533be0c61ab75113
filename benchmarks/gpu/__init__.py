"""`python -m benchmarks.gpu`: all measurements of a GPU, within a number of minutes.

Every measurement runs in a process of its own, so that neither an error of CUDA nor a hang affects the others. Ray, Optuna,
MLflow, pyroomacoustics, soundfile and PyYAML are not needed.
"""
