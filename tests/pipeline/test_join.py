"""Joining what several views named: the graver reading wins, nothing is lost."""

from __future__ import annotations

import itertools

import pytest

from crisis_filter.pipeline.join import join_findings, join_subjects, join_timeframes
from crisis_filter.schema import SEVERITIES
from crisis_filter.stages.base import Named
from crisis_filter.text import QuoteFinder

ORDER = ("violence", "abuse", "neglect")
TEXT = "he hits me and there is no food"


def joined(*named: Named):
    return join_findings(named, QuoteFinder(TEXT), ORDER)


def test_findings_come_in_the_taxonomys_order_and_unknown_ones_last():
    """Not in the order of the views and not by the alphabet."""
    findings, _ = joined(*(Named(category=name) for name in ("neglect", "unspecified", "abuse", "violence")))
    assert [finding.category for finding in findings] == [*ORDER, "unspecified"]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations((None, *SEVERITIES), 2)))
def test_the_graver_severity_wins_whichever_view_gave_it(one, other):
    """No severity gives way to any."""
    for pair in ((one, other), (other, one)):
        (finding,), _ = joined(*(Named(category="abuse", severity=severity) for severity in pair))
        assert finding.severity == other


def test_quotes_of_all_views_are_looked_up_and_the_lost_ones_of_every_category_counted():
    """A quote that is not in the text is dropped; the category stays."""
    findings, dropped = joined(
        Named(category="abuse", quotes=("he hits", "made up")),
        Named(category="abuse", quotes=("there is",)),
        Named(category="neglect", quotes=("no food", "invented", "never said")),
    )
    assert [[evidence.quote for evidence in finding.evidence] for finding in findings] == [
        ["he hits", "there is"],
        ["no food"],
    ]
    assert dropped == 3


def test_probability_subject_timeframe_and_the_first_reason_given_are_kept():
    """Each from whichever view gave it."""
    (finding,), _ = joined(
        Named(category="abuse", probability=0.2, subject="self", timeframe="past", rationale=""),
        Named(category="abuse", probability=0.7, timeframe="current", rationale="first"),
        Named(category="abuse", subject="self", rationale="second"),
    )
    assert (finding.probability, finding.subject, finding.timeframe, finding.rationale) == (
        0.7,
        "self",
        "current",
        "first",
    )


def test_what_no_view_gave_is_not_made_up():
    """No severity, no probability, no reason."""
    (finding,), dropped = joined(Named(category="abuse"))
    assert (finding.severity, finding.probability, finding.rationale, finding.evidence) == (None, None, None, ())
    assert (finding.subject, finding.timeframe, dropped) == ("unclear", "unclear", 0)
    assert joined() == ((), 0)


@pytest.mark.parametrize(
    ("subjects", "together"),
    [
        ([], "unclear"),
        (["unclear"], "unclear"),
        (["self", "unclear"], "self"),
        (["other", "other"], "other"),
        (["self", "other"], "both"),
        (["self", "both"], "both"),
        (["both", "unclear"], "both"),
    ],
)
def test_whose_crisis_it_is(subjects, together):
    """Somebody else's never hides the writer's own."""
    assert join_subjects(subjects) == together


def test_the_nearest_in_time_wins():
    """Current before recent, future, past and unclear; nothing at all is unclear."""
    nearness = ("unclear", "past", "future", "recent", "current")
    for farther, nearer in itertools.combinations(nearness, 2):
        assert join_timeframes([farther, nearer]) == join_timeframes([nearer, farther]) == nearer
    assert join_timeframes([]) == "unclear"
