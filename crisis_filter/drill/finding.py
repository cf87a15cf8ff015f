"""What `doctor` finds, as a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

from crisis_filter.schema import Record

Status = Literal["ok", "warn", "fail", "unknown"]
"""`warn`: works, and somebody should know. `fail`: do not rely on it. `unknown`: could not be found out."""
Check = Literal[
    "policy",
    "resources",
    "engine",
    "trust_store",
    "reachable",
    "key",
    "speed",
    "model",
    "schema_form",
    "answers",
    "verdicts",
    "categorise",
    "refusals",
    "filters",
    "output_limit",
    "nonce",
    "score",
    "repeatable",
    "window",
]
CHECKS: tuple[Check, ...] = get_args(Check)
STATUSES: tuple[Status, ...] = get_args(Status)


class Finding(Record):
    """One thing that was looked at. Holds counts, names and times; no text of a message or of an answer."""

    check: Check
    status: Status
    seen: str
    """What was seen, on one line."""
    advice: str = ""
    """What to do about it, on one line; empty exactly when there is nothing to do."""
    endpoint: str | None = None
    """Which endpoint, by the name of its backend; `None` for what is of the machine or the set-up."""


def counts(findings: Iterable[Finding]) -> dict[Status, int]:
    """How many findings of each status, every status named."""
    found = Counter(finding.status for finding in findings)
    return {status: found[status] for status in STATUSES}
