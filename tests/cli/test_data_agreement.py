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

from crisis_filter.assets import find
from crisis_filter.cli.app import app
from crisis_filter.cli.data_agreement import data_agreement
from crisis_filter.stats.agreement import cohen_kappa
from tests.datasets.making import folder, row


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


def kept(item: str, /, **raters: list[str]) -> dict[str, object]:
    """A row of a data set with its ratings; its own labels are not what is compared."""
    ratings = [
        {"rater": name, "crisis": bool(named), "categories": named, "severity": "severe" if named else None}
        for name, named in raters.items()
    ]
    return {"id": item, "text": "private", "crisis": True, "author": f"w{item[-1]}", "ratings": ratings}


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


def test_a_table_is_told_what_is_read(tmp_path: Path) -> None:
    """And shows nothing of it."""
    (tmp_path / "mine.csv").write_text("id,rater,crisis\nprivate,a,1\n", encoding="utf-8")
    ran = CliRunner().invoke(app, ["data", "agreement", str(tmp_path / "mine.csv")])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "mine.csv: only JSON Lines are read here; turn the table into JSON Lines" in ran.stderr
    assert "private" not in ran.stderr


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
        (["", "{private"], "line 2: is not valid JSON"),
        ([said("m0", "a", subject=["private"])], "line 1: 'subject' must be one of"),
        ([said("m0", "a", by=["private"])], "line 1: 'by' must be a word"),
        ([said("m0", "a"), said("m0", "b")], "no line has the field 'size'"),
        (['{"id": "m0", "id": "m1"}'], "line 1: has an object with the same key twice"),
        ([said("m0", "a"), said("m1", "a")], "fewer than two raters"),
        ([said("m0", "a"), said("m1", "b")], "no id is rated by two raters"),
        ([said("m0", "a", by="x"), said("m0", "b", by="y")], "line 2: the cluster of this id is not that of"),
        (['{"id": "m0", "rater": "a", "crisis": NaN}'], "line 1: is not valid JSON"),
        (['{"id": "private\\ud800", "rater": "a", "crisis": true}'], "line 1: has characters that are no text"),
        ([kept("m0", a=[]) | {"ratings": "private"}], "line 1: field 'ratings' holds a text; give a list"),
        ([kept("m0", a=[]) | {"ratings": ["private"]}], "line 1: field 'ratings' holds other things than objects"),
        ([kept("m0", a=[]), said("m1", "a")], "line 2: has a 'rater' of its own, and other rows carry 'ratings'"),
        ([kept("m0", a=[], b=["private"])], "line 1, rating 2: unknown category; there are abuse"),
        ([kept("m0", a=[]) | {"id": None}], "line 1, rating 1: 'id' is missing"),
        ([kept("m0", a=[], b=[]), kept("m0", a=[])], "line 2, rating 1: this rater has rated this id before"),
        ([kept("m0", a=[]) | {"ratings": [{"rater": "a", "crisis": False}]}], "fewer than two raters"),
        ([kept("m0", a=[]), kept("m1", a=[])], "fewer than two raters"),
        ([kept("m0"), kept("m1")], "fewer than two raters"),
    ],
)
def test_command_refuses_what_it_cannot_compare(command: Callable[..., Result], rows: list, words: str) -> None:
    """Exit status 2, the file, the line and what to do; nothing of a value, and no figures."""
    ran = command(rows, *(["--cluster", "by"] if "cluster" in words or "'by'" in words else ["--field", "size"]))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert "private" not in ran.stderr


def test_rows_that_carry_their_ratings(command: Callable[..., Result]) -> None:
    """One rating a rater and item, clusters from the row; rows without ratings are counted and said."""
    pairs = {f"m{i}": (["suicide"] if i % 2 else [], ["suicide"] if i % 3 else []) for i in range(24)}
    rows = [kept(item, a=first, b=second) for item, (first, second) in pairs.items()]
    bare = [kept("n0"), {name: value for name, value in kept("n1").items() if name != "ratings"}]
    lines = [
        said(item, rater, *named, severity="severe" if named else None, author=f"w{item[-1]}")
        for item, both in pairs.items()
        for rater, named in zip("ab", both, strict=True)
    ]
    nested = command([bare[0], *rows, bare[1]], "--json", "--list", "--cluster", "author")
    flat = command(lines, "--json", "--list", "--cluster", "author")
    *found, summary = map(json.loads, nested.stdout.splitlines())
    *expected, other = map(json.loads, flat.stdout.splitlines())
    assert found == expected
    assert (summary["unrated"], summary["items"], summary["clusters"]) == (2, 24, 10)
    assert {**summary, "unrated": 0} == other
    assert "2 rows without ratings left out" in nested.stderr
    assert "without ratings" not in flat.stderr
    assert "private" not in nested.output


