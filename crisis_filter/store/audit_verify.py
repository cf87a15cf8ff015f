"""Is the audit as it was written? The first row that is wrong, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, func, select

from crisis_filter.errors import InputError
from crisis_filter.schema import Record
from crisis_filter.store.audit import Head, digest, floor, head, in_batches
from crisis_filter.store.tables import audit

__all__ = ["Flaw", "How", "Verified", "verify"]

How = Literal["edited", "removed", "inserted", "reordered", "cut", "rewritten"]
"""`cut`: rows are missing at either end. `rewritten`: the chain fits together and is not the one whose head was kept."""

_COLUMNS = (
    audit.c.seq,
    audit.c.tenant,
    audit.c.at_ms,
    audit.c.actor,
    audit.c.action,
    audit.c.object,
    audit.c.reason,
    audit.c.origin,
    audit.c.result,
    audit.c.previous,
    audit.c.hash,
)
_FARTHEST = 20_000
"""How many places away from where it is a row is looked for."""
_TRIES = 3


class Flaw(Record):
    """The first thing that is wrong."""

    seq: int
    """Of the row, or of the first that is missing."""
    how: How
    words: str


class Verified(Record):
    """What a verification found."""

    rows: int
    """That were read and fit."""
    head: Head
    """The last of them; keep it elsewhere."""
    flaw: Flaw | None = None


def verify(connection: Connection, against: Head | None = None) -> Verified:
    """Read the whole chain, a batch at a time; others may append meanwhile.

    Args:
        connection: for reading.
        against: a head that was kept elsewhere.

    Raises:
        InputError: that head is older than what retention has kept.
    """
    tries = 0
    while True:
        tries += 1
        begun = floor(connection)
        walk = _Walk(connection, begun, against)
        flaw = walk.flaw()
        # Retention may let rows go while they are read.
        if flaw is None or tries == _TRIES or floor(connection) == begun:
            return Verified(rows=walk.rows, head=Head(seq=walk.last.seq, hash=walk.last.hash), flaw=flaw)


class _Place(NamedTuple):
    """A head, light enough to make one for each row."""

    seq: int
    hash: str


@dataclass(slots=True)
class _Walk:
    connection: Connection
    begun: Head
    against: Head | None
    last: _Place = field(init=False)
    rows: int = 0
    told: bool = False
    """Whether a row says that retention let go what is missing at the beginning."""

    def __post_init__(self) -> None:
        self.last = _Place(self.begun.seq, self.begun.hash)

    def flaw(self) -> Flaw | None:
        if self.against is not None and self.against.seq < self.begun.seq:
            raise InputError(f"retention let go the rows up to {self.begun.seq}: hold the audit against a newer head")
        return self._chain() or self._end() or self._kept()

    def _chain(self) -> Flaw | None:
        """Row by row."""
        first = self.connection.execute(select(*_COLUMNS).order_by(audit.c.seq).limit(1)).first()
        if first is not None and first.seq <= self.begun.seq:
            return Flaw(seq=first.seq, how="inserted", words="stands before the beginning of the chain")
        let_go = f"audit:{self.begun}"
        if (flaw := self._against(self.last)) is not None:
            return flaw
        while True:
            before = self.last.seq
            kept = None if self.against is None else self.against.seq
            for row in in_batches(self.connection, select(*_COLUMNS), before):
                # By place: there may be millions.
                seq, hashed = self.last
                if row[0] != seq + 1 or row[9] != hashed or digest(hashed, row[:9]) != row[10]:
                    return self._named(row)
                self.last = _Place(row[0], row[10])
                self.rows += 1
                if row[5] == let_go:
                    self.told = self.told or row[4] == "sweep"
                if row[0] == kept and (flaw := self._against(self.last)) is not None:
                    return flaw
            if self.last.seq == before:
                return None
            # Somebody may have appended since the last batch; the head is read after the rows, so it is not behind them.
            noted = head(self.connection)
            if noted is None or noted.seq <= self.last.seq:
                return None

    def _against(self, here: _Place) -> Flaw | None:
        if self.against is None or here.seq != self.against.seq or here.hash == self.against.hash:
            return None
        words = "it or a row before it was changed and the chain computed anew: it is not the one whose head was kept"
        return Flaw(seq=here.seq, how="rewritten", words=words)

    def _end(self) -> Flaw | None:
        noted = head(self.connection)
        if noted is None:
            if self.rows == 0 and self.begun.seq == 0:
                return None
            return Flaw(seq=self.last.seq, how="cut", words="the note of where the chain ends is gone")
        if noted.seq > self.last.seq:
            return _missing(self.last.seq + 1, noted.seq, "the end of the chain is noted behind them")
        if noted.seq < self.last.seq:
            return Flaw(seq=noted.seq + 1, how="inserted", words="stands behind the noted end of the chain")
        if noted.hash != self.last.hash:
            return Flaw(seq=noted.seq, how="edited", words="was written anew: the noted end of the chain is another")
        return None

    def _kept(self) -> Flaw | None:
        """What only a note elsewhere, or a row further on, can tell."""
        if self.begun.seq > 0 and not self.told:
            return Flaw(
                seq=self.begun.seq,
                how="cut",
                words="the rows up to it are gone, and no row says that retention let them go",
            )
        if self.against is not None and self.against.seq > self.last.seq:
            return _missing(self.last.seq + 1, self.against.seq, "the head that was kept stands behind them")
        return None

    def _named(self, row: Row[Any]) -> Flaw:
        """What is wrong where the chain does not go on."""
        expected = self.last.seq + 1
        if row.seq > expected:
            gone = f"rows {expected} to {row.seq - 1} are" if row.seq - 1 > expected else f"row {expected} is"
            return Flaw(seq=expected, how="removed", words=f"{gone} gone")
        if _hash(row) == row.hash:
            return self._relinked(row)
        stood = self._stood(row)
        if stood is None:
            return Flaw(seq=row.seq, how="edited", words="its hash is not that of what it says")
        if stood < row.seq:
            if self._elsewhere(audit.c.hash == row.hash, row.seq):
                return Flaw(seq=row.seq, how="edited", words=f"is a copy of row {stood}")
            return Flaw(seq=stood, how="inserted", words=f"was put in: row {row.seq} stood in its place")
        if self._elsewhere(audit.c.previous == self.last.hash, row.seq):
            return Flaw(seq=row.seq, how="reordered", words=f"it stood at {stood}")
        return Flaw(seq=row.seq, how="removed", words=f"is gone: what stands in its place stood at {stood}")

    def _relinked(self, row: Row[Any]) -> Flaw:
        """Of two rows that each fit themselves and not one another, the one that the rest of the chain does not know."""
        follower = self.connection.execute(select(audit.c.previous).where(audit.c.seq == row.seq + 1)).first()
        noted = head(self.connection)
        known = follower.previous if follower is not None else noted.hash if noted is not None else None
        if known == row.hash and self.rows:
            words = f"was written anew: row {row.seq} is not chained to it"
            return Flaw(seq=self.last.seq, how="edited", words=words)
        words = "was written anew: it is not chained to the row before it"
        return Flaw(seq=row.seq, how="edited", words=words)

    def _stood(self, row: Row[Any]) -> int | None:
        """Where a row stood that is unchanged but for its place; `None` where it is changed, or stood too far away."""
        end = self.connection.scalar(select(func.max(audit.c.seq))) or 0
        for far in range(1, min(_FARTHEST, max(end - self.begun.seq, row.seq)) + 1):
            for seq in (row.seq - far, row.seq + far):
                if seq > 0 and _hash(row, seq) == row.hash:
                    return int(seq)
        return None

    def _elsewhere(self, condition: Any, seq: int) -> bool:
        return (
            self.connection.execute(select(audit.c.seq).where(condition, audit.c.seq != seq).limit(1)).first()
            is not None
        )


def _hash(row: Row[Any], seq: int | None = None) -> str:
    return digest(row.previous, (row.seq if seq is None else seq, *row[1:9]))


def _missing(first: int, last: int, why: str) -> Flaw:
    which = f"rows {first} to {last} are" if last > first else f"row {first} is"
    return Flaw(seq=first, how="cut", words=f"{which} missing at the end: {why}")
