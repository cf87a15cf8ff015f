"""Files of labels, and nonsense in any file: what is read, and what is refused by file, line and field, never by value."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.errors import InputError
from crisis_filter.evaluation.gold import read_gold
from crisis_filter.evaluation.runs import Cut
from tests.evaluation.filing import CATEGORIES, assessed, gold, labelled, lines, run

SECRET = "my secret words"


def test_labels_are_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    rows = [
        labelled("m1", "abuse", "suicide", stratum="mixed"),
        labelled("m2", stratum="billing"),
        labelled("3", "neglect"),
    ]
    lines(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.jsonl").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "a.jsonl").read_bytes().replace(b"\n", b"\r\n\r\n")
    )
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    (tmp_path / "d.csv").write_text(
        'id,crisis,categories,stratum\nm1,TRUE,"abuse; suicide",mixed\nm2,no,,billing\n3,1,neglect,\n',
        encoding="utf-8-sig",
    )
    (tmp_path / "e.tsv").write_text(
        "id\tcrisis\tcategories\tstratum\nm1\tyes\tabuse|suicide\tmixed\nm2\t0\t\tbilling\n3\ttrue\tneglect\t\n"
    )
    pq.write_table(pa.Table.from_pylist([{"stratum": None, **row} for row in rows]), tmp_path / "f.parquet")
    found = [
        [(row.id, row.crisis, row.categories, dict(row.facets)) for row in gold(path).rows.values()]
        for path in sorted(tmp_path.iterdir())
    ]
    assert found[0] == [
        ("m1", True, frozenset({"abuse", "suicide"}), {"stratum": "mixed"}),
        ("m2", False, frozenset(), {"stratum": "billing"}),
        ("3", True, frozenset({"neglect"}), {}),
    ]
    assert [each == found[0] for each in found] == [True] * 6


def test_a_crisis_without_categories_is_of_unknown_kind(tmp_path: Path) -> None:
    """Not of no kind: Stage 2 could never be right about it."""
    found = gold(lines(tmp_path / "g.jsonl", [{"id": "a", "crisis": True}, {"id": "b", "crisis": False}]))
    assert [row.categories for row in found.rows.values()] == [None, frozenset()]


def test_a_folder_is_read_by_its_splits(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "data" / "starter-v1"
    categories = (
        "abuse",
        "eating_disorder",
        "neglect",
        "psychosis",
        "self_harm",
        "substance_misuse",
        "suicide",
        "violence",
    )
    found = read_gold(folder, categories, splits=["test"], cluster="author")
    assert len(found.rows) == 200
    assert found.cluster_by == "author"
    assert "no clinician" in found.labelled_by
    with pytest.raises(InputError, match="choose with --split among"):
        read_gold(folder, categories)
    with pytest.raises(InputError, match="there is no split 'tset'"):
        read_gold(folder, categories, splits=["tset"])


BAD_LABELS: dict[str, tuple[list[dict[str, object] | str], str]] = {
    "no label": ([labelled("a"), {"id": "b", "text": SECRET}], "line 2: 'crisis' is missing"),
    "null label": ([{"id": "b", "crisis": None}], "line 1: 'crisis' is empty"),
    "a word for a label": (
        [{"id": "b", "crisis": SECRET}],
        "line 1: 'crisis' holds a text that is none of true, false",
    ),
    "a number for a label": ([{"id": "b", "crisis": 2}], "'crisis' holds a number that is none of"),
    "no id": ([{"crisis": True}], "'id' is missing"),
    "an id twice": ([labelled("a"), labelled("b"), labelled("a")], "line 3: has the id of line 1"),
    "unknown category": (
        [labelled("a", SECRET)],
        "line 1: 'categories' holds an unknown one; there are abuse, neglect",
    ),
    "categories beside no crisis": (
        [{"id": "a", "crisis": False, "categories": ["abuse"]}],
        "beside a message that is not",
    ),
    "categories of another kind": ([{"id": "a", "crisis": True, "categories": 3}], "holds a number instead of a list"),
    "not JSON": ([labelled("a"), "{" + SECRET], "line 2: is not valid JSON"),
    "not an object": (["[1]"], "line 1: is an array and no object"),
    "a field twice": (
        ['{"id": "a", "crisis": true, "crisis": false}'],
        "line 1: has an object with the same key twice",
    ),
    "NaN": (['{"id": "a", "crisis": NaN}'], "line 1: is not valid JSON"),
    "answers for labels": ([assessed("a")], "line 1: 'provenance' is a field of answers, not of labels"),
    "another name for the label": ([{"id": "a", "flag": "Y"}], "If one holds the label, say --label-field crisis=NAME"),
    "nothing": ([], "there are no labels"),
    "blank lines only": (["", "  "], "there are no labels"),
}


@pytest.mark.parametrize(("rows", "said"), BAD_LABELS.values(), ids=BAD_LABELS.keys())
def test_bad_labels_are_refused(tmp_path: Path, rows: list[dict[str, object] | str], said: str) -> None:
    with pytest.raises(InputError, match=r"gold\.jsonl") as caught:
        gold(lines(tmp_path / "gold.jsonl", rows))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,crisis\na,true,1\n", "line 2: 3 cells under 2 columns"),
        ("id,crisis\na\n", "line 2: 1 cells under 2 columns"),
        ('id,crisis\na,true\n"b,true\n', "line 3: quotes that do not close"),
        ("id,crisis,crisis\na,true,false\n", "two columns have the same name"),
        ("a,true\nb,false\n", "line 2: 'crisis' is missing; fields: 2, not shown: their names could be a message"),
        ("id;crisis\na;true\n", "the columns are not parted by ','"),
        (b"id,crisis\n\xff,true\n", "not UTF-8"),
        ("", "there are no labels"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    (tmp_path / "g.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"g\.csv") as caught:
        gold(tmp_path / "g.csv")
    assert said in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.txt", b"x", "name a file that ends in"),
        ("b.jsonl.gz", b"no gzip", "not a whole gzip file"),
        ("b.csv.gz", b"no gzip", "cannot be read"),
        ("e.jsonl.gz", b"\x1f\x8b\x08\x00" + bytes(range(60)), "gzip file"),
        (
            "c.jsonl.gz",
            gzip.compress(b"".join(b'{"id":%d,"crisis":true}\n' % n for n in range(99)), mtime=0)[:-20],
            "not a whole gzip file",
        ),
        ("d.parquet", b"PAR1", "cannot be read as Parquet"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            gold(tmp_path / name)
    with pytest.raises(InputError, match="there is no such file"):
        gold(tmp_path / "absent.jsonl")


def test_fields_to_group_by_must_be_there(tmp_path: Path) -> None:
    path = lines(tmp_path / "g.jsonl", [labelled("a", clinic="x"), labelled("b", "abuse", clinic="y", ward="w")])
    assert [row.facets["clinic"] for row in gold(path, facets=["clinic"]).rows.values()] == ["x", "y"]
    assert gold(path, cluster="clinic").cluster_by == "clinic"
    assert gold(path).cluster_by is None
    with pytest.raises(InputError, match="no row has the field 'sex'"):
        gold(path, facets=["sex"])
    with pytest.raises(InputError, match="line 1: has no 'ward'"):
        gold(path, cluster="ward")
    for private in ("text", "id", "ratings"):
        with pytest.raises(InputError, match=f"'{private}' is no property of a message"):
            gold(path, facets=[private])
    with pytest.raises(InputError, match="is a file; a split is chosen from a folder"):
        gold(path, splits=["test"])


def test_a_text_under_another_name_is_no_property(tmp_path: Path) -> None:
    """It would stand in the report for all to read."""
    path = lines(tmp_path / "g.jsonl", [labelled("a", note=f"{SECRET}, {SECRET}, {SECRET}, {SECRET}, {SECRET}")])
    with pytest.raises(InputError, match="line 1: 'note' holds a text and no property") as caught:
        gold(path, facets=["note"])
    assert SECRET not in str(caught.value)


def test_who_labelled_is_said_by_whoever_knows(tmp_path: Path) -> None:
    path = lines(tmp_path / "g.jsonl", [labelled("a")])
    assert gold(path).labelled_by == "not said"
    assert gold(path, labelled_by="two nurses").labelled_by == "two nurses"
    with pytest.raises(InputError, match="in its manifest"):
        read_gold(Path(__file__).parents[2] / "data" / "starter-v1", CATEGORIES, splits=["test"], labelled_by="me")


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=2),
    st.just({}),
)
READERS: dict[str, Callable[[Path], object]] = {
    "labels": gold,
    "answers": run,
    "severities": lambda p: run(p, cut=Cut("high")),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(
                ["id", "crisis", "categories", "severity", "score", "outcome", "fault", "detector", "text"]
            ),
            CELLS,
        ),
        max_size=3,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nonsense_is_read_or_refused(
    tmp_path: Path, rows: list[dict[str, object]], reader: Callable[[Path], object]
) -> None:
    """Whatever a row holds, the reader gives rows or says what is wrong with the input."""
    path = lines(tmp_path / "x.jsonl", rows)
    try:
        reader(path)
    except InputError as error:
        assert str(error).startswith(str(path))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv", "x.jsonl.gz", "x.parquet"])
@given(content=st.binary(max_size=60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    for reader in READERS.values():
        with pytest.raises(InputError):
            reader(tmp_path / name)
