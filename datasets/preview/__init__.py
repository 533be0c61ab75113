"""Render a dataset as an HTML page with plots and audio players."""
