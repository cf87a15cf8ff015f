"""Anybody's table, by a map: every value must be in it, and no error shows what stands in a cell. All texts are made up."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.columns import Columns, load_columns
from crisis_filter.errors import InputError

YES_NO = Columns(text="post", label="risk", crisis=frozenset({"Yes", "1"}), not_crisis=frozenset({"no", "0"}))
FULL = Columns(
    text="post",
    label="risk",
    crisis=frozenset({"yes"}),
    not_crisis=frozenset({"no"}),
    id="key",
    categories="kinds",
    separator=";",
    category_ids={"Self-harm": "self_harm", "Suicide": "suicide"},
    conversation="thread",
)
ROWS = [
    {"key": "a1", "post": "i, too, am worn out", "risk": "yes", "kinds": "Suicide; Self-harm", "thread": "t1"},
    {"key": "a2", "post": 'she said "fine"', "risk": "No", "kinds": "", "thread": "t2"},
    {"key": "a3", "post": "and it goes on", "risk": " YES ", "kinds": "", "thread": "t1"},
    {"key": "a4", "post": "", "risk": "no", "kinds": "", "thread": ""},
]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_one_table_in_every_format_gives_the_same_gold(tmp_path: Path, ending: str) -> None:
    """Ids, categories by their map, turns in file order with what came before, and the labels as given."""
    rows = load_columns(_write(tmp_path / f"mine.{ending}", ROWS), FULL)
    assert [(r.id, r.text, r.crisis, r.categories, r.conversation, r.turn) for r in rows] == [
        ("a1", "i, too, am worn out", True, ("suicide", "self_harm"), "t1", 1),
        ("a2", 'she said "fine"', False, (), "t2", 1),
        ("a3", "and it goes on", True, None, "t1", 2),
        ("a4", "", False, (), None, None),
    ]
    assert rows[2].context == ("i, too, am worn out",)
    assert rows[2].speakers == ("user",)
    assert rows[0].labels == {"risk": "yes", "kinds": "Suicide;Self-harm"}
    assert rows[0].source == f"mine.{ending}:{2 if ending in ('csv', 'tsv') else 1}"


@pytest.mark.parametrize(
    ("value", "crisis"),
    [(1, True), (0, False), (1.0, True), (0.0, False), ("YES", True), ("no ", False), ("1", True), ("0", False)],
)
def test_values_of_json_are_compared_by_what_they_say(tmp_path: Path, value: Any, crisis: bool) -> None:
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": value}])
    (row,) = load_columns(path, YES_NO)
    assert row.crisis is crisis
    assert row.id == "a:1"
    assert row.labels["risk"] == value


def test_true_and_false_are_words_of_the_map(tmp_path: Path) -> None:
    """They are not 1 and 0 by themselves."""
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": True}, {"post": "q", "risk": False}])
    both = Columns(text="post", label="risk", crisis=frozenset({"true"}), not_crisis=frozenset({"false"}))
    assert [row.crisis for row in load_columns(path, both)] == [True, False]
    with pytest.raises(InputError, match="holds true or false that the map does not know"):
        load_columns(path, YES_NO)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "holds nothing"),
        ("", "holds nothing"),
        ("canary7731", "holds a text that the map"),
        ("n", "holds a text that the map"),
        (2, "holds a number that the map"),
        (0.5, "holds a number that the map"),
        (["no"], "holds an array"),
        ({"canary7731": "no"}, "holds an object"),
    ],
)
def test_any_other_label_is_an_error_that_shows_its_kind_only(tmp_path: Path, value: Any, what: str) -> None:
    """A label that nobody gave a meaning is never "not crisis"."""
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": "no"}, {"post": "canary7731", "risk": value}])
    with pytest.raises(InputError, match=f"line 2: field 'risk' {what}") as caught:
        load_columns(path, YES_NO)
    assert "canary7731" not in str(caught.value)


@given(st.lists(st.text(max_size=4), min_size=1, max_size=4))
def test_no_value_becomes_a_negative_unless_it_is_named(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    """Whatever the cells hold, each is in the map or the file is refused."""
    path = _write(tmp_path_factory.mktemp("any") / "a.jsonl", [{"post": "p", "risk": value} for value in values])
    named = {"yes": True, "1": True, "no": False, "0": False}
    meanings = [named.get(value.strip().casefold()) for value in values]
    try:
        found = [row.crisis for row in load_columns(path, YES_NO)]
    except InputError:
        assert None in meanings
    else:
        assert found == meanings


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"post,risk\np,no\nq\n", r"line 3: field 'post' cannot be read \(the number of fields"),
        (b'post,risk\n"canary7731,no\nq,no\n', "line 2: field 'post' cannot be read"),
        (b'post,risk\n"canary7731,no\nx,no\n6\'2",no\n', "line 2: field 'post' has bytes or quotes"),
        (b"post,risk\ncanary7731 \xff,no\n", "line 2: field 'post' has bytes or quotes"),
        (b"post,risk\np,\n", "line 2: field 'risk' holds nothing"),
        (b"id,post,risk\np,q\n", "line 2: field 'post' cannot be read"),
        (b"text,label\np,no\n", "there is no column 'post'. Columns: text, label. Name them in the column map"),
        (b"post,label\np,no\n", "there is no column 'risk'. Columns: post, label. Name them in the column map"),
        (b"post;risk\np;no\n", r"parted by ';': save the file with commas, or as JSON Lines\.$"),
        (b"post\trisk\np\tno\n", r"parted by tabs: give it the ending \.tsv$"),
        (b"", "there is no header line. Name the columns in the first line$"),
        (b"post,risk\n", "no row can be used"),
    ],
)
def test_a_csv_in_doubt_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    """Quotes gone astray hide rows and their labels, so the file must be mended first."""
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what) as caught:
        load_columns(path, YES_NO)
    assert str(path) in str(caught.value)
    assert "canary7731" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_a_message_of_several_lines_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'post,risk\n"dear team\nplease call me\n",yes\nq,no\n')
    assert [(row.text, row.id) for row in load_columns(path, YES_NO)] == [
        ("dear team\nplease call me\n", "a:2"),
        ("q", "a:5"),
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"kinds": "canary7731"}, "'kinds' holds a text that is not in category_ids"),
        ({"kinds": "Suicide", "risk": "no"}, "'kinds' names a category beside a label of not crisis"),
        ({"kinds": ["Suicide", 3]}, "'kinds' holds an array of other things than texts"),
        ({"kinds": 3}, "'kinds' holds a number"),
        ({"key": True}, "'key' holds true or false"),
        ({"thread": 1.5}, "'thread' holds a number"),
        ({"post": 3}, "'post' holds a number"),
        ({"post": "canary7731 \ud83d"}, "'post' has characters that are no text"),
        ({"key": "a1"}, "has the id of"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    """Line and field are named; nothing of the row is shown."""
    bad = {"key": "a9", "post": "canary7731", "risk": "yes", "kinds": "", "thread": ""} | change
    with pytest.raises(InputError, match=what) as caught:
        load_columns(_write(tmp_path / "a.jsonl", [ROWS[0], bad]), FULL)
    assert "2" in str(caught.value)
    assert "canary7731" not in str(caught.value)


def test_categories_without_a_map_must_be_ids(tmp_path: Path) -> None:
    """Free text in place of a category shows that the wrong column was named."""
    plain = Columns(
        text="post", label="risk", crisis=frozenset({"yes"}), not_crisis=frozenset({"no"}), categories="kinds"
    )
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": "yes", "kinds": ["suicide", "suicide", "abuse"]}])
    assert load_columns(path, plain)[0].categories == ("suicide", "abuse")
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": "yes", "kinds": None}])
    assert load_columns(path, plain)[0].categories is None
    path = _write(tmp_path / "a.jsonl", [{"post": "p", "risk": "yes", "kinds": "my canary7731 words"}])
    with pytest.raises(InputError, match="no category id") as caught:
        load_columns(path, plain)
    assert "canary7731" not in str(caught.value)


def test_a_missing_file_or_another_ending_is_an_input_error(tmp_path: Path) -> None:
    for name in ("none.csv", "none.jsonl", "none.txt"):
        with pytest.raises(InputError, match=name):
            load_columns(tmp_path / name, YES_NO)


@pytest.mark.parametrize(("crisis", "other"), [({"1"}, {" 1"}), ({"Yes"}, {"yes"}), (set(), {"no"}), ({"yes"}, set())])
def test_a_map_in_which_a_value_means_both_or_nothing_cannot_be_made(crisis: set[str], other: set[str]) -> None:
    with pytest.raises(ValueError, match="Columns"):
        Columns(text="t", label="l", crisis=frozenset(crisis), not_crisis=frozenset(other))


def test_the_map_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation shows reads such a table as it says."""
    page = Path(__file__).parents[2] / "docs/datasets.md"
    (code,) = (block for block in page.read_text(encoding="utf-8").split("```python\n") if "Columns(" in block)
    rows = [
        {"message_id": 1, "thread": "t", "message": "hello", "risk": "none", "kinds": ""},
        {"message_id": 2, "thread": "t", "message": "i cannot keep safe", "risk": "High", "kinds": "SI, NSSI"},
    ]
    _write(tmp_path / "messages.csv", rows)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.split("```")[0], names)  # noqa: S102  # our own page
    assert [(row.crisis, row.categories, row.turn) for row in names["gold"]] == [
        (False, (), 1),
        (True, ("suicide", "self_harm"), 2),
    ]
