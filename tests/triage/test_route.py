"""Routing: a table a clinical safety lead can read, and the laws it keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import AssetError
from crisis_filter.schema import SEVERITIES, URGENCIES, Assessment, Fault, Finding, Provenance, Resource
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import ResourcePack, load_resources
from crisis_filter.triage.route import triage
from tests.strategies import findings

POLICY = load_policy("default")
EMPTY = ResourcePack(id="none", version=1)
PROVENANCE = Provenance(detector="test", version="0")


def crisis(*found: Finding, fault: Fault | None = None) -> Assessment:
    return Assessment(id="a", outcome="crisis", findings=found, fault=fault, provenance=PROVENANCE)


def undetermined(fault: Fault, score: float | None = None) -> Assessment:
    source = None if score is None else "engine"
    return Assessment(
        id="a", outcome="undetermined", fault=fault, score=score, score_source=source, provenance=PROVENANCE
    )


@pytest.mark.parametrize(
    ("assessment", "rule", "queue", "urgency"),
    [
        (crisis(Finding(category="abuse", severity="imminent")), "imminent", "act-now", "emergency"),
        (crisis(Finding(category="suicide", severity="severe")), "severe-danger-to-life", "act-now", "emergency"),
        (crisis(Finding(category="violence", severity="severe")), "severe-danger-to-life", "act-now", "emergency"),
        (crisis(Finding(category="psychosis", severity="severe")), "severe", "clinical", "urgent"),
        (crisis(Finding(category="suicide", severity="mild")), "suicide-or-violence", "clinical", "urgent"),
        (
            crisis(Finding(category="abuse", severity="mild", subject="other")),
            "safeguarding-other",
            "safeguarding",
            "urgent",
        ),
        (
            crisis(Finding(category="neglect", severity="moderate", subject="both")),
            "safeguarding-other",
            "safeguarding",
            "urgent",
        ),
        (crisis(Finding(category="eating_disorder", severity="moderate")), "moderate", "clinical", "urgent"),
        (crisis(Finding(category="substance_misuse")), "moderate", "clinical", "urgent"),
        (crisis(Finding(category="unspecified")), "moderate", "clinical", "urgent"),
        (crisis(Finding(category="self_harm", severity="mild")), "crisis", "clinical", "soon"),
        (
            crisis(Finding(category="unspecified", severity="mild"), fault=Fault.TIMEOUT),
            "unspecified",
            "clinical",
            "urgent",
        ),
        (undetermined(Fault.REFUSAL_FIELD), "refused-or-filtered", "review", "urgent"),
        (undetermined(Fault.FILTER_PROMPT), "refused-or-filtered", "review", "urgent"),
        (undetermined(Fault.INJECTION_SUSPECTED), "refused-or-filtered", "review", "urgent"),
        (undetermined(Fault.MAY_NOT_CLEAR, 0.9), "undetermined-likely", "review", "urgent"),
        (undetermined(Fault.TIMEOUT), "undetermined", "review", "soon"),
        (undetermined(Fault.INTERNAL), "undetermined", "review", "soon"),
        (undetermined(Fault.EMPTY_CONTENT), "empty", "review", "routine"),
        (Assessment(id="a", outcome="no_crisis", provenance=PROVENANCE), "not-crisis", "none", "routine"),
    ],
)
def test_the_default_policy_routes(assessment, rule, queue, urgency):
    """Each kind of assessment goes where the pack's page says."""
    disposition = triage(assessment, POLICY, EMPTY)
    assert (disposition.rule, disposition.queue, disposition.urgency) == (rule, queue, urgency)


def test_every_rule_of_the_default_policy_is_in_the_table():
    """A rule nobody has seen match is a rule nobody knows."""
    table = test_the_default_policy_routes.pytestmark[0].args[1]
    assert {row[1] for row in table} == {rule.id for rule in POLICY.rules}


