"""Sealed bodies open where they belong, whole, under their key, and nowhere else; ids become pseudonyms that collide with nothing."""

from __future__ import annotations

import base64
import os
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import ConfigurationError, StoreError
from crisis_filter.store.keyring import Keyring, SealError, sealing_context
from tests.store.trust import CANARY, PHONE, ring
from tests.strategies import texts

plains = st.binary(max_size=200)
KINDS = ("message", "assessment", "note", "endpoint")
contexts = st.builds(sealing_context, texts, texts, st.sampled_from(KINDS), st.integers(0, 9))


@given(plain=plains, context=contexts)
def test_what_is_sealed_opens_again(plain, context):
    """Any bytes, in any place; and two sealed bodies of the same bytes are not alike."""
    keys = ring("old", "new")
    key_id, body = keys.seal(plain, context=context)
    assert key_id == "new"
    assert keys.open(key_id, body, context=context) == plain
    assert keys.seal(plain, context=context)[1] != body


@given(plain=plains, context=contexts, data=st.data())
def test_any_changed_bit_is_refused(plain, context, data):
    """The form, the nonce, the body and the tag."""
    keys = ring("a")
    _, body = keys.seal(plain, context=context)
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        keys.open("a", bytes(changed), context=context)


@given(plain=plains, context=contexts, data=st.data())
def test_any_shortened_body_is_refused(plain, context, data):
    keys = ring("a")
    _, body = keys.seal(plain, context=context)
    with pytest.raises(SealError):
        keys.open("a", body[: data.draw(st.integers(0, len(body) - 1))], context=context)


@given(plain=plains, here=contexts, there=contexts)
def test_a_body_opens_in_its_own_place_alone(plain, here, there):
    """A text that is moved to another message, tenant, kind or revision is refused."""
    keys = ring("a")
    _, body = keys.seal(plain, context=here)
    if here == there:
        assert keys.open("a", body, context=there) == plain
    else:
        with pytest.raises(SealError):
            keys.open("a", body, context=there)


places = st.tuples(texts, texts, st.sampled_from(KINDS), st.integers(0, 9))


@given(here=places, there=places)
def test_different_places_have_different_contexts(here, there):
    """However the names are cut: "ab"+"c" is not "a"+"bc"."""
    assert (sealing_context(*here) == sealing_context(*there)) == (here == there)
    tenant, owner, kind, revision = here
    assert (
        sealing_context(tenant + owner, "", kind, revision) != sealing_context(tenant, owner, kind, revision)
        or not owner
    )


def test_another_key_and_a_key_that_is_missing_are_refused():
    _, body = ring("a").seal(b"x", context=b"c")
    for keys in (ring("b"), Keyring.unsealed(b"p" * 32)):
        with pytest.raises(SealError, match="not on the ring"):
            keys.open("a", body, context=b"c")
    other = Keyring(current="a", keys={"a": b"o" * 32}, pseudonym_key=b"p" * 32)
    with pytest.raises(SealError, match="altered"):
        other.open("a", body, context=b"c")


def test_without_a_key_texts_lie_open_and_a_ring_opens_them_still():
    plain, context = CANARY.encode(), b"c"
    key_id, body = Keyring.unsealed(b"p" * 32).seal(plain, context=context)
    assert (key_id, body) == (None, plain)
    assert ring("a").open(None, body, context=context) == plain


ids = st.tuples(texts, texts, texts)


@given(one=ids, other=ids)
def test_pseudonyms_are_alike_where_everything_is(one, other):
    """Other tenants and kinds have other pseudonyms for the same id, and no two ways to cut the same letters meet."""
    keys = ring("a")
    assert (keys.pseudonym(*one) == keys.pseudonym(*other)) == (one == other)
    tenant, kind, value = one
    cut = (tenant + kind, value, "") if kind or value else (tenant + "x", kind, value)
    assert keys.pseudonym(*cut) != keys.pseudonym(*one) or cut == one
    assert keys.mac(value) != keys.pseudonym(tenant, kind, value)


