"""The two lines of Qwen3Guard-Gen, and of MindGuard, which was made from it: `Safety: WORD` and `Categories: LIST`.

Sources: https://github.com/QwenLM/Qwen3Guard and https://huggingface.co/swordhealth/MindGuard-4B.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crisis_filter.backends.base import Choice
from crisis_filter.baselines.asking import BLANKS, Format, Read, question
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import Choices
from crisis_filter.errors import Fault
from crisis_filter.schema import Failure
from crisis_filter.taxonomy.maps import TaxonomyMap

__all__ = ["MINDGUARD_OPTIONS", "QWEN_OPTIONS", "mindguard", "qwen3guard", "reader"]

QWEN_OPTIONS: Choices = {"controversial": ("strict", "loose")}
"""Whether the middle level is flagged (strict) or not (loose)."""
MINDGUARD_OPTIONS: Choices = {}
_QWEN_TOKENS, _MINDGUARD_TOKENS = 128, 40
_WHOLE = re.compile(r"Safety:[ \t]*(\w+)[ \t\r]*\n[ \t]*Categories:[ \t]*([^\r\n]*)")
_RATING = re.compile(r"[ \t\r\n]*Safety:[ \t]*", re.IGNORECASE)
_PARTED = re.compile(r"[ \t]*,[ \t]*")


def qwen3guard(options: Mapping[str, str], deadline_s: float, labels: TaxonomyMap) -> Format:
    """Qwen3Guard-Gen on a user's message: only the message is sent, and the server's chat template adds the rest."""
    levels = {"Safe": False, "Unsafe": True, "Controversial": options["controversial"] == "strict"}
    return _format(levels, labels, deadline_s, _QWEN_TOKENS)


def mindguard(_: Mapping[str, str], deadline_s: float, labels: TaxonomyMap) -> Format:
    """MindGuard on one message. Its card says that it is not meant for single messages, nor for one or two turns."""
    return _format({"Safe": False, "Unsafe": True}, labels, deadline_s, _MINDGUARD_TOKENS)


def reader(levels: Mapping[str, bool], labels: TaxonomyMap) -> Read:
    """Reads the two lines.

    A negative is a level that is not flagged with `None` or known categories as its level wants: `Safe` has none. A third line, such as the
    `Refusal:` that only a judgement of an answer has, is not as documented. A first line with a flagged level is a positive whatever follows.

    Args:
        levels: the words of the first line, and which of them flag.
        labels: the words of the second.
    """
    positive = re.compile(rf"{_RATING.pattern}(?:{_flagged(levels)})(?!\w)", re.IGNORECASE)
    vocabulary = labels.vocabulary

    def read(text: str) -> Said | Failure:
        body = text.strip(BLANKS)
        whole = _WHOLE.fullmatch(body)
        if whole is not None and whole[1] in levels:
            list_ = whole[2].strip(BLANKS)
            names = () if list_ == "None" else tuple(_PARTED.split(list_))
            if levels[whole[1]]:
                return Said(flagged=True, labels=names, fault=None if names else Fault.SCHEMA)
            if set(names) <= vocabulary and (whole[1] != "Safe" or not names):
                return Said(flagged=False)
        if positive.match(body) is None:
            return Failure(fault=Fault.SCHEMA, detail="the reply is not as documented")
        held = tuple(label.id for label in labels.labels if re.search(rf"(?<!\w){re.escape(label.id)}(?!\w)", body))
        return Said(flagged=True, labels=held, fault=Fault.SCHEMA)

    return read


def _format(levels: Mapping[str, bool], labels: TaxonomyMap, deadline_s: float, most_tokens: int) -> Format:
    read = reader(levels, labels)
    # All that was written may hold several choices: a rating first in any of its lines.
    claim = re.compile(rf"^[ \t\r]*Safety:[ \t]*(?:{_flagged(levels)})(?!\w)", re.IGNORECASE | re.MULTILINE)
    choice = Choice(
        yes=tuple(word for word, flags in levels.items() if flags),
        no=tuple(word for word, flags in levels.items() if not flags),
        place=_rating,
        positive=lambda text: claim.search(text) is not None,
    )
    return Format(lambda text: [question(text, read, choice, deadline_s=deadline_s, most_tokens=most_tokens)])


def _flagged(levels: Mapping[str, bool]) -> str:
    return "|".join(word for word, flags in levels.items() if flags)


def _rating(text: str) -> int | None:
    found = _RATING.match(text)
    return found.end() if found is not None else None
