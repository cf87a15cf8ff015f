"""`crisis-filter data agreement`: figures for each question, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from crisis_filter.cli.data_agreement import data_agreement
from crisis_filter.stats.agreement import cohen_kappa


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command on a file with these rows; a string is a line as it stands."""
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    app.command()(data_agreement)

    def go(rows: list[dict[str, object] | str], *options: str) -> Result:
        path = tmp_path / "ratings.jsonl"
        path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows), encoding="utf-8")
        return CliRunner().invoke(app, [str(path), *options])

    return go


def said(item: str, rater: str, *categories: str, **more: object) -> dict[str, object]:
    return {"id": item, "rater": rater, "crisis": bool(categories), "categories": categories, "text": "private", **more}


ROWS: list[dict[str, object]] = [
    *(said(f"m{i}", rater, "suicide", severity="severe", by="x") for i in range(4) for rater in "ab"),
    *(said(f"n{i}", rater, by="y") for i in range(4) for rater in "ab"),
    *(said("odd", "a", "suicide", severity="mild", by="z"), said("odd", "b", by="z")),
    *(said("both", "a", "abuse", severity="mild", by="z"), said("both", "b", "suicide", severity="severe", by="z")),
    said("lonely", "a", "abuse", severity="mild", by="z"),
]


def test_command_gives_figures_for_each_question(command: Callable[..., Result]) -> None:
    """Crisis, each category, each field that was filled in; ids where raters differ, and never a text."""
    ran = command(ROWS, "--json", "--list")
    *found, summary = map(json.loads, ran.stdout.splitlines())
    by_name = {one["question"]: one for one in found}
    assert list(by_name)[:2] == ["crisis", "abuse"]
    assert (len(by_name), "severity" in by_name, "timeframe" in by_name) == (10, True, False)
    figures = {name: (one["same"]["count"], one["n"], one["disagree"]) for name, one in by_name.items()}
    assert figures["crisis"] == (9, 10, ["odd"])
    assert figures["suicide"] == (8, 10, ["odd", "both"])
    assert figures["severity"] == (4, 5, ["both"])
    pairs = [(r["crisis"], s["crisis"]) for r, s in zip(ROWS[:20:2], ROWS[1:20:2], strict=True)]
    assert by_name["crisis"]["kappa"][0]["estimate"] == cohen_kappa(pairs).estimate
    assert (by_name["neglect"]["alpha"]["estimate"], by_name["neglect"]["kappa"][0]["estimate"]) == (None, None)
    assert (summary["raters"], summary["items"], summary["rated_once"]) == (["a", "b"], 11, 1)
    assert "private" not in ran.output


def test_command_shows_a_table(command: Callable[..., Result]) -> None:
    """Undefined is said, kappa is by pair where there are three raters, and few clusters are told."""
    late = [said("late", rater, by="z", crisis=True, categories=None) for rater in "ab"]
    ran = command([*ROWS, said("m0", "c", "suicide", by="x"), *late], "--list", "--cluster", "by", "--field", "by")
    assert "10 of 11  0.909 (0.623 to 0.984)" in ran.stdout
    assert re.search(r"^abuse +2 +9 of 10 ", ran.stdout, re.MULTILINE)
    assert re.search(r"^crisis +a, c +1 +undefined *$", ran.stdout, re.MULTILINE)
    assert "crisis: odd\n" in ran.stdout
    assert re.search("^\\d+ intervals to distrust:", ran.stderr)
    assert "3 clusters are few" in ran.stderr


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*ROWS, said("m0", "a")], "line 22: this rater has rated this id before"),
        ([*ROWS, {"id": "m0", "crisis": True}], "line 22: 'rater' is missing"),
        ([{"rater": "a", "crisis": True}], "line 1: 'id' is missing"),
        ([{"id": "m0", "rater": "a"}], "line 1: 'crisis' must be"),
        ([said("m0", "a", "private")], "line 1: unknown category; there are abuse"),
        ([said("m0", "a", "abuse", crisis=False)], "line 1: 'crisis' is false"),
        ([said("m0", "a", severity="private")], "line 1: 'severity' must be one of mild"),
        ([said("m0", "a", categories="abuse")], "line 1: 'categories' must be a list"),
        (["", "{private"], "line 2: not valid JSON"),
        ([said("m0", "a", subject=["private"])], "line 1: 'subject' must be one of"),
        ([said("m0", "a", by=["private"])], "line 1: 'by' must be a word"),
        ([said("m0", "a"), said("m0", "b")], "no line has the field 'size'"),
        (['{"id": "m0", "id": "m1"}'], "line 1: a field occurs twice"),
        ([said("m0", "a"), said("m1", "a")], "fewer than two raters"),
        ([said("m0", "a"), said("m1", "b")], "no id is rated by two raters"),
        ([said("m0", "a", by="x"), said("m0", "b", by="y")], "line 2: the cluster of this id is not that of"),
    ],
)
def test_command_refuses_what_it_cannot_compare(command: Callable[..., Result], rows: list, words: str) -> None:
    """Exit status 2, the file, the line and what to do; nothing of a value, and no figures."""
    ran = command(rows, *(["--cluster", "by"] if "cluster" in words or "'by'" in words else ["--field", "size"]))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert "private" not in ran.stderr
