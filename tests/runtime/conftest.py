"""Fixtures of datasets, for tests of the storage that they are built in."""

from tests.datasets.conftest import small_shards, template  # noqa: F401
