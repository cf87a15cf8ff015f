"""The ledger: it balances for every run, and for no run of which something was lost, added, exchanged or changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.ledger import Ledger, ledger
from crisis_filter.errors import ConfigurationError, InputError
from tests.batch.playing import head_for, inputs_in, play, rows_of, verdict, write_input

ROWS = 150


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    write_input(folder / "in1.jsonl", ROWS)
    play(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, done: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path, dirs_exist_ok=True))


def counted(folder: Path) -> Ledger:
    return ledger(folder / "out.jsonl", rows=rows_of(inputs_in(folder)))


def broken(told: Ledger) -> set[str]:
    return {equation.words for equation in told.equations if not equation.holds}


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_a_run_balances(folder: Path, name: str) -> None:
    """Its counts are those of its files, whether the rows are counted or not."""
    play(folder, name=name)
    told = ledger(folder / name, rows=rows_of(inputs_in(folder)))
    assert told.balanced
    short = ledger(folder / name)
    assert short.balanced
    assert (short.received, short.decided, short.outcomes) == (told.received, told.decided, told.outcomes)
    rows = list(rows_of(inputs_in(folder)))
    expected = [verdict(row.message, again=True) for row in rows if row.message is not None]
    assert told.received == len(rows) == ROWS
    assert told.aside == sum(row.message is None for row in rows) > 0
    assert told.decided == len(expected)
    assert told.outcomes["crisis"] == sum(a.outcome == "crisis" for a in expected) > 0
    assert told.judged_again > 0
    assert told.finished


LINES: list[tuple[str, str, Callable[[list[bytes]], list[bytes]], set[str]]] = [
    ("lost", "out", lambda lines: lines[:5] + lines[6:], {"rows of the output = decided", "rows of the output that are not in their place = 0"}),
    ("twice", "out", lambda lines: [*lines[:5], lines[4], *lines[5:]], {"rows of the output = decided", "rows of the output that are not in their place = 0"}),
    ("exchanged", "out", lambda lines: [lines[1], lines[0], *lines[2:]], {"rows of the output that are not in their place = 0"}),
    ("lowered", "out", lambda lines: [line.replace(b'"outcome":"undetermined"', b'"outcome":"no_crisis"') for line in lines], {"undetermined in the output = undetermined", "not crisis in the output = not crisis"}),
    ("a score changed", "out", lambda lines: [line.replace(b'"score":0.5', b'"score":0.4') for line in lines], set()),
    ("an error lost", "errors", lambda lines: lines[1:], {"rows of the errors = undetermined"}),
    ("a fault changed", "errors", lambda lines: [line.replace(b"input_unreadable", b"empty_content") for line in lines], {"input_unreadable in the errors = input_unreadable", "empty_content in the errors = empty_content"}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "which", "change", "unequal"), LINES, ids=[line[0] for line in LINES])
def test_what_was_changed_in_a_file(
    folder: Path, what: str, which: str, change: Callable[[list[bytes]], list[bytes]], unequal: set[str]
) -> None:
    """Every change breaks the equation of the hashes, and those of the counts that it touches."""
    path: Path = getattr(Files(folder / "out.jsonl"), which)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    told = counted(folder)
    assert not told.balanced
    assert {"files that are not as they were written = 0"} | unequal <= broken(told)


def test_an_input_that_is_another(folder: Path) -> None:
    """A verdict that stands beside another text than it was given for is found, though every count agrees."""
    rows = list(rows_of(inputs_in(folder)))
    at = next(row.number for row in rows if row.message is not None and row.number > 30)
    lines = inputs_in(folder)[0].read_text().splitlines()
    lines[at] = json.dumps({**json.loads(lines[at]), "text": "another text"})
    inputs_in(folder)[0].write_text("\n".join(lines) + "\n")
    told = counted(folder)
    assert broken(told) == {"rows of the journal that are not those of the inputs = 0"}
    assert next(e.left for e in told.equations if not e.holds) == 1


def test_rows_that_are_in_no_input(folder: Path) -> None:
    lines = inputs_in(folder)[0].read_text().splitlines()
    inputs_in(folder)[0].write_text("\n".join(lines[:-3]) + "\n")
    told = counted(folder)
    assert "received = decided + pending + set aside" in broken(told)
    assert "rows of the journal that are not those of the inputs = 0" in broken(told)


def test_a_row_both_judged_and_set_aside(tmp_path: Path) -> None:
    write_input(tmp_path / "in1.jsonl", 20)
    rows = list(rows_of(inputs_in(tmp_path)))
    with Journal.open(tmp_path / "out.jsonl", head_for(tmp_path)) as journal:
        first = next(row.message for row in rows if row.message)
        journal.add(0, journal.key(first), verdict(first))
        journal.set_aside(0)
    assert "rows both judged and set aside = 0" in broken(ledger(tmp_path / "out.jsonl", received=20))


def test_a_run_under_way(tmp_path: Path) -> None:
    """It balances with what is pending; without a count of the rows nobody can say."""
    write_input(tmp_path / "in1.jsonl", 40)
    with Journal.open(tmp_path / "out.jsonl", head_for(tmp_path)) as journal:
        for row in rows_of(inputs_in(tmp_path)):
            if row.message is not None and row.number < 15:
                journal.add(row.number, journal.key(row.message), verdict(row.message))
        journal.flush()
        told = counted(tmp_path)
        assert told.balanced
        assert not told.finished
        assert (told.received, told.aside) == (40, 0)
        assert told.pending == 40 - told.decided
        assert ledger(tmp_path / "out.jsonl", received=40).pending == told.pending
        with pytest.raises(ValueError, match="have to be counted"):
            ledger(tmp_path / "out.jsonl")


def test_looked_at_while_a_write_is_under_way(folder: Path) -> None:
    """What is not whole yet does not count, and is no damage."""
    path = Files(folder / "out.jsonl").journal
    content = path.read_bytes()
    for cut in range(len(content) - 2500, len(content), 61):
        path.write_bytes(content[:cut])
        with View(folder / "out.jsonl") as view:
            assert view.scanned.size + view.scanned.torn == cut


@pytest.mark.parametrize(("which", "content", "error", "words"), [
    ("out", b"no JSON\n", InputError, "line 1 is not JSON any more"),
    ("out", b"[1]\n", InputError, "no file of assessments"),
    ("errors", b"{}\n", InputError, "no file of errors"),
    ("out", None, ConfigurationError, "cannot be read"),
    ("journal", b"", InputError, "recover"),
    ("journal", None, ConfigurationError, "cannot be read"),
])  # fmt: skip
def test_files_that_are_none(
    folder: Path, which: str, content: bytes | None, error: type[Exception], words: str
) -> None:
    path: Path = getattr(Files(folder / "out.jsonl"), which)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(error, match=words) as told:
        counted(folder)
    assert str(path) in str(told.value)
