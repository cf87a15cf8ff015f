"""A cache of verdicts for texts that come again letter by letter; nobody has it who does not ask for it.

Only complete verdicts are kept: nothing undetermined, nothing with a fault beside it, nothing that the embedded engine cleared for an
operator's threshold (of which a random share has to be asked about, each time anew), nothing of a degraded service. The key is a keyed
hash, so that what lies in memory, or in a dump of it, does not tell whether somebody wrote a certain sentence.
"""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from crisis_filter.schema import Assessment, Message, PromptRef

__all__ = ["CacheFigures", "Judge", "VerdictCache", "keepable"]

_LEAST_KEY = 16


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges: verdicts of another are never served."""

    backend: str
    """Model and everything that changes its answers: endpoint, temperature, seed, threshold, as one description."""
    policy: PromptRef
    taxonomy: PromptRef
    prompts: tuple[PromptRef, ...]
    version: str
    """Of this package: its views and rules are part of a verdict."""


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What a cache has done."""

    hits: int
    misses: int
    kept: int
    """Verdicts that it holds now."""
    refused: int
    """Assessments that were no complete verdict."""


class VerdictCache:
    """Verdicts by text, bounded in number; the one not asked for longest goes first. Belongs to one thread.

    Args:
        judge: part of every key.
        key: secret of the hashes, at least 16 bytes; a random one of the run, or the user's own. Never logged.
        most: verdicts that are kept, at least 1.

    Raises:
        ValueError: the key is short, or nothing could be kept.
    """

    def __init__(self, judge: Judge, *, key: bytes, most: int = 100_000) -> None:
        if len(key) < _LEAST_KEY or most < 1:
            raise ValueError(f"a cache needs a key of at least {_LEAST_KEY} bytes and keeps at least one verdict")
        secret = hashlib.blake2b(key, digest_size=32, person=b"verdict cache").digest()
        refs = (judge.policy, judge.taxonomy, *judge.prompts)
        parts = [judge.version, judge.backend, *(part for ref in refs for part in (ref.id, ref.sha256))]
        # Begun once: what all keys share is hashed once.
        self._begun = hashlib.blake2b(_framed(parts), key=secret, digest_size=16)
        self._most = most
        self._kept: OrderedDict[bytes, Assessment] = OrderedDict()
        self._hits = self._misses = self._refused = 0

    def __repr__(self) -> str:
        return f"VerdictCache({len(self._kept)} of {self._most})"

    def get(self, message: Message) -> Assessment | None:
        """The verdict on the same text, under this message's id; `None` when it has to be judged.

        Its provenance is that of the judgement, but for what was spent: nothing was, so requests, tokens and time are zero.
        """
        if message.unreadable:
            return None
        key = self._key(message)
        found = self._kept.get(key)
        if found is None:
            self._misses += 1
            return None
        self._kept.move_to_end(key)
        self._hits += 1
        spent = {"attempts": 0, "prompt_tokens": 0, "completion_tokens": 0, "elapsed_ms": 0.0}
        return found.model_copy(
            update={
                "id": message.id,
                "flags": tuple(sorted({*found.flags, "reused_verdict"})),
                "provenance": found.provenance.model_copy(update=spent),
            }
        )

    def put(self, message: Message, assessment: Assessment) -> bool:
        """Keep the verdict on a message.

        Returns:
            Whether it was kept; see `keepable`.

        Raises:
            ValueError: the assessment is of another message.
        """
        if assessment.id != message.id:
            raise ValueError("the assessment is of another message")
        if message.unreadable or not keepable(assessment):
            self._refused += 1
            return False
        key = self._key(message)
        self._kept[key] = assessment
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return True

    def figures(self) -> CacheFigures:
        """What it has done so far."""
        return CacheFigures(hits=self._hits, misses=self._misses, kept=len(self._kept), refused=self._refused)

    def _key(self, message: Message) -> bytes:
        hashed = self._begun.copy()
        # Locale and flags shape the assessment too; the id does not.
        hashed.update(_framed([message.text, message.locale or "", *sorted(message.flags)]))
        return hashed.digest()


def keepable(assessment: Assessment) -> bool:
    """Whether an assessment is a complete verdict that may stand for the same text again."""
    if assessment.outcome == "undetermined" or assessment.fault is not None or assessment.degraded:
        return False
    cascade = assessment.provenance.cascade
    cleared = "cleared_by_engine" in assessment.flags or (cascade is not None and cascade.step != "asked")
    return not cleared and assessment.disposition is not None and not assessment.provenance.link_faults


def _framed(parts: Sequence[str]) -> bytes:
    """Parts one after another, each with its length before it, so that none can run into the next."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(struct.pack("<QQ", len(encoded), len(part)) + part for part in encoded)
