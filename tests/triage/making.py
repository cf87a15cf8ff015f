"""Assessments and policies of any kind, for tests of routing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from hypothesis import strategies as st

from crisis_filter.schema import SEVERITIES, URGENCIES, Assessment, Fault, Finding, Flag, Outcome, Provenance
from crisis_filter.triage.hours import WEEKDAYS
from crisis_filter.triage.policy import Policy, load_policy
from crisis_filter.triage.resources import ResourcePack
from crisis_filter.triage.rules import LONGEST_S
from tests.strategies import CATEGORIES, SUBJECTS, TIMEFRAMES, findings

EMPTY = ResourcePack(id="none", version=1)
PROVENANCE = Provenance(detector="test", version="0")
FLAGS: tuple[Flag, ...] = get_args(Flag)
ZONES = ("UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
V4 = load_policy("default-v4")

flags = st.lists(st.sampled_from(FLAGS), max_size=3, unique=True).map(tuple)
times = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is given beside
locales = st.none() | st.sampled_from(("en-US", "en-GB", "fr-CA", "de", "es-MX"))
sources = st.none() | st.sampled_from(("app", "form", "sms"))


def crisis(*found: Finding, **more: Any) -> Assessment:
    return Assessment(id="a", outcome="crisis", findings=found, provenance=PROVENANCE, **more)


def undetermined(fault: Fault, score: float | None = None, **more: Any) -> Assessment:
    source = None if score is None else "engine"
    return Assessment(
        id="a", outcome="undetermined", fault=fault, score=score, score_source=source, provenance=PROVENANCE, **more
    )


def calm(**more: Any) -> Assessment:
    return Assessment(id="a", outcome="no_crisis", provenance=PROVENANCE, **more)


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Any assessment that can be."""
    score = draw(st.none() | st.floats(0.0, 1.0))
    more: dict[str, Any] = {
        "flags": draw(flags),
        "degraded": draw(st.booleans()),
        "score": score,
        "score_source": None if score is None else "engine",
    }
    outcome: Outcome = draw(st.sampled_from(("crisis", "undetermined", "no_crisis")))
    if outcome == "crisis":
        found = draw(st.lists(findings, min_size=1, max_size=3))
        more |= {"findings": tuple(found), "fault": draw(st.none() | st.sampled_from(Fault))}
    elif outcome == "undetermined":
        more["fault"] = draw(st.sampled_from(Fault))
    return Assessment(id="a", outcome=outcome, provenance=PROVENANCE, **more)


def _some(names: Any, most: int = 3) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(tuple(names)), max_size=most)


hours = st.none() | st.builds(
    lambda start, length: f"{start:02}:00-{(start + length) % 24:02}:30", st.integers(0, 23), st.integers(0, 23)
)


@st.composite
def rules(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """A rule with any conditions, to a queue that somebody reads."""
    urgency = draw(st.sampled_from(URGENCIES))
    return {
        "id": f"rule-{number}",
        "outcome": draw(st.sampled_from(("crisis", "undetermined", "no_crisis"))),
        "categories": draw(_some((*CATEGORIES, "unspecified"))),
        "severity_at_least": draw(st.none() | st.sampled_from(SEVERITIES)),
        "subjects": draw(_some(SUBJECTS, 2)),
        "timeframes": draw(_some(TIMEFRAMES, 2)),
        "faults": draw(_some(Fault)),
        "flags": draw(_some(FLAGS)),
        "score_at_least": draw(st.none() | st.floats(0.0, 1.0)),
        "degraded": draw(st.none() | st.booleans()),
        "locales": draw(_some(("US", "GB", "fr-CA"), 2)),
        "sources": draw(_some(("app", "form"), 2)),
        "hours": draw(hours),
        "weekdays": draw(_some(WEEKDAYS)),
        "queue": draw(st.sampled_from(("one", "two"))),
        "urgency": urgency,
        "within": f"{LONGEST_S[urgency] // 60}m",
    }


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that can be loaded, with a few rules of its own before those that take everything."""
    own = [draw(rules(number)) for number in range(draw(st.integers(0, 4)))]
    last = [
        {"id": f"any-{outcome}", "outcome": outcome, "queue": queue, "urgency": "routine", "within": "7d"}
        for outcome, queue in (("crisis", "one"), ("undetermined", "two"), ("no_crisis", "nobody"))
    ]
    empty = {
        "id": "empty",
        "outcome": "undetermined",
        "faults": ["empty_content"],
        "queue": "nobody",
        "urgency": "routine",
    }
    return Policy.model_validate(
        {
            "format": 2,
            "id": "any",
            "version": 1,
            "description": "any",
            "timezone": draw(st.sampled_from(ZONES)),
            "stages": V4.stages,
            "resources": V4.resources,
            "queues": [
                {"id": "one", "name": "One", "staffed_by": "somebody"},
                {"id": "two", "name": "Two", "staffed_by": "somebody else"},
                {"id": "nobody", "name": "Nobody"},
            ],
            "rules": [*own, *last, *([empty] if draw(st.booleans()) else [])],
            "sha256": "0" * 64,
        }
    )
