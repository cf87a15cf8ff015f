"""A run to be killed: rows from files through a journal to an output, with verdicts that say which message they are of.

As a program it is a server that has imported everything: each line it reads is a run to be forked, killed at a named point or
after a time, or kept from writing files longer than so many bytes; each line it writes says how that ended.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Crash, no_crash
from crisis_filter.batch.journal_lines import End, Fingerprint, Head
from crisis_filter.batch.output import finish
from crisis_filter.batch.rows import BatchRow, input_files, numbered
from crisis_filter.errors import CrisisFilterError, Fault
from crisis_filter.schema import Assessment, Finding, Message, PromptRef, Provenance
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.reading import read_messages
from crisis_filter.triage.rejudge import Standing, may_rejudge, standing_after

WAITING = 24
"""Rows that are being judged at once, to end in any order."""
NOBODY = Standing()


def write_input(path: Path, rows: int) -> None:
    """Rows with ids that come twice, with the same text and with another, and rows without a text."""
    lines = []
    for n in range(rows):
        if n % 23 == 11:
            lines.append(json.dumps({"id": f"id {n - 4}", "text": f"I write to you, number {n - 4} \u00e9\u2028"}))
        elif n % 29 == 13:
            lines.append(json.dumps({"id": f"id {n - 5}", "text": f"something else {n}"}))
        elif n % 31 == 7:
            lines.append(json.dumps({"id": f"id {n}", "text": n}))
        else:
            lines.append(json.dumps({"id": f"id {n}", "text": f"I write to you, number {n} \u00e9\u2028"}))
    path.write_text("\n".join(lines) + "\n")


def mark(message: Message) -> str:
    """What a verdict carries of the message it is of."""
    return sha256(f"{message.id}\0{message.text}".encode()).hexdigest()


def verdict(message: Message, *, again: bool = False) -> Assessment:
    """The same for the same message each time; some time out unless asked again."""
    found = mark(message)
    n = int(found[:8], 16)
    provenance = Provenance(detector="scripted", model=found, version="0")
    if message.unreadable:
        fault = Fault.INPUT_UNREADABLE
    elif n % 6 == 0 and not again:
        fault = Fault.TIMEOUT
    elif n % 17 == 1:
        fault = Fault.INJECTION_SUSPECTED
    elif n % 5 == 0:
        finding = Finding(category="suicide", severity="severe", rationale='as "somebody" said:\n\u2028' * (n % 7))
        return Assessment(
            id=message.id,
            outcome="crisis",
            score=0.5,
            score_source="stated",
            findings=(finding,),
            provenance=provenance,
        )
    else:
        return Assessment(id=message.id, outcome="no_crisis", provenance=provenance)
    return Assessment(
        id=message.id, outcome="undetermined", fault=fault, fault_detail="fixed words", provenance=provenance
    )


def rows_of(paths: list[Path]) -> Iterator[BatchRow]:
    seen = SeenIds()
    return numbered((path.name, read_messages(path, seen=seen)) for path in paths)


def inputs_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("in*.jsonl"))


def head_for(folder: Path, *, run: str = "run 1", backend: str = "scripted") -> Head:
    policy = PromptRef(id="default", sha256="ab" * 32)
    return Head(
        run=run,
        salt=sha256(run.encode()).hexdigest(),
        version="0",
        inputs=input_files(inputs_in(folder)),
        fingerprint=Fingerprint(policy=policy, backend=backend),
    )


def shuffled(rows: Iterator[BatchRow], rng: np.random.Generator) -> Iterator[BatchRow]:
    """The rows as many slots at once end them."""
    held: list[BatchRow] = []
    for row in rows:
        held.append(row)
        if len(held) >= WAITING:
            yield held.pop(int(rng.integers(WAITING)))
    while held:
        yield held.pop(int(rng.integers(len(held))))


def judge_all(journal: Journal, folder: Path, rng: np.random.Generator, pause: Callable[[int], None]) -> int:
    """The first time through: every row that is not done. Returns how many rows there are."""
    received = 0

    def wanted() -> Iterator[BatchRow]:
        nonlocal received
        for row in rows_of(inputs_in(folder)):
            received = row.number + 1
            if not journal.done(row.number):
                yield row

    for row in shuffled(wanted(), rng):
        if row.message is None:
            journal.set_aside(row.number)
        else:
            journal.add(row.number, journal.key(row.message), verdict(row.message), place=row.place)
        pause(row.number)
    return received


def judge_again(journal: Journal, folder: Path, rng: np.random.Generator, pause: Callable[[int], None]) -> None:
    """What timed out, once more."""
    with journal.view() as view:
        for row in shuffled(rows_of(inputs_in(folder)), rng):
            line = view.line(row.number)
            if row.message is None or line is None:
                continue
            old = Assessment.model_validate_json(line.raw)
            if may_rejudge(old, NOBODY) != "yes":
                continue
            new = verdict(row.message, again=True)
            if standing_after(old, new, NOBODY) is new:
                journal.add(row.number, line.key, new, place=row.place)
            pause(row.number)


def play(
    folder: Path,
    *,
    seed: int = 0,
    crash: Crash = no_crash,
    name: str = "out.jsonl",
    interval_s: float = 0.01,
    every: int = 40,
    run: str = "run 1",
) -> End:
    """A run from where it is to its end."""
    rng = np.random.default_rng(seed)

    def pause(row: int) -> None:
        if row % every == 0:
            time.sleep(0.001)

    with Journal.open(folder / name, head_for(folder, run=run), interval_s=interval_s, crash=crash) as journal:
        if journal.end is not None:
            return journal.end
        received = judge_all(journal, folder, rng, pause)
        judge_again(journal, folder, rng, pause)
        return finish(journal, received=received, crash=crash)


def killing(point: str, times: int) -> Crash:
    """Kills this process when a point is passed for the so manieth time."""
    met: Counter[str] = Counter()

    def crash(name: str) -> None:
        met[name] += 1
        if name == point and met[name] == times:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # a kill from another thread takes a moment

    return crash


def _child(order: dict[str, Any], tell: int) -> None:
    """One run in a process of its own."""
    told: dict[str, Any] = {"ended": "well"}
    try:
        if "longest" in order:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["longest"], resource.RLIM_INFINITY))
        crash = killing(*order["point"]) if "point" in order else no_crash
        play(
            Path(order["folder"]),
            seed=order.get("seed", 0),
            crash=crash,
            name=order.get("name", "out.jsonl"),
            interval_s=order.get("interval_s", 0.01),
        )
    except CrisisFilterError as error:
        told = {"ended": type(error).__name__, "words": str(error)}
    except BaseException as error:  # noqa: BLE001  # told to the test
        told = {"ended": "bug", "words": repr(error)}
    os.write(tell, json.dumps(told).encode())
    os._exit(0)


def _fork(order: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if not child:
        os.close(ours)
        _child(order, theirs)
    os.close(theirs)
    if "after_s" in order:
        time.sleep(order["after_s"])
        os.kill(child, signal.SIGKILL)
    with os.fdopen(ours, "rb") as told:
        words = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"ended": signal.Signals(os.WTERMSIG(status)).name}
    return {**json.loads(words), "took_s": time.perf_counter() - started}


if __name__ == "__main__":
    for order_line in sys.stdin:
        sys.stdout.write(json.dumps(_fork(json.loads(order_line))) + "\n")
        sys.stdout.flush()
