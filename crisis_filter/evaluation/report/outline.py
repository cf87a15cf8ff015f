"""The report's sections, in the order of reading."""

from __future__ import annotations

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.about import about, method
from crisis_filter.evaluation.report.calibrating import calibration
from crisis_filter.evaluation.report.comparing import pairs, subgroups
from crisis_filter.evaluation.report.flag import flagging
from crisis_filter.evaluation.report.glossary import glossary
from crisis_filter.evaluation.report.parts import Section
from crisis_filter.evaluation.report.scoring import ranking
from crisis_filter.evaluation.report.stage_one import prevalence, screening
from crisis_filter.evaluation.report.stage_two import categorising

TITLE = "Evaluation of crisis screening"
WITHOUT_LABELS = ("about", "method", "glossary")
"""Sections that hold no figure from the labels, or name them."""


def sections(evaluation: Evaluation) -> tuple[Section, ...]:
    """All of them; one whose figures are missing says why."""
    first = (about, screening, pairs, prevalence, ranking, calibration)
    makers = (*first, categorising, flagging, subgroups, method, glossary)
    return tuple(make(evaluation) for make in makers)
