"""Searches of a storage, read without changing them: lists, states, details, comparisons, exports and deletion."""
