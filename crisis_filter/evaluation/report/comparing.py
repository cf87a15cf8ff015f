"""Subgroups, and systems against one another, in tables."""

from __future__ import annotations

from crisis_filter.evaluation.records import Evaluation, Pair, ScoreGap, Way
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.words import (
    category_words,
    clean,
    counted,
    level,
    number,
    p_value,
    rate,
    signed,
    spanned,
)

_PAIR_HEADS = (
    "first \u2212 second",
    "rate",
    "messages",
    "only first right",
    "only second right",
    "difference",
    "exact p",
    "adjusted p",
)


def subgroups(evaluation: Evaluation) -> Section:
    """Rates of Stage 1 within levels of properties."""
    title = "Subgroups"
    rows = tuple(
        (
            category_words(one.facet),
            category_words(one.level),
            clean(each.system.name),
            rate(one.sensitivity),
            rate(one.specificity),
            f"{one.undetermined:,}",
        )
        for facet, name in levels(evaluation)
        for each in evaluation.systems
        for one in each.subgroups
        if (one.facet, one.level) == (facet, name)
    )
    if not rows:
        return Section("subgroups", title, remarks=("The labels name no property to make subgroups of.",))
    heads = ("property", "level", "system", "sensitivity", "specificity", "undetermined")
    caption = f"Stage 1 within subgroups, with {level(evaluation.settings.level)} intervals"
    return Section(
        "subgroups",
        title,
        paragraphs=(
            "Many subgroups are compared and most are small: look at the intervals, and take a difference for a question, not an answer.",
        ),
        sheets=(Sheet(caption, heads, rows, names=3, figure="by-subgroup"),),
    )


def levels(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Every facet and level, facets together, in the order they come."""
    both = dict.fromkeys((one.facet, one.level) for each in evaluation.systems for one in each.subgroups)
    facets = dict.fromkeys(facet for facet, _ in both)
    return tuple(one for facet in facets for one in both if one[0] == facet)


def pairs(evaluation: Evaluation) -> Section:
    """Differences, with tests."""
    title = "Systems against one another"
    if not (evaluation.pairs or evaluation.together or evaluation.gaps):
        return Section("pairs", title, remarks=(_alone(evaluation),))
    return Section(
        "pairs",
        title,
        paragraphs=("All systems are compared on the same messages.",),
        sheets=tuple(sheet for sheet in (_pairs(evaluation), _gaps(evaluation), _together(evaluation)) if sheet.rows),
    )


def within_categories(evaluation: Evaluation, way: Way) -> tuple[Sheet, ...]:
    """The tests of every two systems in each category, read one way; none for one system."""
    rows = tuple((category_words(one.category), *_pair(one)) for one in evaluation.category_pairs if one.way == way)
    if not rows:
        return ()
    read = (
        "by the categories that they name, flat (an undetermined message names none)"
        if way == "named"
        else "by their overall flags"
    )
    heads = ("category", *_PAIR_HEADS)
    caption = (
        f"Pairs within each category, {read}: sensitivity over the messages that carry it, specificity over the others; exact McNemar p, "
        f"and p adjusted for the pairs of one rate of one category ({evaluation.settings.adjustment.capitalize()}), not for there being several categories"
    )
    return (Sheet(caption, heads, rows, names=3, fold=f"{counted(len(rows), 'test')} of pairs within categories"),)


def versus(one: Pair | ScoreGap) -> str:
    """Two systems by name, as their figures are subtracted: `A \u2212 B`."""
    return f"{clean(one.first)} \u2212 {clean(one.second)}"


def _alone(evaluation: Evaluation) -> str:
    if len(evaluation.systems) == 1:
        return f"There is one system only, {clean(evaluation.systems[0].system.name)}, so there is nothing to compare it with."
    return "No figure compares these systems: no two of them answered the same messages."


def _pairs(evaluation: Evaluation) -> Sheet:
    caption = (
        f"Pairs: difference of the rates (first minus second) with Agresti-Min {level(evaluation.settings.level)} interval, exact McNemar p, "
        f"and p adjusted for all pairs of one rate ({evaluation.settings.adjustment.capitalize()})"
    )
    return Sheet(caption, _PAIR_HEADS, tuple(map(_pair, evaluation.pairs)), names=2)


def _pair(one: Pair) -> tuple[str, ...]:
    difference = (
        "undefined" if one.estimate is None else f"{signed(one.estimate)}\n({signed(one.low)} to {signed(one.high)})"
    )
    counts = (f"{one.messages:,}", f"{one.only_first:,}", f"{one.only_second:,}")
    return (
        versus(one),
        one.outcome,
        *counts,
        difference,
        p_value(one.p),
        p_value(one.p_adjusted),
    )


def _gaps(evaluation: Evaluation) -> Sheet:
    rows = tuple((versus(g), g.figure, spanned(g.estimate, g.span).replace("-", "\u2212")) for g in evaluation.gaps)
    caption = (
        f"Differences of other figures on {counted(evaluation.gold.messages, 'message')} (first minus second), "
        f"{level(evaluation.settings.level)} bootstrap intervals from the same draws"
    )
    return Sheet(caption, ("first \u2212 second", "figure", "difference"), rows, names=2)


def _together(evaluation: Evaluation) -> Sheet:
    rows = tuple(
        (
            one.outcome,
            f"{one.systems:,}",
            f"{one.messages:,}",
            number(one.statistic, 2),
            f"{one.freedom:,}",
            p_value(one.p),
        )
        for one in evaluation.together
    )
    heads = ("rate", "systems", "messages", "Cochran's Q", "degrees of freedom", "p")
    return Sheet("All systems at once: whether all have the same rate", heads, rows)
