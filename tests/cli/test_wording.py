"""Words for people are complete."""

from __future__ import annotations

from typing import get_args

from crisis_filter.cli.wording import ASCII_SYMBOLS, FAULTS, OUTCOMES, SCORE_SOURCES, SHARED_CAUSES, STYLES, SYMBOLS
from crisis_filter.schema import Fault, Outcome, ScoreSource


def test_every_fault_has_a_meaning_and_an_advice() -> None:
    """Each fault is told in a sentence, with a sentence on what happens next."""
    assert set(FAULTS) == set(Fault)
    assert [f for f, words in FAULTS.items() if not all(part.endswith(".") for part in words)] == []
    assert set(Fault) >= SHARED_CAUSES


def test_every_outcome_and_source_has_words() -> None:
    """No outcome is told by colour alone, and no two share a symbol."""
    for table in (OUTCOMES, SYMBOLS, ASCII_SYMBOLS, STYLES):
        assert set(table) == set(get_args(Outcome))
        assert len(set(table.values())) == len(table)
    assert set(SCORE_SOURCES) == set(get_args(ScoreSource))
