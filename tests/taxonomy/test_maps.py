"""Maps from other systems' labels: every bundled one holds together, and a wrong one is refused by name and place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from crisis_filter.assets import find, names
from crisis_filter.backends.moderation import CATEGORIES
from crisis_filter.baselines.offline import NAMES as OFFLINE
from crisis_filter.baselines.registry import KNOWN
from crisis_filter.errors import AssetError
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import load_map, map_names

OURS = load_taxonomy("clinical-v1").ids
ALL = [load_map(name) for name in map_names()]


@pytest.mark.parametrize("name", map_names())
def test_every_map_loads_and_marks_all_categories(name: str) -> None:
    """In the taxonomy's order, with a source that says when it was read."""
    found = load_map(name)
    assert tuple(found.scope) == OURS
    assert all(source.url.startswith("https://") for source in found.sources)
    assert set(found.in_scope()) == {category for label in found.labels for category in label.ours}


@pytest.mark.parametrize("detector", [*KNOWN, *OFFLINE])
def test_every_baseline_has_one_map(detector: str) -> None:
    """A detector's name, as it stands in provenance, leads to the map that serves it, and to no second one."""
    assert detector in load_map(detector).detectors
    assert sum(detector in found.detectors for found in ALL) == 1


@pytest.mark.parametrize(
    ("name", "label", "ours"),
    [
        ("openai-moderation", "self-harm/intent", {"suicide", "self_harm", "eating_disorder"}),
        ("openai-moderation", "violence", {"violence", "abuse"}),
        ("openai-moderation", "illicit", set()),
        ("nemoguard-8b", "S6", {"suicide", "self_harm"}),
        ("nemoguard-8b", "S13", set()),
        ("llama-guard-3", "S11", {"suicide", "self_harm", "eating_disorder"}),
        ("llama-guard-3", "S1", {"violence", "abuse"}),
        ("qwen3guard", "Suicide & Self-Harm", {"suicide", "self_harm"}),
        ("qwen3guard", "Non-violent Illegal Acts", {"substance_misuse"}),
        ("mindguard", "S2", {"violence", "abuse", "neglect"}),
        ("granite-guardian", "harm", set()),
        ("bh-sentinel-core", "SH-007", {"self_harm"}),
        ("bh-sentinel-core", "PF-001", set()),
    ],
)
def test_labels_read_as_the_table_says(name: str, label: str, ours: set[str]) -> None:
    """A few of each, as the documentation of the system has them."""
    assert set(load_map(name).ours((label,))) == ours


def test_labels_together_give_each_category_once_in_order() -> None:
    """And a word that is no label gives nothing."""
    found = load_map("llama-guard-3-8b")
    assert found.ours(("S11", "S1", "S11", "nothing")) == (
        "abuse",
        "eating_disorder",
        "self_harm",
        "suicide",
        "violence",
    )
    assert found.ours(()) == found.ours(("nothing",)) == ()


def test_vocabularies_are_whole() -> None:
    """Of the endpoint its thirteen keys; where our categories are asked for, all of them in order."""
    assert load_map("openai-moderation").vocabulary == set(CATEGORIES)
    for name in ("llama-guard-3-custom", "gpt-oss-safeguard"):
        assert tuple(category for label in load_map(name).labels for category in label.ours) == OURS
    assert [label.id for label in load_map("llama-guard-3-custom").labels] == [f"S{n}" for n in range(1, 9)]
    assert load_map("granite-guardian").vocabulary == {*OURS, "harm"}


def test_the_folder_is_no_taxonomy() -> None:
    """Whoever lists taxonomies does not meet it, and whoever asks for it as one is told."""
    assert "maps" not in names("categories")
    with pytest.raises(AssetError, match=r"taxonomy\.yaml"):
        load_taxonomy("maps")


def _written(folder: Path, **changes: object) -> str:
    fields = yaml.safe_load(find("categories/maps", "mindguard", ".yaml").read_text(encoding="utf-8"))
    path = folder / f"{changes.pop('name', 'mindguard')}.yaml"
    path.write_text(yaml.safe_dump(fields | changes), encoding="utf-8")
    return str(path)


_SCOPE = dict.fromkeys(OURS, "none") | dict.fromkeys(("suicide", "self_harm", "violence", "abuse", "neglect"), "direct")
_S1 = {"id": "S1", "name": "x", "ours": ["suicide", "self_harm"]}
_S2 = {"id": "S2", "name": "x", "ours": ["violence", "abuse", "neglect"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"surprise": 1}, "surprise"),
        ({"id": "other"}, "'id' must equal the file name"),
        ({"taxonomy": "nothing-v1"}, "there is no 'nothing-v1'"),
        ({"scope": {**_SCOPE, "boredom": "none"}}, "boredom is no category"),
        ({"scope": {c: m for c, m in _SCOPE.items() if c != "psychosis"}}, "no mark for psychosis"),
        ({"scope": {**_SCOPE, "suicide": "none"}}, "scope.suicide is 'none', but a label stands for it"),
        ({"scope": {**_SCOPE, "psychosis": "partial"}}, "scope.psychosis is 'partial', but no label stands for it"),
        ({"scope": {**_SCOPE, "suicide": "mostly"}}, "scope.suicide"),
        ({"labels": [_S1, {**_S2, "ours": [*_S2["ours"], "boredom"]}]}, "boredom"),
        ({"labels": [_S1, _S1, _S2]}, "labels repeat an id"),
        ({"labels": [{**_S1, "surprise": 1}, _S2]}, "labels.0.surprise"),
        ({"labels": []}, "labels"),
        ({"sources": [{"url": "https://example.org", "looked_at": "some day"}]}, "sources.0.looked_at"),
        ({"detectors": []}, "detectors"),
    ],
)
def test_a_wrong_map_is_refused_by_file_and_field(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    """Nothing in it is guessed or passed over."""
    with pytest.raises(AssetError) as caught:
        load_map(_written(tmp_path, **changes))
    assert said in str(caught.value)
    if "nothing-v1" not in said:
        assert "mindguard.yaml" in str(caught.value)


def test_a_map_of_ones_own_is_read_from_its_path(tmp_path: Path) -> None:
    """And an unknown name tells which there are."""
    path = _written(tmp_path, name="ours", id="ours", labels=[_S1, _S2])
    assert load_map(path).ref.id == "maps/ours"
    with pytest.raises(AssetError, match="llama-guard-3"):
        load_map("nothing")
