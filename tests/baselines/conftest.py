"""Maps and taxonomies are read once for all these tests, which open a baseline each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import load_map

_MAPS, _TAXONOMIES = cache(load_map), cache(load_taxonomy)


@pytest.fixture(autouse=True, scope="package")
def _read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crisis_filter.baselines.registry.load_map", _MAPS)
        patch.setattr("crisis_filter.baselines.offline.load_map", _MAPS)
        for module in ("registry", "base"):
            patch.setattr(f"crisis_filter.baselines.{module}.load_taxonomy", _TAXONOMIES)
        yield
