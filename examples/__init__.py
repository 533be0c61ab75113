"""Trainables outside the project's packages, as templates for your own."""
