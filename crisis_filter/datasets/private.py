"""Whether a message of a data set tells who somebody is: numbers, addresses, names, dates of birth.

A scan for what should never stand in a set that is passed on. It finds forms, not meaning: a clean scan does not make real messages
anonymous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import regex

__all__ = ["Private", "private_data"]

Private = Literal["email", "link", "phone", "number", "address", "name", "social_security", "nhs_number", "birth_date"]
"""What was found: an e-mail address, a web address or handle, a telephone number, another long number, a street address with a
house number, a title or introduction with a name, a social security number of the United States, an NHS number of England, or a date
of birth."""

_NAME = r"\p{Lu}\p{Ll}+(?:[-'\u2019]\p{Lu}\p{Ll}+)?"
_STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Court|Ct|Boulevard|Blvd|Close|Crescent|Terrace)"
# What stands after "my name is" and is no name.
_NO_NAME = (
    "a about all already also always an and as at backwards be because been being blank but by called cant changed come coming covered cut "
    "didnt different dirt doesnt down easy enough even everywhere first flagged for from full getting given going gone got hard her here his hers "
    "how hyphenated i in incorrect it its just last like linked listed long lost mentioned misspelled misspelt missing mine mispronounced "
    "mud my never no nobodys not nothing now of off on only or our out outdated over printed private pronounced ruined right said same "
    "shared short showing shown similar so spelled spelt still stuck that the their there this to too typed under unusual up used "
    "very what whatever when who why with without worth written wrong your yours"
)
# And after "i'm called", where people tell what they are insulted with.
_INSULTS = (
    "attention back bad bitch crazy dirty disgusting dramatic dumb every evil fat freak idiot lazy liar loser mad mental names needy nothing "
    "psycho selfish sick sir slag slow slut stupid things trash ugly useless weak weird whore worse worthless"
)
_CALL = r"call|text|ring|phone|tel|telephone|cell|mobile|landline|number|num|dial|fax|reach|contact|whatsapp"
_MONTH = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_DAY = r"(?:the )?(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
# A day and a month at least; a dot alone may be a weight.
_DATE = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}/\d{1,2}"
    rf"|{_DAY} (?:of )?(?:{_MONTH})\b|(?:{_MONTH}) {_DAY}\b"
)


def _any_of(words: str) -> str:
    return "|".join(sorted(set(words.split())))


_SIGNS: dict[Private, regex.Pattern[str]] = {
    "email": regex.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "link": regex.compile(
        r"https?://|www\.\w|(?<![\w.])@\w{3,}|\b\w{3,}\.(?:com|org|net|co\.uk|io)\b", regex.IGNORECASE
    ),
    "phone": regex.compile(
        r"(?<![\w./:])(?:\+\d{1,3}[ .-]?|0)(?:\(?\d{1,5}\)?[ .-]?){2,5}\d{2,}(?![\w/:])"
        r"|(?<![\w./:])(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w/:])"
    ),
    "number": regex.compile(r"(?<![\w.,])\d{7,}(?!\w)"),
    "address": regex.compile(rf"\b\d{{1,5}} (?:\p{{Lu}}[\p{{L}}']+ ){{1,3}}{_STREET}\b"),
    "name": regex.compile(
        rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? {_NAME} {_NAME}|\b(?i:my name is|this is|i am|i'm) {_NAME} {_NAME}\b"
        rf"|(?i:\bmy (?:(?:full|first|last|middle|real) )?name(?:['\u2019]?s| is) (?!(?:{_any_of(_NO_NAME)})\b)\p{{L}}{{2,}})"
        rf"|(?i:\bi(?:['\u2019]?m| am) called (?!(?:{_any_of(_NO_NAME + ' ' + _INSULTS)})\b)\p{{L}}{{2,}})"
    ),
    "social_security": regex.compile(
        r"(?<![\w.-])(?!000|666)\d{3}([- ])(?!00)\d\d\1(?!0000|20\d\d)\d{4}(?![\w-])"
        r"|\b(?:ssn?|social(?: security)?(?: (?:number|num|no))?)\b\D{0,12}\d{3}[-. ]?\d\d[-. ]?\d{4}(?!\d)",
        regex.IGNORECASE,
    ),
    "nhs_number": regex.compile(
        r"\bnhs (?:number|num|no)\b\D{0,12}\d{3}[- ]?\d{3}[- ]?\d{4}(?!\d)|(?<![\w.-])\d{3}([- ]?)\d{3}\1\d{4}(?![\w-])",
        regex.IGNORECASE,
    ),
    "birth_date": regex.compile(
        rf"\b(?:born|d\.?o\.?b\.?|date of birth|birth ?date|birthday)(?: is| was)?[ :,]{{1,3}}(?:on )?(?:{_DATE})",
        regex.IGNORECASE,
    ),
}
_SHORT_PHONE = regex.compile(
    rf"(?P<said>\b(?:{_CALL})\b[^\d\n]{{0,20}})?(?<![\w./:-])(?P<first>[2-9]\d\d)(?P<sign>[-. ])(?P<last>\d{{4}})(?![\w/:-])",
    regex.IGNORECASE,
)
_CLOCK = regex.compile(r"\d?\d(?:00|15|30|45)")


def private_data(text: str) -> Iterator[Private]:
    """The kinds of private data that seem to stand in a text, each once; never the words."""
    for kind, pattern in _SIGNS.items():
        holds = _HOLDS.get(kind)
        seen = any(holds is None or holds(match.group()) for match in pattern.finditer(text))
        if seen or (kind == "phone" and any(map(_is_short_phone, _SHORT_PHONE.finditer(text)))):
            yield kind


def _is_short_phone(match: regex.Match[str]) -> bool:
    """Whether seven digits in two groups are a telephone number, and no range of amounts, doses or hours."""
    first, last = match["first"], match["last"]
    if _CLOCK.fullmatch(first) and _CLOCK.fullmatch(last):
        return False
    return bool(match["said"]) or (match["sign"] == "-" and int(last) % 50 != 0)


def _nhs_number(words: str) -> bool:
    """Whether the last digit is what the other nine ask for, or the number is called by its name."""
    digits = [int(sign) for sign in words if sign.isdigit()]
    weighted = sum(weight * digit for weight, digit in zip(range(10, 1, -1), digits, strict=False))
    return not words[0].isdigit() or (11 - weighted % 11) % 11 == digits[-1]


def _is_phone(words: str) -> bool:
    """Whether there are enough digits: blood pressure, dates, times and doses are groups of them too."""
    return sum(map(str.isdigit, words)) >= 9


_HOLDS: dict[Private, Callable[[str], bool]] = {"phone": _is_phone, "nhs_number": _nhs_number}
