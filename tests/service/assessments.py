"""Assessments, and what is said of messages, as any detector or store could give them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from crisis_filter.schema import URGENCIES, Assessment, Disposition, Fault, Provenance, Resource, Screening
from crisis_filter.service.said import Said, fresh
from crisis_filter.store.records import Actor, Verdict
from tests.strategies import findings, scores

ACTOR = Actor(id="key-1", tenant="clinic", scopes=frozenset({"classify"}))
READER = Actor(id="key-2", tenant="clinic", scopes=frozenset({"classify", "text"}))
PROVENANCE = Provenance(detector="local:standard-v1", version="0")
LINE = Resource(id="line", name="A line", contact="Call 000", locales=("US",), source="https://example.org")

dispositions = st.none() | st.builds(
    Disposition,
    queue=st.sampled_from(("act-now", "read")),
    urgency=st.sampled_from(URGENCIES),
    rule=st.just("r1"),
    resources=st.sampled_from(((), (LINE,))),
)


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Any assessment that the record allows."""
    outcome = draw(st.sampled_from(("crisis", "undetermined", "no_crisis")))
    score = draw(scores)
    given: dict[str, Any] = {
        "findings": tuple(draw(st.lists(findings, min_size=1, max_size=4))) if outcome == "crisis" else (),
        "fault": draw(st.sampled_from(Fault) if outcome == "undetermined" else st.none() | st.sampled_from(Fault)),
    }
    if outcome == "no_crisis":
        given["fault"] = None
    return Assessment(
        id="m1",
        outcome=outcome,
        score=score,
        score_source=None if score is None else "engine",
        degraded=draw(st.booleans()),
        screen=Screening(rationale=draw(st.none() | st.just("why"))),
        disposition=draw(dispositions),
        provenance=PROVENANCE,
        **given,
    )


def loaded(assessment: Assessment) -> Assessment:
    """The same as it comes out of a file or the store."""
    return Assessment.model_validate_json(assessment.model_dump_json())


said = assessments().map(lambda assessment: fresh(loaded(assessment), message_id="m1", id="theirs"))


def of(outcome: str, **given: Any) -> Said:
    """One message of which this was said."""
    from crisis_filter.schema import Finding

    if outcome == "crisis":
        given.setdefault("findings", (Finding(category="suicide"),))
    if outcome == "undetermined":
        given.setdefault("fault", Fault.TIMEOUT)
    return fresh(Assessment(id="m1", outcome=outcome, provenance=PROVENANCE, **given), message_id="m1")  # type: ignore[arg-type]


def verdict(**given: Any) -> Verdict:
    """One stored verdict."""
    return Verdict(**{"message_id": "m1", "state": "decided", "revision": 1, "by": "detector", **given})
