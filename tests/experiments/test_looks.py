"""The ledger of looks: one chain whoever writes, and whose ledger a file of a data set is in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crisis_filter import assets
from crisis_filter.errors import InputError
from crisis_filter.experiments.items import Part, part_of, read_data
from crisis_filter.experiments.looks import LOOKS, Look, Looks, ledger_beside
from crisis_filter.experiments.plan import Tests as Chosen
from tests.experiments.trying import messages


def look(reason: str) -> Look:
    return Look(
        at="2026-11-20T10:00:00+00:00",
        data="d",
        split="test",
        data_sha256=("ab",),
        experiment="cd",
        variants=("v",),
        items=3,
        reason=reason,
        version="0",
    )


def test_runs_that_begin_at_once_make_one_chain(tmp_path: Path) -> None:
    """Each opened the ledger before any of the others wrote."""
    path = tmp_path / LOOKS
    opened = [Looks(path) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda at: opened[at].add(look(str(at))), range(6)))
    assert sorted(one.reason for one in Looks(path).records) == ["0", "1", "2", "3", "4", "5"]


def test_reading_takes_no_look_away(tmp_path: Path) -> None:
    """A last look without its line's end counts, stays, and is chained to; half a look is refused and stays as well."""
    path = tmp_path / LOOKS
    for reason in ("one", "two"):
        Looks(path).add(look(reason))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    before = path.read_bytes()
    assert [one.reason for one in Looks(path).records] == ["one", "two"]
    assert path.read_bytes() == before
    Looks(path).add(look("three"))
    assert [one.reason for one in Looks(path).records] == ["one", "two", "three"]
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    with pytest.raises(InputError, match="line 3"):
        Looks(path)
    assert path.read_bytes() == before


def data_set(folder: Path, **part: Any) -> Path:
    """A folder with a manifest that lists its one file."""
    folder.mkdir()
    path = messages(folder)
    listed = {"file": path.name, "sha256": assets.file_sha256(path), **part}
    (folder / "manifest.json").write_text(json.dumps({"id": "set-v1", "parts": [listed]}))
    return path


@pytest.mark.parametrize(
    ("part", "splits"),
    [
        ({"split": "test"}, ("test",)),
        ({"split": "test", "file": "another.jsonl"}, ("test",)),
        ({"split": "test", "sha256": "0"}, ("test",)),
        ({"splits": {"development": {}, "test": {}}}, ("development", "test")),
    ],
    ids=["both", "by its hash", "by its name", "several"],
)
def test_a_file_of_a_data_set_is_what_its_manifest_says(
    tmp_path: Path, part: dict[str, Any], splits: tuple[str, ...]
) -> None:
    """Calling a locked file development is refused; its ledger is the one of the whole set."""
    path = data_set(tmp_path / "set", **part)
    assert part_of(path) == Part("set-v1", splits)
    assert ledger_beside(path) == ledger_beside(path.parent) == tmp_path / LOOKS
    with pytest.raises(InputError, match=r"in the data set set-v1, not for (development|training)"):
        read_data(Chosen(data=str(path), split="training" if len(splits) > 1 else "development"), ["suicide"])


def test_the_split_it_has_is_taken(tmp_path: Path) -> None:
    """And so is a file that the manifest beside it does not list, with a ledger of its own."""
    path = data_set(tmp_path / "set", split="test")
    assert len(read_data(Chosen(data=str(path), split="test"), ["suicide"]).items) == 8
    own = path.with_name("own.jsonl")
    own.write_text(path.read_text() + '{"id": "x", "text": "hello", "crisis": false}\n')
    assert part_of(own) is None
    assert ledger_beside(own) == own.parent / LOOKS
    assert len(read_data(Chosen(data=str(own), split="development"), ["suicide"]).items) == 9
    (path.parent / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="nobody knows"):
        read_data(Chosen(data=str(own), split="development"), ["suicide"])
