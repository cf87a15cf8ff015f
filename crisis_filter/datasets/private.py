"""Whether a message of a data set tells who somebody is: telephone numbers, addresses, account numbers, full names.

A scan for what should never stand in a set that is passed on. It finds forms, not meaning: a clean scan does not make real messages
anonymous.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import regex

__all__ = ["Private", "private_data"]

Private = Literal["email", "link", "phone", "number", "address", "name"]
"""What was found: an e-mail address, a web address or handle, a telephone number, another long number, a street address with a
house number, or a title or introduction with a full name."""

_NAME = r"\p{Lu}\p{Ll}+(?:[-'\u2019]\p{Lu}\p{Ll}+)?"
_STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Court|Ct|Boulevard|Blvd|Close|Crescent|Terrace)"
_SIGNS: dict[Private, regex.Pattern[str]] = {
    "email": regex.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "link": regex.compile(
        r"https?://|www\.\w|(?<![\w.])@\w{3,}|\b\w{3,}\.(?:com|org|net|co\.uk|io)\b", regex.IGNORECASE
    ),
    "phone": regex.compile(
        r"(?<![\w./:])(?:\+\d{1,3}[ .-]?|0)(?:\(?\d{1,5}\)?[ .-]?){2,5}\d{2,}(?![\w/:])"
        r"|(?<![\w./:])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w/:])"
    ),
    "number": regex.compile(r"(?<![\w.,])\d{7,}(?!\w)"),
    "address": regex.compile(rf"\b\d{{1,5}} (?:\p{{Lu}}[\p{{L}}']+ ){{1,3}}{_STREET}\b"),
    "name": regex.compile(
        rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? {_NAME} {_NAME}|\b(?i:my name is|this is|i am|i'm) {_NAME} {_NAME}\b"
    ),
}
# Blood pressure, dates, times and doses are groups of digits too.
_FEWEST_DIGITS = 9


def private_data(text: str) -> Iterator[Private]:
    """The kinds of private data that seem to stand in a text, each once; never the words."""
    for kind, pattern in _SIGNS.items():
        found = (match.group() for match in pattern.finditer(text))
        if any(kind != "phone" or sum(map(str.isdigit, words)) >= _FEWEST_DIGITS for words in found):
            yield kind
