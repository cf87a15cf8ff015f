"""What the figures of a balanced set mean where crises are rare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crisis_filter.evaluation.records import AtPrevalence, Screening, Settings
from crisis_filter.stats.prevalence import PpvPosterior, ppv_posterior
from crisis_filter.stats.resampling import Span

__all__ = ["PREVALENCES", "at_prevalences"]

PREVALENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
"""Shares of crises among messages; the VBHSF paper has 0.5%, 1%, 2% and 5%."""
_OF = 10_000


def at_prevalences(found: Screening, prevalences: Sequence[float], settings: Settings) -> tuple[AtPrevalence, ...]:
    """Predictive values and expected counts at each prevalence, the rates of this data taken to hold there.

    Args:
        found: Stage 1 of one system.
        prevalences: shares of crises, in (0, 1).
        settings: seed, level, and how failures count.

    Raises:
        ValueError: a prevalence out of range.
    """
    if not sum(found.crises.values()) or not sum(found.others.values()):
        return ()
    hit, quiet = found.measures.sensitivity, found.measures.specificity
    tp, fn, tn, fp = hit.count, hit.nobs - hit.count, quiet.count, quiet.nobs - quiet.count
    rows = []
    for prevalence in prevalences:
        rng = np.random.default_rng(settings.seed)
        real = ppv_posterior(tp=tp, fn=fn, tn=tn, fp=fp, prevalence=prevalence, rng=rng, level=settings.level)
        # The share of the cleared that are no crisis is the same sum with the sides changed.
        cleared = ppv_posterior(tp=tn, fn=fp, tn=tp, fp=fn, prevalence=1 - prevalence, rng=rng, level=settings.level)
        rows.append(
            AtPrevalence(
                prevalence=prevalence,
                ppv=real and real.estimate,
                ppv_span=_span(real),
                npv=cleared and cleared.estimate,
                npv_span=_span(cleared),
                per_10000=_expected(found, prevalence),
            )
        )
    return tuple(rows)


def _span(found: PpvPosterior | None) -> Span | None:
    return None if found is None or found.estimate is None else Span(found.low, found.high, found.level, "posterior")


def _expected(found: Screening, prevalence: float) -> dict[str, float]:
    crises, others = found.crises, found.others
    per_crisis, per_other = _OF * prevalence / sum(crises.values()), _OF * (1 - prevalence) / sum(others.values())
    return {
        "found": per_crisis * crises["crisis"],
        "undetermined_crises": per_crisis * crises["undetermined"],
        "missed": per_crisis * crises["no_crisis"],
        "false_alarms": per_other * others["crisis"],
        "undetermined_others": per_other * others["undetermined"],
        "cleared": per_other * others["no_crisis"],
    }
