"""The output: each row once and in order, as the journal has it; the errors beside it, without a text."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.output import finish
from crisis_filter.errors import ConfigurationError, Fault, InputError
from crisis_filter.schema import Assessment, Provenance
from crisis_filter.tables.writing import AssessmentWriter
from tests.batch.playing import head_for, inputs_in, play, write_input

BY = Provenance(detector="scripted", version="0")


def assessment(row: int, fault: Fault | None = None) -> Assessment:
    outcome = "undetermined" if fault else "no_crisis"
    return Assessment(
        id=f'{row} "\u00e9"', outcome=outcome, fault=fault, fault_detail="words" if fault else "", provenance=BY
    )


def opened(folder: Path, name: str = "out.jsonl") -> Journal:
    if not inputs_in(folder):
        write_input(folder / "in1.jsonl", 40)
    return Journal.open(folder / name, head_for(folder))


def test_rows_in_order_and_the_latest_of_each(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for row in (4, 1, 0, 3):
            journal.add(row, "0" * 32, assessment(row, Fault.TIMEOUT), place=f"in\u00e9 {row}")
        journal.set_aside(2)
        journal.add(1, "0" * 32, assessment(1))
        journal.add(3, "0" * 32, assessment(3, Fault.SCHEMA), place="in\u00e9 3")
        end = finish(journal, received=5)
        assert journal.finished
    files = Files(tmp_path / "out.jsonl")
    found = [Assessment.model_validate_json(line) for line in files.out.read_bytes().splitlines()]
    assert found == [
        assessment(0, Fault.TIMEOUT),
        assessment(1),
        assessment(3, Fault.SCHEMA),
        assessment(4, Fault.TIMEOUT),
    ]
    errors = [json.loads(line) for line in files.errors.read_text(encoding="utf-8").splitlines()]
    assert errors == [
        {"id": f'{row} "\u00e9"', "row": row, "place": f"in\u00e9 {row}", "fault": fault, "detail": "words"}
        for row, fault in ((0, "timeout"), (3, "schema"), (4, "timeout"))
    ]
    assert (end.received, end.aside, end.outcomes, end.faults) == (
        5,
        1,
        {"undetermined": 3, "no_crisis": 1},
        {"timeout": 2, "schema": 1},
    )
    assert (end.output.rows, end.errors.rows) == (4, 3)
    assert end.output.bytes == files.out.stat().st_size


def test_the_very_bytes(tmp_path: Path) -> None:
    """What was given as JSON is not made anew: its spaces are there still."""
    raw = json.dumps(json.loads(assessment(0).model_dump_json()), indent=None, separators=(" , ", " : ")).encode()
    raw = raw.replace(b'{"id"', b'{"id"', 1)
    with opened(tmp_path) as journal:
        journal.add(0, "0" * 32, assessment(0), raw=raw)
        finish(journal, received=1)
    assert (tmp_path / "out.jsonl").read_bytes() == raw + b"\n"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.CSV"])
def test_tables_are_as_classify_writes_them(tmp_path: Path, name: str) -> None:
    write_input(tmp_path / "in1.jsonl", 1300)
    play(tmp_path, name=name, every=10**6)
    with View(tmp_path / name) as view, AssessmentWriter(tmp_path / f"other{Path(name).suffix}") as writer:
        for line in view:
            writer.write(Assessment.model_validate_json(line.raw))
    if name.endswith("parquet"):
        assert pq.read_table(tmp_path / name).equals(pq.read_table(tmp_path / "other.parquet"))
    else:
        assert (tmp_path / name).read_bytes() == (tmp_path / f"other{Path(name).suffix}").read_bytes()
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            assert sum(1 for _ in csv.DictReader(file)) == writer.count


def test_nothing_at_all(tmp_path: Path) -> None:
    """Inputs without a row end in an empty output, and that is finished."""
    with opened(tmp_path) as journal:
        finish(journal, received=0)
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    with opened(tmp_path) as journal:
        assert journal.finished


@pytest.mark.parametrize(("known", "received"), [((0, 2), 3), ((0, 1), 3), ((), 1), ((0, 1, 2), 2)])
def test_rows_that_nobody_judged_are_not_passed_over(tmp_path: Path, known: tuple[int, ...], received: int) -> None:
    with opened(tmp_path) as journal:
        for row in known:
            journal.add(row, "0" * 32, assessment(row))
        with pytest.raises(ValueError, match="rows are not judged"):
            finish(journal, received=received)
    assert not (tmp_path / "out.jsonl").exists()


def test_an_unknown_ending(tmp_path: Path) -> None:
    with opened(tmp_path, "out.xlsx") as journal, pytest.raises(InputError, match=r"end the name with one of \.jsonl"):
        finish(journal, received=0)


def test_judged_again_after_the_end(tmp_path: Path) -> None:
    """A finished run can be gone on with; it is unfinished until its output is made anew."""
    with opened(tmp_path) as journal:
        for row in range(3):
            journal.add(row, "0" * 32, assessment(row, Fault.TIMEOUT))
        finish(journal, received=3)
    with opened(tmp_path) as journal:
        assert journal.finished
        assert [journal.done(row) for row in range(4)] == [True, True, True, False]
        journal.add(1, "0" * 32, assessment(1))
        assert not journal.finished
    with opened(tmp_path) as journal:
        assert not journal.finished
        assert [journal.done(row) for row in range(4)] == [True, True, True, False]
        end = finish(journal, received=3)
    assert end.outcomes == {"undetermined": 2, "no_crisis": 1}
    assert Assessment.model_validate_json((tmp_path / "out.jsonl").read_bytes().splitlines()[1]) == assessment(1)
    with opened(tmp_path) as journal:
        assert journal.end == end


@pytest.mark.parametrize("which", ["out", "errors"])
def test_an_output_that_is_gone_is_made_again(tmp_path: Path, which: str) -> None:
    write_input(tmp_path / "in1.jsonl", 40)
    end = play(tmp_path)
    path: Path = getattr(Files(tmp_path / "out.jsonl"), which)
    before = path.read_bytes()
    path.unlink()
    again = play(tmp_path)
    assert path.read_bytes() == before
    assert (again.output, again.errors) == (end.output, end.errors)


@pytest.mark.parametrize("which", ["out", "errors"])
def test_an_output_that_was_changed_is_not_written_over(tmp_path: Path, which: str) -> None:
    """Another length is noticed always, another content when asked to verify."""
    write_input(tmp_path / "in1.jsonl", 40)
    play(tmp_path)
    path: Path = getattr(Files(tmp_path / "out.jsonl"), which)
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    with pytest.raises(InputError, match="was changed since the run wrote it"):
        opened(tmp_path)
    path.write_bytes(content.replace(b"id 7", b"id 8", 1))
    opened(tmp_path).close()
    with pytest.raises(InputError, match="was changed since the run wrote it"):
        Journal.open(tmp_path / "out.jsonl", head_for(tmp_path), verify=True)
    path.write_bytes(content)
    Journal.open(tmp_path / "out.jsonl", head_for(tmp_path), verify=True).close()


def test_a_folder_in_the_place_of_the_output(tmp_path: Path) -> None:
    """What was judged is in the journal still, and the error says so."""
    with opened(tmp_path) as journal:
        journal.add(0, "0" * 32, assessment(0))
        (tmp_path / "out.jsonl").mkdir()
        (tmp_path / "out.jsonl" / "file").touch()
        with pytest.raises(ConfigurationError, match="Nothing that was judged is lost"):
            finish(journal, received=1)
    (tmp_path / "out.jsonl" / "file").unlink()
    (tmp_path / "out.jsonl").rmdir()
    with opened(tmp_path) as journal:
        finish(journal, received=1)
    assert (tmp_path / "out.jsonl").read_bytes() == assessment(0).model_dump_json().encode() + b"\n"
