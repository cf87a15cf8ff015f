"""The report of `bench.engines` as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]


def lines(report: Report) -> list[str]:
    """What each row is, a table for each set, the pairs, and every system that is absent."""
    printed = [f"{name} {about['version']}: {about['note']}" for name, about in report["systems"].items()]
    for name, found in report["sets"].items():
        printed += ["", f"{name}: {found['messages']:,} messages. Labels: {found['labelled_by']}"]
        printed += [f"!! {found['note']}"] if found["note"] else []
        printed += _columns([_HEAD, *(_row(system, each) for system, each in found["systems"].items())])
        printed += ["", *_pairs(found, report["reference"])]
    head = ["one core", "cold start s", "resident MB", "at most MB"]
    costs = [
        [name, f"{about['cold_start_s']:.2f}", _whole(about["rss_mb"]), _whole(about["peak_rss_mb"])]
        for name, about in report["systems"].items()
    ]
    printed += ["", *_columns([head, *costs])]
    tried = [f"{name} tried {n} network connections" for name, a in report["systems"].items() if (n := a["network"])]
    return [*printed, *tried, *absences(report)]


def absences(report: Report) -> list[str]:
    """A line for each system that could not be asked."""
    return [
        f"!! ABSENT: {name}: {why}; no figure of it stands here, and the comparison is not whole"
        for name, why in report["absent"].items()
    ]


def rate(found: Mapping[str, Any]) -> str:
    """Counts, then the share and its interval."""
    if found["estimate"] is None:
        return "undefined (0 of 0)"
    return f"{found['count']}/{found['n']} {found['estimate']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


_RATES = ("sensitivity", "sensitivity_suicide_self_harm", "specificity", "specificity_near_misses")
_HEAD = ["", "sensitivity", "of suicide, self-harm", "specificity", "of near misses", "no verdict", "p50 ms", "p99 ms"]


def _row(system: str, found: Mapping[str, Any]) -> list[str]:
    without = found["no_verdict"]["crises"] + found["no_verdict"]["others"]
    times = [f"{found[name]:.2f}" for name in ("p50_ms", "p99_ms")]
    return [system, *(rate(found[name]) for name in _RATES), str(without), *times]


def _pairs(found: Mapping[str, Any], reference: str | None) -> list[str]:
    rows = [
        [
            system,
            *(_difference(each["against"][name]) for name in ("sensitivity", "specificity")),
            rate(each["reference_at_its_false_alarms"]) if each["reference_at_its_false_alarms"] else "-",
        ]
        for system, each in found["systems"].items()
        if "against" in each
    ]
    if not rows:
        return []
    head = [f"less {reference}", "sensitivity (p)", "specificity (p)", f"sensitivity of {reference} at its specificity"]
    return _columns([head, *rows])


def _difference(found: Mapping[str, Any]) -> str:
    if found["difference"] is None:
        return "undefined"
    p = f"{found['p']:.3f}" if found["p"] >= 0.001 else "<0.001"
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}) {p}"


def _whole(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
