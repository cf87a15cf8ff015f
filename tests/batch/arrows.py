"""Blocks of rows for the tests of Arrow."""

from __future__ import annotations

import pyarrow as pa

PATIENT = 20
"""Seconds."""


def block(*ids, text="the pharmacy was closed", **columns):
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(ids, pa.string()),
            "text": pa.array([text] * len(ids), pa.string()),
            **columns,
        }
    )


def ids(*batches):
    return [row_id for batch in batches for row_id in batch["id"].to_pylist()]


def kept_in(found, blocks):
    """Puts each into `found` at once, and gives none."""
    for one in blocks:
        found.append(one)
        yield from ()
