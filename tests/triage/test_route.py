"""Routing: a table a clinical safety lead can read, and the laws it keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import AssetError
from crisis_filter.schema import OUTCOMES, SEVERITIES, URGENCIES, Assessment, Fault, Finding, Provenance, Resource
from crisis_filter.triage.policy import Policy, Rule, load_policy
from crisis_filter.triage.resources import ResourcePack, load_resources
from crisis_filter.triage.route import plainly, triage
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


@pytest.mark.parametrize("made", [crisis(Finding(category="suicide")), undetermined(Fault.TIMEOUT)])
def test_what_a_baseline_says_is_never_routed(made):
    """It is for evaluation: neither its crises nor its failures get a queue."""
    theirs = made.model_copy(update={"provenance": Provenance(detector="baseline:llama-guard-3-8b", version="0")})
    with pytest.raises(ValueError, match="never routed"):
        triage(theirs, POLICY, EMPTY)
    assert triage(made, POLICY, EMPTY).queue


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


def ruled(*rules: dict[str, Any]) -> Policy:
    """The default policy with rules of the test's own before those that take everything."""
    base = tuple(rule for rule in POLICY.rules if rule.unconditional)
    own = tuple(Rule(id=f"own-{at}", queue="act-now", **rule) for at, rule in enumerate(rules))
    return POLICY.model_copy(update={"rules": (*own, *base)})


def decided_by(assessment: Assessment, *rules: dict[str, Any]) -> str:
    return triage(assessment, ruled(*rules), EMPTY).rule


SEVERE = Finding(category="abuse", severity="severe", subject="other", timeframe="recent")
MILD = Finding(category="neglect", severity="mild", subject="self", timeframe="past")


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"categories": {"abuse"}}, True),
        ({"categories": {"psychosis"}}, False),
        ({"severity_at_least": "severe"}, True),
        ({"severity_at_least": "moderate"}, True),
        ({"severity_at_least": "imminent"}, False),
        ({"subjects": {"other"}}, True),
        ({"subjects": {"both"}}, False),
        ({"timeframes": {"past"}}, True),
        ({"timeframes": {"current"}}, False),
        ({"categories": {"abuse"}, "severity_at_least": "severe", "subjects": {"other"}}, True),
        ({"categories": {"neglect"}, "severity_at_least": "severe"}, False),
        ({"categories": {"neglect"}, "subjects": {"other"}}, False),
        ({"categories": {"neglect"}, "timeframes": {"recent"}}, False),
        ({"subjects": {"self"}, "timeframes": {"recent"}}, False),
    ],
)
def test_conditions_on_findings_are_met_by_one_finding_together(conditions, matches):
    """What two findings meet between them counts for nothing."""
    rule = {"outcome": "crisis", "urgency": "emergency", **conditions}
    assert (decided_by(crisis(MILD, SEVERE), rule) == "own-0") is matches


@pytest.mark.parametrize(
    ("severity", "least", "matches"),
    [(None, "moderate", True), (None, "severe", False), ("mild", "moderate", False), ("mild", "mild", True)],
)
def test_a_finding_without_severity_counts_as_moderate(severity, least, matches):
    """Neither as nothing nor as the worst."""
    rule = {"outcome": "crisis", "urgency": "emergency", "severity_at_least": least}
    assert (decided_by(crisis(Finding(category="abuse", severity=severity)), rule) == "own-0") is matches


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"faults": {Fault.TIMEOUT}}, True),
        ({"faults": {Fault.SCHEMA, Fault.TIMEOUT}}, True),
        ({"faults": {Fault.SCHEMA}}, False),
        ({"flags": {"chunked"}}, True),
        ({"flags": {"chunked", "obfuscated"}}, True),
        ({"flags": {"obfuscated"}}, False),
        ({"score_at_least": 0.4}, True),
        ({"score_at_least": 0.41}, False),
        ({"faults": {Fault.TIMEOUT}, "flags": {"obfuscated"}}, False),
        ({"faults": {Fault.SCHEMA}, "flags": {"chunked"}}, False),
        ({"flags": {"chunked"}, "score_at_least": 0.41}, False),
        ({"categories": {"abuse"}}, False),
    ],
)
def test_conditions_on_the_whole_hold_all_at_once(conditions, matches):
    """Fault, flags and score; one flag of several is enough; a condition on findings needs one."""
    lost = undetermined(Fault.TIMEOUT, 0.4).model_copy(update={"flags": ("chunked", "duplicate_id")})
    rule = {"outcome": "undetermined", "urgency": "emergency", **conditions}
    assert (decided_by(lost, rule) == "own-0") is matches


