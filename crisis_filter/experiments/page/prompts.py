"""What is different between prompts: line by line, with the words that changed inside a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations
from typing import Literal

from crisis_filter.evaluation.report.words import clean, counted
from crisis_filter.experiments.page.wording import prompt_words
from crisis_filter.experiments.records import PromptText
from crisis_filter.schema import PromptRef

_CONTEXT = 2
_ALIKE = 0.3
_MOST_WORDS = 400
_MOST_LINES = 4000
_MOST_PROMPTS = 4
_TOKEN = re.compile(r"\S+\s*|\s+")
_RUN = re.compile(r"\s+|\S+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a line, and whether the other prompt lacks them."""

    text: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line: of both prompts, of the first alone, of the second alone; or a gap where alike lines are left out."""

    kind: Literal["same", "cut", "put", "gap"]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The stable or the changing part of two prompts."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """Two prompts of one stage."""

    title: str
    parts: tuple[Part, ...]


def diffs(groups: Iterable[Sequence[PromptRef]], texts: Iterable[PromptText]) -> tuple[PromptDiff, ...]:
    """Differences between the prompts of each group, which is those of one stage in the order of the columns.

    Up to four prompts are held against one another in pairs; of more, each against the first. A prompt whose text is not known is left out.
    """
    known = {(one.id, one.sha256): one for one in texts}
    found = []
    for group in groups:
        mine = [known[key] for key in dict.fromkeys((ref.id, ref.sha256) for ref in group) if key in known]
        pairs = list(combinations(mine, 2)) if len(mine) <= _MOST_PROMPTS else [(mine[0], one) for one in mine[1:]]
        found += [_diff(first, second) for first, second in pairs]
    return tuple(found)


def changed_lines(first: str, second: str) -> tuple[Line, ...]:
    """The lines in which two texts differ, each with two alike lines around it; empty where the texts are alike.

    Texts of more than 4,000 lines are not compared: one line says so.
    """
    before, after = first.splitlines(), second.splitlines()
    if max(len(before), len(after)) > _MOST_LINES:
        return (Line("gap", (Piece("too long to be compared here", changed=False),)),)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    lines: list[Line] = []
    end = 0
    for hunk in matcher.get_grouped_opcodes(_CONTEXT):
        if hunk[0][1] > end:
            lines.append(_gap(hunk[0][1] - end))
        for code, i1, i2, j1, j2 in hunk:
            if code == "equal":
                lines += [Line("same", (Piece(_shown(line), changed=False),)) for line in before[i1:i2]]
            else:
                lines += _replaced(before[i1:i2], after[j1:j2])
        end = hunk[-1][2]
    if lines and len(before) > end:
        lines.append(_gap(len(before) - end))
    return tuple(lines)


def _diff(first: PromptText, second: PromptText) -> PromptDiff:
    parts = []
    for what, before, after in (
        ("Stable part", first.system, second.system),
        ("Changing part", first.user, second.user),
    ):
        lines = changed_lines(before, after)
        cut, put = (sum(line.kind == kind for line in lines) for kind in ("cut", "put"))
        said = f"{counted(cut, 'line')} taken out, {counted(put, 'line')} put in" if lines else "the same in both"
        parts.append(Part(f"{what}: {said}", lines))
    ids = [prompt_words(PromptRef(id=one.id, sha256=one.sha256)) for one in (first, second)]
    return PromptDiff(f"From {ids[0]} to {ids[1]}", tuple(parts))


def _replaced(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    """Lines taken out, then lines put in; where a line stands in for one like it, only the changed words are marked."""
    pairs = [_words(old, new) for old, new in zip(before, after, strict=False)]
    for place, line in enumerate(before):
        yield Line("cut", pairs[place][0] if place < len(pairs) else _whole(line))
    for place, line in enumerate(after):
        yield Line("put", pairs[place][1] if place < len(pairs) else _whole(line))


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(before), len(after)) > _MOST_WORDS:
        return _whole(old), _whole(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return _whole(old), _whole(new)
    codes = matcher.get_opcodes()
    return (
        tuple(Piece(_shown("".join(before[i1:i2])), code != "equal") for code, i1, i2, _, _ in codes if i2 > i1),
        tuple(Piece(_shown("".join(after[j1:j2])), code != "equal") for code, _, _, j1, j2 in codes if j2 > j1),
    )


def _whole(line: str) -> tuple[Piece, ...]:
    return (Piece(_shown(line), changed=True),)


def _shown(line: str) -> str:
    """A line with nothing in it that acts on the page; space is kept as it was."""
    return _RUN.sub(lambda run: " " * len(run[0]) if run[0].isspace() else clean(run[0]), line)


def _gap(count: int) -> Line:
    return Line("gap", (Piece(f"{counted(count, 'line')} the same", changed=False),))
