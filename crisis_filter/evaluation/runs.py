"""One run: what a system said of each message, read from a file that is kept as it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from pydantic import ValidationError

from crisis_filter.assets import file_sha256
from crisis_filter.datasets.objects import kind_of
from crisis_filter.errors import Fault, InputError
from crisis_filter.evaluation.category_records import Scope
from crisis_filter.evaluation.made import Made, short
from crisis_filter.evaluation.records import System
from crisis_filter.evaluation.rows import Row, rows
from crisis_filter.evaluation.scope import BASELINE, scope_of
from crisis_filter.schema import UNSPECIFIED, Assessment, Outcome
from crisis_filter.tables.formats import listed

__all__ = ["SCALES", "Answer", "Cut", "Run", "read_run"]

SCALES: tuple[tuple[str, ...], ...] = (
    ("none", "mild", "moderate", "severe", "imminent"),
    ("none", "mild", "moderate", "high", "critical"),
    ("none", "low", "medium", "high", "critical"),
    ("none", "low", "moderate", "high", "imminent"),
    ("safe", "low", "medium", "high"),
)
"""Severity scales that systems speak, least first; the first is ours."""
_OUTCOMES = frozenset(get_args(Outcome))
_UNKNOWN_FAULT = "not said"
# Fields that labels have and answers have not.
_LABELS = ("ratings", "adjudication", "stratum")


@dataclass(frozen=True, slots=True)
class Cut:
    """How a severity becomes crisis or not."""

    least: str
    """The least severity that counts as a crisis."""
    scale: tuple[str, ...] | None = None
    """All severities, least first; `None` takes the one of `SCALES` that has all that occur."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one system said of one message."""

    outcome: Outcome
    score: float | None
    source: str | None
    """Where the score came from."""
    categories: frozenset[str] | None
    """`None` for a system that names none; `unspecified` is not among them."""
    fault: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Run:
    """All answers of one system."""

    system: System
    answers: dict[str, Answer]
    """By id, in the order of the file."""
    warnings: tuple[str, ...]


