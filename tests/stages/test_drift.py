"""Categories read from faulty Stage 2 answers: what of them is kept, and how much is looked at."""

from __future__ import annotations

import itertools
import json

import pytest

from crisis_filter.schema import SEVERITIES
from crisis_filter.stages.base import Named
from crisis_filter.stages.drift import drifted_categories
from tests.strategies import CATEGORIES, SUBJECTS, TIMEFRAMES


def read(text: str) -> dict[str, Named]:
    return {named.category: named for named in drifted_categories(text, CATEGORIES)}


def marking(**fields: object) -> str:
    return json.dumps({"nonce": "x", "abuse": {"present": True, **fields}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("severity", word) for word in SEVERITIES),
        *(("subject", word) for word in SUBJECTS),
        *(("timeframe", word) for word in TIMEFRAMES),
        ("rationale", "he says so"),
        ("quotes", ["one", "two"]),
    ],
)
def test_a_valid_field_is_kept(field, value):
    """Each of them, in an answer that has another fault."""
    kept = getattr(read(marking(**{field: value}))["abuse"], field)
    assert kept == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("field", "value", "instead"),
    [
        ("severity", "dire", None),
        ("severity", 3, None),
        ("subject", "the dog", "unclear"),
        ("subject", None, "unclear"),
        ("timeframe", ["past"], "unclear"),
        ("rationale", 7, None),
        ("rationale", "", None),
        ("quotes", "not a list", ()),
        ("quotes", ["one", 2, None], ("one",)),
    ],
)
def test_a_worthless_field_is_left_out_and_the_category_kept(field, value, instead):
    """What is wrong with a field never takes the category away."""
    assert getattr(read(marking(**{field: value}))["abuse"], field) == instead


def test_what_an_answer_does_not_give_is_not_made_up():
    """Only the mark."""
    assert read(marking())["abuse"] == Named(category="abuse")


@pytest.mark.parametrize(("milder", "graver"), list(itertools.combinations((None, *SEVERITIES), 2)))
def test_of_a_category_marked_twice_the_graver_one_stands(milder, graver):
    """Whichever comes first."""
    for first, second in ((milder, graver), (graver, milder)):
        text = marking(severity=first) + marking(severity=second)
        assert read(text)["abuse"].severity == graver


def test_of_two_that_are_as_grave_the_first_stands():
    """So the same answer always reads the same."""
    text = marking(severity="mild", rationale="first") + marking(severity="mild", rationale="second")
    assert read(text)["abuse"].rationale == "first"


def test_categories_come_in_the_taxonomys_order_and_unspecified_last():
    """Whatever the order of the answer."""
    text = json.dumps({name: {"present": True} for name in ("doom", *reversed(CATEGORIES))})
    assert [named.category for named in drifted_categories(text, CATEGORIES)] == [*CATEGORIES, "unspecified"]


@pytest.mark.parametrize("present", [False, None, "false", 0, "no"])
def test_what_is_not_marked_is_not_named(present):
    """A name before an object is no mark by itself, nor is another object's mark its own."""
    text = json.dumps({"abuse": {"present": present}, "neglect": {"present": True}})
    assert set(read(text)) == {"neglect"}


def test_a_cut_object_that_marks_itself_counts_without_its_fields():
    """The answer ended in the middle of it."""
    assert read('{"abuse": {"severity": "severe", "present": true, "quo') == {"abuse": Named(category="abuse")}


def test_a_mark_late_in_a_long_object_is_seen():
    """A whole object of any length; a cut one as far as eight thousand characters."""
    assert set(read(marking(rationale="w" * 20_000))) == {"abuse"}
    whole = json.dumps({"abuse": {"rationale": "w" * 20_000, "present": True}})
    assert set(read(whole)) == {"abuse"}
    cut = '{"abuse": {"rationale": "' + "w" * 7_900 + '", "present": true'
    assert set(read(cut)) == {"abuse"}


def test_two_hundred_objects_are_looked_at():
    """More than any answer has; what comes after costs no time."""
    empty = '"abuse": {"present": false}, '
    mark = '"neglect": {"present": true}'
    assert set(read("{" + empty * 199 + mark + "}")) == {"neglect"}
    assert set(read("{" + empty * 200 + mark + "}")) == set()
