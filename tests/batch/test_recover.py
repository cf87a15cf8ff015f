"""Recovering: what can be proved is kept, what cannot is asked again, and no verdict comes to be that nobody gave."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_lines import closed, row_body, row_of
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.ledger import ledger
from crisis_filter.batch.recover import Recovery, recover
from crisis_filter.errors import ConfigurationError, Fault, InputError
from tests.batch.conftest import Run
from tests.batch.playing import head_for, inputs_in, play, rows_of, verdict, write_input

ROWS = 70
on_disk = settings(deadline=None)


@cache
def whole() -> dict[str, bytes]:
    """The files of a finished run in which some rows were judged twice."""
    with tempfile.TemporaryDirectory() as made:
        write_input(Path(made) / "in1.jsonl", ROWS)
        play(Path(made))
        return {path.name: path.read_bytes() for path in Path(made).iterdir()}


@cache
def written() -> dict[int, list[bytes]]:
    """All assessments of each row, in their order."""
    found: dict[int, list[bytes]] = {}
    for line in whole()["out.jsonl.journal"].splitlines(keepends=True):
        if (told := row_of(line)) is not None:
            found.setdefault(told.row, []).append(told.raw)
    return found


def restored(folder: Path, *, finished: bool = True) -> Path:
    for name, content in whole().items():
        if finished or name in ("in1.jsonl", "out.jsonl.journal"):
            (folder / name).write_bytes(content)
    return folder / "out.jsonl"


def recovered(out: Path, **options: str) -> Recovery:
    return recover(out, head_for(out.parent, **options), rows_of(inputs_in(out.parent)))


def check(out: Path, told: Recovery, *, same: bool = True) -> None:
    """Every kept verdict was given to that row; the counts add up; the run goes on to the output it would have had."""
    with View(out) as view:
        kept = {line.row: line.raw for line in view}
        assert view.aside == told.aside
        assert view.pending(told.received) == told.again
    assert all(raw in written()[row] for row, raw in kept.items())
    assert len(kept) == told.from_journal + told.from_output
    assert told.received == ROWS == len(kept) + told.aside + told.again
    play(out.parent)
    assert ledger(out, rows=rows_of(inputs_in(out.parent))).balanced
    if same:
        assert out.read_bytes() == whole()["out.jsonl"]


@on_disk
@given(st.data(), st.booleans())
def test_any_damage(data: st.DataObject, finished: bool) -> None:
    """Bytes changed, blocks emptied, pieces cut out, the end cut off: few rows are lost where the output is gone, none where it is there."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), finished=finished)
        path = Files(out).journal
        content = bytearray(path.read_bytes())
        damage = data.draw(st.sampled_from(["flip", "empty", "cut out", "cut off"]))
        at = data.draw(st.integers(0 if finished else content.index(b"\n") + 1, len(content) - 1))
        if damage == "flip":
            content[at] ^= data.draw(st.integers(1, 255))
        elif damage == "empty":
            content[at : at + 512] = bytes(len(content[at : at + 512]))
        elif damage == "cut out":
            del content[at : at + data.draw(st.integers(1, 2000))]
        else:
            del content[at:]
        path.write_bytes(content)
        told = recovered(out)
        if finished:
            assert told.again == 0
        elif damage in ("flip", "empty"):
            assert told.again <= 4
        assert Path(told.kept_as).read_bytes() == content
        check(out, told)


@on_disk
@given(st.sets(st.integers(1, 80), min_size=1, max_size=30), st.booleans())
def test_lines_taken_out(gone: set[int], finished: bool) -> None:
    """A line after a gap has nothing to vouch for it."""
    with tempfile.TemporaryDirectory() as made:
        out = restored(Path(made), finished=finished)
        lines = whole()["out.jsonl.journal"].splitlines(keepends=True)
        Files(out).journal.write_bytes(b"".join(line for n, line in enumerate(lines) if n not in gone))
        told = recovered(out)
        assert told.damaged_lines <= len(gone)
        if finished:
            assert told.again == 0
        check(out, told)


