"""One box of the matrix: what a variant said of a message, in all its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crisis_filter.evaluation.report.words import category_words, clean
from crisis_filter.experiments.page.wording import SIGNS, fault_words, is_right, score_words, verdict
from crisis_filter.experiments.records import Cell, Item
from crisis_filter.schema import Assessment


@dataclass(frozen=True, slots=True)
class Box:
    """What stands in one cell of the table; private words only where they were asked for."""

    fate: str
    """Class of the cell, by the first answer: `m` missed, `a` false alarm, `u` undetermined, `n` not asked yet, "" right."""
    sign: str
    said: str
    """The first answer in words."""
    agree: str
    """How many answers say the same as the first, as `2/3`; "" for one answer."""
    lines: tuple[str, ...]
    """Of each answer, or of several that are alike: categories, severity, score, fault."""
    reasons: tuple[str, ...]
    """The model's reasoning and its quotes."""
    wrong: bool
    """Whether any answer says the opposite of the label."""
    undetermined: bool
    """Whether any answer does not say."""
    unstable: bool
    """Whether answers differ in outcome."""


_UNASKED = Box("n", "-", "not asked yet", "", (), (), wrong=False, undetermined=False, unstable=False)


def box(item: Item, cells: Sequence[Cell | None], *, reasons: bool) -> Box:
    """The box of one variant and one message.

    Args:
        item: the message.
        cells: a place for each repeat; `None` where it was not asked yet.
        reasons: whether to take up reasoning and quotes, which are as private as the message.
    """
    answers = [(place, cell.assessment) for place, cell in enumerate(cells, 1) if cell is not None]
    if not answers:
        return _UNASKED
    first = answers[0][1]
    same = sum(one.outcome == first.outcome for _, one in answers)
    outcomes = {one.outcome for _, one in answers}
    right = is_right(first.outcome, item.crisis)
    fate = "u" if first.outcome == "undetermined" else "" if right else "m" if item.crisis else "a"
    return Box(
        fate=fate,
        sign=SIGNS[first.outcome],
        said=verdict(first.outcome, item.crisis, first.fault),
        agree=f"{same}/{len(answers)}" if len(cells) > 1 else "",
        lines=tuple(_lines(item, answers)),
        reasons=tuple(_reasons(answers)) if reasons else (),
        wrong=("no_crisis" if item.crisis else "crisis") in outcomes,
        undetermined="undetermined" in outcomes,
        unstable=len(outcomes) > 1,
    )


def _lines(item: Item, answers: Sequence[tuple[int, Assessment]]) -> Iterator[str]:
    """Answers that are alike but for their scores stand on one line."""
    alike: dict[tuple[str, str], list[tuple[int, Assessment]]] = {}
    for place, one in answers:
        alike.setdefault((one.outcome, _details(one)), []).append((place, one))
    first = answers[0][1].outcome
    for (outcome, details), those in alike.items():
        parts = []
        if outcome != first:
            said = those[0][1].outcome
            parts.append(f"{SIGNS[said]} {verdict(said, item.crisis)}")
        parts += [details] * bool(details)
        scores = [score_words(one.score) for _, one in those if one.score is not None]
        parts += [f"score {', '.join(scores)}"] * bool(scores)
        which = f"{', '.join(str(place) for place, _ in those)}: " if len(alike) > 1 else ""
        yield which + ("; ".join(parts) or "nothing more was said")


def _details(one: Assessment) -> str:
    """Everything but the outcome, the score, and what is private."""
    named = [
        " ".join((category_words(finding.category), *([finding.severity] if finding.severity else ())))
        for finding in one.findings
    ]
    parts = [", ".join(named)] * bool(named)
    if one.fault is not None:
        parts.append(f"fault: {fault_words(one.fault)}")
        parts += [clean(one.fault_detail)] * bool(one.fault_detail)
    parts += [category_words(flag) for flag in one.flags]
    return "; ".join(parts)


def _reasons(answers: Sequence[tuple[int, Assessment]]) -> Iterator[str]:
    for place, one in answers:
        begin = f"{place}: " if len(answers) > 1 else ""
        if one.screen.rationale:
            yield begin + one.screen.rationale
        yield from (f"{begin}“{evidence.quote}”" for evidence in one.screen.evidence)
        for finding in one.findings:
            if finding.rationale:
                yield f"{begin}{category_words(finding.category)}: {finding.rationale}"
            yield from (f"{begin}{category_words(finding.category)}: “{e.quote}”" for e in finding.evidence)
