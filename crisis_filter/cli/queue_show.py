"""The queue on a terminal: one item at a time, its words covered until the reader asks for them, and how the queue stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from crisis_filter.cli.portrait import marked
from crisis_filter.cli.show import category_words, outcome_text, plain
from crisis_filter.cli.wording import OUTCOMES, counted, fault_words
from crisis_filter.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from crisis_filter.schema import Assessment, Evidence
    from crisis_filter.store.queue_board import Board
    from crisis_filter.store.queue_incidents import IncidentLine
    from crisis_filter.store.queue_records import Item, View
    from crisis_filter.store.queue_second import AgreementFigures, SecondReadings, Share
    from crisis_filter.triage.protocols import Protocol

__all__ = ["covered", "lasting", "rule", "show_board", "show_incidents", "show_item", "show_second", "show_view"]

_URGENT = {"emergency": "bold red", "urgent": "bold yellow"}
_MARKS = {True: ("⟦", "⟧"), False: ("[[", "]]")}
_MOST_LINES = 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MEASURE = 88
"""Columns of running text; wider lines are hard to read."""


def lasting(ms: int) -> str:
    """`40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(0, ms) // 1000
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        hours, rest = divmod(seconds // _MINUTE, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(seconds // _HOUR, 24)
    return f"{days} d {rest} h" if rest else f"{days} d"


def covered(text: str, *, unicode: bool) -> str:
    """The shape of a text without its words: as long, with the same lines and spaces."""
    return re.sub(r"\S", "░" if unicode else "#", plain(text))


def show_item(item: Item, console: Console, now_ms: int) -> None:
    """One line on what the reader holds."""
    waited = f"came {lasting(now_ms - item.arrived_ms)} ago"
    if item.blind:
        line = Text("blind reading", style="bold").append(f"   {waited}   nothing is told of what was said", "not bold")
        console.print(line, soft_wrap=True)
        return
    line = Text(str(item.urgency), style=_URGENT.get(str(item.urgency), "bold"))
    line.append(f"   {plain(str(item.queue))}   {waited}", style="not bold default")
    if item.due_ms is not None:
        late = now_ms - item.due_ms
        words = f"past its time by {lasting(late)}" if late >= 0 else f"{lasting(-late)} left"
        line.append("   ").append(words, style="bold red" if late >= 0 else "not bold default")
    if item.escalations:
        line.append(f"   escalated {counted(item.escalations, 'time')}", style="not bold default")
    console.print(line, soft_wrap=True)


def show_view(told: View, console: Console, *, open_text: bool, protocol: Protocol | None) -> None:
    """The message, covered or not, and what was said of it unless it is blind."""
    _part(console, "Message")
    _message(told, console, open_text=open_text)
    if told.item.blind:
        return
    _said(told, console, open_text=open_text)
    for one in told.earlier:
        reason = f", {one.reason.replace('_', ' ')}" if one.reason else ""
        _line(console, f"another reader: {one.action}, {OUTCOMES[one.outcome]}{reason}")
        if one.note and open_text:
            _line(console, plain(one.note), depth=2)
    if protocol is not None:
        _part(console, protocol.title)
        steps = Table.grid(padding=(0, 1, 0, 0))
        for number, step in enumerate(protocol.first, start=1):
            steps.add_row(f"{number}.", plain(step))
        console.print(Padding(steps, (0, _right(console), 0, 2), expand=False))
    resources = told.assessment.disposition.resources if told.assessment and told.assessment.disposition else ()
    for resource in resources:
        _line(console, f"{plain(resource.name)}: {plain(resource.contact)}")


def _message(told: View, console: Console, *, open_text: bool) -> None:
    if told.text is None:
        words = {
            "gone": "The text is deleted, by retention or because somebody was forgotten.",
            "sealed": "The text does not open: the store's key for it is not in the file, or it was altered.",
        }
        _line(console, words.get(told.text_state, ""))
        return
    unicode = _unicode(console)
    if not told.text.strip():
        _line(console, "(nothing to be seen)")
    elif not open_text:
        _line(console, Text(covered(told.text, unicode=unicode), style="dim"))
    else:
        spots = _spots(told.assessment)
        text = marked(told.text, spots, _MARKS[unicode])
        lines = text.split("\n")
        for each in lines[:_MOST_LINES]:
            _line(console, each)
        if len(lines) > _MOST_LINES:
            _line(console, f"({counted(len(lines) - _MOST_LINES, 'more line')})")


def _said(told: View, console: Console, *, open_text: bool) -> None:
    which = f", revision {told.item.revision}" if (told.item.revision or 0) > 1 else ""
    _part(console, f"{'What a reader found' if told.by == 'person' else 'What was said'}{which}")
    first = outcome_text(told.outcome or "undetermined", console)
    assessment = told.assessment
    if told.by == "detector" and assessment is not None and assessment.score is not None:
        first.append(f"   score {assessment.score:.2f}", style="not bold default")
    _line(console, first)
    if told.by == "person" or assessment is None:
        _line(console, ", ".join(plain(one).replace("_", " ") for one in told.categories))
    else:
        for finding in assessment.findings:
            _line(console, f"{category_words(finding)}, whose: {finding.subject}, when: {finding.timeframe}")
            if finding.rationale and open_text:
                _line(console, plain(finding.rationale), depth=2)
        if assessment.screen.rationale and open_text:
            _line(console, plain(assessment.screen.rationale))
    if told.fault:
        detectors = (assessment.provenance.detector,) if assessment else ()
        _line(console, fault_words(Fault(told.fault), detectors).meaning)


def _spots(assessment: Assessment | None) -> list[Evidence]:
    if assessment is None:
        return []
    return [*assessment.screen.evidence, *(spot for finding in assessment.findings for spot in finding.evidence)]


def show_board(board: Board, console: Console) -> None:
    """How the queue stands."""
    if not board.lines and not board.incidents:
        console.print("nothing waits to be read")
    if board.lines:
        table = _table("queue", "urgency", "waiting", "held", "past time", "escalated", "longest wait")
        for line in board.lines:
            late = Text(f"{line.overdue:,}", style="bold red" if line.overdue else "")
            urgency = Text(line.urgency, style=_URGENT.get(line.urgency, ""))
            longest = lasting(line.longest_ms) if line.waiting else ""
            cells = (f"{line.waiting:,}", f"{line.held:,}", late, f"{line.escalated:,}", longest)
            table.add_row(plain(line.queue), urgency, *cells)
        console.print(table)
    show_incidents(board.incidents, console, board.at_ms)
    console.print()
    blind = f", {board.blind_waiting:,} blind to be read" if board.blind_waiting else ""
    console.print(f"{board.done:,} decided in {lasting(board.window_ms)}{blind}", soft_wrap=True)
    if board.readers:
        table = _table("reader", "read", "called a crisis", "blind", "holds", "last answer")
        for one in board.readers:
            last = "" if one.last_ms is None else f"{lasting(board.at_ms - one.last_ms)} ago"
            table.add_row(plain(one.reader), *(f"{n:,}" for n in (one.read, one.crises, one.blind, one.holds)), last)
        console.print(table)


def show_incidents(lines: Iterable[IncidentLine], console: Console, now_ms: int) -> None:
    """One line for each outage."""
    for line in lines:
        healed = "" if line.healed_ms is None else ", healed"
        unscored = f", {line.unscored:,} without a score" if line.unscored else ""
        late = f", {line.overdue:,} past their time" if line.overdue else ""
        words = f"{counted(line.messages, 'message')} since {lasting(now_ms - line.opened_ms)}, {line.left:,} left, {line.likely:,} likely"
        console.print(
            Text("outage", style="bold").append(
                f"  {line.fault.value.replace('_', ' ')}: {words}{unscored}{late}{healed}", "not bold"
            ),
            soft_wrap=True,
        )


def show_second(found: SecondReadings, console: Console) -> None:
    """What the second readings say, each figure with its counts and interval."""
    misses = found.misses
    console.print(Text("Misses", style="bold"))
    _line(console, f"{misses.not_crisis:,} called not crisis, {misses.drawn:,} of them drawn to be read again")
    _line(console, f"crises among those read: {_share(misses.found)}")
    if misses.expected is not None:
        span = f"{misses.expected_low:,.1f} to {misses.expected_high:,.1f}"
        _line(console, f"so among all of them about {misses.expected:,.1f} ({span})")
    if misses.undetermined:
        _line(console, f"{misses.undetermined:,} that the reader could not tell")
    console.print(Text("False alarms", style="bold"))
    _line(console, f"crises read blind, {found.alerts_drawn:,} drawn: not crisis in {_share(found.false_alarms)}")
    _line(console, f"crises read as alerts: not crisis in {_share(found.overridden)}")
    console.print(Text("Two readers", style="bold"))
    if found.agreement[0].units:
        console.print(Padding(_agreement(found.agreement), (0, 0, 0, 2), expand=False))
        _line(console, f"outcome: the same in {_share(found.agreement[0].same)}")
        _line(console, "kappa, alpha, AC1: 1 is perfect, 0 is chance; --json has their intervals")
    else:
        _line(console, "no message yet that one reader has read as an alert and another blind")
    if found.waiting:
        _line(
            console, f"{found.waiting:,} drawn and not read yet; the figures take those read for a random part of them"
        )


def _agreement(found: Iterable[AgreementFigures]) -> Table:
    table = _table("", "same", "of", "kappa", "AC1", "alpha")
    for one in found:
        figures = ("undefined" if each.estimate is None else f"{each.estimate:.2f}" for each in one.coefficients)
        table.add_row(one.question.replace("_", " "), f"{one.same.count:,}", f"{one.units:,}", *figures)
    return table


def _share(found: Share) -> str:
    if found.estimate is None:
        return "0 of 0"
    span = f"{100 * found.low:.1f}% to {100 * found.high:.1f}%, {found.method}"
    return f"{found.count:,} of {found.of:,} ({100 * found.estimate:.1f}%, {span})"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place < 1 or name in {"urgency", "last answer"} else "right")
    return table


def rule(console: Console) -> None:
    """A line across."""
    console.print(Rule(style="dim", characters="─" if _unicode(console) else "-"))


def _unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def _part(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _line(console: Console, line: str | Text, *, depth: int = 1) -> None:
    if not line:
        return
    text = Text(line) if isinstance(line, str) else line
    console.print(Padding(text, (0, _right(console), 0, 2 * depth), expand=False))


def _right(console: Console) -> int:
    return max(0, console.width - _MEASURE)
