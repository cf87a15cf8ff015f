"""The subset of Aegis 2.0 follows its rule step by step, and every step is counted. All texts are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.datasets.aegis import SubsetReport, load_aegis
from crisis_filter.errors import InputError

SSH = "Suicide and Self Harm"


def _row(number: int, prompt: str, label: str = "unsafe", categories: str = SSH, **other: Any) -> dict[str, Any]:
    row = {
        "id": f"row-{number}",
        "reconstruction_id_if_redacted": None,
        "prompt": prompt,
        "response": None,
        "prompt_label": label,
        "response_label": None,
        "violated_categories": categories,
        "prompt_label_source": "human",
        "response_label_source": None,
    }
    return row | other


def _file(folder: Path, rows: list[dict[str, Any]], name: str = "test.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


ROWS = [
    _row(1, "nothing feels worth staying for", categories=f"{SSH}, Needs Caution"),
    _row(2, "how do I talk to a friend who hurt himself", "safe", f"Needs Caution,{SSH}", response_label="unsafe"),
    _row(3, "a plan for the weekend", "safe", ""),
    _row(4, "tell me to give up", prompt_label_source="llm_jury"),
    _row(5, "REDACTED", reconstruction_id_if_redacted=81211.0),
    _row(6, "REDACTED"),
    _row(7, " Nothing feels  worth staying for"),
    _row(8, "they wrote it and sang it", categories="Suicide and Self-Harm"),
    _row(9, "They wrote it and sang it", "safe"),
    _row(10, "how to annoy a neighbour", categories="Harassment, Violence"),
]


def test_each_step_of_the_rule_is_counted(tmp_path: Path) -> None:
    """Not human, another category, redacted, a copy, and copies that disagree are all out, each at its step."""
    rows, report = load_aegis(_file(tmp_path, ROWS))
    assert [(row.id, row.crisis) for row in rows] == [("row-1", True), ("row-2", False)]
    assert report == SubsetReport(
        rows=10, human=9, in_category=7, distributed=5, unique=3, contradicted=1, crisis=1, not_crisis=1
    )
    assert report.unique == report.contradicted + report.crisis + report.not_crisis
    for count in ("10 rows", "9 labelled", "7 in the category", "5 with their text", "3 different", "1 texts left out"):
        assert count in str(report)


def test_what_the_set_says_is_kept(tmp_path: Path) -> None:
    """Raw labels stay as given; our categories are unknown for a crisis and none for what is not."""
    first, second = load_aegis(_file(tmp_path, ROWS))[0]
    assert (first.categories, second.categories) == (None, ())
    assert first.labels["violated_categories"] == f"{SSH}, Needs Caution"
    assert second.labels["response_label"] == "unsafe"
    assert first.source == "aegis-2.0 test.json:1"
    assert first.conversation is None
    assert "worth" not in repr(first)


def test_several_files_are_one_set(tmp_path: Path) -> None:
    """A text in two files counts once, and the first file's copy is kept."""
    one = _file(tmp_path, [_row(1, "i cannot go on")], "test.json")
    two = _file(tmp_path, [_row(2, "I cannot go on"), _row(3, "safe talk", "safe")], "train.json")
    rows, report = load_aegis([one, two])
    assert [row.id for row in rows] == ["row-1", "row-3"]
    assert (report.distributed, report.unique) == (3, 2)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"prompt_label": "canary7731"}, "'prompt_label' holds a text that is none of safe, unsafe"),
        ({"prompt_label": None}, "'prompt_label' holds null"),
        ({"prompt": None}, "'prompt' holds null"),
        ({"violated_categories": ["canary7731"]}, "'violated_categories' holds an array"),
        ({"response_label": 3}, "'response_label' holds a number"),
        ({"id": 3}, "'id' holds a number"),
        ({"id": "row-1"}, "has the id of"),
    ],
)
def test_a_row_that_the_card_does_not_know_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    """The error names file, row and field, and never what stands there."""
    path = _file(tmp_path, [_row(1, "first"), _row(2, "canary7731") | change])
    with pytest.raises(InputError, match=what) as caught:
        load_aegis(path)
    assert "test.json" in str(caught.value)
    assert "2" in str(caught.value)
    assert "canary7731" not in str(caught.value)


@pytest.mark.parametrize("name", ["prompt", "prompt_label", "violated_categories", "prompt_label_source", "id"])
def test_a_missing_field_is_refused(tmp_path: Path, name: str) -> None:
    row = _row(1, "canary7731")
    del row[name]
    with pytest.raises(InputError, match=f"row 1: field '{name}' is missing"):
        load_aegis(_file(tmp_path, [row]))


def test_a_subset_with_nothing_in_it_is_an_error(tmp_path: Path) -> None:
    """Files of another set give no silent empty answer."""
    path = _file(tmp_path, [_row(1, "fine", "safe", "Violence")])
    with pytest.raises(InputError, match="no row can be used"):
        load_aegis(path)
