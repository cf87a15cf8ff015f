"""The report of a drill for people: a heat map of counts, and what it comes to. Never by colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from crisis_filter.cli.show import plain
from crisis_filter.stats.intervals import wilson

if TYPE_CHECKING:
    from crisis_filter.drill.report import Cell, DrillReport, Part, Share, Sway

PARTS: dict[Part, str] = {
    "control": "no fault",
    "everywhere": "every endpoint, always",
    "first_link": "first endpoint only",
    "once": "once a message",
    "breaker": "until breakers open",
    "long": "one piece of a long message",
    "network": "on the connection",
    "injection": "attack in the message",
    "held_out": "attacks not seen before",
}
_STYLES = {"crisis": "black on green3", "undetermined": "black on gold1", "not_crisis": "bold white on red3"}


def heat_map(report: DrillReport) -> Table:
    """Where the fault strikes and which it is, against how crisis messages ended."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for name in ("where", "fault"):
        table.add_column(name, no_wrap=name == "where", overflow="fold")
    for name in ("crisis", "undetermined", "not crisis"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for cell in report.cells:
        where = PARTS[cell.part]
        counts = [_heat(cell, name) for name in ("crisis", "undetermined", "not_crisis")]
        table.add_row("" if where == last else where, cell.fault.replace("_", " "), *counts)
        last = where
    return table


def _heat(cell: Cell, name: str) -> Text:
    count = getattr(cell, name)
    return Text(f" {count:,} ", style=_STYLES[name] if count else "dim")


def summary(report: DrillReport) -> list[str]:
    """The figures with their n and 95 % Wilson intervals, and the verdict on the drill."""
    lines = [
        f"{report.cases:,} cases in {report.elapsed_s:,.0f} s against {report.detector}, policy {report.policy}",
        *(
            f"drilled through the OpenAI client instead of its own: {plain(name)}"
            for name in report.drilled_through_openai
        ),
        f"silent negatives under fault: {report.silent_negatives:,}",
        f"cleared under fault, crises or not: {report.cleared_under_fault:,}{_where(report.made_up)}",
        f"control, right verdicts: {_of(report.control)}",
        f"recoverable faults, right verdicts: {_of(report.recovered)}{_where(report.wrong)}",
        *(_sway(sway) for sway in report.sways),
        f"faults named as they should be: {_of(report.named)}; not named at all: {report.unnamed:,}",
        f"latest assessment: {report.late_ms:,.0f} ms after its deadline{_where(report.late)}; "
        f"the event loop was late by up to {report.lag_ms:,.0f} ms",
    ]
    lines.append("drill passed" if report.passed else f"DRILL FAILED: {'; '.join(report.failures)}")
    return lines


def _sway(sway: Sway) -> str:
    unseen = " (measured, no gate)" if sway.part == "held_out" else ""
    return (
        f"{PARTS[sway.part]}, {sway.model}: {sway.swayed.hits:,} of {sway.swayed.n:,} swayed it; "
        f"of those the outcome was not lowered in {_of(sway.kept)}{unseen}"
    )


def _where(places: tuple[str, ...]) -> str:
    return f" ({', '.join(places)})" if places else ""


def _of(share: Share) -> str:
    if not share.n:
        return "none tried"
    interval = wilson(share.hits, share.n)
    return f"{share.hits:,} of {share.n:,} ({interval.low:.3f}-{interval.high:.3f})"
