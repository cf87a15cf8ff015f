"""What every baseline shares: another's system is asked about one message, and what it said becomes an assessment.

A baseline is somebody else's guardrail as a detector, for evaluation beside ours. Its assessments have no disposition: they are measured,
never routed. Only `schema.conclude` makes an outcome of what was said, so a baseline clears only by a complete, well-formed negative.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from crisis_filter.assets import package_version
from crisis_filter.errors import FAULTS, Fault
from crisis_filter.schema import (
    UNSPECIFIED,
    Assessment,
    Failure,
    Finding,
    Flag,
    LinkFault,
    Message,
    PromptRef,
    Provenance,
    ScoreSource,
    ScreenVerdict,
    conclude,
)
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import TaxonomyMap
from crisis_filter.text import mended, normalise

__all__ = ["About", "Ask", "Baseline", "Said", "Told", "about", "assess"]

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds of a monotonic clock."""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict of another's system."""

    flagged: bool
    """Never has a default: a verdict that does not say is not a verdict."""
    labels: tuple[str, ...] = field(default=(), repr=False)
    """What it named, in its own words; only beside a flag. What is not in its map is dropped by `assess`, so a parser may pass it on."""
    score: float | None = None
    """Probability of the flag, 0 to 1, or `None` when the system gives none."""
    score_source: ScoreSource | None = None
    """`None` exactly when `score` is."""
    fault: Fault | None = None
    """Set when a flag was read from a reply that was otherwise faulty; it survives, the lack of a flag would not."""

    def __post_init__(self) -> None:
        """Refuse a verdict that says two things at once."""
        if not self.flagged and (self.fault is not None or self.labels):
            raise ValueError("only a flag has labels, and only a flag survives a faulty reply")
        if (self.score is None) != (self.score_source is None):
            raise ValueError("score and score_source go together")


@dataclass(frozen=True, slots=True)
class Told:
    """What asking about one text came to, and what it cost."""

    result: Said | Failure
    model: str | None = None
    """The model the server said it used, or the version of the package."""
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    flags: frozenset[Flag] = frozenset()
    """What a provider's filter said of the message."""
    troubles: tuple[tuple[str, Fault], ...] = ()
    """Which requests failed on the way, with which fault."""


Ask = Callable[[str], Awaitable[Told]]
"""Asks another's system about one text, which is never empty and can be encoded."""


