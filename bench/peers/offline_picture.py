"""The report of `bench.engines` as a picture: for each set, crises found against other messages flagged, every system with its intervals.

Each point has its name beside it and ours another shape, so that nothing depends on seeing colours. The picture brings a background of its own
for light and for dark, and uses whatever font the reader's machine has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

FEWEST_CRISES = 20
"""A set with fewer is left to the table: its intervals would span most of a panel."""
_SIZE, _LEFT, _GAP, _TOP = 300, 62, 46, 92
_LINE, _LETTER, _APART = 15, 6.6, 45
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#1b1f24}.h{font-weight:600;font-size:13px}.t{font-weight:600;font-size:15px}.f{font-size:11px}
.m{text-anchor:middle}.e{text-anchor:end}.f,.k{fill:#59606a}.back{fill:#fff}.g{stroke:#e3e6ea}.edge{stroke:#8a919b;fill:none}
.lead{stroke:#8a919b;stroke-width:.8}.ours{stroke:#0067a8;fill:#0067a8}.theirs{stroke:#b34700;fill:#b34700}.curve{stroke:#0067a8;fill:none;stroke-width:1.2;stroke-opacity:.75}
.bar{stroke-width:1.6}.hollow{fill:#fff;stroke-width:2}.own{font-weight:600}.halo{paint-order:stroke;stroke:#fff;stroke-width:2.5}
@media (prefers-color-scheme:dark){text{fill:#e6e9ed}.f,.k{fill:#a8b0ba}.back{fill:#14181d}.g{stroke:#2b3138}.edge,.lead{stroke:#7b8490}
.ours{stroke:#5db5f2;fill:#5db5f2}.theirs{stroke:#f2a65a;fill:#f2a65a}.curve{stroke:#5db5f2}.hollow{fill:#14181d}.halo{stroke:#14181d}}
""".strip().replace("\n", "")


@dataclass(frozen=True)
class Point:
    """A system in a panel; pixels from the panel's top left corner."""

    name: str
    ours: bool
    hollow: bool
    x: float
    y: float
    bars: tuple[float, float, float, float]
    """The ends of the intervals: left, right, top, bottom, in pixels."""


@dataclass(frozen=True)
class Name:
    """Where the name of a point stands; pixels from the panel's top left corner."""

    point: Point
    left: float
    middle: float
    right: float


