"""A journal that is damaged, cut or exchanged: whatever is not what was written is noticed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_view import View
from crisis_filter.errors import InputError
from tests.batch.journals import ROWS, lines_of, on_disk, prepared, read, restored, some, whole
from tests.batch.playing import head_for, play


@on_disk
@given(st.data())
def test_a_torn_end_is_cut_off(data: st.DataObject) -> None:
    """A write that stopped at any byte leaves the rows before it, as they were, and the run can go on to the same output."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), "killed")
        path = Files(out).journal
        content = path.read_bytes()
        first = content.index(b"\n") + 1
        cut = data.draw(st.integers(first, len(content)))
        path.write_bytes(
            content[:cut] + data.draw(st.sampled_from([b"", b"\0" * 100, b'{"row":', b'{"row":3,"key":"\n']))
        )
        with Journal.open(out, head_for(out.parent)) as journal:
            assert journal.torn <= 100 + cut - content.rfind(b"\n", 0, cut)
            done = {row for row in range(ROWS) if journal.done(row)}
        kept = read(out)
        assert kept.keys() <= done
        assert all(raw in lines_of("killed")[row] for row, raw in kept.items())
        assert len(done) >= content[:cut].count(b"\n") - content[:cut].count(b'{"synced"') - 1
        play(out.parent)
        assert out.read_bytes() == whole("finished")["out.jsonl"]


@on_disk
@given(st.data(), st.sampled_from(["killed", "closed", "finished"]))
def test_a_changed_byte_is_noticed(data: st.DataObject, kind: str) -> None:
    """Anywhere: the journal is refused with the line and what to do; only in a last write, which may be torn, the rest is cut off."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), kind)
        path = Files(out).journal
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        last_write = bytes(content).rfind(b'{"synced"') if kind != "finished" else len(content)
        try:
            with Journal.open(out, head_for(out.parent)) as journal:
                assert journal.torn
                assert kind != "finished"
        except InputError as error:
            assert str(path) in str(error)
            assert "recover" in str(error)
            assert path.read_bytes() == content
        else:
            assert at > last_write - 200
            assert all(raw in lines_of(kind)[row] for row, raw in read(out).items())


@on_disk
@given(st.data(), st.sampled_from(["closed", "finished"]), st.sampled_from(["out", "twice", "exchanged"]))
def test_a_line_out_of_place_is_noticed(data: st.DataObject, kind: str, change: str) -> None:
    """One taken out, one written twice, two exchanged: the chain no longer fits."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), kind)
        path = Files(out).journal
        lines = path.read_bytes().splitlines(keepends=True)
        at = data.draw(st.integers(0, len(lines) - 2))
        lines[at : at + 2] = {
            "out": lines[at + 1 : at + 2],
            "twice": [lines[at], *lines[at : at + 2]],
            "exchanged": lines[at : at + 2][::-1],
        }[change]
        path.write_bytes(b"".join(lines))
        with pytest.raises(InputError, match="recover"):
            Journal.open(out, head_for(out.parent))


@on_disk
@given(st.data())
def test_a_loss_of_power_costs_the_last_write_alone(data: st.DataObject) -> None:
    """Blocks of a write that the disk did not get read as zeros, whole lines after them or not; all earlier writes are whole."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), "killed")
        path = Files(out).journal
        content = bytearray(path.read_bytes())
        begun = bytes(content).rfind(b'{"synced"')
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(begun, len(content) - 1))
            content[start : start + 512] = bytes(len(content[start : start + 512]))
        path.write_bytes(content)
        with Journal.open(out, head_for(out.parent)) as journal:
            assert journal.torn
        kept = read(out)
        with View(restored(Path(made), "killed")) as view:
            offsets = {line.row for line in view if view._offsets[line.row] < begun}
        assert offsets <= kept.keys()


FOREIGN: list[tuple[str, Callable[[Path], object]]] = [
    ("empty", lambda path: path.write_bytes(b"")),
    ("another file", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4096))),
    ("one line without end", lambda path: path.write_bytes(b"x" * 1_000_000)),
    ("an output", lambda path: path.write_bytes(whole("finished")["out.jsonl"])),
    ("no head", lambda path: path.write_bytes(whole("closed")["out.jsonl.journal"].split(b"\n", 1)[1])),
    ("gone, with its seal left", lambda path: path.unlink()),
]


@pytest.mark.parametrize("kind", ["closed", "finished"])
@pytest.mark.parametrize(("what", "change"), FOREIGN, ids=[what for what, _ in FOREIGN])
def test_what_is_no_journal_is_refused(tmp_path: Path, kind: str, what: str, change: Callable[[Path], object]) -> None:
    out = restored(tmp_path, kind)
    change(Files(out).journal)
    with pytest.raises(InputError, match="recover"):
        Journal.open(out, head_for(tmp_path))
    assert not Files(out).lock.exists()


def test_a_journal_of_another_run_in_its_place_is_refused(tmp_path: Path) -> None:
    """Also where that run had the same inputs and the same judges."""
    out = restored(tmp_path, "closed")
    (tmp_path / "elsewhere").mkdir()
    other = prepared(tmp_path / "elsewhere")
    with Journal.open(other, head_for(other.parent, run="another")) as journal:
        journal.add(0, "0" * 32, some())
    shutil.copy(Files(other).journal, Files(out).journal)
    with pytest.raises(InputError, match="another than its seal tells of"):
        Journal.open(out, head_for(tmp_path))


def test_a_finished_journal_cut_at_a_line_is_refused(tmp_path: Path) -> None:
    """It would look like one that has not come so far."""
    lines = whole("finished")["out.jsonl.journal"].splitlines(keepends=True)
    for keep in (1, 2, len(lines) // 2, len(lines) - 1):
        out = restored(tmp_path, "finished")
        Files(out).journal.write_bytes(b"".join(lines[:keep]))
        with pytest.raises(InputError, match="shorter than it was"):
            Journal.open(out, head_for(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["killed", "closed", "finished"])
def test_every_second_byte(tmp_path: Path, kind: str) -> None:
    """As `test_a_changed_byte_is_noticed`, one byte after the other."""
    content = whole(kind)["out.jsonl.journal"]
    last_write = content.rfind(b'{"synced"') if kind != "finished" else len(content)
    out = restored(tmp_path, kind)
    head = head_for(tmp_path)
    for at in range(0, len(content), 2):
        changed = bytearray(content)
        changed[at] ^= 1 + at % 255
        restored(tmp_path, kind)
        Files(out).journal.write_bytes(changed)
        try:
            with Journal.open(out, head) as journal:
                assert journal.torn
        except InputError:
            continue
        assert at >= last_write - 1
        assert all(raw in lines_of(kind)[row] for row, raw in read(out).items())
