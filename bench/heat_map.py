"""Draw docs/drill.svg: how crisis messages ended under each kind of fault, with the filter and with other guardrails.

    crisis-filter drill --per-fault 200 --json > bench/results/drill.jsonl
    python -m bench.fail_safe --json > bench/results/fail_safe.json
    python -m bench.heat_map

Every cell carries its number, so that nothing depends on seeing colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from crisis_filter.drill.behaviours import BEHAVIOURS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench/results"
KINDS: Mapping[str, frozenset[str]] = {
    "refused, or blocked by a filter": frozenset({"refusal_field", "filter_finish", "filter_prompt"}),
    "refused or answered in words": frozenset({"refusal_prose"}),
    "cut off, empty, or too long": frozenset({"truncated", "empty_reply", "context_overflow"}),
    "not one JSON object": frozenset({"bad_json"}),
    "not the agreed shape": frozenset({"schema"}),
    "another request's or model's answer": frozenset({"nonce_mismatch", "model_drift"}),
    "trouble in Stage 2": frozenset({"unknown_category", "stage_conflict"}),
    "too slow": frozenset({"timeout"}),
    "connection breaks, or not the protocol": frozenset({"broken_reply"}),
    "rate limited": frozenset({"rate_limited"}),
    "server error": frozenset({"server_error"}),
    "refused key, wrong address": frozenset({"misconfigured"}),
}
"""What a reader knows by name, as sets of our faults."""
ATTACKS = "attack on the model in the message"
CHAIN, ALONE = "crisis-filter: two endpoints, then the engine", "one endpoint"
PEERS = {
    "nemo content safety": ("NeMo Guardrails", "safety, JSON"),
    "nemo content safety (text)": ("NeMo Guardrails", "safety, words"),
    "nemo self check": ("NeMo Guardrails", "self check"),
    "nope": ("NOPE", "crisis screen"),
}
GOOD, PERSON, BAD, NOTHING = "#1a7f5a", "#d9a520", "#b3261e", "#8a8f98"
_ROW, _LEFT, _TOP, _CELL = 26, 262, 96, 104
_OURS = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """A number and its share of the row's messages."""

    count: int
    of: int


def kind_of(fault: str) -> str | None:
    """The kind that a behaviour of the fault server belongs to; `None` where it is no fault."""
    known = BEHAVIOURS.get(fault)
    named = known.fault.value if known is not None and known.fault is not None else None
    return next((kind for kind, faults in KINDS.items() if named in faults), None)


def ours(report: Mapping[str, Any]) -> dict[str, dict[str, Cell]]:
    """Crises of the drill by kind and outcome, where every endpoint had the fault at every request, and the attacks of the gate set."""
    counts: dict[str, dict[str, int]] = {}
    for cell in report["cells"]:
        if cell["part"] not in {"everywhere", "injection"}:
            continue
        kind = ATTACKS if cell["part"] == "injection" else kind_of(cell["fault"])
        if kind is None:
            continue
        row = counts.setdefault(kind, dict.fromkeys(("crisis", "undetermined", "not_crisis"), 0))
        for name in row:
            row[name] += cell[name]
    return {kind: {name: Cell(n, sum(row.values())) for name, n in row.items()} for kind, row in counts.items()}


def theirs(report: Mapping[str, Any], tool: str) -> dict[str, Cell]:
    """Crises that a tool let through, by kind."""
    counts: dict[str, Cell] = {}
    for fault, found in report["tools"][tool]["faults"].items():
        kind = kind_of(fault)
        if kind is not None:
            before = counts.get(kind, Cell(0, 0))
            outcomes = found["outcomes"]
            counts[kind] = Cell(before.count + outcomes.get("allowed", 0), before.of + sum(outcomes.values()))
    return counts


def _shade(colour: str, share: float) -> str:
    """Opacity by share; something that happened is never invisible."""
    return f'fill="{colour}" fill-opacity="{0.12 + 0.88 * share if share else 0:.2f}"'


