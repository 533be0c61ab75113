"""Rules that decide which trials continue, and the order of trials of different lengths."""
