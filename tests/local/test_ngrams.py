"""Words as numbered buckets, and token numbers as words again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.local.artifact import VOCABULARY, bundled
from crisis_filter.local.ngrams import bucketed, grams
from crisis_filter.local.wordpiece import WordPiece, words

TOKENIZER = WordPiece((bundled("starter-v1") / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n"))


@pytest.mark.parametrize(
    ("given_words", "found"),
    [
        ([], []),
        (["a"], ["wa", " a", "a ", " a "]),
        (["i", "go"], ["wi", " i", "i ", " i ", "wgo", "bi go", " g", "go", "o ", " go", "go ", " go "]),
    ],
)
def test_grams_are_words_pairs_and_pieces_with_edges(given_words, found):
    """Two to five letters, an edge counting as one."""
    assert sorted(grams(given_words)) == sorted(found)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=12), st.integers(1, 4096))
def test_every_gram_is_counted_in_one_bucket(some, buckets):
    """1 + ln of how often; a last entry without weight, so that nothing has one entry as well."""
    numbers, values = bucketed(some, buckets)
    assert len(numbers) == len(values) == len(set(numbers[:-1])) + 1
    assert values[-1] == 0
    assert np.exp(values[:-1] - 1).sum() == pytest.approx(len(list(grams(some))), rel=1e-4)
    assert all(0 <= number < buckets for number in numbers)
    assert (numbers.dtype, values.dtype) == (np.int64, np.float32)


def test_the_same_words_fall_into_the_same_buckets_on_every_machine():
    """The hash is fixed by a standard (CRC-32), not by this process."""
    numbers, values = bucketed(["die"], 1 << 18)
    assert sorted(numbers[:-1].tolist()) == [
        65495,
        90620,
        110037,
        128968,
        153542,
        157088,
        168732,
        192717,
        218855,
        235159,
        256173,
    ]
    assert values[:-1].tolist() == [1.0] * 11
    assert bucketed(["die", "die"], 1 << 18)[1].max() == pytest.approx(1 + math.log(2))


@given(st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), max_size=10))
def test_decoding_gives_the_words_back(some):
    """Whatever pieces they were cut into."""
    text = " ".join(some)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == list(words(text)) == some


def test_what_no_token_stands_for_is_left_out():
    """An unknown word is nothing, and does not glue its neighbours; a run that begins inside a word gives the rest of it."""
    assert TOKENIZER.decode([TOKENIZER.unknown, *TOKENIZER.encode("help me")]) == ["help", "me"]
    pieces = TOKENIZER.encode("unbelievablest")
    assert len(pieces) > 1
    assert "unbelievablest".endswith("".join(TOKENIZER.decode(pieces[1:])))
    assert TOKENIZER.decode([]) == []
