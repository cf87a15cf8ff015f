"""Validating a clearing threshold: the engine's scores of an operator's own labelled crises, read exactly as a cascade reads messages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crisis_filter.assets import file_sha256, package_version, root
from crisis_filter.errors import ConfigurationError
from crisis_filter.local.engine import LocalEngine
from crisis_filter.stages.clearing import LONGEST, Clearing, largest_provable
from crisis_filter.stages.engine import EngineStages
from crisis_filter.stats.operating import fewest_positives, operating_point
from crisis_filter.text import mended, normalise, views

__all__ = ["Labels", "clearing_score", "validate"]

_TEACHING = ("training", "development")
"""Beginnings of the names of the files, in an engine's card, that decided how it orders messages."""


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
    path: str = ""
    """Of the file, seen from where the threshold will be written."""
    copies: int = 0
    """Crises that were left out as another of the same person."""


def _learned_from(engine: LocalEngine) -> set[str]:
    """Hashes of the files that decided how the engine orders messages.

    Files that it was only calibrated on did not: calibration stretches the scores of a label and keeps their order, and a threshold that is
    chosen by order is the same message either way.
    """
    return {sha256 for name, sha256 in engine.card.training.items() if name.startswith(_TEACHING)}


async def clearing_score(stages: EngineStages, text: str, *, languages: tuple[str, ...], most_characters: int) -> float:
    """The score that decides whether a cascade clears a text: the engine's, or infinity where no score could.

    An engine that fails or gives no score clears nothing, so that is infinity too, and no error.
    """
    readings = views(text) if mended(text) == text else ()
    if len(readings) != 1:
        return math.inf
    if not stages.clearable(text, languages=languages, most_characters=most_characters):
        return math.inf
    score = await stages.score(text)
    return math.inf if score is None else score


async def validate(
    engine: LocalEngine,
    labels: Labels,
    *,
    target: float,
    delta: float,
    languages: tuple[str, ...],
    most_characters: int,
) -> Clearing:
    """Choose the highest threshold below which at most a share `1 - target` of crises would be cleared.

    Only crises that a score could clear count, each text once: what always goes to the language model proves nothing of the engine, and a promise
    about the others holds for all. The other messages only tell what the threshold saves.

    Args:
        engine: the one that will look first.
        labels: messages that had no part in making it.
        target: share of crises that must not be cleared, in (0, 1).
        delta: highest chance that this does not hold, in (0, 1).
        languages: of the labels; nothing in another is cleared.
        most_characters: nothing longer is cleared; at most `LONGEST`.

    Raises:
        ConfigurationError: the engine was made with some of these crises, there are too few, or a longer text than may be is asked for.
        ValueError: `target` or `delta` outside (0, 1).
    """
    if not 1 <= most_characters <= LONGEST:
        raise ConfigurationError(f"at most {LONGEST:,} characters may be cleared")
    crises = {folded: text for text in labels.crises if (folded := _folded(text))}
    if learned := len(_learned(engine) & crises.keys()):
        raise ConfigurationError(
            f"{labels.name}: the engine {engine.id} was made with {learned} of these {len(crises)} crises, so it would look better than it is; take others"
        )
    if labels.sha256 in _learned_from(engine):
        raise ConfigurationError(f"{labels.name}: the engine {engine.id} was made with this file; take other labels")
    stages = EngineStages(engine, may_clear=False)
    try:

        async def scored(texts: Iterable[str]) -> NDArray[np.float64]:
            found = [
                await clearing_score(stages, text, languages=languages, most_characters=most_characters)
                for text in texts
            ]
            return np.array(found, dtype=np.float64)

        all_scores, others = await scored(crises.values()), await scored(labels.others)
    finally:
        await stages.aclose()
    scores = all_scores[np.isfinite(all_scores)]
    point = operating_point(scores, target, delta)
    if point is None:
        n = len(scores)
        most = f"; {n} can prove at most {100 * largest_provable(n, delta):.2f}%" if n else ""
        raise ConfigurationError(
            f"{labels.name}: {n} different crises that a score could clear are too few to prove {100 * target:g}%: "
            f"{fewest_positives(target, delta)} are needed{most}"
        )
    # Above its own line the engine takes a message for a crisis, so nothing is cleared there.
    threshold = min(point.threshold, engine.thresholds[0])
    if not 0.0 < threshold < 1.0:
        raise ConfigurationError(f"{labels.name}: no threshold above 0 keeps this promise")
    return Clearing(
        threshold=threshold,
        engine=engine.id,
        engine_sha256=engine.sha256,
        labels=labels.name,
        labels_path=labels.path or labels.name,
        labels_sha256=labels.sha256,
        labelled_by=labels.labelled_by,
        languages=languages,
        most_characters=most_characters,
        n=point.n,
        k=point.k,
        misses=int((scores < threshold).sum()),
        kept=len(all_scores) - len(scores),
        copies=labels.copies + len(labels.crises) - len(crises),
        others=len(others),
        others_cleared=int((others < threshold).sum()),
        target=target,
        delta=delta,
        version=package_version(),
    ).signed()


def _folded(text: str) -> str:
    """A text as copies of it look; empty where nothing is visible."""
    return normalise(mended(text), casefold=True).text


def _learned(engine: LocalEngine) -> set[str]:
    """Crises that the engine was made with, as far as their files are at hand, folded."""
    hashes, found = _learned_from(engine), set()
    for path in sorted((root() / "data").glob("*/*.jsonl")):
        if file_sha256(path) in hashes:
            lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            found |= {_folded(line["text"]) for line in lines if line["crisis"]}
    return found
