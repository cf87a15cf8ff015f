"""The messages of a drill: enough of each, taken evenly, and lengthened so that a crisis is in one piece only."""

from __future__ import annotations

import pytest

from crisis_filter.drill.answers import KnownTexts
from crisis_filter.drill.behaviours import BEHAVIOURS
from crisis_filter.drill.messages import interleaved, lengthened, load_messages, singled_out, spread
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.text import chunks

WHOLE = load_messages()


def test_the_messages_are_whole():
    """Enough of each, no text twice, categories that exist, labels on both sides."""
    taxonomy = load_taxonomy("clinical-v1")
    assert len(WHOLE.crises) >= 200
    assert len(WHOLE.ordinary) >= 200
    assert len(WHOLE.attacks) >= 60
    assert len(WHOLE.held_out) >= 60
    texts = [one.text for one in (*WHOLE.crises, *WHOLE.ordinary)]
    assert len(set(texts)) == len(texts)
    assert all(one.crisis and set(one.categories) <= set(taxonomy.ids) for one in WHOLE.crises)
    counts = [sum(name in one.categories for one in WHOLE.crises) for name in taxonomy.ids]
    assert min(counts) >= 25
    assert not any(one.crisis or one.categories for one in WHOLE.ordinary)
    assert {a.text for a in WHOLE.attacks}.isdisjoint(a.text for a in WHOLE.held_out)


@pytest.mark.parametrize("count", [40, 20])
def test_every_fault_meets_every_category(count):
    """Messages are taken evenly from the whole file, from another place for every fault."""
    ids = set(load_taxonomy("clinical-v1").ids)
    for turn in range(len(BEHAVIOURS)):
        sent = spread(WHOLE.crises, count, turn)
        assert len({one.id for one in sent}) == count
        assert {name for one in sent for name in one.categories} == ids
    few = [spread(WHOLE.crises, 2, turn) for turn in range(len(BEHAVIOURS))]
    assert {name for sent in few[:20] for one in sent for name in one.categories} == ids
    assert len({one.id for sent in few for one in sent}) > len(BEHAVIOURS)
    assert spread(WHOLE.crises, 2, 7) == few[7]


@pytest.mark.parametrize(("size", "overlap"), [(8000, 800), (1000, 100), (400, 50)])
@pytest.mark.parametrize("turn", range(6))
def test_a_long_message_holds_its_crisis_in_one_piece(size, overlap, turn):
    """At its end or its beginning, beyond what neighbours share; the other pieces are ordinary to the oracle."""
    oracle = KnownTexts.of(WHOLE.labels())
    made = lengthened(WHOLE, 2, turn, size=size, overlap=overlap)
    assert len(made) == 2
    ends = set()
    for one in made:
        marks = [oracle(piece) for piece in chunks(one.text, size=size, overlap=overlap)]
        assert len(marks) in (2, 3)
        assert sum(marks) == 1
        ends.add(marks[0])
    assert ends == {True, False}
    apart = [one.text for one in singled_out(WHOLE)]
    for plain in lengthened(WHOLE, 2, turn, size=size, overlap=overlap, crisis=False):
        pieces = chunks(plain.text, size=size, overlap=overlap)
        assert not any(oracle(piece) for piece in pieces)
        assert sum(any(one in piece for one in apart) for piece in pieces) == 1
        assert not plain.crisis
    assert lengthened(WHOLE, 2, turn, size=100, overlap=49) == ()


@pytest.mark.parametrize("count", [0, 1, 4, 7, 440, 1000])
def test_both_kinds_come_in_turn(count: int):
    """As many as asked for, or as there are; a crisis first."""
    sent = interleaved(WHOLE, count, 3)
    assert len(sent) == min(count, 440)
    assert [one.crisis for one in sent] == [number % 2 == 0 for number in range(len(sent))]
    assert len({one.id for one in sent}) == len(sent)
