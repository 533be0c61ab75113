"""Sound files, music corpora and procedural music."""