@given(st.lists(findings, min_size=1, max_size=4), st.data())
def test_a_graver_finding_never_makes_it_less_urgent(found, data):
    """Raising one finding's severity, or adding a finding, keeps or raises the urgency."""
    before = URGENCIES.index(triage(crisis(*found), POLICY, EMPTY).urgency)
    at = data.draw(st.integers(0, len(found) - 1))
    severity = found[at].severity or "moderate"
    higher = data.draw(st.sampled_from(SEVERITIES[SEVERITIES.index(severity) :]))
    graver = [*found]
    graver[at] = found[at].model_copy(update={"severity": higher})
    assert URGENCIES.index(triage(crisis(*graver), POLICY, EMPTY).urgency) <= before
    more = [*found, data.draw(findings)]
    assert URGENCIES.index(triage(crisis(*more), POLICY, EMPTY).urgency) <= before


@given(st.sampled_from(Fault), st.none() | st.floats(0, 1))
def test_every_undetermined_assessment_reaches_a_person(fault, score):
    """Whatever the fault, somebody reads the queue."""
    queue = triage(undetermined(fault, score), POLICY, EMPTY).queue
    assert next(q for q in POLICY.queues if q.id == queue).staffed_by


def entry(name: str, *, locales=("US",), categories=(), verified="2026-01-01") -> Resource:
    return Resource(
        id=name,
        name=name,
        contact="x",
        locales=locales,
        categories=categories,
        source="https://example.org",
        verified_on=verified,
    )


PACK = ResourcePack(
    id="mine",
    version=1,
    resources=(
        entry("all-us"),
        entry("suicide-us", categories=("suicide",)),
        entry("abuse-us", categories=("abuse",)),
        entry("all-gb", locales=("GB",)),
        entry("french-canada", locales=("fr-CA",)),
        entry("nobody-checked", verified=None),
    ),
)


@pytest.mark.parametrize(
    ("locale", "served"),
    [
        (None, ["all-us", "suicide-us"]),
        ("es-US", ["all-us", "suicide-us"]),
        ("en-GB", ["all-gb"]),
        ("fr-CA", ["french-canada"]),
        ("en-CA", []),
        ("de-DE", []),
    ],
)
def test_resources_fit_locale_and_category(locale, served):
    """The region chooses; an entry for a category is offered only for it."""
    disposition = triage(crisis(Finding(category="suicide")), POLICY, PACK, locale)
    assert [r.id for r in disposition.resources] == served


@pytest.mark.parametrize("assessment", [crisis(Finding(category="unspecified")), undetermined(Fault.TIMEOUT)])
def test_a_crisis_of_unknown_kind_is_offered_every_kind_of_help(assessment):
    """When Stage 2 is out, the suicide line is not left out."""
    assert [r.id for r in triage(assessment, POLICY, PACK).resources] == ["all-us", "suicide-us", "abuse-us"]


def test_unverified_resources_are_withheld_and_counted():
    """A number nobody has checked is not given to somebody in danger, unless the operator says so."""
    disposition = triage(crisis(Finding(category="suicide")), POLICY, PACK)
    assert disposition.resources_withheld == 1
    bold = POLICY.model_copy(update={"resources": POLICY.resources.model_copy(update={"serve_unverified": True})})
    assert "nobody-checked" in [r.id for r in triage(crisis(Finding(category="suicide")), bold, PACK).resources]


def test_nobody_is_offered_a_crisis_line_for_no_crisis():
    """Resources belong to crisis and undetermined."""
    assert triage(Assessment(id="a", outcome="no_crisis", provenance=PROVENANCE), POLICY, PACK).resources == ()


def test_the_released_pack_names_a_source_for_every_entry():
    """And no entry claims a date on which nobody checked it."""
    pack = load_resources("resources-v1")
    assert pack.resources
    assert all(r.source.startswith("https://") for r in pack.resources)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("source = 'http://a.example'", "https"),
        ("source = 'https://a.example'\nverified_on = 'yesterday'", "verified_on|isoformat"),
    ],
)
def test_a_resource_without_a_proper_source_or_date_is_refused(tmp_path, change, says):
    """No number without its source, and dates are dates."""
    path = tmp_path / "pack.toml"
    path.write_text(f"id='x'\nversion=1\n[[resources]]\nid='a'\nname='a'\ncontact='1'\nlocales=['US']\n{change}\n")
    with pytest.raises(AssetError, match=says):
        load_resources(str(path))
