"""The changelog of a folder of prompts: a table in Markdown, a line for each release with its measured effect."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from crisis_filter.errors import ConfigurationError
from crisis_filter.evaluation.report.words import clean, level, p_value
from crisis_filter.experiments.comparison import Candidate, Comparison, Rate, SideContrast
from crisis_filter.experiments.released import RELEASED, read_released
from crisis_filter.schema import PromptRef

__all__ = ["HEADER", "in_table", "line_of", "put_in_table", "put_released", "row"]

HEADER = "| prompt | date | what | measured effect |"
_RULE = "|---|---|---|---|"
_NEW = f"# Prompts\n\n## Changelog with measured effects\n\n{HEADER}\n{_RULE}\n"
_DIGITS = 16
"""Of an experiment's hash in a line: enough to find it again."""
_ROW = re.compile(r"^\|\s*`([^`]+)`\s*\|")
_SPACES = re.compile(r"\s+")
_OPEN = 0o644


def line_of(comparison: Comparison, candidate: Candidate, experiment: str, asked_of: str, *, released: bool) -> str:
    """The measured effect of a candidate in words: counts, intervals, differences to the incumbent, data, who labelled it.

    Args:
        comparison: whole, with the candidate in it.
        candidate: which one.
        experiment: SHA-256 of the experiment.
        asked_of: the provider, as the experiment's file has it.
        released: whether the incumbent's prompts are.
    """
    measured = comparison.measured
    system = next(one for one in comparison.systems if one.name == candidate.name)
    before = next(one for one in comparison.systems if one.name == candidate.incumbent)
    asked = "" if measured.repeats == 1 else f", each asked about {measured.repeats} times"
    several = len(comparison.candidates) > 1
    parts = [
        f"{measured.name}, n = {measured.messages:,} ({measured.crises:,} crises){asked}, labels: {measured.labelled_by}",
        f"sensitivity {_rate(system.sensitivity)}, specificity {_rate(system.specificity)}",
        f"undetermined {system.undetermined.undetermined:,} of {system.undetermined.answers:,}",
        f"of {system.naming.crisis:,} answers that say crisis {_none(system.naming.unnamed)} without a category, {system.naming.faulty:,} with a fault",
        f"against {', '.join(ref.id for ref in before.prompts) or before.name} ({'released' if released else 'not released'}): "
        + ", ".join(_difference(side, several=several) for side in candidate.sides),
        f"macro F1 {_f1(system.macro_f1)} against {_f1(before.macro_f1)}",
    ]
    if several:
        parts.append(f"p adjusted for {len(comparison.candidates)} candidates")
    parts.append(_looks(measured.looks))
    if measured.exploration:
        parts.append(f"{measured.split}: exploration, no claim")
    parts.append(
        f"all {len(candidate.gates)} declared bounds kept; asked of {asked_of}; experiment {experiment[:_DIGITS]}"
    )
    return "; ".join(parts)


def row(prompt: str, date: str, what: str, effect: str) -> str:
    """A line of the table; signs that would end a cell are escaped."""
    cells = (f"`{prompt}`", date, what, effect)
    return "| " + " | ".join(clean(cell).replace("|", "\\|") for cell in cells) + " |"


def in_table(path: Path, experiment: str) -> frozenset[str]:
    """Ids of prompts that have a line of this experiment; none where there is no file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if not path.exists():
        return frozenset()
    mark = f"experiment {experiment[:_DIGITS]}"
    lines = (line for line in _text(path).splitlines() if mark in line)
    return frozenset(found[1] for line in lines if (found := _ROW.match(line)))


def put_in_table(path: Path, rows: Sequence[str]) -> None:
    """Add lines at the end of the table; a file that is not there is begun. The file is whole at every instant.

    Raises:
        ConfigurationError: there is a file without such a table, or it cannot be written.
    """
    if not rows:
        return
    text = _text(path) if path.exists() else _NEW
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(end)
    heads = [at for at, line in enumerate(lines) if _SPACES.sub(" ", line.strip()) == HEADER]
    if not heads:
        raise ConfigurationError(f"{path}: has no table to add a line to; put in one that begins with {HEADER}")
    last = heads[0]
    while last + 1 < len(lines) and lines[last + 1].lstrip().startswith("|"):
        last += 1
    _replace(path, end.join([*lines[: last + 1], *rows, *lines[last + 1 :]]))


def put_released(folder: Path, refs: Iterable[PromptRef]) -> None:
    """Add prompts to the table of releases; this is what releases them.

    Raises:
        ConfigurationError: it cannot be read or written.
    """
    table = {**read_released(folder), **{ref.id: ref.sha256 for ref in refs}}
    _replace(folder / RELEASED, json.dumps(dict(sorted(table.items())), indent=1) + "\n")


def _rate(rate: Rate) -> str:
    if rate.estimate is None:
        return "undefined"
    return f"{rate.right:,}/{rate.answers:,} ({level(rate.level)} interval {rate.low:.3f} to {rate.high:.3f})"


def _none(count: int | None) -> str:
    return "not told" if count is None else f"{count:,}"


def _f1(figure: float | None) -> str:
    return "undefined" if figure is None else f"{figure:.3f}"


def _looks(count: int | None) -> str:
    if count is None:
        return "looks at these messages so far not known"
    return f"{count:,} {'look' if count == 1 else 'looks'} at these messages so far"


def _difference(side: SideContrast, *, several: bool) -> str:
    found = side.difference
    if found.estimate is None:
        return f"{side.side} undefined"
    p = side.p_adjusted if several else side.p
    told = "no p" if p is None else f"p {p_value(p)}" if p_value(p).startswith("<") else f"p = {p_value(p)}"
    return f"{side.side} {found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f}, {told})"


def _text(path: Path) -> str:
    # Bytes, or the ends of lines would be changed.
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None


def _replace(path: Path, text: str) -> None:
    """Put a text in place of a file, whole or not at all, with the rights that it had."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.new")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else _OPEN
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(file, "wb") as handle:
            handle.write(text.encode())
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
