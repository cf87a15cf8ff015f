"""The rows of the table: every fault of the catalogue that means something to a client that is not ours, and a few of an evaluation API's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.peers import nope_host
from crisis_filter.drill.behaviours import BEHAVIOURS

Group = Literal["control", "answer", "outage"]
"""`answer`: a whole reply comes, and it is no clear verdict or contradicts itself. `outage`: anything else."""
Judge = Literal["ours", "chat", "api"]
"""What a tool asks: a chat model with our own prompts, a chat model with its own, or an evaluation API."""

CONTROL = "none"
"""The row of a healthy judge."""
_REFUSED = "connect_refused"
_NOT_FOR_OTHERS = {
    "prompt_front_dropped",  # the prompts that the other tools get here are too short for any window
    "duplicate_key",  # without an object of ours it is the same as two_objects
}


@dataclass(frozen=True)
class Row:
    """One fault."""

    name: str
    group: Group
    summary: str
    judges: frozenset[Judge]
    """Which kinds of tool can meet it."""
    slow: bool = False
    """It ends by a timeout, so few messages are asked."""
    unreachable: bool = False
    """Asked of a loopback port where nobody listens: a listener that closes would fail its neighbours too."""


def rows() -> tuple[Row, ...]:
    """All rows, the control first, in the order of the catalogue."""
    found = []
    for name, known in BEHAVIOURS.items():
        if known.ours_only or (known.fault is None and name != CONTROL):
            continue
        judges: set[Judge] = {"ours"} if name in _NOT_FOR_OTHERS else {"ours", "chat"}
        if name in nope_host.FAULTS or name == _REFUSED:
            judges.add("api")
        group: Group = "control" if name == CONTROL else "answer" if known.group == "answer" else "outage"
        found.append(Row(name, group, known.summary, frozenset(judges), known.lasts, name == _REFUSED))
    own = {name: summary for name, (summary, _) in nope_host.VERDICTS.items() if name not in BEHAVIOURS}
    return (*found, *(Row(name, "answer", summary, frozenset({"api"})) for name, summary in own.items()))
