"""The tables of look-alikes, and where a word is read as Latin."""

from __future__ import annotations

import unicodedata

import pytest

from crisis_filter.text import confusables, turned
from crisis_filter.text.confusables import as_latin, unmasked
from crisis_filter.text.turned import turned_back


def test_every_look_alike_stands_for_one_latin_letter():
    """Pairs that slipped out of step would fold letters into nonsense; composed forms would never be met."""
    pairs = confusables._ALL
    assert len(pairs) > 200
    for look_alike, letter in pairs.items():
        assert letter.isascii()
        assert letter.isalpha()
        assert not look_alike.isascii()
        assert unicodedata.normalize("NFKC", look_alike) == look_alike
        assert as_latin(look_alike) == letter


def test_every_turned_letter_stands_for_one_sign():
    """The same for letters on their heads; all of a to z can be written."""
    assert all(len(sign) == 1 and sign.isascii() for sign in turned._ALL.values())
    assert set("abcdefghijklmnopqrstuvwxyz") <= set(turned._ALL.values())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("I want to dіе", "I want to die"),
        ("I want to ԁіе", "I want to die"),
        ("КІLL", "KILL"),
        ("kіӏӏ mуsеlf", "kill myself"),
        ("ѕuісіԁе", "suicide"),
        ("хочу вмерти dіеt оk", "хочу вмерти diet оk"),
        ("у меня iPhoneа и SIMка, хорошо", None),
        ("у меня kіll хорошо", "у меня kill хорошо"),
        ("dіе́", "die"),
        ("ѕоѕ", None),
        ("ᴋɪʟʟ", "kill"),
        ("a ʀ sound", None),
        ("5 μg of TNFα", None),
    ],
)
def test_words_are_read_as_latin_where_that_is_what_they_are(text, read):
    """Mixed words always, whole words of look-alikes in Latin text, languages never."""
    change = unmasked(text)
    assert (change and change[0]) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ǝᴉp oʇ ʇuɐʍ ᴉ", "i want to die"),
        ("please read: ǝɯ dꞁǝɥ", "please read: help me"),
        ("ǝɯ dꞁǝɥ said my son", "help me said my son"),
        ("ɔdɔ", None),
        ("/ɹʌn/ and ʌ", None),
    ],
)
def test_upside_down_words_are_turned_back(text, read):
    """Only whole words of turned letters, and enough of them."""
    change = turned_back(text)
    assert (change and change[0]) == read
