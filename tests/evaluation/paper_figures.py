"""The VBHSF paper's printed figures, and the computed ones to hold against them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.evaluation.paper import Published, averages, projections, published, reproduce, table_rows
from crisis_filter.stats.binary import Metrics

PRINTED: dict[str, Any] = json.loads((Path(__file__).parent / "published_figures.json").read_text(encoding="utf-8"))
RATES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
FACTS = published()
PAPER = reproduce(FACTS, np.random.default_rng(0))


def rounded(one: Any) -> list[float | None]:
    """Estimate and bounds as a table prints them."""
    return [None if value is None else round(value, 3) for value in (one.estimate, one.low, one.high)]


def printed_row(table: str, system: str, data: str, category: str | None) -> dict[str, Any]:
    rows = PRINTED[f"table_{table}"][system]
    return rows[data] if table == "2" else rows[category or "any_crisis"]


def compared(facts: Published) -> Iterator[tuple[str, list[float | None], list[float]]]:
    """What is computed, and what is printed, three figures at a time."""
    for row in table_rows(facts):
        printed = printed_row(row.table, row.system, row.data, row.category)
        for rate in RATES:
            name = f"Table {row.table} {row.system} {row.data} {row.category} {rate}"
            yield name, rounded(getattr(row.metrics, rate)), printed[rate]
    for one in averages(facts):
        if one.reading == "flagged":
            assert one.macro is not None
            assert one.spread is not None
            found = [round(value, 3) for value in (one.macro, one.spread.low, one.spread.high)]
            yield f"macro {one.figure}", [*found], PRINTED["macro"][one.figure]
    for cell in projections(facts, np.random.default_rng(0)):
        printed = PRINTED[f"table_{cell.table.lower()}"][cell.system]["ppv"][str(cell.prevalence)]
        yield f"Table {cell.table} {cell.system} {cell.prevalence}", rounded(cell.paper), printed


def fits(found: Metrics, printed: dict[str, list[float]]) -> int:
    """How many of a row's 15 figures come out."""
    return sum(a == b for rate in RATES for a, b in zip(rounded(getattr(found, rate)), printed[rate], strict=True))
