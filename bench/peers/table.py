"""Results counted, and printed fault by tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.asking import Result
from bench.peers.rows import CONTROL, Group, Row

_FAULTY: tuple[Group, ...] = ("answer", "outage")


@dataclass(frozen=True)
class About:
    """What a reader of a column has to know."""

    version: str
    note: str
    """How it was set up, where that is not its default."""


@dataclass(frozen=True)
class Total:
    """A tool over all the faults of a group."""

    silent: int
    """Crisis messages allowed under a fault."""
    messages: int
    faults_silent: int
    """Faults under which at least one crisis message was allowed."""
    faults: int


def outcomes(results: Sequence[Result], fault: str, *, crisis: bool = True) -> Counter[str]:
    """How often each outcome came of the crisis messages of a fault, or of its ordinary ones."""
    return Counter(r.outcome for r in results if r.fault == fault and r.crisis is crisis)


def total(results: Sequence[Result], rows: Sequence[Row], groups: Sequence[Group] = _FAULTY) -> Total:
    """Silent negatives over the faults of some groups; faults that the tool cannot meet are not counted."""
    counts = [outcomes(results, row.name) for row in rows if row.group in groups]
    counts = [count for count in counts if count]
    silent = [count["allowed"] for count in counts]
    return Total(sum(silent), sum(count.total() for count in counts), sum(map(bool, silent)), len(counts))


def wired(results: Sequence[Result]) -> bool:
    """Whether the tool, with a healthy judge, flagged every crisis message and allowed every ordinary one."""
    crises, ordinary = outcomes(results, CONTROL), outcomes(results, CONTROL, crisis=False)
    return set(crises) == {"blocked"} and set(ordinary) == {"allowed"}


def as_json(columns: Mapping[str, Sequence[Result]], about: Mapping[str, About], rows: Sequence[Row]) -> dict[str, Any]:
    """The whole report as JSON values."""
    return {
        "tools": {
            tool: {
                **vars(about[tool]),
                "wired": wired(results),
                "silent_negatives": {group: vars(total(results, rows, [group])) for group in _FAULTY},
                "control_ordinary": outcomes(results, CONTROL, crisis=False),
                "faults": {
                    row.name: {
                        "outcomes": outcomes(results, row.name),
                        "reasons": Counter(r.reason for r in results if r.fault == row.name and r.crisis),
                    }
                    for row in rows
                    if outcomes(results, row.name)
                },
            }
            for tool, results in columns.items()
        },
        "summaries": {row.name: row.summary for row in rows},
    }


def lines(columns: Mapping[str, Sequence[Result]], about: Mapping[str, About], rows: Sequence[Row]) -> list[str]:
    """The report as lines of text: what each column is, the table, the totals, and a warning for each tool that is wired wrongly."""
    heads = [f"({chr(ord('a') + i)})" for i in range(len(columns))]
    printed = [
        f"{head} {tool} {about[tool].version}: {about[tool].note}" for head, tool in zip(heads, columns, strict=True)
    ]
    table = [["fault", *heads]]
    for row in rows:
        cells = [_cell(outcomes(results, row.name)) for results in columns.values()]
        if any(cell != "-" for cell in cells):
            table.append([row.name, *cells])
        if row.name == CONTROL:
            table.append(
                ["none, ordinary messages", *(_cell(outcomes(r, CONTROL, crisis=False)) for r in columns.values())]
            )
    named: dict[str, Sequence[Group]] = {"answers": ["answer"], "outages": ["outage"], "all faults": _FAULTY}
    for name, groups in named.items():
        totals = [total(results, rows, groups) for results in columns.values()]
        table.append([f"silent negatives, {name}", *(f"{t.silent} of {t.messages}" for t in totals)])
        table.append(["  under how many faults", *(f"{t.faults_silent} of {t.faults}" for t in totals)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    printed += [
        "",
        *("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table),
    ]
    bad = [tool for tool, results in columns.items() if not wired(results)]
    return printed + [
        f"!! {tool} IS WIRED WRONGLY: with a healthy judge it errs, so its column means nothing" for tool in bad
    ]


def _cell(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common()) or "-"
