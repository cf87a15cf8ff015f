"""The journal: what was added is there again, nobody waits for the disk, and one run does not take another's journal for its own."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import CRASH_POINTS, Files
from crisis_filter.batch.journal_lines import InputFile, assessment_bytes, content_key
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.journal_writer import MOST_BYTES
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Assessment, Message
from crisis_filter.tables.flat import json_line
from tests.batch.journals import ROWS, on_disk, prepared, read, restored, some
from tests.batch.playing import head_for, inputs_in, play
from tests.strategies import texts


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    """After closing and opening: each row with the very bytes, done is done, and the later of two stands."""
    out = prepared(tmp_path)
    with Journal.open(out, head_for(tmp_path)) as journal:
        assert not journal.resumed
        for row in (3, 0, 9, 3):
            journal.add(row, "0" * 32, some(row), place=f'a "b", row {row}')
        journal.add(3, "0" * 32, some(33))
        journal.set_aside(4)
        assert [row for row in range(12) if journal.done(row)] == [0, 3, 4, 9]
        journal.flush()
        assert journal.durable == 6
    with Journal.open(out, head_for(tmp_path, run="another")) as journal:
        assert journal.resumed
        assert journal.head.run == "run 1"
        assert [row for row in range(12) if journal.done(row)] == [0, 3, 4, 9]
    assert read(out) == {row: assessment_bytes(some(33 if row == 3 else row)) for row in (0, 3, 9)}
    with View(out) as view:
        assert (view.decided, view.aside, view.pending(12), view.rows, view.lines) == (3, 1, 8, 10, 5)
        assert view.outcomes() == {"no_crisis": 3}
        assert view.faults() == {}


@given(texts.filter(bool), texts, st.binary(min_size=16, max_size=64))
def test_the_key_tells_messages_apart(row_id: str, text: str, salt: bytes) -> None:
    """Another id, another text or another salt is another key, and moving a character over is too."""
    key = content_key(salt, row_id, text)
    assert len(key) == 32
    assert key == content_key(salt, row_id, text)
    others = {
        content_key(salt, row_id + "x", text),
        content_key(salt, row_id, text + "x"),
        content_key(salt + b"", row_id[:-1], row_id[-1] + text),
        content_key(salt[:-1] + bytes([salt[-1] ^ 1]), row_id, text),
    }
    assert key not in others


@given(texts)
def test_assessments_are_written_as_in_an_output(text: str) -> None:
    """The quick way and the way of `tables` come to the same record, whatever stands in it."""
    assessment = some().model_copy(update={"fault_detail": text})
    mine, theirs = assessment_bytes(assessment), json_line(assessment)[:-1]
    assert b"\n" not in mine
    assert Assessment.model_validate_json(mine) == Assessment.model_validate_json(theirs)


@pytest.mark.parametrize(
    ("row", "raw"), [(-1, b'{"id":1}'), (0, b'{"id":\n1}'), (0, b"[1]"), (0, b'{"id":1'), (0, b" {}")]
)
def test_what_is_no_line_is_not_taken(tmp_path: Path, row: int, raw: bytes) -> None:
    with (
        Journal.open(prepared(tmp_path), head_for(tmp_path)) as journal,
        pytest.raises(ValueError, match="one line of JSON"),
    ):
        journal.add(row, "0" * 32, some(), raw=raw)


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    """An assessment quotes the person, and so does everything made of it; a lock is left by nobody who ends in order."""
    out = prepared(tmp_path)
    play(tmp_path)
    files = Files(out)
    made = {files.out, files.errors, files.journal, files.seal}
    assert set(tmp_path.iterdir()) == made | set(inputs_in(tmp_path))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_nothing_is_written_of_a_text(tmp_path: Path) -> None:
    """Not in journal, seal or errors, beyond what the assessment itself has."""
    out = prepared(tmp_path)
    play(tmp_path)
    for path in (Files(out).journal, Files(out).seal, Files(out).errors):
        assert b"I write to you" not in path.read_bytes()
        assert b"something else" not in path.read_bytes()


def test_two_runs_at_once(tmp_path: Path) -> None:
    """The second is told who the first is; when that has ended it may."""
    out = prepared(tmp_path)
    with Journal.open(out, head_for(tmp_path)), pytest.raises(ConfigurationError, match=rf"process {os.getpid()}\)"):
        Journal.open(out, head_for(tmp_path))
    Journal.open(out, head_for(tmp_path)).close()


def test_another_input_is_refused_with_both_hashes(tmp_path: Path) -> None:
    out = restored(tmp_path, "closed")
    before = head_for(tmp_path).inputs[0].sha256
    with inputs_in(tmp_path)[0].open("a") as file:
        file.write('{"id":"new","text":"one more"}\n')
    after = head_for(tmp_path).inputs[0].sha256
    with pytest.raises(InputError, match=f"{after}.*{before}"):
        Journal.open(out, head_for(tmp_path))
    head = head_for(tmp_path)
    with pytest.raises(InputError, match="another number of inputs: 1, not 2"):
        Journal.open(out, head.model_copy(update={"inputs": (*head.inputs, InputFile(name="x", bytes=0, sha256="0"))}))


def test_an_input_that_was_moved_is_the_same(tmp_path: Path) -> None:
    out = restored(tmp_path, "closed")
    inputs_in(tmp_path)[0].rename(tmp_path / "in9.jsonl")
    with Journal.open(out, head_for(tmp_path)) as journal:
        assert journal.resumed


def test_another_judge_is_refused_with_both_hashes(tmp_path: Path) -> None:
    out = restored(tmp_path, "closed")
    old, new = head_for(tmp_path), head_for(tmp_path, backend="openai:other")
    with pytest.raises(
        ConfigurationError,
        match=f"another backend: fingerprint {old.fingerprint.sha256} there, {new.fingerprint.sha256} now",
    ):
        Journal.open(out, new)


def test_an_output_without_a_journal_is_not_overwritten(tmp_path: Path) -> None:
    out = prepared(tmp_path)
    out.write_text("somebody's\n")
    with pytest.raises(InputError, match=r"no journal of it.*--force"):
        Journal.open(out, head_for(tmp_path))
    with Journal.open(out, head_for(tmp_path), force=True) as journal:
        assert not journal.resumed


def test_begun_anew_nothing_is_left_of_before(tmp_path: Path) -> None:
    out = restored(tmp_path, "finished")
    with Journal.open(out, head_for(tmp_path, run="another", backend="other"), force=True) as journal:
        assert not any(journal.done(row) for row in range(ROWS))
    with Journal.open(out, head_for(tmp_path, backend="other")) as journal:
        assert journal.head.run == "another"


def test_no_folder(tmp_path: Path) -> None:
    prepared(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Journal.open(tmp_path / "nowhere" / "out.jsonl", head_for(tmp_path))


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_an_error_of_the_disk_is_kept_and_told(tmp_path: Path, kind: str) -> None:
    """To everybody who adds or waits from then on; nothing is written after it; what was there is there."""
    out = prepared(tmp_path)
    broken = False

    def crash(point: str) -> None:
        if broken and point == {"write": "batch_taken", "sync": "batch_written"}[kind]:
            raise OSError(errno.EIO, "Input/output error")

    journal = Journal.open(out, head_for(tmp_path), crash=crash, interval_s=0.01)
    journal.add(0, "0" * 32, some(0))
    journal.flush()
    broken = True
    journal.add(1, "0" * 32, some(1))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"cannot be written: Input/output error.*make room"):
            journal.flush()
    size = Files(out).journal.stat().st_size
    with pytest.raises(ConfigurationError, match="cannot be written"):
        journal.add(2, "0" * 32, some(2))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        asyncio.run(journal.room())
    with pytest.raises(ConfigurationError, match="cannot be written"):
        journal.close()
    assert Files(out).journal.stat().st_size == size
    with Journal.open(out, head_for(tmp_path)) as journal:
        assert journal.done(0)
        assert not journal.done(2)


def test_a_bug_in_the_writer_is_told_too(tmp_path: Path) -> None:
    """A thread that died in silence would take everything and write nothing; what it died of may hold a text, so only its type is told."""

    def crash(point: str) -> None:
        if point == "batch_taken":
            raise KeyError("private words")

    journal = Journal.open(prepared(tmp_path), head_for(tmp_path), crash=crash)
    journal.add(0, "0" * 32, some())
    with pytest.raises(RuntimeError, match="after a KeyError") as told:
        journal.flush()
    assert "private" not in str(told.value)
    with pytest.raises(RuntimeError, match="after a KeyError"):
        journal.close()


def test_after_closing_nothing_is_taken(tmp_path: Path) -> None:
    journal = Journal.open(prepared(tmp_path), head_for(tmp_path))
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.add(0, "0" * 32, some())


def test_many_writes_in_one(tmp_path: Path) -> None:
    """What comes within the interval is written at once, and it is on the disk soon after the interval, without a flush."""
    met: list[str] = []
    with Journal.open(prepared(tmp_path), head_for(tmp_path), interval_s=0.1, crash=met.append) as journal:
        started = time.monotonic()
        for row in range(200):
            journal.add(row, "0" * 32, some(row))
        assert time.monotonic() - started < 0.1 or met.count("batch_taken") > 0
        end = time.monotonic() + 30
        while journal.durable < 200 and time.monotonic() < end:
            time.sleep(0.01)
        assert journal.durable == 200
    assert met.count("batch_taken") - 1 <= 3  # one more closes the journal
    assert set(met) <= set(CRASH_POINTS)


async def test_a_slow_disk_holds_up_those_who_ask_and_nobody_else(tmp_path: Path) -> None:
    """`add` never waits; `room` does, while more than so many bytes wait for the disk, and the event loop goes on meanwhile."""
    held = True

    def crash(point: str) -> None:
        while point == "batch_taken" and held:
            time.sleep(0.001)

    big = some().model_copy(update={"fault_detail": "x" * 100_000})
    journal = Journal.open(prepared(tmp_path), head_for(tmp_path), crash=crash, interval_s=0.01)
    rows = 0
    while not journal.full:
        journal.add(rows, "0" * 32, big)
        rows += 1
    assert MOST_BYTES <= rows * 100_000 < MOST_BYTES + 1_100_000
    waiting = [asyncio.create_task(journal.room()) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    waiting.pop().cancel()
    held = False
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    await journal.flushed()
    assert journal.durable == rows
    journal.close()


@on_disk
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from(["go on", "flush", "close", "cut"])), max_size=40
    )
)
def test_any_order_of_adding_flushing_closing_and_being_cut(steps: list[tuple[int, bool, str]]) -> None:
    """What was flushed is there whatever follows, and the last of what is there stands."""
    with tempfile.TemporaryDirectory() as made:
        out = prepared(Path(made))
        head = head_for(Path(made))
        journal = Journal.open(out, head, interval_s=30)
        safe: dict[int, bytes] = {}
        written: dict[int, bytes] = {}
        for number, (row, aside, then) in enumerate(steps):
            if aside:
                journal.set_aside(row + 100)
            else:
                journal.add(row, "0" * 32, some(number))
                written[row] = assessment_bytes(some(number))
            if then != "go on":
                journal.flush()
                safe = dict(written)
            if then in ("close", "cut"):
                journal.close()
                if then == "cut":
                    with Files(out).journal.open("ab") as file:
                        file.write(b'{"row":1,"key":"' + b"0" * row)
                journal = Journal.open(out, head, interval_s=30)
                assert {r for r in range(31) if journal.done(r)} == safe.keys()
        journal.flush()
        assert read(out) == written
        journal.close()


def test_messages_have_the_key_that_the_head_salts(tmp_path: Path) -> None:
    message = Message(id="a", text="b")
    with Journal.open(prepared(tmp_path), head_for(tmp_path)) as journal:
        assert journal.key(message) == content_key(bytes.fromhex(journal.head.salt), "a", "b")
        assert journal.head.salt not in repr(journal.head)