def test_a_score_that_is_not_there_meets_no_condition_on_it():
    """Undefined is not zero."""
    rule = {"outcome": "undetermined", "urgency": "emergency", "score_at_least": 0.0}
    assert decided_by(undetermined(Fault.TIMEOUT), rule) == "undetermined"
    assert decided_by(undetermined(Fault.TIMEOUT, 0.0), rule) == "own-0"


def test_a_rule_is_for_its_outcome_only():
    """However urgent it is."""
    rules = [{"outcome": outcome, "urgency": "emergency"} for outcome in ("undetermined", "no_crisis")]
    assert decided_by(crisis(SEVERE), *rules) == "crisis"
    assert decided_by(undetermined(Fault.TIMEOUT), *rules) == "own-0"


def test_the_most_urgent_decides_and_among_equals_the_first():
    """Whatever the order in the file."""
    rules = [{"outcome": "crisis", "urgency": urgency} for urgency in ("routine", "urgent", "emergency", "emergency")]
    assert decided_by(crisis(SEVERE), *rules) == "own-2"


def test_only_a_rule_for_empty_content_alone_goes_before_a_more_urgent_one():
    """One that names another fault besides is a rule like any other."""
    empty = undetermined(Fault.EMPTY_CONTENT)
    urgent = {"outcome": "undetermined", "urgency": "emergency"}
    alone = {"outcome": "undetermined", "urgency": "routine", "faults": {Fault.EMPTY_CONTENT}}
    with_another = {**alone, "faults": {Fault.EMPTY_CONTENT, Fault.TIMEOUT}}
    assert decided_by(empty, urgent, alone) == "own-1"
    assert decided_by(empty, urgent, with_another) == "own-0"


def test_a_disposition_has_the_rules_queue_and_urgency():
    """For every outcome; help is offered with a crisis and with what is undetermined, and only withheld help is counted."""
    rules = [{"outcome": outcome, "urgency": "emergency"} for outcome in ("crisis", "undetermined", "no_crisis")]
    calm = Assessment(id="a", outcome="no_crisis", provenance=PROVENANCE)
    for at, (assessment, withheld) in enumerate([(crisis(SEVERE), 1), (undetermined(Fault.TIMEOUT), 1), (calm, 0)]):
        disposition = triage(assessment, ruled(*rules), PACK)
        assert (disposition.rule, disposition.queue, disposition.urgency) == (f"own-{at}", "act-now", "emergency")
        assert (bool(disposition.resources), disposition.resources_withheld) == (bool(withheld), withheld)


@pytest.mark.parametrize("outcome", ["crisis", "undetermined", "no_crisis"])
def test_an_outcome_of_which_nothing_else_is_known_goes_by_a_rule_without_conditions(outcome):
    """The most urgent of them, the first among equals."""
    rules = [
        {"outcome": outcome, "urgency": "emergency", "flags": {"chunked"}},
        {"outcome": outcome, "urgency": "soon"},
        {"outcome": outcome, "urgency": "urgent"},
        {"outcome": outcome, "urgency": "urgent"},
        *({"outcome": other, "urgency": "emergency"} for other in OUTCOMES if other != outcome),
    ]
    disposition = plainly(outcome, ruled(*rules))
    assert (disposition.rule, disposition.queue, disposition.urgency) == ("own-2", "act-now", "urgent")
    assert (disposition.resources, disposition.resources_withheld) == ((), 0)