def whole(path: Path, **splits: list[dict[str, object]]) -> Path:
    """A data set of rows with ratings."""
    named = ["suicide"]
    return folder(
        path,
        **{
            split: [
                {**row(hash((split, n)), f"{split} private {n}", *(named if n % 2 else [])), "ratings": one["ratings"]}
                for n, one in enumerate(rows)
            ]
            for split, rows in splits.items()
        },
    )


def test_a_folder_with_a_manifest(tmp_path: Path) -> None:
    """Every split that has ratings, or those that are named; files are those of the manifest."""
    made = whole(
        tmp_path,
        training=[kept("x"), kept("x")],
        test=[kept("x", a=[], b=[]), kept("x", a=["suicide"], b=["suicide"]), kept("x")],
        validation=[kept("x", a=[], b=["abuse"])],
    )

    def summary(*options: str) -> dict[str, object]:
        ran = CliRunner().invoke(app, ["data", "agreement", str(made), "--json", *options])
        assert ran.exit_code == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    def refused(*options: str) -> str:
        ran = CliRunner().invoke(app, ["data", "agreement", str(made), *options])
        assert (ran.exit_code, ran.stdout) == (2, "")
        return ran.stderr

    every = summary()
    assert (every["splits"], every["items"], every["unrated"]) == (["test", "validation"], 3, 1)
    one = summary("--split", "validation", "--split", "validation")
    assert (one["splits"], one["items"], one["unrated"]) == (["validation"], 1, 0)
    both = summary("--split", "validation", "--split", "test")
    assert (both["splits"], both["items"]) == (["test", "validation"], 3)
    assert "no row of training has ratings" in refused("--split", "training", "--split", "test")
    assert "there is no split tset. There are: training, test, validation" in refused("--split", "tset")
    file = made / "test.jsonl"
    shown = CliRunner().invoke(app, ["data", "agreement", str(made)])
    assert "Splits: test, validation." in shown.stdout
    lone = CliRunner().invoke(app, ["data", "agreement", str(file), "--split", "test"])
    assert (lone.exit_code, "a file has no splits" in lone.stderr) == (2, True)
    file.write_text(file.read_text(encoding="utf-8").replace("true", "false", 1), encoding="utf-8")
    assert "SHA-256 is not the one in the manifest" in refused()
    assert (
        "there is no such file" in CliRunner().invoke(app, ["data", "agreement", str(tmp_path / "none.jsonl")]).stderr
    )
    (made / "manifest.json").unlink()
    assert "there is no such file; the folder of a data set has a manifest.json" in refused()


def test_a_folder_without_ratings_has_no_agreement(tmp_path: Path) -> None:
    """Said with the names of all its splits."""
    made = whole(tmp_path, training=[kept("x")], test=[kept("x")])
    ran = CliRunner().invoke(app, ["data", "agreement", str(made)])
    assert (ran.exit_code, "no row of training, test has ratings" in ran.stderr) == (2, True)


def test_the_card_of_the_simulated_set_tells_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of the card's own table, its counts and its kappa with the interval, by the command that the card names."""
    monkeypatch.setenv("COLUMNS", "200")
    made = find("data", "simulated-v1")
    card = (made / "README.md").read_text(encoding="utf-8").split("## Agreement")[1].split("\n## ")[0]
    ran = CliRunner().invoke(app, ["data", "agreement", str(made), "--cluster", "author"])
    assert ran.exit_code == 0
    printed = {}
    for line in ran.stdout.splitlines():
        if found := re.match(r"([a-z -]+?)  +(?:[\d,]+  +)?([\d,]+) of ([\d,]+)  .*?\)  +([\d.]+) \((.*?)\)", line):
            name, same, of, kappa, interval = found.groups()
            printed[name] = (same, of, kappa, interval)
    table = re.findall(
        r"^\| ([\w -]+)(?:, of crises)? \| ([\d,]+)(?: of ([\d,]+))? \| ([\d.]+) \(([^):]*).*?\) \|$",
        card,
        re.MULTILINE,
    )
    names = {"crisis or not": "crisis"}
    told = {}
    for name, same, of, kappa, interval in table:
        plain = name.replace("-", " ")
        told[names.get(plain, plain)] = (same, of or printed["crisis"][1], kappa, interval)
    assert printed["crisis"][:2] == ("3,850", "3,850")
    assert len(told) == 12
    assert told == printed
