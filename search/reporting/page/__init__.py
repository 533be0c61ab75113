"""HTML page about a search: figures of its trials and of the errors of its winner, in one file without external resources."""
