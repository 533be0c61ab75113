"""A page that shows a dataset and lets one listen to it, before or after a night is spent on it."""
