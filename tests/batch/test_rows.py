"""Rows numbered through, whatever the inputs are."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.batch.rows import input_files, numbered
from crisis_filter.errors import InputError
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.reading import read_messages

row_lists = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", ""])), max_size=12), max_size=4)


@given(row_lists)
def test_every_row_has_one_number(files: list[list[tuple[int, str]]]) -> None:
    """From 0, without a gap, rows that come twice included; blank lines are none; and each number is the row of its place."""
    seen = SeenIds()
    content = [b"".join(b'{"id":%d,"text":"%b"}\n\n' % (i, t.encode()) for i, t in rows) for rows in files]
    found = list(
        numbered(
            (f"in {n}", read_messages("-", format="jsonl", stdin=io.BytesIO(c), seen=seen))
            for n, c in enumerate(content)
        )
    )
    everything = [(n, at, i, t) for n, rows in enumerate(files) for at, (i, t) in enumerate(rows)]
    assert [row.number for row in found] == list(range(len(everything)))
    before: set[tuple[int, int, str]] = set()
    for row, (n, at, i, t) in zip(found, everything, strict=True):
        assert row.place == f"in {n}, row {at + 1}"
        if (n, i, t) in before:
            assert row.message is None
        else:
            assert row.message is not None
            assert (row.message.id, row.message.text) == (str(i), t)
        before.add((n, i, t))


def test_inputs_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    (tmp_path / "b").touch()
    a, b = input_files([tmp_path / "a", tmp_path / "b"])
    assert (a.name, a.bytes, a.sha256) == (str(tmp_path / "a"), 3000, sha256(b"abc" * 1000).hexdigest())
    assert (b.bytes, b.sha256) == (0, sha256().hexdigest())
    with pytest.raises(InputError, match="cannot be read: No such file"):
        input_files([tmp_path / "c"])
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        input_files([tmp_path])
