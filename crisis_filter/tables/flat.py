"""Assessments as rows of a table: one line of JSON, or columns for CSV and Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crisis_filter.tables.rows import repaired_text

if TYPE_CHECKING:
    from crisis_filter.schema import Assessment, PromptRef

COLUMNS = (
    "id",
    "outcome",
    "score",
    "score_source",
    "categories",
    "severities",
    "probabilities",
    "subjects",
    "timeframes",
    "evidence",
    "fault",
    "fault_detail",
    "flags",
    "queue",
    "urgency",
    "rule",
    "resources",
    "detector",
    "model",
    "prompts",
    "taxonomy",
    "policy",
    "version",
    "elapsed_ms",
)
"""Columns of the CSV and Parquet exports. Lists are in the order of `categories`, but for `evidence` and `flags`."""
NUMBER_COLUMNS = ("score", "elapsed_ms")
LIST_COLUMNS = (
    "categories",
    "severities",
    "probabilities",
    "subjects",
    "timeframes",
    "evidence",
    "flags",
    "resources",
    "prompts",
)
_Value = str | float | list[str] | None
# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_line(assessment: Assessment) -> bytes:
    """One JSON object in the record's own field order and a line feed, as UTF-8; lone surrogates become U+FFFD."""
    line = json.dumps(assessment.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
    # A server may name its model with a lone surrogate, and one record must not end a run.
    return repaired_text(line)[0].encode() + b"\n"


def flat(assessment: Assessment) -> dict[str, _Value]:
    """One assessment as `COLUMNS`: numbers, strings and lists of strings, all of which can be encoded.

    An absent item in a list is an empty string.
    """
    return {name: _encodable(value) for name, value in _columns(assessment).items()}


def _encodable(value: _Value) -> _Value:
    if isinstance(value, str):
        return repaired_text(value)[0]
    return [repaired_text(item)[0] for item in value] if isinstance(value, list) else value


def _columns(assessment: Assessment) -> dict[str, _Value]:
    found, told, how = assessment.findings, assessment.disposition, assessment.provenance
    return {
        "id": assessment.id,
        "outcome": assessment.outcome,
        "score": assessment.score,
        "score_source": assessment.score_source,
        "categories": [f.category for f in found],
        "severities": [f.severity or "" for f in found],
        "probabilities": ["" if f.probability is None else f"{f.probability:.4f}" for f in found],
        "subjects": [f.subject for f in found],
        "timeframes": [f.timeframe for f in found],
        "evidence": [e.quote for e in assessment.screen.evidence] + [e.quote for f in found for e in f.evidence],
        "fault": assessment.fault.value if assessment.fault else None,
        "fault_detail": assessment.fault_detail,
        "flags": list(assessment.flags),
        "queue": told.queue if told else None,
        "urgency": told.urgency if told else None,
        "rule": told.rule if told else None,
        "resources": [r.id for r in told.resources] if told else [],
        "detector": how.detector,
        "model": how.model,
        # With the beginning of their hashes: a released name never changes, an operator's own may.
        "prompts": [named(prompt) for prompt in how.prompts],
        "taxonomy": None if how.taxonomy is None else named(how.taxonomy),
        "policy": None if how.policy is None else named(how.policy),
        "version": how.version,
        "elapsed_ms": how.elapsed_ms,
    }


def named(ref: PromptRef) -> str:
    """A prompt, taxonomy or policy as tables and reports name it: its id and twelve digits of its hash."""
    return f"{ref.id} {ref.sha256[:12]}"


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that begins like a formula gets a quote mark before it."""
    return "'" + cell if cell.startswith(_FORMULA) else cell
