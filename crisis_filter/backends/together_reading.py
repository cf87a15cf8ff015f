"""Reading an answer about several messages: who got a sound verdict, whose positive is kept whatever else is wrong, and who must be asked again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from crisis_filter.backends.base import Reply
from crisis_filter.backends.parse import claims_true
from crisis_filter.errors import FAULTS
from crisis_filter.prompting.together import ScreenTogether
from crisis_filter.taxonomy.answers import ScreenTerse

__all__ = ["Cause", "Found", "read_together"]

Cause = Literal[
    "no_reply",
    "refused",
    "filtered",
    "truncated",
    "malformed",
    "mismatched",
    "filter_named",
    "stand_in",
    "other_model",
    "foreign_nonce",
    "doubled_nonce",
    "planted",
    "missing",
    "bug",
]
"""Why a message is asked about again by itself. `no_reply`: none came back. `refused` to `mismatched`: how the reply ended; `refused`
also where a model or a filter refused an attempt before it. `filter_named`: a
provider's filter named a danger or an attack, and nobody knows in which message. `stand_in`: another endpoint than the first answered.
`other_model`: another model answered than those that were validated. `foreign_nonce`, `doubled_nonce`: a verdict for nobody here, or two
for one, after which none is believed. `planted`: the planted crisis was not found, as by a model that calls all calm, or that was told to. `missing`: no verdict for this message. `bug`: of ours."""

_CLAIM = "crisis"
_BRACES = re.compile(r"[{}]")
# An object that stands under a name, the name with it.
_NAMED = re.compile(r"(?=(\"[^\"{}]{1,80}\"\s{0,9}:\s{0,9}\{[^{}]*))")


@dataclass(frozen=True, slots=True)
class Found:
    """What a reply says, by nonce. A message that is in neither set is asked about again."""

    sound: dict[str, bool] = field(default_factory=dict)
    """Verdicts that count; empty unless the reply as a whole is sound."""
    raised: frozenset[str] = frozenset()
    """Positives in a reply that is not sound: kept, because a second answer must not be able to take one back."""
    cause: Cause | None = None
    """Why those who are in neither are asked again; `None` where nobody is."""


def read_together(
    reply: Reply[ScreenTogether], nonces: Sequence[str], planted: str, served: frozenset[str | None] | None = None
) -> Found:
    """Match verdicts to messages, by nonce and nothing else.

    One verdict for nobody, or two for one message, taints all: whoever can put one nonce wrong, by an attack in one of the messages or by
    confusion, may have put the others wrong as well. A verdict that is only missing taints none.

    Args:
        reply: as the backend gave it.
        nonces: of the messages, all different.
        planted: nonce of the planted crisis, different from all of them.
        served: the models that may answer; `None` takes any.
    """
    if reply.answer is None:
        return Found(
            raised=_claimed(reply.text, nonces), cause="malformed" if reply.finish == "answered" else reply.finish
        )
    verdicts = reply.answer.verdicts
    tainted = _tainted(reply, verdicts, {*nonces, planted}, served)
    positives = {verdict.nonce for verdict in verdicts if verdict.crisis}
    if tainted is not None or planted not in positives:
        return Found(raised=frozenset(positives.intersection(nonces)), cause=tainted or "planted")
    sound = {verdict.nonce: verdict.crisis for verdict in verdicts if verdict.nonce != planted}
    return Found(sound=sound, cause="missing" if len(sound) < len(nonces) else None)


def _tainted(
    reply: Reply[ScreenTogether],
    verdicts: Sequence[ScreenTerse],
    nonces: set[str],
    served: frozenset[str | None] | None,
) -> Cause | None:
    """Why no verdict of a well-formed answer counts, if so."""
    if reply.degraded:
        return "stand_in"
    if served is not None and reply.model not in served:
        return "other_model"
    if reply.danger or reply.attack:
        return "filter_named"
    if any(FAULTS[fault].sign for _, fault in reply.troubles):
        return "refused"
    times = Counter(verdict.nonce for verdict in verdicts)
    if times.keys() - nonces:
        return "foreign_nonce"
    return "doubled_nonce" if any(number > 1 for number in times.values()) else None


def _claimed(text: str | None, nonces: Sequence[str]) -> frozenset[str]:
    """Messages that a broken answer says are a crisis: between two braces stand the nonce and the positive, or the nonce before the first."""
    said = text or ""
    claiming = [piece for piece in _BRACES.split(said) if claims_true(piece, _CLAIM)]
    claiming += [piece for piece in _NAMED.findall(said) if claims_true(piece, _CLAIM)]
    return frozenset(nonce for nonce in nonces if any(nonce in piece for piece in claiming))
