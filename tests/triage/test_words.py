"""Rules in words."""

from __future__ import annotations

import pytest

from crisis_filter.triage.rules import Rule
from crisis_filter.triage.words import condition_words, span_words


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({}, "any"),
        ({"categories": ["self_harm", "abuse"], "severity_at_least": "severe"}, "abuse or self harm, severe or worse"),
        (
            {"severity_at_least": "imminent", "subjects": ["other", "both"]},
            "imminent, about the writer and somebody else or somebody else",
        ),
        ({"timeframes": ["past"]}, "in the past"),
        ({"timeframes": ["unclear", "current"]}, "timeframe current or unclear"),
        (
            {"faults": ["timeout"], "flags": ["chunked"], "score_at_least": 0.5},
            "fault timeout; flag chunked; score from 0.5",
        ),
        ({"degraded": True}, "service degraded"),
        ({"degraded": False, "locales": ["en-US", "GB"]}, "service whole; locale GB or en-US"),
        ({"sources": ["web_form"]}, "source web_form"),
        ({"hours": "22:00-06:00"}, "22:00-06:00"),
        ({"hours": "22:00-06:00", "weekdays": ["sun", "fri"]}, "fri, sun 22:00-06:00"),
        ({"weekdays": ["mon"]}, "mon"),
    ],
)
def test_a_rule_in_words(conditions, words):
    """Every condition is told."""
    made = {"id": "r", "outcome": "crisis", "queue": "q", "urgency": "soon", **conditions}
    assert condition_words(Rule.model_validate(made)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59, "59s"), (900, "15m"), (5400, "1h 30m"), (259200, "3d"), (90061, "1d 1h 1m 1s")],
)
def test_a_span_in_words(seconds, words):
    """Days, hours, minutes, seconds, and no zeros."""
    assert span_words(seconds) == words
