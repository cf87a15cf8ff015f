"""Ids that come twice, by the million."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.tables.duplicates import SeenIds, _Table
from tests.strategies import texts


@given(st.lists(st.tuples(st.integers(0, 8), st.none() | st.sampled_from("abc"), st.integers(0, 2)), max_size=200))
def test_as_a_dictionary_would_have_it(rows: list[tuple[int, str | None, int]]) -> None:
    """New, the same or other, whatever came before."""
    seen = SeenIds()
    first: dict[str, tuple[int, str] | None] = {}
    others: set[tuple[str, int, str]] = set()
    for number, text, source in rows:
        row_id = f"id {number}"
        value = None if text is None else (source, text)
        if row_id not in first:
            expected = "new"
            first[row_id] = value
        elif text is None:
            expected = "other"
        elif value == first[row_id] or (row_id, source, text) in others:
            expected = "same"
        else:
            expected = "other"
            others.add((row_id, source, text))
        assert seen.meet(row_id, text, source) == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.integers(2**64 - 3, 2**64 - 1), max_size=300))
def test_any_numbers(keys: list[int]) -> None:
    """The first value of a key stands, also for keys that meet in one slot, and 0 is a key as any other."""
    table = _Table()
    first: dict[int, int] = {}
    for place, key in enumerate(keys):
        told = table.known(key, place)
        assert told == first.setdefault(key or 1, place) or (told is None and first[key or 1] == place)


@given(texts, texts)
def test_any_text(row_id: str, text: str) -> None:
    seen = SeenIds()
    assert [seen.meet(row_id, text, 1), seen.meet(row_id, text, 1), seen.meet(row_id, text, 2)] == [
        "new",
        "same",
        "other",
    ]


def test_memory() -> None:
    """Under 40 bytes an id, also where every id has come before with another text."""
    ids = 60_000
    tracemalloc.start()
    seen = SeenIds()
    for number in range(ids):
        assert seen.meet(str(number), "text", 1) == "new"
    _, once = tracemalloc.get_traced_memory()
    for number in range(ids):
        assert seen.meet(str(number), "another", 1) == "other"
    _, twice = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert once < 40 * ids
    assert twice < 80 * ids
    assert all(seen.meet(str(number), "another", 1) == "same" for number in range(ids))
