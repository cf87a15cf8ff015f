"""The keys of a store: texts are sealed under them, ids become pseudonyms by them.

A text is sealed by AES-256-GCM, bound to the row it lies in, so that it opens nowhere else. An id, which can be a telephone number and so could
be guessed from any plain hash, is kept as HMAC-SHA-256 under a key of its own. That key is never changed: the same id has to become the
same pseudonym for as long as the store lives.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crisis_filter.errors import ConfigurationError, StoreError
from crisis_filter.store.records import Entropy

__all__ = ["KEY_BYTES", "Keyring", "SealError", "Sealing", "decoded", "read_private", "sealing_context"]

Sealing = Literal["message", "assessment", "note", "endpoint"]
"""What is sealed: a kind of `texts`, or the secrets of an endpoint."""

KEY_BYTES = 32
_NONCE = 12
_TAG = 16
_FORM = b"\x01"
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# Far above any file of keys.
_LARGEST_FILE = 1024 * 1024


class SealError(StoreError):
    """Something sealed does not open: its key is not on the ring, it was altered, or it lies in another's place. Carries no text."""


def sealing_context(tenant: str, owner: str, kind: Sealing, revision: int = 0) -> bytes:
    """What a sealed body is bound to.

    Args:
        tenant: whose it is.
        owner: the message's id of ours, or the endpoint's.
        kind: what it is.
        revision: of the decision or reading it belongs to; 0 for a message and an endpoint.
    """
    return _joined(tenant, owner, kind, str(revision))


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """The keys of one store. Its repr names the keys and shows none.

    A key may seal 2**32 bodies, because nonces are drawn at random; rotate before.

    Args:
        current: id of the key that seals; `None` where texts lie open.
        keys: all keys by id, 32 bytes each; those beside the current one only open what was sealed before.
        pseudonym_key: 32 bytes.
        entropy: where nonces come from.

    Raises:
        ConfigurationError: an id or a key is malformed, a key is there twice, or the current one is missing.
    """

    current: str | None
    keys: Mapping[str, bytes]
    pseudonym_key: bytes
    entropy: Entropy = secrets.token_bytes
    _ciphers: Mapping[str, AESGCM] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for key_id in self.keys:
            if not _KEY_ID.fullmatch(key_id):
                raise ConfigurationError(
                    "the id of a key has 1 to 32 characters of a-z, 0-9, - and _, and begins with a letter or digit"
                )
        everything = (*self.keys.values(), self.pseudonym_key)
        if any(len(key) != KEY_BYTES for key in everything):
            raise ConfigurationError(f"every key of a store has {KEY_BYTES} bytes")
        if len(set(everything)) != len(everything):
            raise ConfigurationError("the same key is on the ring twice")
        if self.current is not None and self.current not in self.keys:
            raise ConfigurationError("the key that is to seal is not among the keys")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))
        object.__setattr__(self, "_ciphers", {key_id: AESGCM(key) for key_id, key in self.keys.items()})

    def __repr__(self) -> str:
        return f"Keyring(current={self.current!r}, keys={sorted(self.keys)!r})"

    @classmethod
    def unsealed(cls, pseudonym_key: bytes) -> Self:
        """A ring that leaves texts open."""
        return cls(current=None, keys={}, pseudonym_key=pseudonym_key)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """The ring in a file, such as `crisis-filter store keygen FILE` makes: `current`, `pseudonyms` and a table `keys`, in Base64.

        Raises:
            ConfigurationError: it cannot be read, others than its owner may read it, or something in it is wrong. No key is told.
        """
        try:
            found = tomllib.loads(read_private(path).decode())
        except ValueError:
            raise ConfigurationError(f"{path}: is no TOML; make one with: crisis-filter store keygen FILE") from None
        keys, current = found.pop("keys", {}), found.pop("current", None)
        pseudonyms = found.pop("pseudonyms", None)
        if found or not isinstance(keys, dict) or not isinstance(current, str | None):
            raise ConfigurationError(f"{path}: holds current, pseudonyms and a table keys, and nothing else")
        try:
            return cls(
                current=current,
                keys={key_id: decoded(key) for key_id, key in keys.items()},
                pseudonym_key=decoded(pseudonyms),
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    def seal(self, plain: bytes, *, context: bytes) -> tuple[str | None, bytes]:
        """The id of the key and the sealed body; `None` and the bytes as they are where nothing is sealed.

        Args:
            plain: any bytes, none included. How many there are stays visible.
            context: where it will lie, from `sealing_context`; the same is needed to open it.
        """
        if self.current is None:
            return None, plain
        nonce = self.entropy(_NONCE)
        return self.current, _FORM + nonce + self._ciphers[self.current].encrypt(nonce, plain, _FORM + context)

    def open(self, key_id: str | None, body: bytes, *, context: bytes) -> bytes:
        """What was sealed, or the body as it is where `key_id` is `None`.

        Raises:
            SealError: the key is not on the ring, or the body is not what this key sealed for this context.
        """
        if key_id is None:
            return body
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealError("something is sealed under a key that is not on the ring: give the store its file of keys")
        if len(body) < len(_FORM) + _NONCE + _TAG or body[:1] != _FORM:
            raise SealError("something sealed is not whole")
        try:
            return cipher.decrypt(body[1 : 1 + _NONCE], body[1 + _NONCE :], _FORM + context)
        except InvalidTag:
            raise SealError("something sealed was altered, or lies in another's place") from None

    def pseudonym(self, tenant: str, kind: str, value: str) -> str:
        """64 hexadecimal digits that stand for an id; other tenants and kinds get others for the same id.

        Args:
            tenant: whose id it is.
            kind: of what: `subject` or `external`.
            value: the id in the clear.
        """
        return self._mac("pseudonym", tenant, kind, value)

    def mac(self, text: str) -> str:
        """64 hexadecimal digits by which a text is known again, and by nobody without the key."""
        return self._mac("text", text)

    def fingerprint(self) -> str:
        """64 hexadecimal digits that tell one pseudonym key from another and say nothing of it."""
        return self._mac("fingerprint")

    def _mac(self, *parts: str) -> str:
        return hmac.digest(self.pseudonym_key, _joined(*parts), "sha256").hex()


def _joined(*parts: str) -> bytes:
    """Parts one after the other, each behind its length, so that no two lists of parts come to the same bytes."""
    # A text may hold unpaired surrogates.
    return b"".join(len(b).to_bytes(8, "big") + b for b in (part.encode("utf-8", "surrogatepass") for part in parts))


def decoded(text: object) -> bytes:
    """A key from its Base64.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ConfigurationError("a key is missing, or is no Base64")


def read_private(path: Path) -> bytes:
    """A file that nobody but its owner may read.

    Raises:
        ConfigurationError: it cannot be read, is no file, or others have rights to it.
    """
    try:
        # A FIFO in its place would be waited for for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            known = os.fstat(file.fileno())
            if not stat.S_ISREG(known.st_mode):
                raise ConfigurationError(f"{path}: is no file")
            if os.name == "posix" and stat.S_IMODE(known.st_mode) & 0o077:
                raise ConfigurationError(f"{path}: others may read it; type: chmod 600 {path}")
            return file.read(_LARGEST_FILE)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
