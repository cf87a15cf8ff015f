from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.errors import AssetError
from crisis_filter.local import artifact
from crisis_filter.local.artifact import CARD, MODEL, VOCABULARY, bundled, read
from crisis_filter.local.engine import LocalEngine
from crisis_filter.taxonomy.load import load_taxonomy

LIMIT_BYTES = 50_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundled(), tmp_path / "engine"))


def _edit(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    (folder / CARD).write_text(json.dumps(card | changes), encoding="utf-8")


def test_the_bundled_engine_is_whole_and_small() -> None:
    """The engine in the package passes its own checks, has the taxonomy's labels and stays under 25 MB."""
    contents = read(bundled())
    assert contents.card.labels == ("crisis", *load_taxonomy("clinical-v1").ids)
    assert sum(path.stat().st_size for path in bundled().iterdir()) < LIMIT_BYTES


def test_figures_come_with_their_counts_and_who_labelled() -> None:
    """Each proportion on the card has its n and interval, and the card says who gave the labels."""
    figures = read(bundled()).card.figures
    assert "no clinician" in str(figures["labelled_by"])
    for split in ("development", "test"):
        of_split = figures[split]
        assert isinstance(of_split, dict)
        for name in ("sensitivity", "specificity"):
            entry = of_split[name]
            assert isinstance(entry, dict)
            assert {"count", "n", "low", "high"} <= set(entry)


@pytest.mark.parametrize("name", [MODEL, VOCABULARY])
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    """One changed byte in the network or the vocabulary stops the engine from loading."""
    blob = bytearray((folder / name).read_bytes())
    blob[len(blob) // 2] ^= 1
    (folder / name).write_bytes(bytes(blob))
    with pytest.raises(AssetError, match="altered"):
        LocalEngine.load(folder)


@pytest.mark.parametrize("name", [CARD, MODEL, VOCABULARY])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    """A folder that lacks one of its three files is named and refused."""
    (folder / name).unlink()
    with pytest.raises(AssetError, match=name):
        LocalEngine.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"labels": ["abuse", "crisis"]},
        {"labels": ["crisis", "abuse", "abuse"]},
        {"thresholds": [0.5]},
        {"thresholds": [0.0] * 9},
        {"files": {"model.onnx": "0" * 64}},
        {"overlap": 126},
        {"window": 130},
        {"window": 20, "overlap": 18},
        {"buckets": 64, "alone": False},
        {"surprise": 1},
    ],
)
def test_a_malformed_card_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    """A card that contradicts itself or has an unknown field is an error, not a guess."""
    _edit(folder, **changes)
    with pytest.raises(AssetError, match="missing or wrong"):
        read(folder)


def test_a_vocabulary_that_is_not_text_is_refused(folder: Path) -> None:
    """Hashes that match don't make bytes a vocabulary."""
    (folder / VOCABULARY).write_bytes(b"\xff\xfe\xff")
    _edit(folder, files=artifact.file_hashes(folder))
    with pytest.raises(AssetError, match="UTF-8"):
        read(folder)


@pytest.mark.parametrize("blob", [b"", b"not a network"])
def test_a_file_that_is_no_network_is_refused(folder: Path, blob: bytes) -> None:
    """Hashes that match don't make bytes a network."""
    (folder / MODEL).write_bytes(blob)
    _edit(folder, files=artifact.file_hashes(folder))
    with pytest.raises(AssetError, match="cannot be loaded"):
        LocalEngine.load(folder)


def test_changing_a_threshold_changes_the_identity(folder: Path) -> None:
    """Provenance tells two engines apart that differ in a threshold only."""
    before = read(folder).sha256
    _edit(folder, thresholds=[0.5] * 9)
    assert read(folder).sha256 != before


def test_an_unknown_engine_is_named_with_the_known_ones() -> None:
    """Asking for an engine that is not there says which are."""
    with pytest.raises(AssetError, match="starter-v1"):
        bundled("nothing-v0")
