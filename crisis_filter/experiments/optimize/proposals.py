"""What a reflection model proposes for a part of a prompt, and why most of what it may get wrong costs no call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from crisis_filter.experiments.optimize.sections import EXPRESSION, PROTOCOL

__all__ = ["Private", "Rejection", "longest", "proposed_text", "rejection"]

Rejection = Literal[
    "no_reply",
    "no_answer",
    "no_text",
    "unchanged",
    "too_long",
    "variables",
    "protocol",
    "heading",
    "quotes_a_message",
    "does_not_render",
    "known",
]
"""`no_reply`: none came back. `no_answer`: refused, filtered or cut off. `no_text`: nothing stands between two lines of backticks. `unchanged`:
the part as it was. `variables`: it lost a variable of the template or brought another. `protocol`: it speaks of the nonce, the fence or JSON.
`known`: the prompt that it makes has been judged on all of development before.
`quotes_a_message`: it repeats words of a message it was shown, and a prompt is no place for them."""

_GROWTH = 3
_ROOM = 1500
_RUN = 6
_WHOLE = 3
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"^ {0,3}```[^\n`]*\n(.*?)\n? {0,3}```[ \t]*$", re.DOTALL | re.MULTILINE)
_FOREIGN = re.compile(r"\{%|%\}|\{#|#\}|^=== message ===|^---$|</?message\b|```", re.MULTILINE | re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6}\s", re.MULTILINE)


def longest(part: str) -> int:
    """Characters that a rewritten part may have: prompts that only grow cost with every message."""
    return max(_GROWTH * len(part), _ROOM)


def proposed_text(answer: str, heading: str) -> str | None:
    """The text that an answer proposes.

    Args:
        answer: of the reflection model.
        heading: of the section, which it may have repeated.

    Returns:
        What stands in the last pair of lines of backticks, without the section's own heading; `None` where there is none.
    """
    blocks = _FENCED.findall(_THOUGHT.sub("", answer.replace("\r\n", "\n")))
    text = blocks[-1].strip() if blocks else ""
    first, _, rest = text.partition("\n")
    if first.startswith("#") and first.lstrip("# ").strip() == heading:
        text = rest.strip()
    return text or None


class Private:
    """Messages of which no proposal may repeat a run of six words, or a whole shorter one of three words or more.

    Args:
        texts: of the messages.
        known: words that stand in the prompt already, and give nothing away.
    """

    def __init__(self, texts: Iterable[str], known: str) -> None:
        taken = set(_runs(_words(known), _RUN))
        self._runs: set[tuple[str, ...]] = set()
        self._whole: set[tuple[str, ...]] = set()
        for text in texts:
            words = _words(text)
            if _WHOLE <= len(words) < _RUN:
                self._whole.add(tuple(words))
            self._runs.update(run for run in _runs(words, _RUN) if run not in taken)
        self._known = {run for size in range(_WHOLE, _RUN) for run in _runs(_words(known), size)}

    def quoted_in(self, text: str) -> bool:
        """Whether a text repeats one of them."""
        words = _words(text)
        if any(run in self._runs for run in _runs(words, _RUN)):
            return True
        short = (run for size in range(_WHOLE, _RUN) for run in _runs(words, size))
        return any(run in self._whole and run not in self._known for run in short)


def rejection(before: str, seed: str, text: str, private: Private) -> Rejection | None:
    """Why a proposal is thrown away before it is tried; `None` where it may be tried.

    Args:
        before: the part as it is.
        seed: the part as it was in the prompt that the search began with.
        text: the proposal.
        private: messages that it must not repeat.
    """
    if text.split() == before.split():
        return "unchanged"
    if len(text) > longest(seed):
        return "too_long"
    if _variables(text) != _variables(seed):
        return "variables"
    if _FOREIGN.search(text) or PROTOCOL.search(text):
        return "protocol"
    if _HEADING.search(text):
        return "heading"
    if private.quoted_in(text):
        return "quotes_a_message"
    return None


def _variables(text: str) -> Counter[str]:
    return Counter(" ".join(found[2:-2].split()) for found in EXPRESSION.findall(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + size]) for at in range(len(words) - size + 1))
