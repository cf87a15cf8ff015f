"""Rows and whole data sets for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crisis_filter.datasets.reading import describe, read_rows
from crisis_filter.datasets.records import Manifest


def row(number: int, text: str, *categories: str, **fields: Any) -> dict[str, Any]:
    crisis = bool(categories)
    return {
        "id": f"t-{number}",
        "text": text,
        "crisis": crisis,
        "categories": list(categories),
        "severity": "mild" if crisis else None,
        "subject": "self" if crisis else None,
        "timeframe": "current" if crisis else None,
        "author": "z",
        **fields,
    }


def folder(path: Path, **splits: list[dict[str, Any]]) -> Path:
    """A data set with a true manifest."""
    parts = []
    for name, rows in splits.items():
        file = path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        parts.append(describe(file, name.replace("_", "-"), read_rows(file)))  # type: ignore[arg-type]
    manifest = Manifest(id="t", licence="Apache-2.0", labelled_by="nobody", parts=tuple(parts))
    (path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return path
