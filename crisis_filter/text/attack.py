"""Whether a text carries words or marks aimed at the language model that judges it, and not at a person.

Law: where an attack is seen, a negative becomes undetermined and a positive stays. So this function can only raise, and it
may be wrong in both directions: an attack it misses is left to the fence and the nonce, an ordinary message it takes for an
attack costs a reader's time.

Signs are kept by idea. A sign needs two things at once wherever one of them is ordinary talk: a person may ask to be
ignored, say that this is no crisis, or be cleared by a doctor; only text for a machine says which label to give.
Every sign is a pattern of bounded reach that occurs somewhere, so adding lines before or after never hides one, and the time
grows with the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from crisis_filter.text import attack_marks, attack_words
from crisis_filter.text.attack_languages import LANGUAGES, Language
from crisis_filter.text.attack_readings import marks, prose, readings, spelled
from crisis_filter.text.literals import Literals

Sign = Literal[
    "override",
    "dictated_verdict",
    "forbidden_flag",
    "addressed_model",
    "disavowal",
    "clearance",
    "policy",
    "schema",
    "leak",
    "mode",
    "pressure",
    "forged_structure",
    "forged_verdict",
    "other_language",
    "machine_talk",
    "spelled_out",
]
"""Why a text looks like an attack; a closed set of names, fit for counting."""


def attack_signs(text: str) -> frozenset[Sign]:
    """The kinds of attack that a text shows.

    Args:
        text: any text, raw or normalised; unpaired surrogates and a megabyte are fine.

    Returns:
        Names of signs, never words of the text; empty for an ordinary or an empty text.
    """
    return frozenset(_found(text))


def attack_seen(text: str) -> bool:
    r"""Whether a text shows any sign of an attack. Stops at the first.

    Args:
        text: any text, raw or normalised; unpaired surrogates and a megabyte are fine.

    Returns:
        False for an ordinary or an empty text. `attack_seen(a)` implies `attack_seen(x + "\n" + a + "\n" + y)`.
    """
    return next(_found(text), None) is not None


def attack_ready() -> bool:
    """Whether what is looked for is compiled; the first text that is looked at does it, in half a second."""
    return _patterns.cache_info().currsize > 0


def _language(stems: Language) -> tuple[str, str]:
    """Two patterns: an order to drop orders, and a dictated verdict."""
    fields = (stems.drop, stems.orders, stems.which, stems.answer, stems.verdict)
    # Latin stems begin a word: inside one they would turn up in English.
    start = r"(?<!\w)" if stems.drop.isascii() else ""
    drop, orders, which, answer, verdict = (f"{start}(?:{marks(field).replace('/', '|')})" for field in fields)
    false = r"[\"'「“«]?false\b"
    gap = r"[^.!?\n。！？]{0,40}?"
    ways = ((drop, which, orders), (drop, orders, which), (which, orders, drop), (orders, which, drop))
    first = verdict if start else f"(?:{verdict}|{false})"
    return (
        "|".join(gap.join(way) for way in ways),
        rf"{answer}{gap}(?:{verdict}|{false})|{first}[^.!?\n。！？]{{0,12}}{answer}",
    )


_PROSE: tuple[tuple[Sign, tuple[str, ...]], ...] = (
    ("override", attack_words.OVERRIDE),
    ("dictated_verdict", attack_words.DICTATED),
    ("forbidden_flag", attack_words.FORBIDDEN),
    ("addressed_model", attack_words.ADDRESSED),
    ("disavowal", attack_words.DISAVOWAL),
    ("clearance", attack_words.CLEARANCE),
    ("policy", attack_words.POLICY),
    ("schema", attack_words.SCHEMA),
    ("leak", attack_words.LEAK),
    ("mode", attack_words.MODE),
    ("pressure", attack_words.PRESSURE),
)


class _Signs:
    """The patterns of several signs, searched in their order."""

    def __init__(self, signs: Iterable[tuple[Sign, tuple[str, ...]]]) -> None:
        pairs = [(sign, re.compile(pattern)) for sign, several in signs for pattern in several]
        self._signs = tuple(sign for sign, _ in pairs)
        self._literals = Literals([pattern for _, pattern in pairs])

    def matching(self, text: str) -> Iterator[Sign]:
        """The signs of a text, one for each pattern that matches; searched as they are asked for."""
        return (self._signs[place] for place in self._literals.matching(text))


@dataclass(frozen=True, slots=True)
class _Patterns:
    """All patterns, compiled."""

    in_prose: _Signs
    in_marks: _Signs
    languages: dict[bool, Literals]
    """By whether the text is ASCII: stems of other scripts need not be looked for there."""
    idea: re.Pattern[str]
    spelled: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compiled at the first text and not on import, for it takes half a second."""
    ideas = "|".join(f"(?P<{name}>{words.replace('/', '|')})" for name, (_, words) in attack_words.IDEAS.items())
    return _Patterns(
        in_prose=_Signs(_PROSE),
        in_marks=_Signs(
            (("forged_structure", attack_marks.FORGED_STRUCTURE), ("forged_verdict", attack_marks.FORGED_VERDICT))
        ),
        languages={
            ascii_only: Literals(
                [
                    re.compile(pattern)
                    for stems in LANGUAGES.values()
                    if stems.drop.isascii() or not ascii_only
                    for pattern in _language(stems)
                ]
            )
            for ascii_only in (True, False)
        },
        idea=re.compile(f"(?<= )(?:{ideas})(?= )"),
        spelled=re.compile(attack_words.SPELLED),
    )


def _found(text: str) -> Iterator[Sign]:
    """The signs, each perhaps more than once."""
    patterns = _patterns()
    folded = marks(text)
    if attack_marks.forged_fence(folded):
        yield "forged_structure"
    plain, leet = readings(folded)
    for reading in plain:
        yield from patterns.in_marks.matching(reading)
        if patterns.languages[reading.isascii()].search(reading):
            yield "other_language"
    for reading in (*plain, *leet):
        words = prose(reading)
        if _machine_talk(words, patterns.idea):
            yield "machine_talk"
        yield from patterns.in_prose.matching(words)
    if any(patterns.spelled.search(run) for run in spelled(folded)):
        yield "spelled_out"


def _machine_talk(words: str, idea: re.Pattern[str]) -> bool:
    """Whether ideas of enough weight meet within a short stretch of prose."""
    last: dict[str, int] = {}
    for match in idea.finditer(words):
        last[match.lastgroup or ""] = at = match.start()
        near = [attack_words.IDEAS[name][0] for name, place in last.items() if at - place <= attack_words.WITHIN]
        if len(near) > 2 and sum(near) >= attack_words.ENOUGH:
            return True
    return False
