"""Whether scores can be read as probabilities, in tables."""

from __future__ import annotations

from crisis_filter.evaluation.records import Calibration, Evaluation, SystemReport
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.scoring import scored, unscored
from crisis_filter.evaluation.report.words import clean, counted, estimate, number, ratio, spanned


def calibration(evaluation: Evaluation) -> Section:
    """Whether scores can be read as probabilities."""
    title = "Calibration"
    found = [(each, s.calibration) for _, each, s in scored(evaluation) if s.calibration is not None]
    without = [
        f"{clean(each.system.name)}: scores that cannot be read as probabilities, or too few."
        for _, each, scores in scored(evaluation)
        if scores.calibration is None
    ]
    remarks = (*without, *unscored(evaluation))
    if not found:
        return Section("calibration", title, remarks=remarks)
    return Section(
        "calibration",
        title,
        paragraphs=(
            "Whether messages with a score of 0.8 are crises in 8 of 10 cases. It holds at this data's share of crises: where crises are "
            "rarer, the same score means less. Messages without a score are left out here.",
        ),
        remarks=remarks,
        sheets=(_summary(found), *(_bins(each, one) for each, one in found)),
    )


def _summary(found: list[tuple[SystemReport, Calibration]]) -> Sheet:
    heads = ("system", "Brier score", "Brier skill", "log loss", "ECE", "slope", "intercept", "different scores")
    rows = tuple(
        (
            f"{clean(each.system.name)}\n{counted(sum(bar.observed.nobs for bar in one.bins), 'message')}",
            spanned(one.brier, one.brier_span),
            number(one.brier_skill),
            spanned(one.log_loss, one.log_loss_span),
            spanned(one.ece, one.ece_span),
            number(one.slope),
            number(one.intercept),
            f"{one.distinct:,}",
        )
        for each, one in found
    )
    caption = "Calibration. Brier score, log loss and ECE: 0 is best. Skill: 1 is best, 0 no better than the share of crises. Slope: 1 is right"
    return Sheet(caption, heads, rows, figure="reliability")


def _bins(report: SystemReport, one: Calibration) -> Sheet:
    rows = tuple(
        (
            f"{each.low:.3f} to {each.high:.3f}",
            counted(each.observed.nobs, "message"),
            number(each.mean),
            ratio(each.observed),
            estimate(each.observed),
        )
        for each in one.bins
    )
    heads = ("score", "messages", "mean score", "crises", "share of crises")
    return Sheet(f"{clean(report.system.name)}: scores and what was true", heads, rows, figure="reliability")