@pytest.mark.parametrize(
    "journal",
    [b"", None, b"SQLite format 3\0" + bytes(5000), b"x" * 70_000 + b"\n"],
    ids=["empty", "gone", "foreign", "one line"],
)
def test_no_journal_at_all(tmp_path: Path, journal: bytes | None) -> None:
    """The output that the seal tells of is enough; without the seal or the output, everything is asked again."""
    for keep in ({"out.jsonl", "out.jsonl.journal.seal"}, {"out.jsonl.journal.seal"}, {"out.jsonl"}):
        folder = tmp_path / "-".join(sorted(keep))
        folder.mkdir()
        out = restored(folder)
        for path in set(folder.iterdir()) - {folder / name for name in keep} - set(inputs_in(folder)):
            path.unlink()
        if journal is not None:
            Files(out).journal.write_bytes(journal)
        told = recovered(out)
        proved = len(keep) == 2
        assert told.from_journal == 0
        assert told.from_output == (len(written()) if proved else 0)
        assert told.kept_as == ("" if journal is None else str(Files(out).damaged))
        check(out, told)


def test_an_undamaged_journal_loses_nothing(tmp_path: Path) -> None:
    told = recovered(restored(tmp_path))
    assert (told.from_journal, told.from_output, told.again, told.damaged_lines) == (len(written()), 0, 0, 0)
    check(tmp_path / "out.jsonl", told)


def test_a_changed_output_vouches_for_nothing(tmp_path: Path) -> None:
    out = restored(tmp_path)
    Files(out).journal.write_bytes(b"")
    out.write_bytes(out.read_bytes().replace(b'"undetermined"', b'"no_crisis"'))
    told = recovered(out)
    assert told.again == len(written())
    check(out, told)


def test_another_input_or_judge_is_refused(tmp_path: Path) -> None:
    """By the journal, or by its seal where the journal no longer tells."""
    for content in (whole()["out.jsonl.journal"], b""):
        out = restored(tmp_path)
        Files(out).journal.write_bytes(content)
        with pytest.raises(ConfigurationError, match="another backend"):
            recovered(out, backend="other")
        with inputs_in(tmp_path)[0].open("a") as file:
            file.write('{"id":"new","text":"one more"}\n')
        with pytest.raises(InputError, match="is not what the run was begun with"):
            recovered(out)
        assert Files(out).journal.read_bytes() == content


