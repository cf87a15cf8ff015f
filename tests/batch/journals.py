"""Small runs whose journals can be damaged, and what each row had in them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from hypothesis import settings

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_lines import row_of
from crisis_filter.batch.journal_view import View
from crisis_filter.schema import Assessment, Provenance
from tests.batch.playing import head_for, inputs_in, play, rows_of, verdict, write_input

ROWS = 60
on_disk = settings(deadline=None)


def prepared(folder: Path) -> Path:
    """The output of a run whose inputs are there."""
    write_input(folder / "in1.jsonl", ROWS)
    return folder / "out.jsonl"


def fill(out: Path, *, close: bool, batches: int = 4) -> None:
    """A journal of some writes, none of its rows judged twice; left as a killed process leaves it, or closed."""
    journal = Journal.open(out, head_for(out.parent), interval_s=30)
    for row in rows_of(inputs_in(out.parent)):
        if row.message is None:
            journal.set_aside(row.number)
        else:
            journal.add(row.number, journal.key(row.message), verdict(row.message), place=row.place)
        if row.number % (ROWS // batches) == 0:
            journal.flush()
    journal.flush()
    kept = Files(out).journal.read_bytes()
    journal.close()
    if not close:
        Files(out).journal.write_bytes(kept)


@cache
def whole(kind: str) -> dict[str, bytes]:
    """The files of such a run: `killed`, `closed` or `finished`."""
    with tempfile.TemporaryDirectory() as made:
        out = prepared(Path(made))
        if kind == "finished":
            play(out.parent, interval_s=30)
        else:
            fill(out, close=kind == "closed")
        return {path.name: path.read_bytes() for path in Path(made).iterdir()}


def restored(folder: Path, kind: str) -> Path:
    for path in folder.iterdir():
        path.unlink()
    for name, content in whole(kind).items():
        (folder / name).write_bytes(content)
    return folder / "out.jsonl"


@cache
def lines_of(kind: str) -> dict[int, set[bytes]]:
    """All that was ever written of each row."""
    found: dict[int, set[bytes]] = {}
    for line in whole(kind)["out.jsonl.journal"].splitlines(keepends=True):
        if (told := row_of(line)) is not None:
            found.setdefault(told.row, set()).add(told.raw)
    return found


def read(out: Path) -> dict[int, bytes]:
    with View(out) as view:
        return {line.row: line.raw for line in view}


def some(row: int = 0) -> Assessment:
    return Assessment(id=f"id {row}", outcome="no_crisis", provenance=Provenance(detector="scripted", version="0"))
