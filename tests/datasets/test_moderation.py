"""OpenAI's evaluation set: what is not known is counted and kept out, never taken for "not crisis". All texts are made up."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.moderation import CRISIS, LABELS, SET_ASIDE, load_moderation
from crisis_filter.errors import InputError

NONE = dict.fromkeys(LABELS, 0)


def _file(folder: Path, rows: list[dict[str, Any]], name: str = "samples-1680.jsonl") -> Path:
    path = folder / name
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def _without(*names: str, **flags: int) -> dict[str, int]:
    return {name: value for name, value in (NONE | flags).items() if name not in names}


FATES = [
    # labels, what becomes of the row
    (NONE | {"SH": 1}, "crisis"),
    ({"SH": 1}, "crisis"),
    (NONE | {"SH": 1, "V": 1}, "crisis"),
    (NONE, "not_crisis"),
    (NONE | {"S": 1, "H": 1, "HR": 1}, "not_crisis"),
    (_without("S", "H", "HR", "S3"), "not_crisis"),
    (NONE | {"V": 1}, "set_aside"),
    (NONE | {"H2": 1}, "set_aside"),
    (_without("SH"), "unknown"),
    (_without("SH", V=1), "unknown"),
    (_without("V2"), "unknown"),
    (NONE | {"SH": None}, "unknown"),
    ({}, "unknown"),
]


@pytest.mark.parametrize("name", ["samples-1680.jsonl", "samples-1680.jsonl.gz"])
def test_every_row_has_one_fate(tmp_path: Path, name: str) -> None:
    """Only a row that is 0 in everything that could make it a crisis is not one."""
    path = _file(tmp_path, [{"prompt": f"text {n}"} | labels for n, (labels, _) in enumerate(FATES)], name)
    rows, report = load_moderation(path)
    expected = [(f"samples-1680:{n}", fate == "crisis") for n, (_, fate) in enumerate(FATES, 1) if "crisis" in fate]
    assert [(row.id, row.crisis) for row in rows] == expected
    assert (report.rows, report.crisis, report.not_crisis, report.set_aside, report.unknown) == (13, 3, 3, 2, 5)
    assert report.unknown_by_label == {"SH": 4, "V": 1, "V2": 2, "H2": 1}
    assert "5 left out" in str(report)


@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(LABELS, st.sampled_from([0, 1, None]))), min_size=1),
    st.sets(st.sampled_from(LABELS), min_size=1),
)
def test_a_missing_label_never_makes_a_negative(
    tmp_path_factory: pytest.TempPathFactory, flags: list[dict[str, int | None]], crisis: set[str]
) -> None:
    """Whatever the map, every negative is known to be 0 in all that decides, and the counts add up."""
    aside = sorted(set(LABELS) - crisis)[:2]
    known = {"prompt": "one more so that something is left"} | NONE
    path = _file(tmp_path_factory.mktemp("any"), [{"prompt": "x"} | row for row in flags] + [known])
    rows, report = load_moderation(path, crisis=crisis, set_aside=aside)
    for row in rows:
        if not row.crisis:
            assert all(row.labels[name] == 0 for name in [*crisis, *aside])
        else:
            assert any(row.labels[name] == 1 for name in crisis)
    assert report.rows == len(flags) + 1
    assert report.rows == report.crisis + report.not_crisis + report.set_aside + report.unknown
    assert len(rows) == report.crisis + report.not_crisis


def test_the_map_is_an_argument(tmp_path: Path) -> None:
    """Somebody who holds violence for a crisis says so; unless they do, it is neither."""
    path = _file(tmp_path, [{"prompt": "a"} | NONE | {"V": 1}, {"prompt": "b"} | NONE])
    assert [row.crisis for row in load_moderation(path)[0]] == [False]
    assert [row.crisis for row in load_moderation(path, crisis=("SH", "V"), set_aside=())[0]] == [True, False]
    assert (CRISIS, SET_ASIDE) == (("SH",), ("V", "V2", "H2"))


def test_raw_labels_are_kept_and_gaps_of_a_table_are_missing(tmp_path: Path) -> None:
    """0.0 and 1.0 are what a table with gaps makes of 0 and 1; NaN is a gap."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt":"p","S":NaN,"H":null,"V":0.0,"HR":0,"SH":1.0,"S3":0,"H2":0,"V2":0}\n', encoding="utf-8")
    (row,) = load_moderation(path)[0]
    assert row.labels == {"S": None, "H": None, "V": 0, "HR": 0, "SH": 1, "S3": 0, "H2": 0, "V2": 0}
    assert row.categories is None
    assert row.source == "openai-moderation-2022 a.jsonl:1"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"SH": 2}, "'SH' holds a number that is not 0 or 1"),
        ({"SH": 0.5}, "'SH' holds a number that is not 0 or 1"),
        ({"SH": "0"}, "'SH' holds a text"),
        ({"SH": False}, "'SH' holds true or false"),
        ({"S": "canary7731"}, "'S' holds a text"),
        ({"prompt": None}, "'prompt' holds null"),
        ({"prompt": ["canary7731"]}, "'prompt' holds an array"),
    ],
)
def test_a_label_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    """The error names line and field, and shows no value."""
    path = _file(tmp_path, [{"prompt": "a"} | NONE, {"prompt": "canary7731"} | NONE | change])
    with pytest.raises(InputError, match=f"line 2: field {what}") as caught:
        load_moderation(path)
    assert "canary7731" not in str(caught.value)


def test_a_file_without_labels_is_an_error_and_not_all_negative(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row can be used"):
        load_moderation(_file(tmp_path, [{"prompt": "a", "sh": 0}]))


@pytest.mark.parametrize(
    ("crisis", "aside"), [((), ("V",)), (("SH",), ("SH",)), (("sh",), ()), (("SH", "SH"), ()), (("SH",), ("violence",))]
)
def test_a_map_that_makes_no_sense_is_refused(tmp_path: Path, crisis: tuple[str, ...], aside: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="different labels of S, H, V"):
        load_moderation(_file(tmp_path, [{"prompt": "a"} | NONE]), crisis=crisis, set_aside=aside)
