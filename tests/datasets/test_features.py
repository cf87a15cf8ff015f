"""What is counted of a message's language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.features import has_emoji, has_textese, sentences, spread, vocabulary, words
from tests.strategies import texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can’t, I'm DONE", ["i", "can't", "i'm", "done"]),
        ("meds w/ food, 12.5mg", ["meds", "w/", "food", "12", "5mg"]),
        ("¿qué pasa? 我不想活", ["qué", "pasa", "我不想活"]),
        ("", []),
        ("🙂 ... !!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    """Letters and digits with the apostrophes inside them, in lower case."""
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one", 1),
        ("One. Two? Three!", 3),
        ("wait... what", 2),
        ("3.5 mg", 1),
        ("line\nline", 2),
        ("...", 0),
        ("", 0),
        ("我。你。", 1),
    ],
)
def test_sentences(text: str, count: int) -> None:
    """A mark ends one where a space or the end follows."""
    assert sentences(text) == count


@pytest.mark.parametrize(
    ("text", "chat"),
    [
        ("can u call me", True),
        ("CANT sleep", True),
        ("idk", True),
        ("pls?", True),
        ("I can't sleep, please call.", False),
        ("vitamin k and b12", False),
        ("thumb", False),
        ("", False),
    ],
)
def test_textese(text: str, chat: bool) -> None:
    """A word is chat or is not; a letter that may be a sign is none."""
    assert has_textese(text) is chat


@pytest.mark.parametrize(
    ("text", "emoji"),
    [("ok 🙂", True), ("🇬🇧", True), ("❤️", True), ("1 #2 *", False), ("© 2026 ™", False), (":)", False), ("", False)],
)
def test_emoji(text: str, emoji: bool) -> None:
    """Pictures and flags; digits, which Unicode counts among them, are none."""
    assert has_emoji(text) is emoji


def test_spread() -> None:
    """By hand; one message has no spread, none has nothing."""
    found = spread([2, 4, 9])
    assert (found.n, found.mean, found.median, found.least, found.most) == (3, 5.0, 4, 2, 9)
    assert found.sd == pytest.approx(13**0.5)
    assert spread([7]).sd == 0.0
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_vocabulary() -> None:
    """Equal counts stand in the order of the alphabet; nothing has no ratio."""
    found = vocabulary(["b a", "A c"])
    assert (found.unique, found.total, found.top) == (3, 4, (("a", 2), ("b", 1), ("c", 1)))
    assert found.type_token_ratio == 0.75
    assert vocabulary([]).type_token_ratio is None


@given(texts)
def test_any_text_can_be_counted(text: str) -> None:
    """Without an exception, and no more sentences than characters."""
    assert 0 <= sentences(text) <= max(1, len(text))
    assert has_textese(text) <= bool(words(text))
    assert isinstance(has_emoji(text), bool)


@given(st.lists(texts, max_size=5))
def test_the_words_of_a_set_are_those_of_its_messages(many: list[str]) -> None:
    """Together as many as one by one."""
    assert vocabulary(many).total == sum(len(words(text)) for text in many)