class Baseline(Protocol):
    """Another's system as a detector."""

    @property
    def name(self) -> str:
        """As in `provenance.detector`, which is `baseline:NAME`."""
        ...

    async def assess(self, message: Message) -> Assessment:
        """Assess one message; every trouble is an undetermined assessment, or a fault beside a crisis. `disposition` is always `None`."""
        ...

    async def aclose(self) -> None:
        """Release connections. Calling it twice does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class About:
    """What all assessments of one baseline share; `about` makes it."""

    name: str
    labels: TaxonomyMap
    taxonomy: PromptRef
    prompts: tuple[PromptRef, ...]
    """The prompt that is sent, if it is ours to send, and the map."""
    version: str
    spare: Assessment
    """Made while all is well: what makes the assessment of a failure may be what has failed."""


def about(name: str, labels: TaxonomyMap, prompts: tuple[PromptRef, ...] = ()) -> About:
    """What all assessments of a baseline share.

    Args:
        name: of the baseline, without `baseline:`.
        labels: the map of its labels to ours.
        prompts: identities of what is sent around the message, where that is ours to choose.

    Raises:
        AssetError: the map's taxonomy is missing or malformed.
    """
    taxonomy, version = load_taxonomy(labels.taxonomy).ref, package_version()
    all_prompts = (*prompts, labels.ref)
    how = Provenance(detector=f"baseline:{name}", prompts=all_prompts, taxonomy=taxonomy, version=version)
    conclusion = conclude([Failure(fault=Fault.INTERNAL)])
    spare = Assessment(id="nobody's", outcome=conclusion.outcome, fault=conclusion.fault, degraded=True, provenance=how)
    return About(name, labels, taxonomy, all_prompts, version, spare)


async def assess(message: Message, ask: Ask, shared: About, clock: Clock = time.monotonic) -> Assessment:
    """Ask about one message and make an assessment of what was said.

    A text without anything visible is `empty_content`, a row without a text `input_unreadable`; neither is asked about. A label that is
    not in the map is dropped, and the flag beside it carries the fault `schema`.

    Args:
        message: what to judge. Lone surrogates are sent as U+FFFD, and then the message cannot be cleared (`encoding_repaired`).
        ask: asks the system. Whatever it raises ends as undetermined, with the fault `internal`.
        shared: of this baseline.
        clock: for `provenance.elapsed_ms`.

    Raises:
        TypeError: `message` is no `Message`.
    """
    if not isinstance(message, Message):
        raise TypeError(f"a Message is assessed, not {type(message).__name__}")
    flags = message.flags
    try:
        begun = clock()
        text = mended(message.text)
        flags |= {"encoding_repaired"} if text != message.text else set()
        unfit = _unfit(message, text)
        told = Told(unfit) if unfit is not None else await ask(text)
        return _assessment(message, told, flags, shared, max(0.0, clock() - begun) * 1e3)
    except Exception as error:  # noqa: BLE001  # a bug must end at a person; its type alone is told, for its words may hold the message
        detail = type(error).__name__
        _log.error("a baseline failed with %s", detail)
        kept = {"id": message.id, "fault_detail": detail, "flags": tuple(sorted(flags))}
        return shared.spare.model_copy(update=kept)


def _unfit(message: Message, text: str) -> Failure | None:
    if message.unreadable:
        return Failure(fault=Fault.INPUT_UNREADABLE, detail="the row held no text")
    if not normalise(text, glyphs=False).text:
        return Failure(fault=Fault.EMPTY_CONTENT, detail="nothing visible in the text")
    return None


def _assessment(message: Message, told: Told, flags: frozenset[Flag], shared: About, elapsed_ms: float) -> Assessment:
    flags |= told.flags
    said = told.result if isinstance(told.result, Said) else None
    known = _known(said, shared.labels)
    result = told.result if isinstance(told.result, Failure) else _verdict(told.result, known)
    conclusion = conclude([result], flags)
    degraded = isinstance(result, Failure) and FAULTS[result.fault].trips
    return Assessment(
        id=message.id,
        outcome=conclusion.outcome,
        score=conclusion.score,
        score_source=conclusion.score_source,
        findings=_findings(known, shared.labels) if conclusion.outcome == "crisis" else (),
        fault=conclusion.fault,
        fault_detail=result.detail if isinstance(result, Failure) else "",
        degraded=degraded,
        flags=tuple(sorted(flags)),
        provenance=Provenance(
            detector=f"baseline:{shared.name}",
            model=told.model,
            prompts=shared.prompts,
            taxonomy=shared.taxonomy,
            version=shared.version,
            views=1 if told.attempts or said is not None else 0,
            attempts=told.attempts,
            prompt_tokens=told.prompt_tokens,
            completion_tokens=told.completion_tokens,
            link_faults=_counted(told.troubles),
            native_labels=known,
            elapsed_ms=elapsed_ms,
        ),
    )


def _known(said: Said | None, labels: TaxonomyMap) -> tuple[str, ...]:
    """The labels of the system's vocabulary among those that it gave, each once, in the vocabulary's order."""
    given = frozenset(said.labels) if said is not None else frozenset()
    return tuple(label.id for label in labels.labels if label.id in given)


def _verdict(said: Said, known: tuple[str, ...]) -> ScreenVerdict:
    strange = len(frozenset(said.labels)) > len(known)
    return ScreenVerdict(
        crisis=said.flagged,
        may_clear=True,
        score=said.score,
        score_source=said.score_source,
        fault=said.fault or (Fault.SCHEMA if strange else None),
    )


def _findings(known: tuple[str, ...], labels: TaxonomyMap) -> tuple[Finding, ...]:
    return tuple(Finding(category=category) for category in labels.ours(known) or (UNSPECIFIED,))


def _counted(troubles: tuple[tuple[str, Fault], ...]) -> tuple[LinkFault, ...]:
    return tuple(
        LinkFault(link=link, fault=fault, times=troubles.count((link, fault)))
        for link, fault in dict.fromkeys(troubles)
    )
