"""Every offline system through the same runner, each in a process of its own: what it said, how long it took, what it holds in memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_RUNNER_S = 900
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON")}


class RunnerError(RuntimeError):
    """A runner failed or left messages out, so that nothing can be said of its system. Holds no text of a message."""


@dataclass(frozen=True)
class System:
    """One row of the table."""

    name: str
    tool: str
    """The runner's name for it."""
    note: str
    """What counts as flagged, and whose default it is."""
    peer: str | None = None
    """Requirements file of its environment; `None` for ours."""
    engine: str = ""
    """Folder of the engine, of ours."""


@dataclass(frozen=True)
class Case:
    """One labelled message."""

    id: str
    """Unique over all sets."""
    text: str = field(repr=False)
    crisis: bool
    near_miss: bool
    """Not a crisis and made to look like one."""
    self_directed: bool
    """A crisis labelled suicide or self-harm, which every one of these packages looks for."""


@dataclass(frozen=True)
class Said:
    """What a system made of one message."""

    flagged: bool | None
    """`None`: no verdict."""
    ms: float
    score: float | None
    labels: tuple[str, ...] = ()
    """What it named, in its own words."""
    fault: str = ""
    """Of ours: why there is no verdict."""


@dataclass(frozen=True)
class Answers:
    """A system's answers, by id, and what running it took."""

    version: str
    said: Mapping[str, Said]
    cold_start_s: float
    """Import, making ready and first verdict in a fresh process: the median of several."""
    rss_mb: float | None
    """Resident after the last message, in 10^6 bytes; `None` on a system that does not say."""
    peak_rss_mb: float | None
    network: int
    """Connections that it tried and was refused."""


def ask(system: System, python: Path, cases: Sequence[Case], *, cold: int = 5) -> Answers:
    """Ask a system about every message, one at a time.

    Args:
        system: which.
        python: the interpreter of its environment.
        cases: the messages of all sets.
        cold: processes over which the cold start is taken, at least 1.

    Raises:
        RunnerError: the runner failed, or did not answer each message once.
    """
    lines = [json.dumps({"id": case.id, "text": case.text}) for case in cases]
    *rows, closing = _run(system, python, lines)
    if [row.get("id") for row in rows] != [case.id for case in cases]:
        raise RunnerError(f"{len(rows)} answers to {len(cases)} messages")
    others = [_run(system, python, [])[-1]["cold_start_s"] for _ in range(cold - 1)]
    return Answers(
        version=closing["version"],
        said={row["id"]: _said(row) for row in rows},
        cold_start_s=statistics.median([closing["cold_start_s"], *others]),
        rss_mb=closing["rss_mb"],
        peak_rss_mb=closing["peak_rss_mb"],
        network=closing["network"],
    )


def _said(row: Mapping[str, Any]) -> Said:
    return Said(row["flagged"], row["ms"], row.get("score"), tuple(row.get("labels", ())), row.get("fault", ""))


def _run(system: System, python: Path, lines: Sequence[str]) -> list[dict[str, Any]]:
    # -P: the modules beside the runner must not be found in place of a package's own.
    command = [str(python), "-P", str(_HERE / "offline_runner.py"), system.tool, system.engine]
    environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": "" if system.peer else str(_ROOT)}
    try:
        done = subprocess.run(
            command,
            input="".join(line + "\n" for line in lines),
            env=environment,
            capture_output=True,
            text=True,
            timeout=_RUNNER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunnerError(f"its runner did not run ({type(error).__name__})") from None
    if done.returncode:
        # What a package raises on a message is caught in the runner, so this is of its import or its opening.
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RunnerError(f"its runner ended with {done.returncode}: {last[:300]}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if not rows or "cold_start_s" not in rows[-1]:
        raise RunnerError("its runner said nothing at its end")
    if rows[-1]["first"] is not None:
        raise RunnerError(f"it gave no verdict on an ordinary message: {rows[-1]['first']}")
    return rows