def _cell(x: int, y: int, cell: Cell | None, colour: str) -> Iterator[str]:
    if cell is None or not cell.of:
        yield f'<text x="{x + _CELL / 2}" y="{y + 17}" class="n dim">-</text>'
        return
    share = cell.count / cell.of
    dark = share > 0.55 and colour != PERSON
    yield f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{_ROW - 2}" rx="3" class="box" {_shade(colour, share)}/>'
    yield (
        f'<text x="{x + _CELL / 2}" y="{y + 17}" class="n{" light" if dark else ""}{"" if cell.count else " dim"}">'
        f"{cell.count:,} of {cell.of:,}</text>"
    )


def draw(drill: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """The picture as SVG."""
    rows = [*KINDS, ATTACKS]
    mine, alone = ours(drill), theirs(peers, "crisis-filter, judge alone")
    tools = {tool: theirs(peers, tool) for tool in PEERS}
    columns: list[tuple[str, str, str, Callable[[str], Cell | None]]] = [
        (CHAIN, "crisis", GOOD, lambda kind: mine[kind]["crisis"] if kind in mine else None),
        (CHAIN, "to a person", PERSON, lambda kind: mine[kind]["undetermined"] if kind in mine else None),
        (CHAIN, "let through", BAD, lambda kind: mine[kind]["not_crisis"] if kind in mine else None),
        (ALONE, "let through", BAD, alone.get),
        *((*PEERS[t], BAD, lambda kind, t=t: tools[t].get(kind)) for t in tools),
    ]
    width, height = _LEFT + _CELL * len(columns) + 32, _TOP + _ROW * len(rows) + 68
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-labelledby="t d">',
        '<title id="t">Crisis messages under each kind of fault</title>',
        f'<desc id="d">{escape(_sentence(drill, peers))}</desc>',
        "<style>text{font:12px system-ui,sans-serif;fill:#1b1f24}.n{text-anchor:middle;font-size:11.5px}.light{fill:#fff}"
        f".dim{{fill:#5f6670}}.box{{stroke:#d7dbe0;stroke-width:1}}.h{{text-anchor:middle;font-weight:600}}.s{{text-anchor:middle;font-size:10.5px}}"
        f".f{{fill:{NOTHING};font-size:10.5px;fill:#5f6670}}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" style="font-size:15px;font-weight:600">How crisis messages ended under each kind of fault</text>',
    ]
    for number, (head, sub, _, _) in enumerate(columns):
        x = _x(number)
        if number == 0 or columns[number - 1][0] != head:
            span = sum(column[0] == head for column in columns)
            out.append(f'<text x="{x + _CELL * span / 2}" y="58" class="h">{escape(head)}</text>')
        out.append(f'<text x="{x + _CELL / 2}" y="{_TOP - 14}" class="s">{escape(sub)}</text>')
    for number, kind in enumerate(rows):
        y = _TOP + _ROW * number
        out.append(f'<text x="{_LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(kind)}</text>')
        for place, (_, _, colour, get) in enumerate(columns):
            out.extend(_cell(_x(place), y, get(kind), colour))
    notes = (
        "Where no endpoint answers, the embedded engine raises most of these clear messages by itself; one endpoint has nobody behind it.",
        "What other tools do not let through they block, or end in an error. A dash: not tried. The faults were chosen by us: counts, no rates.",
        _sentence(drill, peers),
    )
    for number, note in enumerate(notes):
        y = _TOP + _ROW * len(rows) + 22 + 16 * number
        out.append(f'<text x="16" y="{y}" class="f">{escape(note)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _x(number: int) -> int:
    """Left edge of a column; a gap stands before other people's."""
    return _LEFT + _CELL * number + (16 if number >= _OURS else 0)


def _sentence(drill: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    tools = peers["tools"]
    nemo, nope = tools["nemo self check"]["version"], tools["nope"]["version"]
    return (
        f"A drill of {drill['cases']:,} cases, {drill['silent_negatives']} crises let through in silence, for the first three columns; the "
        f"others under bench.fail_safe, NeMo Guardrails {nemo}, NOPE {nope}."
    )


def main() -> None:
    """Read the stored results and write the picture."""
    peers = json.loads((RESULTS / "fail_safe.json").read_text(encoding="utf-8"))
    (ROOT / "docs/drill.svg").write_text(draw(_drill("drill"), peers), encoding="utf-8")


def _drill(name: str) -> dict[str, Any]:
    *cells, report = map(json.loads, (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    return {**report, "cells": cells}


if __name__ == "__main__":
    main()
