"""The dresses of the metamorphic tests change what they say they change, and the counts of the benches add up."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.calibration import drawn, line
from bench.cascade import MESSAGES, at_prevalences
from bench.robustness import NEGATIONS, lines, measure, spread
from bench.transforms import TRANSFORMS
from crisis_filter.datasets.records import Labelled
from crisis_filter.schema import Assessment, Fault, Finding, Provenance
from crisis_filter.stats.calibration import calibration
from crisis_filter.stats.intervals import wilson
from crisis_filter.text import normalise

MESSAGE = "I can't tell anyone, my dad hits me and I'm scared about tonight."
RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("upper case", MESSAGE.upper()),
        ("lower case", MESSAGE.lower()),
        ("textese", "I cant tell anyone, mi dad hits me n im scared abt 2nite."),
        ("curly quotes", "“I can’t tell anyone, my dad hits me and I’m scared about tonight.”"),
        ("no punctuation", "I cant tell anyone my dad hits me and Im scared about tonight"),
        (
            "third person",
            "my sister says this about herself: she can't tell anyone, her dad hits her and she is scared about tonight.",
        ),
    ],
)
def test_a_dress_without_chance_is_exactly_this(name, found):
    """In full, so that nobody has to guess what was measured."""
    assert TRANSFORMS[name](MESSAGE, RNG(0)) == found


@pytest.mark.parametrize("name", ["zero-width", "homoglyphs"])
def test_what_hides_letters_is_undone_by_the_normalised_view(name):
    """A reader sees no difference, and the filter reads both."""
    dressed = TRANSFORMS[name](MESSAGE, RNG(0))
    assert dressed != MESSAGE
    assert normalise(dressed).text == MESSAGE


@pytest.mark.parametrize(
    "name", ["logistics before", "logistics after", "long benign text around", "injected instruction"]
)
def test_what_is_put_around_leaves_the_message_whole(name):
    """Word for word."""
    dressed = TRANSFORMS[name](MESSAGE, RNG(0))
    assert MESSAGE in dressed
    assert len(dressed) > len(MESSAGE) + 30


@given(st.text(max_size=80), st.sampled_from(sorted(TRANSFORMS)), st.integers(0, 99))
def test_every_dress_takes_any_text_and_is_decided_by_its_generator(text, name, seed):
    """The same seed, the same dress."""
    assert TRANSFORMS[name](text, RNG(seed)) == TRANSFORMS[name](text, RNG(seed))


def test_there_are_five_negation_pairs_of_each_category():
    """And no text comes twice."""
    pairs = [json.loads(row) for row in NEGATIONS.read_text(encoding="utf-8").splitlines()]
    assert set(Counter(pair["category"] for pair in pairs).values()) == {5}
    texts = [pair[side] for pair in pairs for side in ("crisis", "not")]
    assert len(set(texts)) == 80


class Fragile:
    """A filter that finds a crisis only in lower case, and cannot say where it sees a zero-width space."""

    def classify_many(self, messages):
        for message in messages:
            lost = "\u200b" in message.text
            outcome = "undetermined" if lost else "crisis" if "dad hits" in message.text else "no_crisis"
            yield Assessment(
                id=message.id,
                outcome=outcome,
                fault=Fault.TIMEOUT if lost else None,
                findings=(Finding(category="abuse"),) if outcome == "crisis" else (),
                provenance=Provenance(detector="test", version="0"),
            )


def labelled(text: str, *, crisis: bool) -> Labelled:
    return Labelled(
        id=str(hash(text)), text=text, crisis=crisis, categories=("abuse",) if crisis else (), author="a", stratum="s",
        severity="mild" if crisis else None, subject="self" if crisis else None, timeframe="current" if crisis else None,
    )  # fmt: skip


def test_flips_are_counted_of_what_was_found_and_undetermined_is_no_flip():
    """By category as well; what was missed as it stands is in no denominator."""
    crises = [labelled(text, crisis=True) for text in ("my dad hits me", "he sometimes beats me")]
    result = measure(Fragile(), crises, [labelled("what time do you open", crisis=False)])
    assert (result["crises"], result["found"], result["spared"]) == (2, 1, 1)
    upper, hidden, lower = (result["dresses"][name] for name in ("upper case", "zero-width", "lower case"))
    assert (upper["flipped"], upper["n"], upper["by_category"]) == (1, 1, {"abuse": [1, 1]})
    assert (hidden["flipped"], hidden["undetermined"]) == (0, 1)
    assert (lower["flipped"], lower["alarms"]) == (0, 0)
    result["negations"] = {"pairs": 1, "both_right": 0, "crisis_found": 0, "twins": {}}
    assert any(row.startswith("| upper case | 1/1 = 1.000") for row in lines(result))


@given(st.lists(st.integers(), max_size=40), st.integers(1, 60))
def test_spreading_takes_evenly_and_never_twice(rows, count):
    """All of them where there are no more."""
    found = spread(rows, count)
    assert len(found) == min(len(rows), count)
    assert found[:1] == rows[:1]


def test_what_a_cascade_saves_adds_up_at_every_prevalence():
    """Cleared and asked are everything; the sample is asked; money is calls that were not made."""
    cleared = {True: wilson(1, 100), False: wilson(60, 100)}
    for row in at_prevalences(cleared, 0.1, 0.002):
        assert row["cleared"] + row["asked"] == pytest.approx(MESSAGES)
        crises = MESSAGES * row["prevalence"]
        assert row["crises_cleared"] == pytest.approx(crises * 0.01 * 0.9)
        assert row["cleared"] == pytest.approx(crises * 0.01 * 0.9 + (MESSAGES - crises) * 0.6 * 0.9)
        assert row["crises_cleared_at_most"] > row["crises_cleared"]
        assert row["saved"] == pytest.approx(row["cleared"] * 0.002)


def test_the_reliability_diagram_is_a_picture_with_a_panel_for_each_split():
    """Well-formed, a dot for each bin, and the figures in words."""
    rng = RNG(0)
    scores = rng.random(500)
    one = calibration(rng.random(500) < scores, scores)

    class Named:
        id = "test-v1"

    picture = ET.fromstring(drawn(Named(), {"validation": one, "test": one}))  # noqa: S314  # our own
    dots = [each for each in picture.iter() if each.tag.endswith("circle")]
    assert len(dots) == 2 * len(one.bins)
    assert "500" in line("test", one)
    assert f"{one.ece:.4f}" in line("test", one)