Edges = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def draw(report: Mapping[str, Any]) -> str:
    """The picture as SVG; a set without other messages, or with few crises, has no panel."""
    panels = {name: found for name, found in report["sets"].items() if _drawn(found)}
    notes = _notes(report, [name for name in report["sets"] if name not in panels])
    names = {name: placed(_points(found, report)) for name, found in panels.items()}
    # Long names reach beyond their panel.
    pitch = max([_SIZE + _GAP, *(each.right + _GAP - 6 for found in names.values() for each in found)])
    width = max(round(_LEFT + pitch * len(panels)), 640)
    height = _TOP + _SIZE + 56 + 16 * len(notes)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="t d">',
        '<title id="t">Crises found and other messages flagged, by system</title>',
        f'<desc id="d">{escape(_told(panels))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" class="back"/>',
        '<text x="16" y="26" class="t">Crises found, and other messages flagged for nothing</text>',
        f'<text x="16" y="{_TOP + _SIZE / 2:.0f}" class="m" transform="rotate(-90 16 {_TOP + _SIZE / 2:.0f})">crises found (sensitivity)</text>',
    ]
    for place, (name, found) in enumerate(panels.items()):
        out.append(f'<g transform="translate({_LEFT + pitch * place:.0f} {_TOP})">')
        out.extend(_panel(name, found, names[name]))
        out.append("</g>")
    for number, note in enumerate(notes):
        out.append(f'<text x="16" y="{_TOP + _SIZE + 60 + 16 * number}" class="f">{escape(note)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def placed(points: Sequence[Point]) -> list[Name]:
    """A place for every name: in a column at the right of points that stand together, and lower where marks or other names are in the way."""
    found: list[Name] = []
    taken = [(p.bars[0] - 6, p.y - 6, p.bars[1] + 6, p.y + 6) for p in points]
    taken += [(p.x - 6, p.bars[2], p.x + 6, p.bars[3]) for p in points]
    for group in _groups(points):
        wide = max(len(point.name) for point in group) * _LETTER
        left, high = max(point.bars[1] for point in group) + 11, _LINE * len(group)
        # Below a point of ours runs no curve: it only rises.
        top = group[0].y if group[0].ours else (group[0].y + group[-1].y - high) / 2
        column = _free(left, max(0.0, min(top, _SIZE - 2 - high)), left + wide, high, taken)
        taken.append(column)
        found += [
            Name(point, left, column[1] + _LINE * (place + 0.5), left + wide) for place, point in enumerate(group)
        ]
    return found


def _groups(points: Sequence[Point]) -> list[list[Point]]:
    """Points that stand near one another, ours apart; each from the top and then from the left, so that leads do not cross."""
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda p: (p.y, p.x)):
        near = (g for g in groups if any(p.ours is point.ours and _near(p, point) for p in g))
        group = next(near, None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return groups


def _near(one: Point, other: Point) -> bool:
    return abs(one.x - other.x) < _APART and abs(one.y - other.y) < _APART


def _free(left: float, top: float, right: float, high: float, taken: Sequence[Edges]) -> Edges:
    """The column at its first height, going down, where it meets nothing; where it began if there is none above the lower axis."""
    tries = [top, *sorted(edges[3] + 2 for edges in taken if top < edges[3] + 2 <= _SIZE - 2 - high)]
    for each in tries:
        if not any(left < e[2] and e[0] < right and each < e[3] and e[1] < each + high for e in taken):
            return (left, each, right, each + high)
    return (left, top, right, top + high)


def _drawn(found: Mapping[str, Any]) -> bool:
    rows = found["systems"].values()
    return bool(rows) and all(row["sensitivity"]["n"] >= FEWEST_CRISES and row["specificity"]["n"] > 0 for row in rows)


def _panel(name: str, found: Mapping[str, Any], names: Sequence[Name]) -> Iterator[str]:
    first = next(iter(found["systems"].values()))
    counts = f"{first['sensitivity']['n']:,} crises, {first['specificity']['n']:,} others"
    yield f'<text x="0" y="-28" class="h">{escape(name)}</text><text x="0" y="-12" class="k">{counts}</text>'
    for tick in (0, 1, 5, 20, 50, 100):
        yield f'<path d="M{_x(tick / 100):.1f},0V{_SIZE}" class="g"/><text x="{_x(tick / 100):.1f}" y="{_SIZE + 16}" class="m k">{tick}%</text>'
    for tick in range(0, 101, 20):
        yield f'<path d="M0,{_y(tick / 100):g}H{_SIZE}" class="g"/><text x="-7" y="{_y(tick / 100) + 4:g}" class="e k">{tick}%</text>'
    yield f'<path d="M0,0V{_SIZE}H{_SIZE}" class="edge"/>'
    yield f'<text x="{_SIZE / 2:g}" y="{_SIZE + 34}" class="m">others flagged (1 - specificity), stretched</text>'
    line = [(_x(share), _y(found_there)) for share, found_there in found["curve"] or ()]
    if line:
        yield f'<path d="M{"L".join(f"{x:.1f},{y:.1f}" for x, y in line)}" class="curve"/>'
    yield from (_bars(each.point) for each in names)
    yield from (_lead(each) for each in names)
    # The hollow ones last, so that what stands at the same place shows inside.
    yield from (_mark(each.point) for each in sorted(names, key=lambda each: each.point.hollow))
    for each in names:
        own = " own" if each.point.ours else ""
        yield f'<text x="{each.left:.1f}" y="{each.middle + 4:.1f}" class="halo{own}">{escape(each.point.name)}</text>'


def _points(found: Mapping[str, Any], report: Mapping[str, Any]) -> list[Point]:
    return [_point(system, row, report["systems"][system]) for system, row in found["systems"].items()]


def _x(flagged: float) -> float:
    """Where a share of others flagged stands: by its root, for most systems flag few."""
    return _SIZE * math.sqrt(flagged)


def _y(found: float) -> float:
    return _SIZE * (1 - found)


def _point(system: str, row: Mapping[str, Any], about: Mapping[str, Any]) -> Point:
    up, right = row["sensitivity"], row["specificity"]
    return Point(
        system,
        about["ours"],
        about["tool"] == "filter",
        _x(1 - right["estimate"]),
        _y(up["estimate"]),
        (_x(1 - right["high"]), _x(1 - right["low"]), _y(up["high"]), _y(up["low"])),
    )


def _kind(point: Point) -> str:
    return "ours" if point.ours else "theirs"


def _bars(point: Point) -> str:
    left, right, top, bottom = point.bars
    return f'<path d="M{left:.1f},{point.y:.1f}H{right:.1f}M{point.x:.1f},{top:.1f}V{bottom:.1f}" class="bar {_kind(point)}"/>'


def _lead(name: Name) -> str:
    point = name.point
    return f'<path d="M{point.x:.1f},{point.y:.1f}L{name.left - 3:.1f},{name.middle:.1f}" class="lead"/>'


def _mark(point: Point) -> str:
    if not point.ours:
        return f'<path d="M{point.x:.1f},{point.y - 5:.1f}l5,5l-5,5l-5,-5Z" class="theirs"/>'
    if point.hollow:
        return f'<rect x="{point.x - 5:.1f}" y="{point.y - 5:.1f}" width="10" height="10" class="ours hollow" style="fill:none"/>'
    return f'<circle cx="{point.x:.1f}" cy="{point.y:.1f}" r="3.6" class="ours"/>'


def _told(panels: Mapping[str, Any]) -> str:
    """The picture in words, for who cannot see it."""
    said = []
    for name, found in panels.items():
        rows = (
            f"{system} {row['sensitivity']['count']} of {row['sensitivity']['n']} crises, "
            f"{row['specificity']['n'] - row['specificity']['count']} of {row['specificity']['n']} others flagged or without a verdict"
            for system, row in found["systems"].items()
        )
        said.append(f"{name}: {'; '.join(rows)}.")
    return " ".join(said)


def _notes(report: Mapping[str, Any], left_out: Sequence[str]) -> list[str]:
    notes = [
        "The lower axis is stretched at its left. Bars: 95% Wilson intervals. No verdict counts as wrong both ways. No clinician gave or checked any label."
    ]
    if report["reference"] is not None:
        notes.append(
            f"Line: {report['reference']} at every other threshold, chosen on the set itself, which flatters it."
        )
    told = {name: found["note"] for name, found in report["sets"].items() if found["note"] and name not in left_out}
    notes += [
        f"{', '.join(name for name in told if told[name] == note)}: {note}." for note in dict.fromkeys(told.values())
    ]
    notes += [f"In the table only, for want of crises: {name}." for name in left_out]
    return notes + [f"ABSENT, not measured: {name}." for name in report["absent"]]
