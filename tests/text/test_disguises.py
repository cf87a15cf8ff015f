"""Metamorphic: however a sentence is disguised, the normalised view is the sentence."""

from __future__ import annotations

import pytest

from crisis_filter.text import QuoteFinder, normalise, views
from tests.text.disguises import KEEPS_CASE, LOSES_CASE, SENTENCES, reversed_for_the_eye


def test_there_are_enough_sentences():
    """A claim of 100% over a handful would be none."""
    assert len(set(SENTENCES)) == len(SENTENCES) >= 40


@pytest.mark.parametrize("disguise", KEEPS_CASE.values(), ids=KEEPS_CASE)
def test_a_disguise_comes_off(disguise):
    """The normalised view is the plain sentence, letter for letter, and it is judged beside the raw one."""
    for plain in SENTENCES:
        hidden = disguise(plain)
        assert hidden != plain
        assert plain in normalise(hidden).text
        assert [v.name for v in views(hidden)][:2] == ["raw", "normalised"]


@pytest.mark.parametrize("disguise", LOSES_CASE.values(), ids=LOSES_CASE)
def test_a_disguise_without_case_comes_off(disguise):
    """The same but for case, which such letters do not have."""
    for plain in SENTENCES:
        hidden = disguise(plain)
        assert normalise(hidden, casefold=True).text == plain.casefold()
        assert [v.name for v in views(hidden)] == ["raw", "normalised"]


def test_a_sentence_turned_round_by_an_override_is_read_as_displayed():
    """A third view shows what the screen shows."""
    for plain in SENTENCES:
        assert [v.text for v in views(f"ok {reversed_for_the_eye(plain)}")][-1] == f"ok {plain}"


@pytest.mark.parametrize(
    "disguise",
    [*KEEPS_CASE.values(), *LOSES_CASE.values(), reversed_for_the_eye],
    ids=[*KEEPS_CASE, *LOSES_CASE, "round"],
)
def test_evidence_is_found_under_a_disguise(disguise):
    """A model quotes the view it read; the evidence is the raw stretch behind it, and from the raw view verbatim."""
    for plain in SENTENCES:
        hidden = "Hello. " + disguise(plain) + "\nThanks"
        words = plain.rstrip(".?").split()[1:4]
        (evidence,), dropped = QuoteFinder(hidden).find([" ".join(words)])
        assert dropped == 0
        assert hidden[evidence.start : evidence.end] == evidence.quote
        assert evidence.start >= len("Hello. ")
        assert evidence.end <= len(hidden) - len("\nThanks")
        (whole,), dropped = QuoteFinder(hidden).find([disguise(plain)])
        assert dropped == 0
        assert whole.start >= len("Hello. ") - 1


@pytest.mark.parametrize("disguise", [*KEEPS_CASE, *LOSES_CASE])
def test_a_disguised_word_in_a_plain_message_is_read(disguise):
    """One hidden word among plain ones is the usual case."""
    hide = (KEEPS_CASE | LOSES_CASE)[disguise]
    text = "since march I think about " + hide("suicide") + " most days"
    assert "suicide" in normalise(text, casefold=True).text


@pytest.mark.parametrize(
    ("what", "hidden"),
    [
        ("leetspeak: a digit for a letter is part of ordinary codes and names", "su1c1de"),
        ("plain reversal, without an override", "edicius"),
        ("accents: they are letters of real languages", "sùïcîdé"),
        ("letters run together with the words around", "wanttodie"),
        ("look-alikes that are ideographs", "丂ㄩ丨匚丨ᗪ乇"),
        ("dotted initials in capitals, up to five", "D.I.E."),
        ("a dotless i, which Turkish needs", "suıcıde"),
    ],
)
def test_what_is_not_undone(what, hidden):
    """Known limits: here only the raw view speaks, and what reads it must see through it."""
    assert "suicide" not in normalise(hidden, casefold=True).text
    assert normalise(hidden).text == hidden
