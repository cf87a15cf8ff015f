"""Assessments as classify and batch wrote them, in any of their formats, with what a policy may want to know besides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from crisis_filter.datasets.objects import kind_of
from crisis_filter.errors import InputError
from crisis_filter.evaluation.rows import Row, rows
from crisis_filter.schema import Assessment, Finding, Provenance, ScoreSource
from crisis_filter.tables.formats import listed
from crisis_filter.triage.trying import Judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TABLE = ("id", "outcome", "categories", "severities", "subjects", "timeframes", "detector")
_SOURCES = get_args(ScoreSource)
# A number of seconds since 1970 this large would lie after the year 5000: it is of milliseconds.
_MILLISECONDS = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Besides:
    """Columns that say what an assessment does not."""

    source: str | None = None
    time: str | None = None
    locale: str | None = None
    messages: Path | None = None
    """File of the messages with these columns, by id; `None` finds them in the run itself."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that are named."""
        return tuple(name for name in (self.source, self.time, self.locale) if name is not None)


@dataclass
class Remarks:
    """What was noticed while reading."""

    tables: int = 0
    """Rows of tables, which do not say whether the service was degraded."""
    zoneless: int = 0
    """Times without a zone, taken in the policy's."""
    strangers: int = 0
    """Assessments whose message is not in the file of the messages."""


def read_judged(paths: Sequence[Path], besides: Besides, where: tzinfo, remarks: Remarks) -> Iterator[Judged]:
    """Assessments with source, time and locale, file by file.

    Args:
        paths: what classify or batch wrote: JSON Lines, CSV or Parquet.
        besides: columns to read besides.
        where: zone of times that name none.
        remarks: is counted into.

    Raises:
        InputError: a file or row is something else, an id comes twice, or a column is not there; names file and line, never a value.
    """
    beside = _by_id(besides)
    seen: set[str] = set()
    for path in paths:
        for row in rows(path):
            assessment, fields = _assessment(row, besides, remarks)
            if assessment.id in seen:
                raise InputError(f"{row.place}: an id that was there before; give each message once")
            seen.add(assessment.id)
            if beside is not None:
                found = beside.get(assessment.id)
                remarks.strangers += found is None
                row = found or Row(row.place, dict.fromkeys(besides.columns))  # noqa: PLW2901  # the row of the message stands for it
                fields = row.fields
            yield _judged(assessment, Row(row.place, fields), besides, where, remarks)


def _by_id(besides: Besides) -> dict[str, Row] | None:
    if besides.messages is None:
        return None
    if not besides.columns:
        raise InputError("--messages needs a column to read: add --time-column, --source-column or --locale-column")
    found: dict[str, Row] = {}
    for row in rows(besides.messages):
        _refuse_missing(row, besides.columns)
        name = row.id()
        if name in found:
            raise InputError(f"{row.place}: an id that was there before; give each message once")
        found[name] = Row(row.place, {column: row.fields[column] for column in besides.columns})
    return found


def _refuse_missing(row: Row, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in row.fields:
            raise InputError(f"{row.place}: there is no field {column!r}; fields: {listed(list(row.fields))}")


def _assessment(row: Row, besides: Besides, remarks: Remarks) -> tuple[Assessment, Mapping[str, object]]:
    fields = dict(row.fields)
    own = () if besides.messages is not None else besides.columns
    _refuse_missing(row, own)
    if "provenance" in fields:
        for column in own:
            if column not in Assessment.model_fields:
                del fields[column]
        return _valid(row, fields), row.fields
    if not set(_TABLE) <= fields.keys():
        raise InputError(f"{row.place}: is no assessment as classify and batch write them")
    remarks.tables += 1
    return _valid(row, _of_table(row)), row.fields


def _valid(row: Row, fields: Mapping[str, object]) -> Assessment:
    try:
        return Assessment.model_validate(fields)
    except ValidationError as error:
        # A field that nobody knows may be a message.
        wrong = sorted(
            {
                "an unknown field" if each["type"] == "extra_forbidden" else str(each["loc"][0] if each["loc"] else "")
                for each in error.errors(include_input=False)
            }
        )
    raise InputError(f"{row.place}: no assessment of this version: {', '.join(wrong)} missing or wrong")


def _of_table(row: Row) -> dict[str, Any]:
    """The fields of an assessment from a row of CSV or Parquet, without evidence."""
    categories = _list(row, "categories")
    severities, subjects, timeframes = (
        _beside(row, name, len(categories)) for name in ("severities", "subjects", "timeframes")
    )
    score, source = row.share("score"), row.word("score_source")
    parts = zip(categories, severities, subjects, timeframes, strict=True)
    try:
        findings = tuple(
            Finding.model_validate(
                {
                    "category": category,
                    "severity": severity or None,
                    "subject": subject or "unclear",
                    "timeframe": timeframe or "unclear",
                }
            )
            for category, severity, subject, timeframe in parts
        )
    except ValidationError:
        raise row.wrong("categories", "and what stands beside them are no findings") from None
    return {
        "id": row.id(),
        "outcome": row.word("outcome"),
        "score": score,
        "score_source": source if source in _SOURCES else None,
        "findings": findings,
        "fault": row.word("fault"),
        "flags": tuple(_list(row, "flags")),
        "provenance": Provenance(
            detector=row.word("detector") or "not said", version=row.word("version") or "not said"
        ),
    }


def _beside(row: Row, name: str, number: int) -> list[str]:
    """A list with an item for each category."""
    found = _list(row, name) or [""] * number  # a cell of one empty item looks like a cell of none
    if len(found) != number:
        raise row.wrong(name, "has another number of items than 'categories'")
    return found


def _list(row: Row, name: str) -> list[str]:
    value = row.fields.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return value.split(" | ")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise row.wrong(name, f"holds {kind_of(value)} instead of a list")


def _judged(assessment: Assessment, row: Row, besides: Besides, where: tzinfo, remarks: Remarks) -> Judged:
    at = None if besides.time is None else _time(row, besides.time)
    if at is not None and at.utcoffset() is None:
        remarks.zoneless += 1
        at = at.replace(tzinfo=where)
    return Judged(
        assessment,
        locale=None if besides.locale is None else row.word(besides.locale),
        source=None if besides.source is None else row.word(besides.source),
        at=at,
    )


def _time(row: Row, name: str) -> datetime | None:
    value = row.fields.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC)
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        pass
    raise row.wrong(name, "is no time; write it as 2026-11-22T09:30:00+00:00, or as seconds since 1970")
