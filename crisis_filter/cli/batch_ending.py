"""What came of a batch, in words, as JSON and as an exit status."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import UNDETERMINED
from crisis_filter.cli.wording import counted
from crisis_filter.errors import FAULTS, Fault

if TYPE_CHECKING:
    from crisis_filter.backends.together import TogetherFigures
    from crisis_filter.batch.run import Ending


def ending_json(ending: Ending) -> str:
    """In one line of JSON."""
    count = ending.count
    return json.dumps(
        {
            "finished": ending.end is not None,
            "why": ending.why,
            "judged": count.judged,
            "before": count.before,
            "again": ending.again,
            "settled": ending.settled,
            "requests": count.requests,
            "prompt_tokens": count.prompt_tokens,
            "completion_tokens": count.completion_tokens,
            "together": None if ending.together is None else _figures(ending.together),
            "end": None if ending.end is None else ending.end.model_dump(mode="json"),
        }
    )


def show_ending(ending: Ending, output: Path) -> None:
    """For people."""
    console = stdout_console()
    count = ending.count

    def line(words: str) -> None:
        console.print(plain(words), soft_wrap=True)

    if ending.end is None:
        line(f"not finished: {ending.why}. Nothing is lost: crisis-filter batch resume {output}")
        line(f"judged now {count.judged:,}, before {count.before:,}")
        return
    end = ending.end
    outcomes = Counter(end.outcomes)
    line(
        f"{counted(end.received, 'message')}: {outcomes['crisis']:,} crisis, {outcomes['no_crisis']:,} not crisis, "
        f"{outcomes['undetermined']:,} undetermined; {counted(end.aside, 'row')} set aside, whose id and text came before"
    )
    if end.faults:
        line(
            "undetermined: "
            + ", ".join(f"{fault} {number:,}" for fault, number in sorted(end.faults.items(), key=lambda f: -f[1]))
        )
    if ending.again:
        line(
            f"{counted(ending.again, 'row')} judged again after a fault of the service, {ending.settled:,} of them settled"
        )
    if ending.together is not None:
        line(_together(ending.together))
    if count.requests:
        line(
            f"{count.requests:,} requests, {count.prompt_tokens:,} prompt tokens, {count.completion_tokens:,} completion tokens in this start"
        )
    if healing := sum(number for fault, number in end.faults.items() if FAULTS[Fault(fault)].trips):
        line(
            f"{counted(healing, 'row')} undetermined for a fault of the service: the same command, or batch resume, judges them again"
        )
    line(f"in {output}; the undetermined also in {end.errors.name}")


def _figures(figures: TogetherFigures) -> dict[str, Any]:
    found = {one.name: getattr(figures, one.name) for one in dataclasses.fields(figures)}
    return {**found, "again": dict(figures.again)}


def _together(figures: TogetherFigures) -> str:
    """What was asked about several messages at once, in a line."""
    again = ", ".join(f"{cause} {number:,}" for cause, number in figures.again.most_common())
    return (
        f"together: {counted(figures.messages, 'message')} in {counted(figures.calls, 'request')}, {figures.sound:,} judged there, "
        f"{figures.kept:,} positives kept from answers that were not sound, {figures.again.total():,} asked again singly"
        f"{f' ({again})' if again else ''}; {counted(figures.alone, 'message')} found no company in time"
    )


def exit_status(ending: Ending) -> int:
    """0, or 3 where something is undetermined or not all is done."""
    if ending.end is None:
        return UNDETERMINED
    return UNDETERMINED if set(ending.end.faults) - {Fault.EMPTY_CONTENT.value} else 0
