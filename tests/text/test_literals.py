"""A pattern that is left out matches nowhere: leaving out may save time and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.text import attack_marks
from crisis_filter.text.attack import _PROSE, _language
from crisis_filter.text.attack_languages import LANGUAGES
from crisis_filter.text.literals import Literals, clauses

KNOWN = {
    "ignore": [{"ignore"}],
    "ab": [],
    "": [],
    ".*": [],
    "ignore all": [{"ignore all"}],
    "(?:drop|skip) (?:rules|orders)": [{"drop rules", "drop orders", "skip rules", "skip orders"}],
    "(?:drop|skip).{0,9}(?:rules|orders)": [{"drop", "skip"}, {"rules", "orders"}],
    "colou?r": [{"color", "colour"}],
    "(?:please )*stop": [{"stop"}],
    "(?:please )+stop": [{"please "}, {"stop"}],
    "abc|[a-z]{3}": [],
    "abc|x": [],
    "abc|.def": [{"abc", "def"}],
    "abc|abcd": [{"abc"}],
    r"\bfor\b[^a]get": [{"for"}, {"get"}],
    "foo(?!bar)l": [{"fool"}],
    "foo(?=barn)": [{"foo"}, {"barn"}],
    "(?<=barn)foo": [{"barn"}, {"foo"}],
    "(?i)ignore": [],
    "(?i:ignore) rules": [{" rules"}],
    "(abc)\\1def": [{"abc"}, {"def"}],
    "(?>abc|abd)e": [{"abce", "abde"}],
    "gr[ae]y": [{"gray", "grey"}],
    "gr[^a]yes": [{"yes"}],
    r"gr\wyes": [{"yes"}],
    "[0-9]{3}": [],
}


@pytest.mark.parametrize("pattern", KNOWN)
def test_what_every_match_holds(pattern):
    assert clauses(re.compile(pattern)) == {frozenset(strings) for strings in KNOWN[pattern]}


@pytest.mark.parametrize("flags", [re.IGNORECASE, re.VERBOSE, re.DOTALL, re.MULTILINE, re.ASCII])
def test_of_a_pattern_with_flags_nothing_is_known(flags):
    assert clauses(re.compile("ignore", flags)) == frozenset()


ATTACKS = [
    *(pattern for _, several in _PROSE for pattern in several),
    *attack_marks.FORGED_STRUCTURE,
    *attack_marks.FORGED_VERDICT,
    *(pattern for stems in LANGUAGES.values() for pattern in _language(stems)),
]


# What forbids matches, and makes drawing them from a pattern slow.
FORBIDDING = re.compile(r"\(\?<?!(?:[^()\\]|\\.)*\)|\\b")


@pytest.mark.parametrize("place", range(len(ATTACKS)))
@settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_no_match_of_an_attack_is_left_out(place, data):
    """Texts drawn from the pattern, less what forbids matches: each matches that, and most match the pattern itself."""
    pattern = re.compile(ATTACKS[place])
    looser = re.compile(FORBIDDING.sub("", ATTACKS[place]))
    text = data.draw(st.from_regex(looser))
    for one in (pattern, looser):
        assert list(Literals([one]).matching(text)) == ([0] if one.search(text) else [])


WORDS = st.lists(
    st.sampled_from(["ab", "bc", "abc", "drop", "rules", "ru", "les", " ", "x", "é", "忽略", "abcabc"]), max_size=12
).map("".join)
PIECES = st.sampled_from(["ab", "c", "abc", "drop", "rules", ".", "[a-c]", "é", "忽略"])
PATTERNS = st.recursive(
    PIECES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"(?:{one})?"),
        inner.map(lambda one: f"(?:{one})+"),
        inner.map(lambda one: f"(?={one})"),
        inner.map(lambda one: f"(?!{one})"),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: rf"\b{one}"),
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(patterns=st.lists(PATTERNS, min_size=1, max_size=5), text=WORDS)
def test_any_patterns_find_what_searching_each_finds(patterns, text):
    compiled = [re.compile(pattern) for pattern in patterns]
    literals = Literals(compiled)
    found = [place for place, pattern in enumerate(compiled) if pattern.search(text)]
    assert list(literals.matching(text)) == found
    assert literals.search(text) == bool(found)
    assert set(found) <= set(literals.possible(text))


def test_most_patterns_are_left_out_of_an_ordinary_message():
    literals = Literals([re.compile(pattern) for _, several in _PROSE for pattern in several])
    assert len(list(literals.possible(" hello can i move my appointment to thursday please i have to work "))) <= 2
