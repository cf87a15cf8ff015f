"""`crisis-filter data simulate`: statuses, what is shown, and that no message is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from crisis_filter.cli.app import app
from tests.experiments.playing import labels, rated

RECIPE = """\
id = "two"
batch = 1
tries = 1
[controls]
voices = ["a nurse"]
[[strata]]
id = "suicide"
crisis = true
count = 2
categories = [["suicide"]]
topics = ["pets"]
"""
FIRST, SECOND = "canary7731 i gave the cat to my sister", "heron5520 nobody would notice if i was gone"


def written(number: int, text: str) -> dict[str, Any]:
    return {
        "purpose": "author",
        "when": f"\n{number}. shows",
        "answer": {"messages": [{"number": number, "text": text}], "declined": []},
    }


SCRIPT: list[dict[str, Any]] = [
    written(1, FIRST),
    written(2, SECOND),
    {"purpose": "rater_b", "when": "canary7731", "answer": rated(("suicide",), "mild")},
    {"purpose": "adjudicator", "answer": {**labels(("suicide",)), "contested": False}},
    {"answer": rated(("suicide",))},
]


class Bench:
    """A folder with a recipe and scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = folder / "two.toml"
        self.recipe.write_text(RECIPE, encoding="utf-8")

    def script(self, *entries: dict[str, Any]) -> str:
        path = self.folder / f"script-{len(list(self.folder.iterdir()))}.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
        return f"scripted:{path}"

    def run(self, *more: str, backend: str | None = None) -> Result:
        who = ["--backend", backend or self.script(*SCRIPT)]
        return CliRunner().invoke(app, ["data", "simulate", str(self.recipe), str(self.folder / "run"), *who, *more])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("COLUMNS", "160")
    return Bench(tmp_path)


def test_it_writes_rates_and_decides(bench: Bench) -> None:
    """Counts on the standard output, warnings on the standard error, words in the file alone."""
    result = bench.run()
    assert result.exit_code == 0
    assert "written      2 of 2" in result.stdout
    assert "differ on 1, of which decided 1" in result.stdout
    assert "both raters are scripted" in result.stderr
    assert "rates what it wrote" in result.stderr
    assert not any(word in result.output for word in ("canary7731", "heron5520", "reason-of-the-rater"))
    rows = [json.loads(line) for line in (bench.folder / "run/messages.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["text"] for row in rows} == {FIRST, SECOND}
    again = bench.run("--json")
    assert again.exit_code == 0
    summary = json.loads(again.stdout)
    assert (summary["messages"], summary["disputed"], summary["done"]) == (2, 1, True)


def test_agreement_reads_the_ratings(bench: Bench) -> None:
    """As they stand, batches as clusters included."""
    bench.run()
    files = [str(bench.folder / "run" / f"ratings-{name}.jsonl") for name in "ab"]
    result = CliRunner().invoke(app, ["data", "agreement", *files, "--json", "--list", "--cluster", "author"])
    assert result.exit_code == 0
    rows = {row.get("question"): row for row in map(json.loads, result.stdout.splitlines())}
    assert (rows["crisis"]["n"], rows["severity"]["n"]) == (2, 2)
    assert len(rows["severity"]["disagree"]) == 1
    assert "canary7731" not in result.output


def test_what_it_makes_is_a_data_set(bench: Bench) -> None:
    """Which the check takes, and in which it finds nothing wrong."""
    bench.run()
    result = CliRunner().invoke(app, ["data", "check", str(bench.folder / "run/messages.jsonl"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["splits"][0]["crisis"] == 2
    assert [one["kind"] for one in json.loads(result.stdout)["problems"]] == ["one_class"], "both messages are crises"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"purpose": "author", "error": "timeout"}, "author: timeout 2"),
        ({"purpose": "author", "finish": "refused", "fault": "refusal_field"}, "refused      suicide 2"),
        ({"purpose": "rater_a", "text": "no"}, "unrated 2"),
        ({"purpose": "adjudicator", "error": "server_error"}, "adjudicator: server_error 1"),
    ],
)
def test_what_is_not_there_has_a_status_of_its_own(bench: Bench, entry: dict[str, Any], said: str) -> None:
    """Faults, refusals and open places are told, and no run with them ends as if all were well."""
    result = bench.run(backend=bench.script(entry, *SCRIPT))
    assert result.exit_code == 3
    assert said in result.stdout
    assert ("start the same command again" in result.stderr) == ("error" in entry)


def test_other_backends_for_other_parts(bench: Bench) -> None:
    """Each is asked its own part."""
    parts = {
        name: bench.script(*(e for e in SCRIPT if e.get("purpose") in (name, None)))
        for name in ("author", "adjudicator")
    }
    raters = bench.script(*SCRIPT[2:])
    more = ("--rater-a", raters, "--rater-b", raters, "--adjudicator", parts["adjudicator"], "--json")
    result = bench.run(*more, backend=parts["author"])
    assert (result.exit_code, json.loads(result.stdout)["messages"]) == (0, 2)


def test_a_set_to_stay_away_from(bench: Bench) -> None:
    """Its copies are thrown away."""
    known = bench.folder / "known.jsonl"
    known.write_text(json.dumps({"text": FIRST + "!"}), encoding="utf-8")
    result = bench.run("--against", str(known), "--json")
    summary = json.loads(result.stdout)
    assert (result.exit_code, summary["dropped"], summary["unfilled"]) == (3, {"near_copy": 1}, {"suicide": 1})


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (["--backend", "local"], 5, "written by a language model"),
        (["--backend", "openai:m"], 5, "needs a key"),
        (["--rater-a", "local"], 5, "raters and adjudicator are language models"),
        (["--rater-b", "none"], 5, "raters and adjudicator are language models"),
        (["--rater-a", "nobody"], 5, "unknown backend"),
        (["--against", "absent.jsonl"], 2, "absent.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: list[str], status: int, said: str
) -> None:
    """In a line, with its status."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CRISIS_FILTER_API_KEY", "CRISIS_FILTER_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    result = bench.run(*change)
    assert (result.exit_code, result.stdout) == (status, "")
    assert said in result.stderr


def test_a_changed_recipe_is_refused(bench: Bench) -> None:
    """With what to do."""
    assert bench.run().exit_code == 0
    bench.recipe.write_text(RECIPE.replace("count = 2", "count = 3"), encoding="utf-8")
    result = bench.run()
    assert result.exit_code == 5
    assert "Go on with the old ones, or name a new folder" in result.stderr
