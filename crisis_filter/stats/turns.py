"""Conversations: how well turns are ranked, whether a conversation in danger is ever flagged, and whether in time.

A conversation is a sequence of turns, in order; each says whether it is unsafe by the reference, and what the system said of it: a
score, or whether it flagged the turn. Turns of one conversation are alike, so bootstrap draws whole conversations. Catching a
conversation in time means nothing without the false alarms beside it: flagging every turn is always in time.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.stats.ranking import FprAt, Scores, Truth, auroc_of_draws, fpr_at_tpr, labelled
from crisis_filter.stats.resampling import Resampling, Span, bootstrap

SaidT = TypeVar("SaidT")
Scored = Sequence[Sequence[tuple[bool, float | None]]]
"""Conversations of turns: whether it is unsafe, and its score, higher for more likely unsafe; `None` where the system failed."""
Flagged = Sequence[Sequence[tuple[bool, bool | None]]]
"""Conversations of turns: whether it is unsafe, and whether it was flagged; `None` where the system failed."""
Failures = Literal["error", "flagged", "unflagged"]
"""What a failed turn counts as: an error, a flag at every threshold (as where failures go to a person), or no flag at any."""
ScoreFailures = Literal["error", "flagged", "unflagged", "best", "worst"]
"""As `Failures`; `best` flags failed turns where unsafe and not where safe, `worst` the other way round: what the figure could have
been at most and at least."""
Method = Literal["percentile", "bca"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a figure was computed on. With few `unsafe_conversations` (below `resampling.FEW_CLUSTERS`) a span is too narrow."""

    turns: int
    unsafe_turns: int
    conversations: int
    unsafe_conversations: int
    """Those with an unsafe turn."""
    failed: int
    """Turns of which the system said nothing."""


@dataclass(frozen=True, slots=True)
class TurnAuroc:
    """Area under the ROC curve over turns."""

    estimate: float | None
    """`None` without an unsafe turn or without a safe one."""
    span: Span | None
    sample: Sample


@dataclass(frozen=True, slots=True)
class TurnFprAt:
    """False alarms over turns at a wanted sensitivity."""

    at: FprAt | None
    """Its own intervals take turns for independent: prefer `span`. `None` without an unsafe turn or without a safe one. A threshold
    that lies above or below every score was set by failed turns."""
    span: Span | None
    """Of the false alarm rate; each draw sets its own threshold."""
    sample: Sample


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """What flags cost."""

    conversations: Interval
    """Safe conversations with a flag, of all safe conversations."""
    turns: Interval
    """Safe turns with a flag, of all safe turns, those of unsafe conversations too; the interval takes turns for independent."""


@dataclass(frozen=True, slots=True)
class EverFlagged:
    """Whether a conversation in danger was flagged at all."""

    unsafe: Interval
    """Conversations with an unsafe turn in which any turn was flagged, of all with an unsafe turn."""
    false_alarms: FalseAlarms
    sample: Sample


@dataclass(frozen=True, slots=True)
class Timeliness:
    """When a conversation in danger was flagged, against its first unsafe turn; shares are of conversations with an unsafe turn."""

    in_time: Interval
    """First flag at or before the first unsafe turn: `at_onset` or `premature`, or both."""
    at_onset: Interval
    """The first unsafe turn itself was flagged."""
    premature: Interval
    """A turn before the first unsafe one was flagged; also a false alarm."""
    delays: tuple[int | None, ...]
    """Of each conversation with an unsafe turn, in order: turns from the first unsafe one to the first flag; 0 at onset, below 0 when
    premature, `None` when no turn was ever flagged."""
    false_alarms: FalseAlarms
    """Read it with the rest: flagging everything is in time in every conversation."""
    sample: Sample


