"""A launch of a search: checks before anything starts, lease, plan, the trials and confirmations, and its end."""
