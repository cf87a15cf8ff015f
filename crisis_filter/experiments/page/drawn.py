"""Rates and differences drawn."""

from __future__ import annotations

from collections.abc import Sequence

from crisis_filter.evaluation.report.ink import Look, look
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.words import category_words, clean, counted, ratio, sentence, signed
from crisis_filter.experiments.comparison import CategoryContrast, Comparison, Difference, Side
from crisis_filter.experiments.page.columns import Column
from crisis_filter.experiments.page.figures import difference_words
from crisis_filter.experiments.page.forest import Axis, Bar, forest, least, reach
from crisis_filter.stats.intervals import Interval


def rates(shown: Sequence[Column]) -> Figure:
    """Both rates of every variant."""
    panels = (
        _rates("Sensitivity", "share of crises found", [(one.name, one.found, one.unsure[0]) for one in shown]),
        _rates("Specificity", "share of others cleared", [(one.name, one.cleared, one.unsure[1]) for one in shown]),
    )
    caption = "First answers, 95% Wilson intervals; the table has the same in numbers. The two axes may begin at different values."
    return Figure("rates", "Rates of the variants", caption, panels)


def contrasts(comparison: Comparison) -> Figure:
    """Candidates less the incumbent, a panel for either side."""
    incumbent = clean(comparison.systems[0].name)
    sides = [side for one in comparison.candidates for side in one.sides]
    margins = [margin for side in ("sensitivity", "specificity") for margin in _margins(comparison, side)]
    end = _end([side.difference for side in sides], margins)
    panels = tuple(
        _differences(
            name,
            f"{side}: candidate minus incumbent",
            [
                (clean(one.name), at.difference, f"{at.only_candidate:,} gained, {at.only_incumbent:,} lost", place)
                for place, one in enumerate(comparison.candidates, 1)
                for at in one.sides
                if at.side == side
            ],
            (0.0, *(-bound for bound in _margins(comparison, side))),
            end,
        )
        for name, side in (("Sensitivity", "sensitivity"), ("Specificity", "specificity"))
    )
    caption = (
        f"Right of the line at 0 the candidate is better than {incumbent}. Gained and lost: messages that the candidate alone, and the incumbent "
        "alone, has right by first answers. "
    )
    if margins:
        caption += (
            "Dashed: the declared margin; a bar that lies wholly to its right keeps it, as far as this figure goes. "
        )
    return Figure("differences", "Differences of the rates", caption.strip(), panels)


def by_category(comparison: Comparison) -> Figure | None:
    """Sensitivity of each category; `None` where no label names one."""
    margin = comparison.settings.margin
    end = _end([at.difference for one in comparison.candidates for at in one.categories], [margin])
    panels = tuple(
        _differences(
            clean(one.name),
            "sensitivity: candidate minus incumbent",
            [(category_words(at.category), at.difference, _verdict(at), place) for at in one.categories],
            (0.0, -margin),
            end,
        )
        for place, one in enumerate(comparison.candidates, 1)
        if one.categories
    )
    if not panels:
        return None
    caption = f"Crises of each category. Dashed: a loss of {margin:g}. A category holds where its bar lies wholly right of that, also over the messages that the incumbent decided."
    declared = comparison.acceptance.category_margin if comparison.acceptance is not None else None
    if declared is not None and declared != margin:
        caption += f" The declared bound has a margin of its own, {declared:g}, and is judged above."
    return Figure("by-category", "Sensitivity within each category", caption, panels)


def _verdict(at: CategoryContrast) -> str:
    return f"{counted(at.messages, 'message')}: {at.verdict or 'undefined'}"


def _margins(comparison: Comparison, side: Side | str) -> tuple[float, ...]:
    declared = comparison.acceptance
    if declared is None:
        return ()
    margin = declared.sensitivity_margin if side == "sensitivity" else declared.specificity_margin
    return () if margin is None else (margin,)


def _rates(heading: str, axis: str, them: Sequence[tuple[str, Interval, int]]) -> Panel:
    bars = [
        Bar(
            name=name,
            counts=f"{ratio(of)}, {unsure:,} undetermined",
            estimate=of.estimate,
            low=of.low,
            high=of.high,
            look=look(place),
            say=f"{name}: {sentence(of)}, {unsure:,} undetermined",
        )
        for place, (name, of, unsure) in enumerate(them)
    ]
    begin = least([bar.low for bar in bars if bar.estimate is not None])
    said = f"Forest plot of {heading.lower()}: {counted(len(bars), 'point')} with intervals from {begin:g} to 1; the table has the figures."
    return Panel(heading, forest(bars, Axis(axis, begin, 1.0), said))


def _differences(
    heading: str,
    axis: str,
    them: Sequence[tuple[str, Difference, str, int]],
    marked: tuple[float, ...],
    end: float,
) -> Panel:
    bars = [_difference(name, of, counts, look(place)) for name, of, counts, place in them]
    said = f"Forest plot of differences: {counted(len(bars), 'point')} with intervals from {signed(-end)} to {signed(end)}; the table has the figures."
    return Panel(heading, forest(bars, Axis(axis, -end, end, marked), said))


def _end(them: Sequence[Difference], margins: Sequence[float]) -> float:
    """How far the axes of one figure go, all of them alike."""
    return reach([*(bound for of in them if of.estimate is not None for bound in (of.low, of.high)), *margins])


def _difference(name: str, of: Difference, counts: str, drawn: Look) -> Bar:
    say = f"{name}: {difference_words(of)}, {counted(of.messages, 'message')}, {counts}"
    return Bar(name=name, counts=counts, estimate=of.estimate, low=of.low, high=of.high, look=drawn, say=say)
