"""Real recordings, labelled by a CSV file and superposed into samples with several sources (section III-A)."""
