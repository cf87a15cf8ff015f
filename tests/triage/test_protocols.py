"""Protocol packs: loaded strictly, with sources, and honest about who has reviewed them."""

from __future__ import annotations

import re

import pytest

from crisis_filter.assets import find
from crisis_filter.errors import AssetError
from crisis_filter.triage.protocols import load_protocols

TEXT = find("policies", "protocols-v1", ".toml").read_text(encoding="utf-8")


def test_the_released_protocols_say_that_nobody_has_reviewed_them():
    """Until somebody does, who then is named."""
    pack = load_protocols("protocols-v1")
    assert pack.ids == {"safety-planning", "duty-to-protect", "mandated-reporting", "read-it-yourself", "outage"}
    assert all(protocol.reviewed_by is None and protocol.reviewed_on is None for protocol in pack.protocols)
    assert "NO CLINICIAN HAS REVIEWED" in TEXT
    assert pack.ref.id == "protocols-v1"


def test_every_kind_of_harm_has_a_protocol():
    """Towards oneself, others, of those who depend on others, and unknown."""
    assert {protocol.harm for protocol in load_protocols("protocols-v1").protocols} == {
        "self",
        "others",
        "dependent",
        "unknown",
    }


def test_the_protocols_name_no_place_and_no_number():
    """The law differs from place to place; numbers are for the resource pack, where they have a date."""
    for protocol in load_protocols("protocols-v1").protocols:
        words = " ".join((*protocol.first, *protocol.next, *protocol.never))
        assert not re.search(r"[0-9]", words)
        assert not re.search(r"\b(911|988|999|112|HIPAA|California|state law|federal|United States|England)\b", words)
        assert len(words.split()) < 300


def test_an_id_gives_its_protocol():
    """And nothing where there is none."""
    pack = load_protocols("protocols-v1")
    found = pack.get("outage")
    assert found is not None
    assert found.harm == "unknown"
    assert pack.get("outrage") is None
    assert pack.get(None) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("https://doi.org/10.1016", "http://doi.org/10.1016", "address"),
        ('id = "outage"', 'id = "duty-to-protect"', "ids repeat"),
        ('harm = "self"', 'harm = "selves"', "harm"),
        ('harm = "self"', 'harm = "self"\nsurprise = 1', "surprise"),
        ('harm = "self"', 'harm = "self"\nreviewed_on = "yesterday"', "isoformat"),
        ('harm = "self"', 'harm = "self"\nreviewed_by = " "', "reviewed_by"),
        ("version = 1", "version = ", "not valid TOML"),
        ("version = 1", "version = 0", "version"),
        (TEXT[TEXT.rindex("[[protocols.sources]]") :], "", "sources"),
        ('title = "The filter could not judge', 'titel = "The filter could not judge', "title|titel"),
    ],
)
def test_a_malformed_pack_is_refused(tmp_path, old, new, says):
    """With file and field."""
    assert old in TEXT
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(AssetError, match=says):
        load_protocols(str(path))


def test_a_pack_that_is_not_there_is_refused():
    """It names those that are."""
    with pytest.raises(AssetError, match="protocols-v1"):
        load_protocols("protocols-v9")
