"""Download of published archives of recordings: `python -m datasets.fetch`."""
