"""Whatever stands in a file, a loader gives rows or an error that names the place; never another exception, never a value."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.datasets.aegis import load_aegis
from crisis_filter.datasets.columns import Columns, load_columns
from crisis_filter.datasets.inspection import inspect
from crisis_filter.datasets.mindguard import load_mindguard
from crisis_filter.datasets.moderation import load_moderation
from crisis_filter.datasets.ratings import Wanted, read_ratings
from crisis_filter.datasets.reading import read_rows
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Record
from tests.datasets.making import row
from tests.strategies import CATEGORIES

MAP = Columns(
    text="prompt",
    label="prompt_label",
    crisis=frozenset({"unsafe", "1", "true", "inf", "nan"}),
    not_crisis=frozenset({"safe", "0", "false"}),
    id="id",
    categories="violated_categories",
    conversation="thread",
)
LOADERS: dict[str, Callable[[Path], object]] = {
    "aegis": load_aegis,
    "columns": lambda path: load_columns(path, MAP),
    "mindguard": lambda path: load_mindguard(path, expected=None),
    "moderation": load_moderation,
    "ratings": lambda path: read_ratings(path, Wanted(CATEGORIES, ("sure",), "author")),
    "rows": read_rows,
    "inspect": lambda path: inspect(path, known=CATEGORIES),
}
# One object that every loader finds something to read in.
GOOD: dict[str, Any] = {
    **row(1, "i am worn out", "suicide"),
    "prompt": "i am worn out",
    "prompt_label": "unsafe",
    "prompt_label_source": "human",
    "violated_categories": "Suicide and Self Harm",
    "reconstruction_id_if_redacted": None,
    "response_label": None,
    "user_message": "i am worn out",
    "annotator_labels": {"a": "safe"},
    "label": "safe",
    "thread": "t",
    "rater": "A",
    "sure": True,
    **dict.fromkeys(("S", "H", "V", "HR", "SH", "S3", "H2", "V2"), 0),
}
TURNS = [{"role": "user", "content": "i am worn out"}]
ROW = {key: GOOD[key] for key in row(1, "")}
SEEDS: dict[str, dict[str, Any]] = {
    "aegis": {key: value for key, value in GOOD.items() if key != "ratings"},
    "columns": {**GOOD, "violated_categories": "suicide"},
    "mindguard": {**GOOD, "prompt": TURNS},
    "moderation": {**GOOD, "SH": 1},
    "ratings": GOOD,
    "rows": {**ROW, "ratings": [{"rater": "A", "crisis": True, "categories": ["suicide"]}]},
    "inspect": ROW,
}
strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [10**400, -(10**400), 2**63, 1.5, float("inf"), float("nan"), "\ud83d", "\0", "", " ", "\u200b", "t"]
    ),
    st.floats(),
    st.text(st.characters(exclude_categories=[]), max_size=5),
)
values = st.recursive(
    strange,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "rater", "crisis", "\udc80", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
slow_start = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def loads(loader: str, path: Path) -> bool:
    """Whether the loader takes the file; any error but the two agreed ones goes through."""
    try:
        found = LOADERS[loader](path)
    except (InputError, ConfigurationError) as error:
        told = str(error)
        assert path.name in told
        assert "canary7731" not in told + repr(error.__cause__) + (
            "" if error.__suppress_context__ else repr(error.__context__)
        )
        return False
    # Whatever was taken can be stored.
    rows = found if isinstance(found, tuple) else (found,)
    for one in rows[0] if isinstance(rows[0], tuple) else rows:
        if isinstance(one, Record):
            json.dumps(one.model_dump(), ensure_ascii=False, default=list).encode()
    return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nonsense")


@pytest.mark.parametrize("loader", LOADERS)
def test_the_seeds_of_this_page_load(loader: str, place: Path) -> None:
    """Otherwise what follows would try nothing but the first check of each loader."""
    path = place / "seed.jsonl"
    path.write_text(json.dumps(SEEDS[loader]) + "\n", encoding="utf-8")
    assert loads(loader, path)


@pytest.mark.parametrize("loader", LOADERS)
@slow_start
@given(
    data=st.binary(max_size=60), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.json.gz", "a.parquet"])
)
def test_any_bytes(loader: str, place: Path, data: bytes, name: str) -> None:
    path = place / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    loads(loader, path)


@pytest.mark.parametrize("loader", LOADERS)
@slow_start
@given(data=st.data())
def test_any_value_in_any_field(loader: str, place: Path, data: st.DataObject) -> None:
    """JSON as Python writes it, so with NaN, infinity and lone surrogates too."""
    seed = SEEDS[loader]
    field = data.draw(st.sampled_from([*seed, "canary7731"]))
    bad = {**seed, "id": "other", field: data.draw(values)}
    path = place / data.draw(st.sampled_from(["b.jsonl", "b.json"]))
    path.write_text(json.dumps(seed) + "\n" + json.dumps(bad) + "\n", encoding="utf-8")
    loads(loader, path)


@pytest.mark.parametrize("loader", ["aegis", "columns", "moderation"])
@slow_start
@given(data=st.data())
def test_any_bytes_amid_a_good_file(loader: str, place: Path, data: st.DataObject) -> None:
    good = (json.dumps(SEEDS[loader]) + "\n").encode() * 2
    at = data.draw(st.integers(0, len(good)))
    path = place / "c.jsonl"
    path.write_bytes(good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 3)) :])
    loads(loader, path)


@slow_start
@given(
    cells=st.lists(st.lists(st.text(max_size=6), min_size=5, max_size=5), max_size=4),
    ending=st.sampled_from(["csv", "tsv"]),
)
def test_any_cells(place: Path, cells: list[list[str]], ending: str) -> None:
    path = place / f"d.{ending}"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if ending == "tsv" else ",")
        writer.writerow(MAP.named)
        writer.writerows(cells)
    loads("columns", path)


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        Decimal("1e30"),
        datetime(2026, 1, 1),  # noqa: DTZ001  # as tables have them
        date(2026, 1, 1),
        float("nan"),
        float("inf"),
        [1, None],
        {"canary7731": 1},
        pa.array([2**53], pa.timestamp("ms")),
        pa.array([2**31 - 1], pa.date32()),
        pa.array([1], pa.time64("ns")),
        pa.array([1], pa.timestamp("ns")),
        pa.array([2**62], pa.duration("us")),
        pa.array([1], pa.float16()),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else type(value).__name__,
)
@pytest.mark.parametrize("field", ["prompt", "prompt_label", "id", "violated_categories", "thread"])
def test_any_kind_of_column_of_parquet(place: Path, field: str, value: Any) -> None:
    """Whatever the column holds, it is a text, a label of the map, or an error."""
    path = place / "e.parquet"
    cells = {name: pa.array([SEEDS["columns"][name]]) for name in MAP.named}
    cells[field] = value if isinstance(value, pa.Array) else pa.array([value])
    pq.write_table(pa.table(cells), path)
    for loader in ("columns", "aegis", "moderation", "mindguard"):
        loads(loader, path)


@slow_start
@given(at=st.integers(0, 4000), data=st.binary(min_size=1, max_size=4))
def test_any_bytes_amid_a_good_table(place: Path, at: int, data: bytes) -> None:
    path = place / "f.parquet"
    pq.write_table(pa.Table.from_pylist([SEEDS["aegis"], SEEDS["aegis"]]), path, compression="none")
    whole = path.read_bytes()
    at %= len(whole)
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])
    loads("aegis", path)


def test_a_column_twice(place: Path) -> None:
    """Which of the two holds the label nobody knows."""
    path = place / "g.parquet"
    pq.write_table(pa.table([["p"], ["safe"], ["unsafe"]], names=["prompt", "prompt_label", "prompt_label"]), path)
    with pytest.raises(InputError, match="a column twice"):
        load_columns(path, Columns(text="prompt", label="prompt_label", crisis=MAP.crisis, not_crisis=MAP.not_crisis))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1E400"])
def test_a_number_too_large_for_the_machine(place: Path, number: str) -> None:
    """Names file, line and column, never the value; also where the map knows the word for it."""
    path = place / "h.jsonl"
    path.write_text('{"prompt": "p", "prompt_label": 1}\n{"prompt": "q", "prompt_label": ' + number + "}\n")
    plain = Columns(text="prompt", label="prompt_label", crisis=MAP.crisis, not_crisis=MAP.not_crisis)
    with pytest.raises(InputError, match=r"h\.jsonl: line 2: field 'prompt_label' holds a number") as caught:
        load_columns(path, plain)
    assert "e999" not in str(caught.value)
    assert "inf" not in str(caught.value)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_names_of_files_that_are_no_text(place: Path, ending: str) -> None:
    """Systems allow names that are no UTF-8; what is made of them can be stored."""
    path = place / f"i\udcff.{ending}"
    seed = {"prompt": "p", "prompt_label": "safe"}
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist([seed]), place / "i.parquet")
        (place / "i.parquet").rename(path)
    else:
        path.write_text(json.dumps(seed) if ending == "jsonl" else "prompt,prompt_label\np,safe\n", encoding="utf-8")
    plain = Columns(text="prompt", label="prompt_label", crisis=MAP.crisis, not_crisis=MAP.not_crisis)
    (found,) = load_columns(path, plain)
    assert (found.source + found.id).encode()


@pytest.mark.parametrize(
    ("loader", "field", "value"),
    [
        ("mindguard", "annotator_labels", {"\ud83d": "safe"}),
        ("aegis", "response_label", "\ud83d"),
        ("aegis", "prompt", "\ud83d"),
        ("moderation", "prompt", "\ud83d"),
        ("columns", "thread", "\ud83d"),
    ],
)
def test_half_a_surrogate_pair_can_be_stored_or_is_refused(place: Path, loader: str, field: str, value: Any) -> None:
    """A label or a name is as likely to hold one as a text."""
    path = place / "j.jsonl"
    path.write_text(json.dumps(SEEDS[loader] | {field: value}) + "\n", encoding="utf-8")
    assert loads(loader, path)
