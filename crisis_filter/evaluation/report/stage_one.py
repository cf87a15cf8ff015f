"""Stage 1 in tables: outcomes, rates, faults, and what to expect where crises are rare."""

from __future__ import annotations

from collections.abc import Mapping

from crisis_filter.evaluation.records import AtPrevalence, Evaluation, Screening, SystemReport
from crisis_filter.evaluation.report.about import failures
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.summary import unanswered
from crisis_filter.evaluation.report.words import (
    clean,
    counted,
    expected,
    level,
    number,
    rate,
    sentence,
    share,
    spanned,
)
from crisis_filter.schema import OUTCOMES

FATES: dict[str, str] = {
    "found": "crisis, found",
    "undetermined_crises": "crisis, undetermined",
    "missed": "crisis, missed",
    "false_alarms": "not a crisis, false alarm",
    "undetermined_others": "not a crisis, undetermined",
    "cleared": "not a crisis, cleared",
}
"""What becomes of a message, as `AtPrevalence.per_10000` has it."""


def screening(evaluation: Evaluation) -> Section:
    """Crisis or not: counts first."""
    reports = evaluation.systems
    return Section(
        "screening",
        "Stage 1: crisis or not",
        paragraphs=(failures(evaluation.settings),),
        remarks=(
            *(f"{clean(each.system.name)}. {headline(each)}" for each in reports),
            *map(unanswered, evaluation.left_out),
        ),
        sheets=(_outcomes(evaluation), _rates(evaluation), *_faults(reports)),
    )


def prevalence(evaluation: Evaluation) -> Section:
    """What to expect where crises are rarer than here."""
    gold = evaluation.gold
    return Section(
        "prevalence",
        "Where crises are rare",
        paragraphs=(
            f"In this data {gold.crises:,} of {counted(gold.messages, 'message')} {'is a crisis' if gold.crises == 1 else 'are crises'}; among the messages of a health platform few are. How many "
            "alarms are right (the positive predictive value) falls with the share of crises. The figures below take sensitivity and "
            "specificity as measured here, and hold only if messages elsewhere are as easy or hard to tell apart.",
        ),
        remarks=tuple(
            f"{clean(each.system.name)}: no expectations were computed." for each in reports_without(evaluation)
        ),
        sheets=(_values(evaluation), _of_ten_thousand(evaluation)),
    )


def reports_without(evaluation: Evaluation) -> list[SystemReport]:
    """Systems without expectations."""
    return [each for each in evaluation.systems if not each.prevalences]


def headline(report: SystemReport) -> str:
    """One system in two sentences."""
    one = report.screening
    found, unsure, missed = by_outcome(one.crises)
    alarms, doubtful, cleared = by_outcome(one.others)
    return (
        f"Of {counted(found + unsure + missed, 'crisis', 'crises')}, {found:,} {'was' if found == 1 else 'were'} taken for a crisis, {unsure:,} undetermined, {missed:,} "
        f"missed: sensitivity {sentence(one.measures.sensitivity)}. Of {counted(alarms + doubtful + cleared, 'other message')}, {cleared:,} "
        f"{'was' if cleared == 1 else 'were'} cleared, {doubtful:,} undetermined, {counted(alarms, 'false alarm')}: specificity {sentence(one.measures.specificity)}."
    )


def by_outcome(side: Mapping[str, int]) -> tuple[int, ...]:
    """Messages taken for a crisis, undetermined, and taken for none."""
    return tuple(side.get(outcome, 0) for outcome in OUTCOMES)


def _outcomes(evaluation: Evaluation) -> Sheet:
    heads = (
        "system",
        "crises",
        "taken for crisis",
        "undetermined",
        "not crisis (missed)",
        "others",
        "taken for crisis (false alarm)",
        "undetermined",
        "not crisis",
    )
    return Sheet("Outcomes, in messages", heads, tuple(map(_outcome_row, evaluation.systems)))


def _outcome_row(report: SystemReport) -> tuple[str, ...]:
    sides = (report.screening.crises, report.screening.others)
    cells = [f"{n:,}" for side in sides for n in (sum(side.values()), *by_outcome(side))]
    return (clean(report.system.name), *cells)


def _rates(evaluation: Evaluation) -> Sheet:
    heads = ("system", "sensitivity", "specificity", "PPV", "NPV", "accuracy", "F1")
    rows: list[tuple[str, ...]] = []
    for each in evaluation.systems:
        one: Screening = each.screening
        of = one.measures
        rows.append(
            (
                clean(each.system.name),
                *(rate(m) for m in (of.sensitivity, of.specificity, of.ppv, of.npv, of.accuracy)),
                number(of.f1),
            )
        )
        if one.crises.get("undetermined") or one.others.get("undetermined"):
            best = (rate(one.best_sensitivity), rate(one.best_specificity), *["not computed"] * 4)
            rows.append((f"{clean(each.system.name)}, if every undetermined message had been right", *best))
        for left in evaluation.left_out:
            if left.name == each.system.name and left.crises:
                missed = (rate(left.sensitivity_if_missed), *["not computed"] * 5)
                rows.append(
                    (
                        f"{clean(each.system.name)}, if the crises without an answer had been missed, of all labelled",
                        *missed,
                    )
                )
    caption = f"Rates of Stage 1 with {level(evaluation.settings.level)} intervals. PPV, NPV, accuracy and F1 hold at this data's share of crises only"
    return Sheet(caption, heads, tuple(rows), figure="overall")


def _faults(reports: tuple[SystemReport, ...]) -> list[Sheet]:
    """Why messages were undetermined."""
    rows = tuple(
        (clean(each.system.name), clean(fault), f"{count:,}")
        for each in reports
        for fault, count in sorted(each.screening.faults.items(), key=lambda item: (-item[1], item[0]))
    )
    return [Sheet("Why messages are undetermined", ("system", "fault", "messages"), rows, names=2)] if rows else []


def _values(evaluation: Evaluation) -> Sheet:
    rows = tuple(
        (clean(each.system.name), share(at.prevalence), spanned(at.ppv, at.ppv_span), spanned(at.npv, at.npv_span, 5))
        for each in evaluation.systems
        for at in each.prevalences
    )
    caption = f"Predictive values by share of crises, with {level(evaluation.settings.level)} intervals"
    return Sheet(caption, ("system", "crises", "PPV", "NPV"), rows, figure="ppv")


def _of_ten_thousand(evaluation: Evaluation) -> Sheet:
    heads = ("system", "crises", *FATES.values())
    rows = tuple(_expected_row(each, at) for each in evaluation.systems for at in each.prevalences)
    caption = "Of 10,000 messages, how many to expect; from sensitivity and specificity above, whose intervals apply"
    return Sheet(caption, heads, rows, figure="ten-thousand")


def _expected_row(report: SystemReport, at: AtPrevalence) -> tuple[str, ...]:
    cells = (expected(at.per_10000[fate]) if fate in at.per_10000 else "undefined" for fate in FATES)
    return (clean(report.system.name), share(at.prevalence), *cells)
