"""Searches of earlier versions: values that a resumed search keeps where the defaults have changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from datasets.rooms.spec import MusicSpec
from spaces.schema import Space


def with_earlier_defaults(space: Space, identity: Mapping[str, Any]) -> Space:
    """Return a space with the defaults of the version that started its search.

    Music folders were divided by excerpts before descriptions had the key `split_by`.

    Args:
        space: Space of the search that is resumed.
        identity: Identity that the search was started with.
    """
    dataset = space.dataset
    if not isinstance(dataset, MusicSpec) or "split_by" in dataset.model_fields_set:
        return space
    if dataset.music_folder() is None or "split_by" in identity.get("dataset", {}):
        return space
    return dataclasses.replace(space, dataset=dataset.model_copy(update={"split_by": "excerpts"}))
