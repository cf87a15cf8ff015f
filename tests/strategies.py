"""Hypothesis strategies for the records of `crisis_filter.schema`."""

from __future__ import annotations

from hypothesis import strategies as st

from crisis_filter.schema import SEVERITIES, Failure, Fault, Finding, ScreenVerdict

CATEGORIES = (
    "abuse",
    "neglect",
    "eating_disorder",
    "psychosis",
    "self_harm",
    "suicide",
    "substance_misuse",
    "violence",
)
SUBJECTS = ("self", "other", "both", "unclear")
TIMEFRAMES = ("past", "recent", "current", "future", "unclear")

scores = st.none() | st.floats(0.0, 1.0)


@st.composite
def verdicts(draw: st.DrawFn) -> ScreenVerdict:
    """Any verdict, clean or read from a faulty answer."""
    crisis = draw(st.booleans())
    score = draw(scores)
    return ScreenVerdict(
        crisis=crisis,
        may_clear=draw(st.booleans()),
        score=score,
        score_source=None if score is None else "engine",
        fault=draw(st.none() | st.sampled_from(Fault)) if crisis else None,
    )


failures = st.builds(Failure, fault=st.sampled_from(Fault))
results = st.lists(verdicts() | failures, max_size=6)
findings = st.builds(
    Finding,
    category=st.sampled_from((*CATEGORIES, "unspecified")),
    severity=st.none() | st.sampled_from(SEVERITIES),
    subject=st.sampled_from(SUBJECTS),
    timeframe=st.sampled_from(TIMEFRAMES),
)
texts = st.text(alphabet=st.characters(exclude_categories=[]), max_size=80)
"""Any text, unpaired surrogates included."""
