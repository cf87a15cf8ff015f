"""Counting: rates with their intervals, pairs, and what our engine finds at another system's rate of false alarms.

No verdict counts as wrong, on a crisis and on an ordinary message alike.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bench.peers.offline_asking import Case, Said
from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.paired import discordance, mcnemar_exact, paired_difference

CURVE = tuple((step / 50) ** 2 for step in range(51))
"""Shares of ordinary messages flagged at which a curve is taken, 0 to 1: dense where few are."""


def is_near_miss(stratum: str, ordinary: Collection[str]) -> bool:
    """Whether a not-crisis message of this stratum was made to look like a crisis: it was asked for under none of the ordinary topics.

    Raises:
        ValueError: the stratum is empty, so nobody knows.
    """
    if not stratum:
        raise ValueError("a message without a stratum is neither near miss nor ordinary")
    return stratum not in ordinary


def rates(cases: Sequence[Case], said: Mapping[str, Said]) -> dict[str, Any]:
    """A system on one set: each rate with count, n and 95% Wilson interval, messages without a verdict, and latency in ms."""
    crises = [case for case in cases if case.crisis]
    others = [case for case in cases if not case.crisis]
    return {
        "sensitivity": _rate(crises, said),
        "sensitivity_suicide_self_harm": _rate([case for case in crises if case.self_directed], said),
        "specificity": _rate(others, said),
        "specificity_near_misses": _rate([case for case in others if case.near_miss], said),
        "no_verdict": {
            "crises": sum(said[case.id].flagged is None for case in crises),
            "others": sum(said[case.id].flagged is None for case in others),
        },
        **_latency([said[case.id].ms for case in cases]),
    }


def against(cases: Sequence[Case], said: Mapping[str, Said], reference: Mapping[str, Said]) -> dict[str, Any]:
    """A system's rates minus the reference's on the same messages, with Agresti and Min's interval and exact McNemar p, not adjusted."""
    found = {}
    for name, crisis in (("sensitivity", True), ("specificity", False)):
        mine = [case for case in cases if case.crisis is crisis]
        pairs = discordance(
            np.array([_right(case, said) for case in mine], dtype=np.bool_),
            np.array([_right(case, reference) for case in mine], dtype=np.bool_),
        )
        b, c = pairs.first_only, pairs.second_only
        difference = paired_difference(b, c, pairs.n)
        found[name] = {
            "difference": difference.estimate,
            "low": difference.low,
            "high": difference.high,
            "n": pairs.n,
            "system_only": b,
            "reference_only": c,
            "p": mcnemar_exact(b, c),
        }
    return found


def at_false_alarms(cases: Sequence[Case], said: Mapping[str, Said], allowed: int) -> dict[str, Any] | None:
    """Sensitivity of a system with scores at the lowest threshold that gives at most so many false alarms on this very set.

    A threshold chosen on the set that it is then counted on is optimistic. `None` where a message has no score.
    """
    scores = {case.id: said[case.id].score for case in cases}
    if any(score is None for score in scores.values()):
        return None
    crises = [score for case in cases if case.crisis and (score := scores[case.id]) is not None]
    others = sorted((s for case in cases if not case.crisis and (s := scores[case.id]) is not None), reverse=True)
    over = others[allowed] if allowed < len(others) else -math.inf
    return _interval(sum(score > over for score in crises), len(crises))


def curve(cases: Sequence[Case], said: Mapping[str, Said]) -> list[tuple[float, float | None]] | None:
    """At each share of `CURVE`: the share, and the sensitivity where no more of the others are flagged. `None` where a message has no score."""
    n = sum(not case.crisis for case in cases)
    # Rounding must not take one message off a share that is a whole number of them.
    found = [at_false_alarms(cases, said, math.floor(share * n + 1e-9)) for share in CURVE]
    return None if None in found else [(s, each["estimate"]) for s, each in zip(CURVE, found, strict=True) if each]


def false_alarms(cases: Sequence[Case], said: Mapping[str, Said]) -> int:
    """Ordinary messages that a system has wrong, those without a verdict among them."""
    return sum(not _right(case, said) for case in cases if not case.crisis)


def _right(case: Case, said: Mapping[str, Said]) -> bool:
    return said[case.id].flagged is case.crisis


def _rate(cases: Sequence[Case], said: Mapping[str, Said]) -> dict[str, Any]:
    return _interval(sum(_right(case, said) for case in cases), len(cases))


def _interval(count: int, n: int) -> dict[str, Any]:
    found = wilson(count, n)
    return {"count": count, "n": n, "estimate": found.estimate, "low": found.low, "high": found.high}


def _latency(ms: Sequence[float]) -> dict[str, float | None]:
    if not ms:
        return {"p50_ms": None, "p99_ms": None}
    return {"p50_ms": float(np.median(ms)), "p99_ms": float(np.quantile(ms, 0.99))}
