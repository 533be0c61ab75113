"""Content-addressed shards: planning, building, verifying and reading them."""
