"""An experiment on a terminal: counts by variant, and what no figure can be made of."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from crisis_filter.cli.show import plain
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from crisis_filter.experiments.records import Experiment
    from crisis_filter.experiments.running import Ending
    from crisis_filter.experiments.summary import Counts, VariantCounts


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
    table = Table("variant", "answers", "crises found", "others cleared", "undetermined", "tokens")
    repeated = summary.repeats > 1
    if repeated:
        table.add_column("unstable")
    priced = any(variant.spent.money for variant in summary.variants)
    if priced:
        table.add_column("paid here")
    for variant in summary.variants:
        cells = [
            variant.id,
            f"{variant.answers:,} of {variant.expected:,}",
            _of(variant.crises),
            _of(variant.others),
            _undetermined(variant),
            f"{variant.prompt_tokens + variant.completion_tokens:,}",
        ]
        if repeated:
            cells.append(f"{variant.unstable:,}")
        if priced:
            cells.append("no price" if variant.spent.money is None else f"{variant.spent.money:,.4f}")
        table.add_row(*map(plain, cells))
    console.print(table)
    for variant in summary.variants:
        if variant.answers and variant.answers == variant.crises.undetermined + variant.others.undetermined:
            console.print(plain(f"{variant.id}: every answer is undetermined, so no figure says anything about it"))


def _of(counts: Counts) -> str:
    failed = f" ({counts.undetermined:,} undetermined)" if counts.undetermined else ""
    return f"{counts.right:,} of {counts.answers:,}{failed}"


def _undetermined(variant: VariantCounts) -> str:
    faults = ", ".join(f"{fault} {count:,}" for fault, count in variant.faults.items())
    return faults or "0"
