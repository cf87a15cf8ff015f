"""`crisis-filter evaluate`: tables, reports, and what it refuses with which exit status."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crisis_filter.evaluation.records import Evaluation
from tests.evaluation.filing import assessed, files, labelled, lines

if TYPE_CHECKING:
    from tests.cli.conftest import Run

SECRET = "words of a person"
GOLD = [
    labelled("c1", "abuse", text=f"{SECRET} one", stratum="abuse"),
    labelled("c2", "suicide", text=f"{SECRET} two", stratum="suicide"),
    labelled("n1", text=f"{SECRET} three", stratum="billing"),
    labelled("n2", text=f"{SECRET} four", stratum="billing"),
]
RUN = [
    assessed("c1", "abuse", score=0.9),
    assessed("c2", score=0.2),
    assessed("n1", score=0.1),
    assessed("n2", outcome="undetermined"),
]


@pytest.fixture
def go(run: Run) -> Run:
    """The command, without a backend: it has none."""
    return lambda *arguments: run("evaluate", *map(str, arguments), "--resamples", "100", backend=False)


def test_tables_show_counts_and_undetermined(tmp_path: Path, go: Run) -> None:
    ran = go(*files(tmp_path, GOLD, RUN))
    assert ran.status == 0
    out = " ".join(ran.out.split())
    assert "4 messages, 2 " in out
    assert "2 crises 1 0 1 sensitivity 0.500" in out
    assert "2 others 0 1 1 specificity 0.500" in out
    assert SECRET not in ran.out + ran.err


def test_json_holds_every_figure(tmp_path: Path, go: Run) -> None:
    gold, one = files(tmp_path, GOLD, RUN)
    ran = go(
        gold, one, f"flags={lines(tmp_path / 'f.jsonl', [{'id': r['id'], 'crisis': True} for r in GOLD])}", "--json"
    )
    found = Evaluation.model_validate_json(ran.out)
    assert [each.system.name for each in found.systems] == ["run1", "flags"]
    assert found.settings.resamples == 100
    assert SECRET not in ran.out


def test_reports_are_written_whole_and_private(tmp_path: Path, go: Run) -> None:
    targets = [tmp_path / name for name in ("r.html", "r.md", "r.json")]
    options = [word for path in targets for word in ("--output", path)]
    ran = go(*files(tmp_path, GOLD, RUN), *options)
    assert (ran.status, [path.exists() for path in targets]) == (0, [True] * 3)
    assert [stat.S_IMODE(path.stat().st_mode) for path in targets] == [0o600] * 3
    assert all(SECRET not in path.read_text("utf-8") for path in targets)
    assert json.loads(targets[2].read_text("utf-8"))["gold"]["messages"] == 4
    assert "r.html" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "script.jsonl") == [
        "gold.jsonl",
        "r.html",
        "r.json",
        "r.md",
        "run1.jsonl",
    ]
    again = go(tmp_path / "gold.jsonl", tmp_path / "run1.jsonl", *options)
    assert (again.status, "add --force" in again.err) == (2, True)
    assert go(tmp_path / "gold.jsonl", tmp_path / "run1.jsonl", *options, "--force").status == 0


def test_texts_are_there_only_when_asked_for(tmp_path: Path, go: Run) -> None:
    """And then only those that some system was wrong about."""
    target = tmp_path / "r.html"
    ran = go(*files(tmp_path, GOLD, RUN), "--output", target, "--with-text")
    assert ran.status == 0
    page = target.read_text("utf-8")
    assert [f"{SECRET} {word}" in page for word in ("one", "two", "three", "four")] == [False, True, False, True]


REFUSED: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no runs": (("GOLD",), 2, "name the labels and at least one run"),
    "nothing": ((), 2, "or give --paper"),
    "paper and labels": (("GOLD", "RUN", "--paper"), 2, "leave one of the two out"),
    "paper and an output": (("--paper", "--output", "TMP/r.md"), 2, "takes nothing but --json"),
    "texts without a page": (
        ("GOLD", "RUN", "--with-text", "--output", "TMP/r.md"),
        2,
        "--with-text is for a report in HTML",
    ),
    "a name that is too long": (("GOLD", "RUN", "--output", f"TMP/{'x' * 300}.md"), 2, "is no name for a file"),
    "a field without a name": (("GOLD", "RUN", "--run-field", "crisis"), 2, "a field is named as OURS=THEIRS"),
    "an ending nobody knows": (("GOLD", "RUN", "--output", "TMP/report.pdf"), 2, "end the name in .html, .md, .json"),
    "an output that is an input": (("GOLD", "RUN", "--output", "TMP/x.json", "--force"), 2, "is an input too"),
    "a folder that is not there": (("GOLD", "RUN", "--output", "TMP/no/r.md"), 2, "no such folder"),
    "a run that is not there": (("GOLD", "TMP/absent.jsonl"), 2, "absent.jsonl: cannot be read"),
    "a scale without a cut": (("GOLD", "RUN", "--scale", "a,b"), 2, "--scale needs --crisis-from"),
    "a cut off the scale": (("GOLD", "RUN", "--scale", "a,b", "--crisis-from", "c"), 2, "--scale must name each"),
    "a prevalence out of range": (("GOLD", "RUN", "--prevalence", "1"), 2, "--prevalence must lie"),
    "an unknown taxonomy": (("GOLD", "RUN", "--taxonomy", "other"), 5, "there is no 'other'"),
    "a split of a file": (("GOLD", "RUN", "--split", "test"), 2, "a split is chosen from a folder"),
    "one name twice": (("GOLD", "RUN", "RUN"), 2, "two systems have the same name"),
}


@pytest.mark.parametrize(("arguments", "status", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(tmp_path: Path, go: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
    gold, one = files(tmp_path, GOLD, RUN)
    if "TMP/x.json" in arguments:
        one = one.rename(tmp_path / "x.json")
    names = {"GOLD": str(gold), "RUN": str(one)}
    before = sorted(tmp_path.iterdir())
    ran = go(*(names.get(word, word.replace("TMP", str(tmp_path))) for word in arguments))
    assert (ran.status, said in ran.err, ran.out) == (status, True, ""), ran.err
    assert sorted(tmp_path.iterdir()) == before


def test_the_manifest_of_the_labels_is_never_replaced(tmp_path: Path, go: Run) -> None:
    folder = tmp_path / "set"
    shutil.copytree(Path(__file__).parents[2] / "data" / "starter-v1", folder)
    run = lines(tmp_path / "run.jsonl", [{"id": "a", "crisis": True}])
    before = (folder / "manifest.json").read_bytes()
    ran = go(folder, run, "--split", "test", "--common", "--output", folder / "manifest.json", "--force")
    assert (ran.status, "is an input too" in ran.err) == (2, True)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_report_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, go: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    gold, run = files(tmp_path, GOLD, RUN)
    ran = go(gold, run, "--output", tmp_path / "r.md")
    assert (ran.status, "cannot be written: No space left" in ran.err) == (5, True)
    assert {path.name for path in tmp_path.iterdir()} == {"gold.jsonl", "run1.jsonl", "script.jsonl"}


def test_without_texts_there_are_none_to_show(tmp_path: Path, go: Run) -> None:
    bare = [{name: value for name, value in row.items() if name != "text"} for row in GOLD]
    ran = go(*files(tmp_path, bare, RUN), "--output", tmp_path / "r.html", "--with-text")
    assert (ran.status, "the labels have no texts" in ran.err) == (2, True)
    assert not (tmp_path / "r.html").exists()


def test_the_published_tables_are_printed(run: Run) -> None:
    ran = run("evaluate", "--paper", backend=False)
    assert ran.status == 0
    for figure in ("0.990", "751.12", "418.68", "0.094", "0.939", "0.935"):
        assert figure in ran.out
