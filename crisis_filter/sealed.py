"""Records that carry a hash of themselves, so that a file edited by hand is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Self

from crisis_filter.schema import Record

__all__ = ["Sealed"]


class Sealed(Record):
    """Base of records that are made once and held to afterwards. The hash guards against slips, not against whoever computes it anew.

    An empty hash is not held against anything.
    """

    sha256: str = ""
    """Over all other fields."""

    def refuse_altered(self) -> None:
        """For the end of a validator, which says first what is wrong where the fields contradict one another.

        Raises:
            ValueError: the hash is not that of the other fields.
        """
        if self.sha256 and self.sha256 != self.digest():
            raise ValueError("altered since it was made")

    def digest(self) -> str:
        """SHA-256 over every field but itself, in the order of their names."""
        fields = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def signed(self) -> Self:
        """With its digest."""
        return self.model_copy(update={"sha256": self.digest()})