def test_a_pseudonym_cannot_be_guessed_from_a_list_of_numbers():
    """A plain hash of a telephone number is undone by trying all numbers; without the key that leads nowhere."""
    mine, theirs = ring("a"), Keyring(current=None, keys={}, pseudonym_key=b"q" * 32)
    wanted = mine.pseudonym("clinic", "subject", "555-0123")
    tried = {theirs.pseudonym("clinic", "subject", f"555-{n:04d}") for n in range(10_000)}
    assert wanted not in tried
    assert wanted == mine.pseudonym("clinic", "subject", "555-0123")
    assert len(wanted) == 64


@pytest.mark.parametrize(
    ("current", "keys", "pseudonyms", "words"),
    [
        ("a", {"a": b"x" * 31}, b"p" * 32, "32 bytes"),
        ("a", {"a": b"x" * 32}, b"p" * 16, "32 bytes"),
        ("a", {"a": b"x" * 32}, b"x" * 32, "twice"),
        ("b", {"a": b"x" * 32}, b"p" * 32, "not among"),
        ("A b", {"A b": b"x" * 32}, b"p" * 32, "id of a key"),
        ("a" * 33, {"a" * 33: b"x" * 32}, b"p" * 32, "id of a key"),
    ],
)
def test_a_ring_that_is_wrong_is_refused(current, keys, pseudonyms, words):
    with pytest.raises(ConfigurationError, match=words):
        Keyring(current=current, keys=keys, pseudonym_key=pseudonyms)


def coded(key: bytes) -> str:
    return base64.b64encode(key).decode()


SECRET, OTHER = coded(b"canary7731".ljust(32, b"k")), coded(b"heron5520".ljust(32, b"p"))
GOOD = f'current = "a"\npseudonyms = "{OTHER}"\n[keys]\na = "{SECRET}"\n'
BAD = {
    "no TOML": f"{SECRET} =",
    "not UTF-8": GOOD + "# \udcff",
    "no pseudonyms": f'current = "a"\n[keys]\na = "{SECRET}"\n',
    "not Base64": GOOD.replace(SECRET, f"!{SECRET}"),
    "too short": GOOD.replace(SECRET, coded(b"canary7731")),
    "a key that is no string": GOOD.replace(f'"{SECRET}"', "7731"),
    "keys that are no table": f'keys = "{SECRET}"\npseudonyms = "{OTHER}"',
    "something more": f'more = "{SECRET}"\n{GOOD}',
    "a current key that is none": GOOD.replace('current = "a"', f'current = "{SECRET}"'),
    "empty": "",
}


def file_of(tmp_path, content: str, mode: int = 0o600):
    path = tmp_path / "keys.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
    return path


def test_a_file_of_keys_is_read(tmp_path):
    keys = Keyring.from_toml(file_of(tmp_path, GOOD))
    assert (keys.current, coded(keys.keys["a"]), coded(keys.pseudonym_key)) == ("a", SECRET, OTHER)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_of_keys_is_refused_without_a_key(name, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        Keyring.from_toml(file_of(tmp_path, BAD[name]))
    told = "".join(traceback.format_exception(caught.value))
    assert "keys.toml" in told
    for secret in (SECRET, OTHER, "canary7731", "7731"):
        assert secret not in told.replace(str(tmp_path), "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_file_of_keys_that_others_may_touch_is_refused(mode, tmp_path):
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Keyring.from_toml(file_of(tmp_path, GOOD, mode))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none"):
        with pytest.raises(ConfigurationError, match=path.name):
            Keyring.from_toml(path)


def test_no_repr_and_no_error_shows_a_key_or_a_text():
    keys = Keyring(current="a", keys={"a": CANARY.ljust(32, "k").encode()}, pseudonym_key=PHONE.ljust(32, "p").encode())
    shown = [repr(keys), str(keys), f"{keys}"]
    key_id, body = keys.seal(CANARY.encode(), context=PHONE.encode())
    for given_id, given_body, context in (
        ("z", body, b"c"),
        (key_id, body, b"other"),
        (key_id, b"\x01" + CANARY.encode(), b"c"),
    ):
        with pytest.raises(StoreError) as caught:
            keys.open(given_id, given_body, context=context)
        # The lines of a trace, not the source code beside them.
        shown.append(str(caught.value) + repr(caught.value))
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not any(CANARY in text or PHONE in text or "a0" in text for text in shown)
    assert repr(keys) == "Keyring(current='a', keys=['a'])"
