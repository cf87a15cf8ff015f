"""Validating a clearing threshold: the engine's scores of an operator's own labelled crises, read exactly as a cascade reads messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crisis_filter.assets import package_version
from crisis_filter.errors import ConfigurationError
from crisis_filter.local.engine import LocalEngine
from crisis_filter.stages.clearing import Clearing, largest_provable
from crisis_filter.stages.engine import EngineStages
from crisis_filter.stats.operating import fewest_positives, operating_point
from crisis_filter.text import mended, views
from crisis_filter.triage.policy import Limits

__all__ = ["Labels", "clearing_score", "validate"]


@dataclass(frozen=True, slots=True)
class Labels:
    """Labelled messages to set a clearing threshold on."""

    name: str
    """Of the file."""
    sha256: str
    """Of its bytes."""
    labelled_by: str | None
    crises: tuple[str, ...] = field(repr=False)
    """Texts; one of each person or conversation, because they must be independent."""
    others: tuple[str, ...] = field(repr=False)
    """Texts that are no crisis."""


_TEACHING = ("training", "development")


def _learned_from(engine: LocalEngine) -> set[str]:
    """Hashes of the files that decided how the engine orders messages.

    Files that it was only calibrated on did not: calibration stretches the scores of a label and keeps their order, and a threshold that is
    chosen by order is the same message either way.
    """
    return {sha256 for name, sha256 in engine.card.training.items() if name.startswith(_TEACHING)}


async def clearing_score(
    stages: EngineStages, text: str, limits: Limits, *, languages: tuple[str, ...], most_characters: int
) -> float:
    """The score that decides whether a cascade clears a text: the engine's, or infinity where no score could.

    Raises:
        EngineError: never; an engine that gives no answer clears nothing, so that is infinity too.
    """
    readings = views(text) if mended(text) == text else ()
    if len(readings) != 1 or len(text) > limits.chunk_characters:
        return math.inf
    if not stages.clearable(text, languages=languages, most_characters=most_characters):
        return math.inf
    score = await stages.score(text)
    return math.inf if score is None else score


async def validate(
    engine: LocalEngine,
    labels: Labels,
    limits: Limits,
    *,
    target: float,
    delta: float,
    languages: tuple[str, ...],
    most_characters: int,
) -> Clearing:
    """Choose the highest threshold below which at most a share `1 - target` of crises would be cleared.

    The crises fix it alone (`stats.operating`); the others only tell what it saves.

    Args:
        engine: the one that will look first.
        labels: messages that had no part in making it.
        limits: of the policy, for pieces.
        target: share of crises that must not be cleared, in (0, 1).
        delta: highest chance that this does not hold, in (0, 1).
        languages: of the labels; nothing in another is cleared.
        most_characters: nothing longer is cleared.

    Raises:
        ConfigurationError: the engine was made with these labels, there are too few crises, or there is no score below which clearing
            would be safe and save anything.
        ValueError: `target` or `delta` outside (0, 1).
    """
    if labels.sha256 in _learned_from(engine):
        raise ConfigurationError(
            f"{labels.name}: the engine {engine.id} was made with these messages, so it would look better on them than it is; take others"
        )
    stages = EngineStages(engine, may_clear=False)
    try:

        async def scored(texts: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            found = [
                await clearing_score(stages, text, limits, languages=languages, most_characters=most_characters)
                for text in texts
            ]
            return np.array(found, dtype=np.float64)

        crises, others = await scored(labels.crises), await scored(labels.others)
    finally:
        await stages.aclose()
    point = operating_point(crises, target, delta)
    if point is None:
        n = len(crises)
        most = f"; {n} can prove at most {100 * largest_provable(n, delta):.2f}%" if n else ""
        raise ConfigurationError(
            f"{labels.name}: {n} crises are too few to prove {100 * target:g}%: {fewest_positives(target, delta)} are needed{most}"
        )
    # Where hardly a crisis has a score, any score would do; then the engine's own line is the highest that makes sense.
    threshold = min(point.threshold, engine.thresholds[0])
    if not 0.0 < threshold < 1.0:
        raise ConfigurationError(f"{labels.name}: no threshold above 0 keeps this promise")
    return Clearing(
        threshold=threshold,
        engine=engine.id,
        engine_sha256=engine.sha256,
        labels=labels.name,
        labels_sha256=labels.sha256,
        labelled_by=labels.labelled_by,
        languages=languages,
        most_characters=most_characters,
        n=point.n,
        k=point.k,
        misses=int((crises < threshold).sum()),
        kept=int(np.isinf(crises).sum()),
        others=len(others),
        others_cleared=int((others < threshold).sum()),
        target=target,
        delta=delta,
        version=package_version(),
    ).signed()