def read_run(
    path: Path,
    known: Sequence[str],
    taxonomy: str,
    *,
    name: str | None = None,
    cut: Cut | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """The answers of a system.

    Args:
        path: assessments as `classify --json` or `--output` wrote them, or rows of another system (see `rows.rows`): `id` and one of `outcome`
            (crisis, no_crisis, undetermined), `crisis` (true, false; null where it failed) and `severity`; if it has them, `score` (0 to 1),
            `categories` and `fault`.
        known: ids of categories that may occur.
        taxonomy: id of the taxonomy that they belong to.
        name: of the system; `None` takes the file's.
        cut: for severities; needed where a file has nothing else.
        names: of fields that a file calls otherwise; see `rows.rows`.

    Raises:
        InputError: two answers for one id, an unknown category, a NaN score, answers made with different settings in one file, or a row that
            says nothing; names file and line, never a value.
    """
    head = _first(path)
    if head is None:
        raise InputError(f"{path}: there are no answers")
    if labels := [field for field in _LABELS if field in head]:
        raise InputError(f"{path}: has {labels[0]!r}, a field of labels; name what a system said")
    whole = "provenance" in head
    answers: dict[str, Answer] = {}
    made = Made(path, taxonomy)
    found = _assessments(path, known, made) if whole else _others(path, known, made, cut, names)
    for at, answer in found:
        if (first := answers.setdefault(at, answer)) is not answer:
            raise InputError(f"{answer.place}: a second answer for the id of {short(first.place)}; keep one of them")
    severity = not whole and _kind({**head, **names}) == "severity"
    detector = ", ".join(made.detectors) or "not said"
    scope = scope_of(detector, taxonomy, made.prompts)
    return Run(
        system=System(
            name=name or path.name.split(".")[0],
            file=str(path),
            sha256=file_sha256(path),
            kind="assessments" if whole or made.detectors else "severity" if severity else "binary",
            detector=detector,
            models=tuple(made.models),
            prompts=made.prompts,
            taxonomy=made.taxonomy,
            policy=made.policy,
            versions=tuple(made.versions),
            cut=cut.least if severity and cut else "",
            scope=scope,
        ),
        answers=answers,
        warnings=(*made.warnings(), *_unmarked(path, detector, scope)),
    )


def _unmarked(path: Path, detector: str, scope: Scope | None) -> Iterator[str]:
    if scope is None and detector.startswith(BASELINE):
        yield f"{path.name}: nothing says which categories its baseline is meant for, so none is marked as out of its scope"


def _first(path: Path) -> dict[str, object] | None:
    """The fields of the first row."""
    return next((dict(row.fields) for row in rows(path)), None)


def _kind(head: Mapping[str, object]) -> str | None:
    return next((name for name in ("outcome", "crisis", "severity") if name in head), None)


def _assessments(path: Path, known: Sequence[str], made: Made) -> Iterator[tuple[str, Answer]]:
    allowed = {*known, UNSPECIFIED}
    for row in rows(path):
        place, one = row.place, _assessment(row)
        made.add(one.provenance, place)
        named = frozenset(finding.category for finding in one.findings)
        if not named <= allowed:
            raise InputError(
                f"{place}: a finding has an unknown category; there are {', '.join(known)}. Choose another --taxonomy?"
            )
        yield (
            one.id,
            Answer(
                one.outcome, one.score, one.score_source, named - {UNSPECIFIED}, one.fault and one.fault.value, place
            ),
        )


def _assessment(row: Row) -> Assessment:
    # From the object, not from the line: of a field that occurs twice pydantic takes the last, in silence, and a crisis could be read as
    # its opposite; whoever made the object has refused it.
    try:
        return Assessment.model_validate(row.fields)
    except ValidationError as error:
        # A field that nobody knows may be a message.
        wrong = sorted(
            {
                "an unknown field"
                if each["type"] == "extra_forbidden"
                else ".".join(map(str, each["loc"][:2])) or "the whole"
                for each in error.errors(include_input=False)
            }
        )
    raise InputError(
        f"{row.place}: no assessment of this version: {', '.join(wrong)} missing or wrong; keep the file as written"
    )


def _others(
    path: Path, known: Sequence[str], made: Made, cut: Cut | None, names: Mapping[str, str]
) -> Iterator[tuple[str, Answer]]:
    head = next(iter(rows(path, names))).fields
    kind = _kind(head)
    if kind is None:
        raise InputError(
            f"{path}: the rows have none of 'outcome', 'crisis' and 'severity'; fields: {listed(list(head))}. "
            "If one holds the answer, say --run-field crisis=NAME"
        )
    found = rows(path, names)
    scale: tuple[str, ...] = ()
    if kind == "severity":
        found, scale = _scaled(path, found, cut)
    for row in found:
        made.plain(row)
        outcome = _outcome(row, kind, cut, scale)
        _refuse_contradiction(row, outcome)
        named = row.names("categories")
        if named is not None and not {*named} <= {*known, UNSPECIFIED}:
            raise row.wrong(
                "categories", f"has an unknown one; there are {', '.join(known)}. Choose another --taxonomy?"
            )
        if named and outcome != "crisis":
            raise row.wrong("categories", "are named beside an outcome that is no crisis; mend one of them")
        score = row.share("score")
        fault = (_fault(row) or _UNKNOWN_FAULT) if outcome == "undetermined" else None
        categories = None if named is None else frozenset(named) - {UNSPECIFIED}
        yield row.id(), Answer(outcome, score, _source(row, score), categories, fault, row.place)


def _refuse_contradiction(row: Row, outcome: Outcome) -> None:
    """Refuse a row that says two things.

    Raises:
        InputError: `crisis` beside another `outcome`, or a fault beside an outcome that was decided.
    """
    said = row.yes_no("crisis")
    if said is not None and said != (outcome == "crisis") and "outcome" in row.fields:
        raise row.wrong("crisis", "and 'outcome' contradict one another; keep the one that holds")
    if outcome == "no_crisis" and row.word("fault") is not None:
        raise row.wrong("fault", "stands beside an outcome that is not a crisis; a message that failed is undetermined")


def _outcome(row: Row, kind: str, cut: Cut | None, scale: tuple[str, ...]) -> Outcome:
    if kind not in row.fields:
        raise row.wrong(kind, "is missing; give each row its answer, or null where the system failed")
    if kind == "outcome":
        word = row.word(kind)
        if word not in _OUTCOMES:
            raise row.wrong(kind, "is none of crisis, no_crisis, undetermined")
        return word  # type: ignore[return-value]  # one of the three
    if kind == "crisis":
        said = row.yes_no(kind)
        return "undetermined" if said is None else "crisis" if said else "no_crisis"
    level = row.word(kind)
    if level is None:
        if row.fields[kind] not in (None, ""):
            raise row.wrong(kind, f"holds {kind_of(row.fields[kind])} instead of a word of the scale")
        return "undetermined"
    assert cut is not None  # noqa: S101  # `_scaled` has refused to go on without one
    return "crisis" if scale.index(level) >= scale.index(cut.least) else "no_crisis"


def _scaled(path: Path, found: Iterator[Row], cut: Cut | None) -> tuple[Iterator[Row], tuple[str, ...]]:
    """The rows again, and the scale that their severities are of."""
    if cut is None:
        raise InputError(f"{path}: has severities only; say from which on it is a crisis with --crisis-from")
    held = list(found)
    seen = Counter(level for row in held if (level := row.word("severity")) is not None)
    scales = [cut.scale] if cut.scale else SCALES
    fit = [scale for scale in scales if {*seen, cut.least} <= {*scale}]
    if not fit:
        raise InputError(
            f"{path}: severities or --crisis-from that no known scale has; give all, least first, with --scale"
        )
    if len({tuple(level in scale[scale.index(cut.least) :] for level in sorted(seen)) for scale in fit}) > 1:
        raise InputError(f"{path}: the severities fit several scales; give theirs, least first, with --scale")
    return chain(held), fit[0]


def _fault(row: Row) -> str | None:
    """The fault, if it is one of ours; another system's words are kept back, for they may quote a message."""
    word = row.word("fault")
    return word if word in {fault.value for fault in Fault} else None


def _source(row: Row, score: float | None) -> str | None:
    return None if score is None else row.word("score_source") or "not said"
