"""Files of assessments: whole or not there, inert in a spreadsheet, private."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Assessment, Disposition, Evidence, Fault, Finding, Provenance, Resource, Screening
from crisis_filter.tables.flat import COLUMNS, inert, json_line
from crisis_filter.tables.writing import AssessmentWriter

CRISIS = Assessment(
    id="=1+1",
    outcome="crisis",
    score=0.75,
    score_source="engine",
    findings=(
        Finding(
            category="suicide",
            probability=0.5,
            severity="severe",
            subject="self",
            timeframe="current",
            evidence=(Evidence(quote="@end, it", start=0, end=8),),
            rationale="Said so.",
        ),
        Finding(category="abuse"),
    ),
    flags=("chunked", "obfuscated"),
    screen=Screening(subject="self"),
    disposition=Disposition(
        queue="act-now",
        urgency="emergency",
        rule="r1",
        resources=(Resource(id="line", name="Line", contact="call", locales=("en",), source="https://example.org"),),
    ),
    provenance=Provenance(detector="scripted", version="1", elapsed_ms=1.5),
)
UNDETERMINED = Assessment(
    id="caf\u00e9\u2028", outcome="undetermined", fault=Fault.TIMEOUT, provenance=Provenance(detector="x", version="1")
)


def write(path: Path, *, force: bool = False) -> Path:
    with AssessmentWriter(path, force=force) as writer:
        writer.write(CRISIS)
        writer.write(UNDETERMINED)
    return path


def test_json_lines_hold_the_whole_record_in_its_order(tmp_path: Path) -> None:
    """Each line is one record, field for field, and nothing but a line feed ends it."""
    lines = write(tmp_path / "out.jsonl").read_bytes().split(b"\n")
    assert lines == [*(json_line(a).rstrip(b"\n") for a in (CRISIS, UNDETERMINED)), b""]
    assert [Assessment.model_validate_json(line) for line in lines[:2]] == [CRISIS, UNDETERMINED]
    assert list(json.loads(lines[0])) == list(Assessment.model_fields)
    assert list(json.loads(lines[0])["findings"][0]) == list(Finding.model_fields)


def test_csv(tmp_path: Path) -> None:
    """A CSV export has the documented columns, lists joined, and no cell that a spreadsheet would run."""
    with write(tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["id"] == "'=1+1"
    assert rows[0]["evidence"] == "'@end, it"
    assert (rows[0]["categories"], rows[0]["severities"], rows[0]["score"]) == ("suicide | abuse", "severe | ", "0.75")
    assert (rows[0]["queue"], rows[0]["resources"]) == ("act-now", "line")
    assert (rows[1]["id"], rows[1]["score"], rows[1]["fault"]) == ("caf\u00e9\u2028", "", "timeout")


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_lone_surrogate_ends_no_run(tmp_path: Path, ending: str) -> None:
    """What no encoding can hold, such as half an emoji in the name of a model, is written as U+FFFD."""
    provenance = CRISIS.provenance.model_copy(update={"model": "gpt\ud83d"})
    finding = CRISIS.findings[0].model_copy(update={"category": "x\udc00"})
    with AssessmentWriter(tmp_path / f"out{ending}") as writer:
        writer.write(CRISIS.model_copy(update={"provenance": provenance, "findings": (finding,)}))
    if ending == ".parquet":
        row = pq.read_table(writer.path).to_pylist()[0]
        assert (row["model"], row["categories"]) == ("gpt\ufffd", ["x\ufffd"])
    else:
        written = writer.path.read_text(encoding="utf-8")
        assert "gpt\ufffd" in written
        assert "x\ufffd" in written


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_inert(start: str) -> None:
    """A cell that begins like a formula gets a quote mark before it; others stay as they are."""
    assert inert(f"{start}x") == f"'{start}x"
    assert inert(f"x{start}") == f"x{start}"


def test_parquet(tmp_path: Path) -> None:
    """A Parquet export has the same columns with types of their own."""
    rows = pq.read_table(write(tmp_path / "out.parquet")).to_pylist()
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["categories"] == ["suicide", "abuse"]
    assert (rows[0]["score"], rows[1]["score"], rows[1]["queue"]) == (0.75, None, None)


def test_parquet_over_many_batches(tmp_path: Path) -> None:
    """Nothing is left out between batches."""
    with AssessmentWriter(tmp_path / "out.parquet") as writer:
        for n in range(2500):
            writer.write(UNDETERMINED.model_copy(update={"id": str(n)}))
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == [str(n) for n in range(2500)]


def test_a_file_is_not_replaced_unless_forced(tmp_path: Path) -> None:
    """A file that is there stays as it is; `force` replaces it."""
    path = tmp_path / "out.jsonl"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="--force"):
        AssessmentWriter(path)
    assert path.read_text(encoding="utf-8") == "mine"
    assert write(path, force=True).read_bytes().count(b"\n") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """What somebody else wrote during the run is kept, and so is the run's own work, beside it."""
    path = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="--force"), AssessmentWriter(path) as writer:
        writer.write(CRISIS)
        path.write_text("theirs", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "theirs"
    assert (tmp_path / "out.jsonl.partial").read_bytes() == json_line(CRISIS)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_an_interrupted_run_keeps_what_was_done(tmp_path: Path, ending: str) -> None:
    """An exception leaves no file under the name asked for, and a readable partial one."""
    path = tmp_path / f"out{ending}"
    with pytest.raises(KeyboardInterrupt), AssessmentWriter(path) as writer:
        writer.write(CRISIS)
        assert not path.exists()
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == [f"out{ending}.partial"]
    if ending == ".parquet":
        assert pq.read_table(writer.partial).num_rows == 1
    else:
        assert writer.partial.read_bytes().endswith(b"\n")


def test_nothing_done_leaves_nothing(tmp_path: Path) -> None:
    """A run that fails before its first assessment leaves no file at all."""
    with pytest.raises(KeyboardInterrupt), AssessmentWriter(tmp_path / "out.csv"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """The file quotes people, so nobody else on the machine may read it."""
    assert write(tmp_path / "out.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("name", "words"), [("out.txt", "ending|end the name"), ("no/out.csv", "no such folder")])
def test_names_that_cannot_be_written(tmp_path: Path, name: str, words: str) -> None:
    """An unknown ending and a missing folder are told before any work is done."""
    with pytest.raises(InputError, match=words):
        AssessmentWriter(tmp_path / name)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error names what to install, and no file is left."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        AssessmentWriter(tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A disk that takes no more is an error that names the file, not a traceback."""
    writer = AssessmentWriter(tmp_path / "out.jsonl")
    writer._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer._file = writer._sink._file = full  # type: ignore[attr-defined]
        with pytest.raises(ConfigurationError, match=r"out\.jsonl: cannot be written: No space left"), writer:
            writer.write(CRISIS)
