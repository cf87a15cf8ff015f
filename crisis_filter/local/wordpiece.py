"""The WordPiece tokenizer of BERT uncased, and the few things done to a text before it.

The tokens are those of the `tokenizers` package with the same vocabulary (a test compares the two), with two exceptions. A
marker such as `[SEP]` inside a text is ordinary punctuation and letters here: a message cannot forge the frame around it.
And some 500 rare code points that Unicode added or moved since version 9 follow the Unicode tables of this Python.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

PAD, UNKNOWN, CLASSIFY, SEPARATE = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_LONGEST_WORD = 100
_GOES_ON = "##"
_QUOTES = str.maketrans("‘’‚‛“”„‟´`", "''''\"\"\"\"''")  # noqa: RUF001  # the look-alikes are the point
# Ranges that BERT calls Chinese characters; each becomes a word of its own.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_SYMBOLS = re.compile(r"([^\x00-\x7f])\1*")


def _spell(run: re.Match[str]) -> str:
    char = run.group(1)
    kind = unicodedata.category(char)
    if kind == "So":
        return f" {unicodedata.name(char, '').lower()} "
    if kind in {"Sk", "Me"}:  # skin tones and keycaps
        return " "
    return f" {char} " if kind == "Cn" else run.group()  # perhaps an emoji younger than this Python


def spell_out(text: str) -> str:
    """Typographic quotes as ASCII, and each run of one emoji as its Unicode name in words.

    BERT knows no emoji, and one that touches a word makes the whole word unknown.
    """
    return _SYMBOLS.sub(_spell, text.translate(_QUOTES))


@lru_cache(maxsize=4096)
def _is_punctuation(char: str) -> bool:
    if char.isascii():
        return not char.isalnum() and not char.isspace() and char.isprintable()
    return unicodedata.category(char).startswith("P")


def _is_ideograph(char: str) -> bool:
    code = ord(char)
    return any(first <= code <= last for first, last in _IDEOGRAPHS)


def _clean(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs" or char in "\u2028\u2029":
        return " "
    if char == "\ufffd" or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"}:
        return ""
    return f" {char} " if _is_ideograph(char) else char


def _fold(text: str) -> str:
    """Lower-case letters without accents and controls, spaces around ideographs."""
    if text.isascii() and text.isprintable():
        return text.lower()
    cleaned = "".join(map(_clean, text))
    stripped = "".join(c for c in unicodedata.normalize("NFD", cleaned) if unicodedata.category(c) != "Mn")
    # Letter by letter: `str.lower` on the whole would choose the final sigma by its neighbours.
    return "".join(c.lower() for c in stripped)


def words(text: str) -> Iterator[str]:
    """Words and single punctuation marks of a text, folded, in order."""
    for chunk in _fold(text).split():
        word = ""
        for char in chunk:
            if _is_punctuation(char):
                if word:
                    yield word
                yield char
                word = ""
            else:
                word += char
        if word:
            yield word


class WordPiece:
    """Turns text into token numbers of one vocabulary.

    Args:
        vocabulary: the tokens; the place of a token is its number.

    Raises:
        ValueError: when the vocabulary lacks one of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, or holds a token twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._tokens = tuple(vocabulary)
        self._numbers: Mapping[str, int] = {token: number for number, token in enumerate(vocabulary)}
        if len(self._numbers) != len(vocabulary):
            raise ValueError("the vocabulary holds a token twice")
        if missing := [t for t in (PAD, UNKNOWN, CLASSIFY, SEPARATE) if t not in self._numbers]:
            raise ValueError(f"the vocabulary lacks {', '.join(missing)}")
        self.pad = self._numbers[PAD]
        self.unknown = self._numbers[UNKNOWN]
        self.classify = self._numbers[CLASSIFY]
        self.separate = self._numbers[SEPARATE]

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, without `[CLS]` and `[SEP]`.

        A word that no pieces cover, or longer than 100 code points, is one `[UNK]`. A text without anything visible
        gives an empty list. Lone surrogates and control characters are passed over.
        """
        return [number for word in words(text) for number in self._pieces(word)]

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """The words that token numbers stand for, an unknown one left out; a run that begins inside a word gives its end as a word."""
        out: list[str] = []
        joins = False
        for number in numbers:
            token = self._tokens[number]
            if number == self.unknown:
                joins = False
            elif token.startswith(_GOES_ON) and len(token) > len(_GOES_ON):
                if joins:
                    out[-1] += token.removeprefix(_GOES_ON)
                else:
                    out.append(token.removeprefix(_GOES_ON))
                joins = True
            else:
                out.append(token)
                joins = True
        return out

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self.unknown]
        pieces: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(word[start:end] if start == 0 else f"{_GOES_ON}{word[start:end]}")
                if number is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                return [self.unknown]
        return pieces


def windows(tokens: Sequence[int], *, size: int, overlap: int) -> list[list[int]]:
    """Overlapping runs of tokens that together hold every token; one run, perhaps empty, when they fit.

    Args:
        tokens: any number of tokens.
        size: most tokens in a run, at least 1.
        overlap: tokens that neighbours share, from 0 to below `size`.

    Raises:
        ValueError: when `size` and `overlap` don't allow progress.
    """
    if not 0 <= overlap < size:
        raise ValueError("overlap must be at least 0 and below size")
    last = max(len(tokens) - overlap, 1)
    return [list(tokens[start : start + size]) for start in range(0, last, size - overlap)]
