"""An experiment on a terminal: counts by variant, and what no figure can be made of."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from crisis_filter.cli.show import plain
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from crisis_filter.experiments.records import Experiment
    from crisis_filter.experiments.running import Ending
    from crisis_filter.experiments.summary import Counts, Summary, VariantCounts


def summary_json(found: Experiment, ending: Ending, where: Path) -> str:
    """The counts and how the run ended, as JSON."""
    from crisis_filter.experiments.summary import summary_of

    ended = {**asdict(ending), "whole": ending.whole, "folder": str(where)}
    return json.dumps({**summary_of(found).model_dump(mode="json"), "ending": ended})


def show_experiment(found: Experiment, console: Console) -> None:
    """Counts in a table, undetermined answers beside each; never a message."""
    from crisis_filter.experiments.summary import summary_of

    summary = summary_of(found)
    console.print(
        plain(
            f"{summary.data}: {counted(summary.messages, 'message')}, {summary.crises:,} of them crises, "
            f"each asked about {counted(summary.repeats, 'time')}. Labels: {summary.labelled_by}"
        ),
        soft_wrap=True,
    )
    table = Table(*(plain(head) for head, _ in _columns(summary)))
    for variant in summary.variants:
        table.add_row(*(plain(shown(variant)) for _, shown in _columns(summary)))
    console.print(table)
    for variant in summary.variants:
        console.print(plain(f"{variant.id}: {_not_whole(variant)}"))
    if any(variant.taken for variant in summary.variants):
        console.print(
            plain("a variant with answers taken over is not promoted; evaluateOptions: {reuse: false} asks anew")
        )
    for variant in summary.variants:
        if variant.answers and variant.answers == variant.crises.undetermined + variant.others.undetermined:
            console.print(plain(f"{variant.id}: every answer is undetermined, so no figure says anything about it"))


def _columns(summary: Summary) -> Iterator[tuple[str, Callable[[VariantCounts], str]]]:
    """Heads of the table, and what stands under each; what concerns nobody is left out."""
    yield "variant", lambda one: one.id
    yield "answers", lambda one: f"{one.answers:,} of {one.expected:,}"
    yield "crises found", lambda one: _of(one.crises)
    yield "others cleared", lambda one: _of(one.others)
    yield "undetermined", _undetermined
    yield "tokens", lambda one: f"{one.prompt_tokens + one.completion_tokens:,}"
    if summary.repeats > 1:
        yield "unstable", lambda one: f"{one.unstable:,}"
    if any(one.spent.money or one.spent.untold for one in summary.variants):
        yield "paid here", _paid


def _paid(variant: VariantCounts) -> str:
    spent = variant.spent
    if spent.untold:
        return "tokens not told"
    return "no price" if spent.money is None else f"{spent.money:,.4f}"


def _of(counts: Counts) -> str:
    failed = f" ({counts.undetermined:,} undetermined)" if counts.undetermined else ""
    return f"{counts.right:,} of {counts.answers:,}{failed}"


def _undetermined(variant: VariantCounts) -> str:
    faults = ", ".join(f"{fault} {count:,}" for fault, count in variant.faults.items())
    return faults or "0"


def _not_whole(variant: VariantCounts) -> str:
    """What the table has no room for: crisis answers without a category or with a fault, and answers that nobody asked for here."""
    words = f"of {counted(variant.said_crisis, 'answer')} that say crisis {variant.unnamed:,} without a category, {variant.faulty:,} with a fault"
    taken = f"; {variant.taken:,} of {counted(variant.answers, 'answer')} taken over from an earlier experiment"
    return words + taken * bool(variant.taken)