@pytest.mark.parametrize("same", [True, False], ids=["same inputs", "other inputs"])
def test_a_journal_of_another_run_in_its_place(tmp_path: Path, same: bool) -> None:
    """One of the same inputs and judges vouches with its own hashes; beside another the seal still tells what this one was."""
    out = restored(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    write_input(other / "in1.jsonl", ROWS + (not same))
    play(other, run="another")
    shutil.copy(Files(other / "out.jsonl").journal, Files(out).journal)
    shutil.rmtree(other)
    told = recovered(out)
    kept = (len(written()), 0) if same else (0, len(written()))
    assert (told.from_journal, told.from_output, told.again) == (*kept, 0)
    check(out, told)


def test_damage_that_may_hide_a_later_verdict(tmp_path: Path) -> None:
    """Of a row that was judged twice, and whose later line is damaged, the earlier one does not count; by its number or its hash."""
    row = next(row for row, all_of in written().items() if len(all_of) > 1)
    lines = whole()["out.jsonl.journal"].splitlines(keepends=True)
    at = max(n for n, line in enumerate(lines) if line.startswith(b'{"row":%d,' % row))
    for old, new in (
        (b'"score', b'"scorf'),
        (b'{"row":%d,' % row, b'{"row":%d,' % (ROWS + 7)),
        (b'"key":"', b'"key":"0'),
    ):
        (tmp_path / new.hex()).mkdir()
        out = restored(tmp_path / new.hex(), finished=False)
        damaged = lines[at].replace(old, new, 1)
        if new == b'"key":"0':
            damaged = damaged.replace(damaged[damaged.index(b'"key":"0') + 39 : damaged.index(b'","outcome')], b"", 1)
        Files(out).journal.write_bytes(b"".join([*lines[:at], damaged, *lines[at + 1 :]]))
        told = recovered(out)
        with View(out) as view:
            assert view.state(row) == "pending"
        assert told.again == 1
        check(out, told)


def test_of_two_that_are_vouched_for_the_graver_stands(tmp_path: Path) -> None:
    """A journal with an undetermined line, cut before what followed, and an output that clears the row: it stays undetermined."""
    row = next(row for row, all_of in written().items() if len(all_of) > 1 and b'"outcome":"no_crisis"' in all_of[-1])
    lines = whole()["out.jsonl.journal"].splitlines(keepends=True)
    at = max(n for n, line in enumerate(lines) if line.startswith(b'{"row":%d,' % row))
    out = restored(tmp_path)
    Files(out).journal.write_bytes(b"".join(lines[:at]))
    told = recovered(out)
    with View(out) as view:
        line = view.line(row)
        assert line is not None
        assert line.outcome == "undetermined"
    check(out, told)


def test_a_line_that_contradicts_itself_is_dropped(tmp_path: Path) -> None:
    """Verdict and assessment on a line say the same, and the assessment is one and of that message."""
    out = restored(tmp_path, finished=False)
    first = [
        row for row in rows_of(inputs_in(tmp_path)) if row.message and verdict(row.message).outcome == "no_crisis"
    ][:4]
    with Journal.open(out, head_for(tmp_path)) as journal:
        head, keys = journal.head, [journal.key(row.message) for row in first]
    good = [verdict(row.message) for row in first]
    crisis = good[0].model_copy(update={"outcome": "undetermined", "fault": Fault.TIMEOUT})
    bodies = [
        b'{"head":' + head.model_dump_json().encode(),
        row_body(first[0].number, keys[0], good[0], good[0].model_dump_json().encode(), ""),
        row_body(first[1].number, keys[1], crisis, good[1].model_dump_json().encode(), ""),
        row_body(first[2].number, keys[2], good[2], b'{"id":"no assessment"}', ""),
        row_body(
            first[3].number,
            keys[3],
            good[3],
            good[3].model_copy(update={"id": "another"}).model_dump_json().encode(),
            "",
        ),
    ]
    chain, content = 0, b""
    for body in bodies:
        end, chain = closed(body, chain)
        content += body + end
    Files(out).journal.write_bytes(content)
    told = recovered(out)
    assert (told.from_journal, told.damaged_lines) == (1, 0)
    assert told.again == told.received - told.aside - 1


def test_nothing_to_recover(tmp_path: Path) -> None:
    """A new journal, and everything is to be asked."""
    write_input(tmp_path / "in1.jsonl", ROWS)
    told = recovered(tmp_path / "out.jsonl")
    assert told.again == len(written())
    check(tmp_path / "out.jsonl", told)


def test_recovering_twice_keeps_both(tmp_path: Path) -> None:
    out = restored(tmp_path)
    assert [recovered(out).kept_as for _ in range(3)] == [
        str(Files(out).damaged),
        f"{Files(out).damaged}.2",
        f"{Files(out).damaged}.3",
    ]
    assert not Files(out).lock.exists()


def test_while_a_run_is_at_work(tmp_path: Path) -> None:
    out = restored(tmp_path)
    with Journal.open(out, head_for(tmp_path)), pytest.raises(ConfigurationError, match="another run"):
        recovered(out)


def test_ids_are_those_of_the_rows(tmp_path: Path) -> None:
    """An output whose rows are of other ids, though its hash is told, gives none of them."""
    out = restored(tmp_path)
    Files(out).journal.write_bytes(b"")
    rows = list(rows_of(inputs_in(tmp_path)))
    told = recover(out, head_for(tmp_path), rows[1:])
    assert told.from_output == 0


def test_cut_short_while_recovering(tmp_path: Path) -> None:
    """The seal is the last to be written: recovering again comes to the same."""

    class Stop(Exception):
        pass

    def crash(point: str) -> None:
        raise Stop

    out = restored(tmp_path)
    lines = whole()["out.jsonl.journal"].splitlines(keepends=True)
    Files(out).journal.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(Stop):
        recover(out, head_for(tmp_path), rows_of(inputs_in(tmp_path)), crash=crash)
    told = recovered(out)
    assert told.again == 0
    check(out, told)


def test_after_kills(tmp_path: Path, run: Run) -> None:
    """Recovering whatever a kill left, without need, changes nothing about how the run ends."""
    write_input(tmp_path / "in1.jsonl", ROWS)
    for point in ("head_named", "batch_written", "output_named", "end_written", "end_synced"):
        assert run(tmp_path, point=(point, 1))["ended"] == "SIGKILL"
        recovered(tmp_path / "out.jsonl")
    assert run(tmp_path)["ended"] == "well"
    assert (tmp_path / "out.jsonl").read_bytes() == whole()["out.jsonl"]
