"""Ids that come twice."""

from __future__ import annotations

from array import array
from hashlib import blake2b

_PARTS = 64
_FIRST_SLOTS = 16
# Filled further than this, finding that something is not there takes long.
_FULL = 0.75
_GROWTH = 1.5


class _Part:
    """Pairs of 64-bit numbers with open addressing: 16 bytes a slot, where a dictionary takes some 100 bytes a pair."""

    __slots__ = ("_count", "_keys", "_values")

    def __init__(self, slots: int) -> None:
        self._keys = array("Q", bytes(8 * slots))
        self._values = array("Q", bytes(8 * slots))
        self._count = 0

    def known(self, key: int, value: int) -> int | None:
        """The value under a key; where it has none it gets this one, and `None` is returned.

        Args:
            key: not 0, which stands for an empty slot.
            value: to put there.
        """
        keys = self._keys
        slot = key % len(keys)
        while (found := keys[slot]) != key:
            if not found:
                keys[slot], self._values[slot] = key, value
                self._count += 1
                if self._count > _FULL * len(keys):
                    self._grow()
                return None
            slot = slot + 1 if slot + 1 < len(keys) else 0
        return self._values[slot]

    def _grow(self) -> None:
        larger = _Part(int(len(self._keys) * _GROWTH) | 1)
        for key, value in zip(self._keys, self._values, strict=True):
            if key:
                larger.known(key, value)
        self._keys, self._values = larger._keys, larger._values


class _Table:
    """Many parts of different sizes, so that they grow one after the other and only one is held twice."""

    def __init__(self) -> None:
        self._parts = [_Part(int(_FIRST_SLOTS * _GROWTH ** (part / _PARTS))) for part in range(_PARTS)]

    def known(self, key: int, value: int) -> int | None:
        """As `_Part.known`, for any key."""
        key = key or 1
        return self._parts[key >> 58].known(key, value)


class SeenIds:
    """Which ids came before, and with which text: as hashes, since the ids may be many and the texts are private.

    About 32 bytes for each id. Share one between the inputs of a run so that an id in two files is noticed.
    """

    def __init__(self) -> None:
        self._inputs = 0
        self._texts = _Table()
        self._others = _Table()

    @staticmethod
    def _hash(*parts: str) -> int:
        digest = blake2b(digest_size=8)
        for part in parts:
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return int.from_bytes(digest.digest(), "big")

    def next_input(self) -> int:
        """A number for one more input, for `meet`."""
        self._inputs += 1
        return self._inputs

    def meet(self, row_id: str, text: str | None, source: int = 0) -> str:
        """Remember an id with its text.

        Args:
            row_id: the id.
            text: the text, or `None` when id or text are not known for certain; then nothing equals it.
            source: from `next_input`. Ids of different inputs may belong to different people, whatever the texts.

        Returns:
            `new`, `same` (the id came before with this text in this input) or `other` (it came before otherwise).
        """
        value = 0 if text is None else self._hash(str(source), text)
        known = self._texts.known(self._hash(row_id), value)
        if known is None:
            return "new"
        if text is None:
            return "other"
        if value == known or self._others.known(self._hash(row_id, str(source), text), 0) is not None:
            return "same"
        return "other"
