"""Mutants inside functions, by mutmut: it makes them, chooses the tests that reach each, and runs them in forks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

# mutmut's exit codes: a killed mutant is one that made a test fail or pytest itself stop.
_KILLED = {1, 3}
_SURVIVED = {0, 33}  # 33: no test reaches the function
_TIMEOUT = {36, 24, -24, 152, 255}


def run(work: Path, names: tuple[str, ...] = ()) -> None:
    """Make and try the mutants; with names or patterns, only those."""
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "2", *names], cwd=work, check=True)


def results(work: Path) -> dict[str, dict[str, str]]:
    """Module path, mutant name, and what became of it: `killed`, `survived`, `timeout`, `other` or `untried`."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((work / "mutants" / "crisis_filter").rglob("*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            module = str(path.relative_to(work / "mutants")).removesuffix(".meta")
            found[module] = {name: _word(code) for name, code in codes.items()}
    return found


def _word(code: int | None) -> str:
    if code is None:
        return "untried"
    for word, codes in (("killed", _KILLED), ("survived", _SURVIVED), ("timeout", _TIMEOUT)):
        if code in codes:
            return word
    return "other"


def change(work: Path, name: str) -> str:
    """The lines that a mutant changes, `- old + new`."""
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", name], cwd=work, check=False, capture_output=True, text=True
    ).stdout
    lines = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def table(found: dict[str, dict[str, str]]) -> str:
    """Killed of all that were tried, by module; time-outs apart."""
    rows = [(module, Counter(by_name.values())) for module, by_name in found.items()]
    rows.append(("together", sum((counts for _, counts in rows), Counter())))
    lines = [f"{'module':<40} {'killed':>6} {'tried':>6} {'share':>6} {'timeout':>7} {'other':>6}"]
    for module, counts in rows:
        tried = counts["killed"] + counts["survived"]
        share = f"{counts['killed'] / tried:.3f}" if tried else "-"
        lines.append(
            f"{module:<40} {counts['killed']:>6} {tried:>6} {share:>6} {counts['timeout']:>7} {counts['other'] + counts['untried']:>6}"
        )
    return "\n".join(lines)
