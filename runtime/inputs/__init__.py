"""Inputs: YAML text, values checked by pydantic models, and modules imported by name."""
