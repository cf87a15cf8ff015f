"""The table beside other people's offline packages: what is stored, what is counted from it, and that the page is that count."""

from __future__ import annotations

import csv
import gzip
import re
import sys
from pathlib import Path

import pytest

from bench import baselines
from bench.baselines import RESULTS, SETTINGS, evaluated, name_of, rows, store, systems
from bench.engines import SET, SPLITS
from bench.peers.baseline_tables import About, page
from bench.peers.offline_asking import Answers, Said
from crisis_filter.baselines.offline_rules import TOOLS
from crisis_filter.datasets.reading import load
from crisis_filter.evaluation.records import Evaluation
from crisis_filter.taxonomy.load import load_taxonomy

PAGE = Path(baselines.__file__).parent / "baselines.md"
NAMES = [name_of(system) for system in systems()]
QUICK = SETTINGS.model_copy(update={"resamples": 10})


def stored(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))


def answers(said: dict[str, Said]) -> Answers:
    return Answers("1.0", said, 0.1, None, None, 0)


@pytest.fixture(scope="module")
def found() -> dict[str, Evaluation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "SETTINGS", QUICK)
        return {split: evaluated(split, RESULTS / split, NAMES) for split in SPLITS}


def test_ours_stands_beside_four_packages_each_with_the_setting_that_finds_more() -> None:
    assert NAMES == ["standard-v1", "bh-sentinel-core", "rrt-advocate", "pantheon-guardrails", "cogno-aegis"]
    assert {tool.package for tool in TOOLS.values()} == set(NAMES[1:])
    assert [dict(TOOLS[system.tool].options) for system in systems()[1:3]] == [{"flag": "any"}, {"sentiment": "vader"}]


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_stored_has_every_message_once_and_no_text(split) -> None:
    known = {*load_taxonomy("clinical-v1").ids, "unspecified", ""}
    ids = [row.id for row in load(SET, split)]
    for name in NAMES:
        table = stored(RESULTS / split / f"{name}.csv.gz")
        assert [row["id"] for row in table] == ids
        assert list(table[0]) == ["id", "outcome", "categories", "fault", "detector", "model"]
        for row in table:
            assert row["outcome"] in {"crisis", "no_crisis", "undetermined"}
            assert {*row["categories"].split("|")} <= known
            assert re.fullmatch(r"[a-z_]*", row["fault"])
        assert len({(row["detector"], row["model"]) for row in table}) == 1


def test_the_page_is_what_the_stored_rows_give(found: dict[str, Evaluation]) -> None:
    """Every line but the averages, whose intervals are drawn more often than a test has time for; of those the estimates."""
    notes = tuple(About(name, "ours" if name == NAMES[0] else s.note) for name, s in zip(NAMES, systems(), strict=True))

    def without_intervals(text: str) -> list[str]:
        drawn = re.compile(r" (?:\([\d.]+ to [\d.]+\)|no interval)(?: doubtful: [^|]*\w)?(?= \|)")
        return [
            drawn.sub("", line) if "| overall flag |" in line or "| categories named |" in line else line
            for line in text.splitlines()
        ]

    assert without_intervals(page(found, notes, {})) == without_intervals(PAGE.read_text(encoding="utf-8"))


def test_the_page_says_where_its_labels_come_from_and_what_was_measured(found: dict[str, Evaluation]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for each in found.values():
        assert f"Labels of every message here: {each.gold.labelled_by}" in text
        assert f"{each.gold.messages:,} messages, {each.gold.crises:,} of them crises" in text
        for one in each.systems:
            assert one.system.models[0] in text
    assert "no clinician checked any label" in text
    assert "python -m bench.baselines" in text


def test_every_package_has_its_scope_and_ours_has_none(found: dict[str, Evaluation]) -> None:
    for each in found.values():
        assert [one.system.scope is not None for one in each.systems] == [False, True, True, True, True]
        assert each.warnings == ()


def test_a_package_that_is_absent_is_named(found: dict[str, Evaluation]) -> None:
    text = page(found, tuple(About(name, "") for name in NAMES), {"other": "its environment could not be made"})
    assert "**ABSENT: other: its environment could not be made; no figure of it stands here.**" in text


def test_rows_read_labels_as_our_categories_and_keep_failures_apart() -> None:
    mine, bh, rrt, *_ = systems()
    said = {
        "test/a": Said(True, 1.0, None, ("SH-002", "CD-005a")),
        "test/b": Said(True, 1.0, None, ("MED-001",)),
        "test/c": Said(False, 1.0, None, ()),
        "test/d": Said(None, 1.0, None, ()),
    }
    table = rows(bh, answers(said), list(said))
    assert [(row["id"], row["outcome"], row["categories"]) for row in table] == [
        ("a", "crisis", "psychosis|suicide"),
        ("b", "crisis", "unspecified"),
        ("c", "no_crisis", ""),
        ("d", "undetermined", ""),
    ]
    assert {row["detector"] for row in table} == {"baseline:bh-sentinel-core"}
    assert {row["model"] for row in table} == {"bh-sentinel-core 1.0, flag=any"}
    level = {"test/a": Said(True, 1.0, None, ("overwhelm", "self_harm_risk"))}
    assert rows(rrt, answers(level), ["test/a"])[0]["categories"] == "self_harm|suicide"
    ours = {"test/a": Said(True, 1.0, None, ("violence",)), "test/b": Said(None, 1.0, None, (), "timeout")}
    assert [(row["categories"], row["fault"], row["detector"]) for row in rows(mine, answers(ours), list(ours))] == [
        ("violence", "", "local:standard-v1"),
        ("", "timeout", "local:standard-v1"),
    ]


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    table = rows(systems()[1], answers({"test/a": Said(False, 1.0, None)}), ["test/a"])
    store(tmp_path / "one", {"s": table})
    store(tmp_path / "two", {"s": table})
    assert (tmp_path / "one/s.csv.gz").read_bytes() == (tmp_path / "two/s.csv.gz").read_bytes()
    assert stored(tmp_path / "one/s.csv.gz") == table


def test_counting_again_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("nobody is asked")

    monkeypatch.setattr(baselines, "ask_all", asked)
    monkeypatch.setattr(baselines, "SETTINGS", QUICK)
    monkeypatch.setattr(baselines, "SPLITS", ("test-hard",))
    monkeypatch.setattr(sys, "argv", ["baselines", "--stored", "--output", str(tmp_path / "page.md")])
    assert baselines.main() == 0
    assert "## test-hard: 900 messages" in (tmp_path / "page.md").read_text(encoding="utf-8")
