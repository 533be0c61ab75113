"""Downloads official archives of recordings: `python -m datasets.fetch`."""
