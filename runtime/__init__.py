"""Errors, files, storage, machines and clusters; contains no audio and no search code."""