def turn_auroc(
    conversations: Scored,
    how: Resampling | None = None,
    *,
    failures: ScoreFailures = "error",
    level: float = 0.95,
    method: Method = "percentile",
) -> TurnAuroc:
    """Area under the ROC curve over turns, with a bootstrap interval over conversations.

    Args:
        conversations: see `Scored`.
        how: draws of whole conversations; its clusters, if any, name one for each conversation (its author). `None` gives no span.
        failures: what a failed turn counts as.
        level: nominal coverage, in (0, 1).
        method: see `resampling.bootstrap`.

    Returns:
        The area; every undefined figure is `None`.

    Raises:
        ValueError: a conversation without turns, a failed turn unless `failures` says what it is, a score that is not finite, or bad
            draws.
    """
    truth, scores, sample = _scored(conversations, failures)
    area = auroc_of_draws(truth, scores)
    span = None if how is None else bootstrap(len(truth), area, _by(conversations, how), level=level, method=method)
    estimate = area(np.arange(len(truth)))
    return TurnAuroc(estimate, None if estimate is None else span, sample)


def turn_fpr_at(
    conversations: Scored,
    target: float,
    how: Resampling | None = None,
    *,
    failures: ScoreFailures = "error",
    level: float = 0.95,
    method: Method = "percentile",
) -> TurnFprAt:
    """False alarms over turns where `target` of the unsafe turns are flagged, with a bootstrap interval over conversations.

    Args:
        conversations: see `Scored`.
        target: the wanted sensitivity, in (0, 1], such as 0.90 or 0.95.
        how: see `turn_auroc`.
        failures: see `turn_auroc`.
        level: see `turn_auroc`.
        method: see `turn_auroc`.

    Returns:
        The point; every undefined figure is `None`.

    Raises:
        ValueError: see `turn_auroc` and `ranking.fpr_at_tpr`.
    """
    truth, scores, sample = _scored(conversations, failures)
    at = fpr_at_tpr(truth, scores, target, level)

    def rate(drawn: NDArray[np.intp]) -> float | None:
        found = fpr_at_tpr(truth[drawn], scores[drawn], target, level)
        return None if found is None else found.fpr.estimate

    if how is None or at is None:
        return TurnFprAt(at, None, sample)
    return TurnFprAt(at, bootstrap(len(truth), rate, _by(conversations, how), level=level, method=method), sample)


def flagged_at(conversations: Scored, threshold: float) -> Flagged:
    """Which turns a threshold flags: those with a score of at least it. A failed turn stays failed.

    Args:
        conversations: see `Scored`.
        threshold: a finite number.

    Raises:
        ValueError: a threshold or a score that is not finite.
    """
    if not np.isfinite(threshold):
        raise ValueError("threshold must be finite")
    _finite(conversations)
    return [[(unsafe, None if s is None else s >= threshold) for unsafe, s in turns] for turns in conversations]


def ever_flagged(conversations: Flagged, *, failures: Failures = "error", level: float = 0.95) -> EverFlagged:
    """Share of conversations in danger in which any turn is flagged, with the false alarms beside it.

    Args:
        conversations: see `Flagged`.
        failures: what a failed turn counts as.
        level: nominal coverage of the Wilson intervals, in (0, 1); they take conversations for independent.

    Returns:
        The shares; an estimate is `None` where there is no such conversation.

    Raises:
        ValueError: a conversation without turns, a failed turn unless `failures` says what it is, something that is neither yes nor
            no, or a level outside (0, 1).
    """
    read, sample = _read(conversations, failures)
    caught = [bool(flags.any()) for unsafe, flags in read if unsafe.any()]
    return EverFlagged(wilson(sum(caught), len(caught), level), _false_alarms(read, level), sample)


def timeliness(conversations: Flagged, *, failures: Failures = "error", level: float = 0.95) -> Timeliness:
    """When conversations in danger are flagged, against their first unsafe turn, with the false alarms beside it.

    Args:
        conversations: see `Flagged`; for scores see `flagged_at`.
        failures: what a failed turn counts as.
        level: nominal coverage of the Wilson intervals, in (0, 1); they take conversations for independent.

    Returns:
        The shares and delays; an estimate is `None` where no conversation has an unsafe turn.

    Raises:
        ValueError: see `ever_flagged`.
    """
    read, sample = _read(conversations, failures)
    delays: list[int | None] = []
    onsets = 0
    for unsafe, flags in read:
        if not unsafe.any():
            continue
        onset = int(np.argmax(unsafe))
        onsets += bool(flags[onset])
        delays.append(int(np.argmax(flags)) - onset if flags.any() else None)
    number = len(delays)
    return Timeliness(
        in_time=wilson(sum(delay is not None and delay <= 0 for delay in delays), number, level),
        at_onset=wilson(onsets, number, level),
        premature=wilson(sum(delay is not None and delay < 0 for delay in delays), number, level),
        delays=tuple(delays),
        false_alarms=_false_alarms(read, level),
        sample=sample,
    )


