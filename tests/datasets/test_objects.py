"""Files of objects are read whole and strictly, or refused with the place and never the text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crisis_filter.datasets.gold import Gold
from crisis_filter.datasets.objects import read_lines, read_objects
from crisis_filter.errors import InputError

ROWS = [{"prompt": "where is my refill", "n": 1}, {"prompt": "canary7731", "n": None}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "data", "numbers"),
    [
        ("a.jsonl", LINES, [1, 2]),
        ("a.v2.ndjson", b"\n" + LINES, [2, 3]),
        ("a.jsonl.gz", gzip.compress(LINES, mtime=0), [1, 2]),
        ("a.json", LINES, [1, 2]),
        ("a.json", json.dumps(ROWS, indent=1).encode(), [1, 2]),
        ("a.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode(), [1, 2]),
        ("a.JSON.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0), [1, 2]),
        ("a.parquet", None, [1, 2]),
    ],
)
def test_one_table_in_every_format_gives_the_same_objects(
    tmp_path: Path, name: str, data: bytes | None, numbers: list[int]
) -> None:
    """Blank lines count as lines and not as objects."""
    path = tmp_path / name
    _parquet(path) if data is None else path.write_bytes(data)
    found = list(read_objects(path))
    assert [dict(entry.fields) for entry in found] == ROWS
    assert [entry.number for entry in found] == numbers
    assert found[0].source == f"{name}:{numbers[0]}"
    assert "canary7731" not in repr(found)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.jsonl", LINES + b'{"prompt": canary7731}\n', "line 3: is not valid JSON"),
        ("a.jsonl", LINES + b'{"canary7731": "x", "canary7731": "y"}', "line 3: has an object with the same key twice"),
        ("a.jsonl", b'["canary7731"]', "line 1: is an array and no object"),
        ("a.jsonl", b'"canary7731"', "line 1: is a text and no object"),
        ("a.jsonl", b'{"canary7731":' * 100_000, "line 1: is not valid JSON"),
        ("a.jsonl", b'{"prompt": "canary7731 \xff"}', "line 1 has bytes that are not UTF-8"),
        ("a.json", b'["canary7731"]', "row 1 is a text and no object"),
        ("a.json", b'[{"prompt": "canary7731"}', "is not valid JSON"),
        ("a.json", b'[{"prompt": "canary7731\xff"}]', "has bytes that are not UTF-8"),
        ("a.jsonl.gz", LINES, "not a whole gzip"),
        ("a.jsonl.gz", gzip.compress(LINES, mtime=0)[:-9], "not a whole gzip"),
        ("a.parquet", LINES, "cannot be read as Parquet"),
        ("a.csv", LINES, "name a file that ends in"),
        ("a.gz", gzip.compress(LINES, mtime=0), "name a file that ends in"),
        ("a", LINES, "name a file that ends in"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    """The error names file and line and what to do, and carries no word of the file, nor does its cause."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=what) as caught:
        list(read_objects(path))
    assert str(path) in str(caught.value)
    assert "canary7731" not in str(caught.value)
    assert "canary7731" not in repr(caught.value.__context__)


@pytest.mark.parametrize("name", ["none.jsonl", "none.json.gz", "none.parquet"])
def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: cannot be read: there is no such file"):
        list(read_objects(tmp_path / name))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_lines(tmp_path))


def test_numbers_that_are_no_numbers_are_missing(tmp_path: Path) -> None:
    """A gap in a table comes as NaN, from JSON and from Parquet alike."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": NaN}\n{"n": Infinity}\n')
    table = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [float("nan"), float("inf")]}), table)
    for file in (path, table):
        assert [entry.fields["n"] for entry in read_objects(file)] == [None, None]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'{"n": NaN}', "line 2: is not valid JSON"),
        (b'{"n": [-Infinity]}', "line 2: is not valid JSON"),
        (b'{"n": 1e999}', "line 2: is not valid JSON"),
        (rb'{"n": "canary7731 \ud83d"}', "line 2: has characters that are no text"),
        (rb'{"\udc00": 1}', "line 2: has characters that are no text"),
        (b'{"n": {"a": 1, "a": 1}}', "line 2: has an object with the same key twice"),
    ],
)
def test_our_own_form_has_no_gaps_to_fill(tmp_path: Path, data: bytes, what: str) -> None:
    """Read strictly, whatever the ending, packed or not."""
    for path, wrap in ((tmp_path / "ratings", bytes), (tmp_path / "a.txt.gz", gzip.compress)):
        path.write_bytes(wrap(rb'{"n": "\ud83d\ude42", "m": 1.5}' + b"\n" + data))
        entries = read_lines(path)
        assert dict(next(entries).fields) == {"n": "\U0001f642", "m": 1.5}
        with pytest.raises(InputError, match=what) as caught:
            next(entries)
        assert "canary7731" not in str(caught.value) + repr(caught.value.__context__)


def test_a_lone_surrogate_becomes_a_character_that_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rb'{"prompt": "a\ud83d"}')
    assert next(read_objects(path)).text("prompt") == "a\ufffd"


@pytest.mark.parametrize(
    "change",
    [
        {"crisis": "no"},
        {"crisis": 0},
        {"crisis": None},
        {"crisis": False, "categories": ("suicide",)},
        {"crisis": True, "categories": ()},
        {"conversation": "c"},
        {"turn": 1},
        {"context": ("earlier",)},
        {"id": ""},
    ],
)
def test_gold_that_contradicts_itself_cannot_be_made(change: dict[str, object]) -> None:
    """A word or a number is never read as a label, and the error shows no text."""
    good: dict[str, object] = {
        "id": "a",
        "text": "canary7731",
        "crisis": True,
        "categories": None,
        "source": "s a.jsonl:1",
        "labels": {"x": 1},
    }
    assert "canary7731" not in repr(Gold.model_validate(good))
    with pytest.raises(ValueError, match="Gold") as caught:
        Gold.model_validate(good | change)
    assert "canary7731" not in str(caught.value)
