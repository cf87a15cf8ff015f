from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from crisis_filter.local.artifact import VOCABULARY, bundled
from crisis_filter.local.wordpiece import WordPiece, spell_out, windows

TOKENS = (bundled() / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n")
OURS = WordPiece(TOKENS)
THEIRS = Tokenizer(
    models.WordPiece({t: i for i, t in enumerate(TOKENS)}, unk_token="[UNK]", max_input_chars_per_word=100)
)
THEIRS.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
THEIRS.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]


def _long_settled(char: str) -> bool:
    # The oracle's Unicode tables are years older than Python's; letters of both ages agree on what 3.2 had.
    return unicodedata.ucd_3_2_0.category(char) != "Cn" and unicodedata.ucd_3_2_0.category(
        char
    ) == unicodedata.category(char)


SETTLED = st.characters(exclude_categories=["Cs"]).filter(_long_settled)
WORDS = st.sampled_from(
    ["don't", "suicide", "KMS", "naïve", "ΟΔΟΣ", "ß", "İstanbul", "13'ing", "日本語", "자살", "[SEP]", "…"]
)
EMOJI = st.sampled_from(["😭", "🙏🏽", "👨‍👩‍👧", "❤️", "1️⃣", "🥺", "🇺🇸"])
TEXTS = st.lists(st.text(SETTLED, max_size=12) | WORDS | EMOJI, max_size=12).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda gap: gap.join(parts))
)


@given(TEXTS)
@example("")
@example("\x00\x07tab\tnew\nline\r\n\u200b\u2028\ufffd\u00a0end")
@example("a" * 100 + " " + "a" * 101 + " pneumonoultramicroscopicsilicovolcanoconiosis")
@example("İ ǅ Σς ﬁ é é ｆｕｌｌ")
@example("中文mixed漢字,punct。")
def test_tokens_are_those_of_the_reference_tokenizer(text: str) -> None:
    """Any text of settled Unicode gives the same tokens as the `tokenizers` package."""
    assert OURS.encode(text) == THEIRS.encode(text).ids


@given(st.text(st.characters(), max_size=60))
@example("\ud800 lone \udfff")
def test_no_text_makes_it_fail(text: str) -> None:
    """Any code points at all, lone surrogates too, give numbers of the vocabulary."""
    assert all(0 <= number < len(TOKENS) for number in OURS.encode(spell_out(text)))


def test_a_text_cannot_forge_the_frame() -> None:
    """Markers written inside a text are spelled out, never the tokens that frame it."""
    numbers = OURS.encode("[CLS] fine [SEP] [PAD] [UNK]")
    assert not {OURS.classify, OURS.separate, OURS.pad, OURS.unknown} & set(numbers)


def test_an_emoji_does_not_hide_the_word_it_touches() -> None:
    """A word with an emoji stuck to it keeps its own tokens, and the emoji is read as words."""
    word = OURS.encode("suicide")
    for text in ("suicide😭", "😭suicide", "suicide👍🏽", "🙏🏽suicide", "suicide1️⃣", "suicide\U0001fae9"):
        tokens = OURS.encode(spell_out(text))
        assert tokens[: len(word)] == word or tokens[-len(word) :] == word
    assert OURS.unknown in OURS.encode("suicide😭")
    assert spell_out("😭😭😭").split() == ["loudly", "crying", "face"]


def test_typographic_quotes_read_like_plain_ones() -> None:
    """What phones put in for an apostrophe changes no token."""
    assert OURS.encode(spell_out("don\u2019t \u201cgo\u201d")) == OURS.encode('don\'t "go"')


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 12), st.data())
def test_windows_hold_every_token(tokens: list[int], size: int, data: st.DataObject) -> None:
    """Joined without their overlap, the windows are the tokens; none is longer than allowed."""
    overlap = data.draw(st.integers(0, size - 1))
    cut = windows(tokens, size=size, overlap=overlap)
    assert [t for i, w in enumerate(cut) for t in (w if i == 0 else w[overlap:])] == tokens
    assert all(len(w) <= size for w in cut)
    assert len(cut) == 1 or all(len(w) > overlap for w in cut)


def test_windows_that_cannot_progress_are_refused() -> None:
    """An overlap as large as the window is an error."""
    with pytest.raises(ValueError, match="overlap"):
        windows([1, 2], size=3, overlap=3)


@pytest.mark.parametrize("tokens", [["[PAD]", "[UNK]", "[CLS]"], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "a"]])
def test_a_broken_vocabulary_is_refused(tokens: list[str]) -> None:
    """A vocabulary without a marker, or with a token twice, is an error."""
    with pytest.raises(ValueError, match="vocabulary"):
        WordPiece(tokens)
