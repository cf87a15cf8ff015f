"""Ids that come twice."""

from __future__ import annotations

from hashlib import blake2b


class SeenIds:
    """Which ids came before, and with which text: as hashes, since the ids may be many and the texts are private.

    About 170 bytes for each id. Share one between the inputs of a run so that an id in two files is noticed.
    """

    def __init__(self) -> None:
        self._inputs = 0
        self._texts: dict[int, int] = {}
        self._others: set[int] = set()

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
        key, value = self._hash(row_id), 0 if text is None else self._hash(str(source), text)
        known = self._texts.setdefault(key, -1)
        if known == -1:
            self._texts[key] = value
            return "new"
        if text is None:
            return "other"
        pair = self._hash(row_id, str(source), text)
        if value == known or pair in self._others:
            return "same"
        self._others.add(pair)
        return "other"
