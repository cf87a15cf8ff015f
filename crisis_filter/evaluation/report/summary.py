"""The evaluation in plain words and whole numbers, for a reader who reads nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from crisis_filter.evaluation.records import Evaluation, LeftOut, Settings, SystemReport
from crisis_filter.evaluation.report.words import clean, counted, level, sentence, whole
from crisis_filter.stats.intervals import proportion

NO_PROOF = "This is a measurement on one set of messages, and no proof that a system is fit for use."
_OF = 1000


def summary(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Each system's name, and what to expect of it.

    Of 1,000 crises and of 1,000 other messages: how many would go wrong, and how many undetermined, each with its interval.
    """
    return tuple((clean(each.system.name), _words(each, evaluation)) for each in evaluation.systems)


def unanswered(one: LeftOut) -> str:
    """What of one system is in no figure, and what its sensitivity would be had it missed the crises that it did not answer."""
    labelled = [counted(one.crises, "labelled crisis", "labelled crises")] * (one.crises > 0)
    labelled += [counted(one.others, "other labelled message")] * (one.others > 0)
    parts = [f"no answer for {' and '.join(labelled)}"] * bool(labelled)
    if one.answers:
        parts.append(
            f"{counted(one.answers, 'answer')} about messages that are not labelled or that another system lacks"
        )
    text = f"{clean(one.name)}: {'; '.join(parts) or 'nothing'}, left out of every figure."
    if one.crises:
        text += f" If the crises without an answer were missed: sensitivity {sentence(one.sensitivity_if_missed)}."
    return text


def _words(report: SystemReport, evaluation: Evaluation) -> str:
    one, settings = report.screening, evaluation.settings
    crises = _side(one.crises, one.crises["no_crisis"], "missed", settings)
    others = _side(one.others, one.others["crisis"], "false alarms", settings)
    said = [
        f"Of {_OF:,} crises like those here about {crises}."
        if crises
        else "No message here is a crisis, so nothing can be said of missed ones.",
        f"Of {_OF:,} other messages about {others}."
        if others
        else "Every message here is a crisis, so nothing can be said of false alarms.",
    ]
    said.append(
        f"Measured on {counted(sum(one.crises.values()), 'crisis', 'crises')} and {counted(sum(one.others.values()), 'other message')}."
    )
    if any(left.name == report.system.name and left.crises for left in evaluation.left_out):
        said.append("Crises that it did not answer are left out here; see “What was evaluated”.")
    return " ".join(said)


def _side(side: Mapping[str, int], wrong: int, words: str, settings: Settings) -> str:
    """`47 would be missed (95% interval 35 to 62) and 1 undetermined (0 to 6)`; "" where nothing was counted."""
    of = sum(side.values())
    if not of:
        return ""
    first, second = (
        proportion(count, of, settings.level, settings.interval) for count in (wrong, side.get("undetermined", 0))
    )
    said = [
        f"{whole(one.count / of * _OF)} {what} ({begin}{whole(one.low * _OF)} to {whole(one.high * _OF)})"
        for one, what, begin in (
            (first, f"would be {words}", f"{level(settings.level)} interval "),
            (second, "undetermined", ""),
        )
    ]
    return " and ".join(said)
