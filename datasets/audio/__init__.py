"""Sound files, music corpora and the procedural band."""