def _read(conversations: Flagged, failures: Failures) -> tuple[list[tuple[Truth, Truth]], Sample]:
    """Of each conversation, which turns are unsafe and which flagged."""
    sample = _sample(conversations, refuse=failures == "error")
    filling = failures == "flagged"
    read = []
    for number, turns in enumerate(conversations):
        if not all(flag is None or flag in (0, 1) for _, flag in turns):
            raise ValueError(f"conversation {number} has a flag that is neither yes, no nor None")
        flags = np.array([filling if flag is None else flag for _, flag in turns], dtype=np.bool_)
        read.append((np.array([unsafe for unsafe, _ in turns], dtype=np.bool_), flags))
    return read, sample


def _false_alarms(read: list[tuple[Truth, Truth]], level: float) -> FalseAlarms:
    safe = [bool(flags.any()) for unsafe, flags in read if not unsafe.any()]
    flagged = sum(int((flags & ~unsafe).sum()) for unsafe, flags in read)
    turns = sum(int((~unsafe).sum()) for unsafe, _ in read)
    return FalseAlarms(wilson(sum(safe), len(safe), level), wilson(flagged, turns, level))


def _scored(conversations: Scored, failures: ScoreFailures) -> tuple[Truth, Scores, Sample]:
    """All turns in one row, failed ones above or below every score."""
    sample = _sample(conversations, refuse=failures == "error")
    _finite(conversations)
    known = [score for turns in conversations for _, score in turns if score is not None]
    # One away for a reader's sake; where floats are too far apart for that, the next one.
    top = max(max(known) + 1.0, math.nextafter(max(known), math.inf)) if known else 1.0
    bottom = min(min(known) - 1.0, math.nextafter(min(known), -math.inf)) if known else 0.0
    ends = {
        "error": (bottom, bottom),
        "flagged": (top, top),
        "unflagged": (bottom, bottom),
        "best": (bottom, top),
        "worst": (top, bottom),
    }[failures]
    truth = [unsafe for turns in conversations for unsafe, _ in turns]
    scores = [ends[bool(unsafe)] if s is None else s for turns in conversations for unsafe, s in turns]
    return *labelled(truth, scores), sample


def _sample(conversations: Sequence[Sequence[tuple[bool, SaidT | None]]], *, refuse: bool) -> Sample:
    failed = 0
    for number, turns in enumerate(conversations):
        if not len(turns):
            raise ValueError(f"conversation {number} has no turns")
        for place, (unsafe, said) in enumerate(turns):
            if unsafe not in (0, 1):
                raise ValueError(f"turn {place} of conversation {number} is neither unsafe nor safe")
            failed += said is None
            if refuse and said is None:
                raise ValueError(f"turn {place} of conversation {number} failed; say what failures count as")
    unsafe_turns = [sum(bool(unsafe) for unsafe, _ in turns) for turns in conversations]
    return Sample(
        turns=sum(len(turns) for turns in conversations),
        unsafe_turns=sum(unsafe_turns),
        conversations=len(conversations),
        unsafe_conversations=sum(number > 0 for number in unsafe_turns),
        failed=failed,
    )


def _finite(conversations: Scored) -> None:
    for number, turns in enumerate(conversations):
        for place, (_, score) in enumerate(turns):
            if score is not None and not math.isfinite(score):
                raise ValueError(f"the score of turn {place} of conversation {number} is not finite")


def _by(conversations: Scored, how: Resampling) -> Resampling:
    """The same draws with a cluster for each turn: that of its conversation, or the conversation itself."""
    owners: Sequence[Hashable] = range(len(conversations)) if how.clusters is None else how.clusters
    if len(owners) != len(conversations):
        raise ValueError("clusters must name one cluster for each conversation")
    turns = [owner for owner, said in zip(owners, conversations, strict=True) for _ in said]
    return replace(how, clusters=turns)
