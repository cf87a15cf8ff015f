"""Decided items as reference labels, in the form of the project's data sets, so that the filter can be measured on what people said.

A row is one message with what the readers said of it; `crisis-filter evaluate --gold FILE` and `crisis-filter data agreement FILE` take it. Readers stand there by
pseudonyms, as `reader-...`; only those whom the operator names as clinicians stand as `clinician-...`. Whoever wrote a message is another
pseudonym than in the store, so that the file leads to nobody without the store's keys.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import Connection, Row, and_, exists, select

from crisis_filter.datasets.records import Rating
from crisis_filter.schema import UNSPECIFIED, Record
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import readings_of
from crisis_filter.store.queue_records import may
from crisis_filter.store.queue_viewing import opened_message
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import decisions, items, messages, readings
from crisis_filter.tables.flat import inert

__all__ = ["Exported", "GoldRow", "csv_text", "export_gold"]

_HEX = 12
_STRATUM = "queue"


class GoldRow(Record):
    """One message with the label that people gave it, as `datasets.reading.read_rows` takes it."""

    id: str
    text: str = Field(repr=False)
    crisis: bool
    categories: tuple[str, ...]
    author: str
    """A pseudonym made for exports, or `unknown`."""
    stratum: str
    """`queue` of an alert; `second_reading` of a message that was only read because it was drawn. The two are not one random sample."""
    language: str = "en"
    ratings: tuple[Rating, ...]
    """Each reader's last answer, the deciding one last. Severity, subject and timeframe are what nobody was asked for."""


class Exported(Record):
    """What an export holds, and what it leaves out."""

    rows: tuple[GoldRow, ...] = Field(repr=False)
    undetermined: int
    """Read, and the reader could not tell: no label."""
    unnamed: int
    """Among the rows: crises whose kind no reader named, with the category `unspecified`."""
    without_text: int
    """Read, and the text is gone or does not open."""
    readers: int
    clinicians: int

    @property
    def labelled_by(self) -> str:
        """Whose labels these are; stands wherever a figure from them stands."""
        if not self.clinicians:
            return f"readers of the queue ({self.readers}), none of whom is on record as a clinician"
        return f"readers of the queue ({self.readers}), of whom {self.clinicians} are on record as clinicians"


def export_gold(
    connection: Connection,
    store: Store,
    actor: Actor,
    *,
    since_ms: int,
    until_ms: int,
    now_ms: int,
    clinicians: Collection[str] = (),
) -> Exported:
    """The messages of the actor's tenant that people decided in a window.

    The label of an alert is the decision that stands. That of a message which was only read blind, and found as the record says, is the blind
    reader's answer.

    Args:
        connection: in a transaction that writes: that it was exported is written down.
        store: whose keys open the texts.
        actor: with the scopes `export` and `text`.
        since_ms: read from then on.
        until_ms: up to and without that.
        now_ms: milliseconds since 1970.
        clinicians: names of readers that the operator knows to be clinicians.

    Raises:
        QueueError: `scope`.
    """
    may(actor, "export", "text")
    rows: list[GoldRow] = []
    counted: Counter[str] = Counter()
    people: set[str] = set()
    for message in _read_messages(connection, actor.tenant, since_ms, until_ms):
        said = _said(connection, message)
        outcome, categories = _label(connection, message, said)
        if outcome == "undetermined":
            counted["undetermined"] += 1
            continue
        text, state = opened_message(connection, store, message)
        if text is None or state != "there":
            counted["without_text"] += 1
            continue
        named = tuple(categories) or ((UNSPECIFIED,) if outcome == "crisis" else ())
        counted["unnamed"] += named == (UNSPECIFIED,)
        people.update(row.reader for row in said)
        ratings = tuple(_rating(store, actor.tenant, row, clinicians) for row in said if row.outcome != "undetermined")
        rows.append(
            GoldRow(
                id=message.id,
                text=text.encode("utf-8", "replace").decode(),
                crisis=outcome == "crisis",
                categories=named,
                author=_author(store, message),
                stratum=_STRATUM if message.alerted else "second_reading",
                language=message.locale or "und",
                ratings=ratings,
            )
        )
    append(connection, Entry.of(actor, "export", f"gold:{len(rows)}"), now_ms)
    return Exported(
        rows=tuple(rows),
        undetermined=counted["undetermined"],
        unnamed=counted["unnamed"],
        without_text=counted["without_text"],
        readers=len(people),
        clinicians=len(people & set(clinicians)),
    )


def csv_text(exported: Exported) -> str:
    """The rows as CSV, every cell such that no spreadsheet runs it as a formula. Ratings are left out; JSON Lines have them."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("id", "text", "crisis", "categories", "author", "stratum", "language", "readers"))
    for row in exported.rows:
        cells: Sequence[str] = (
            row.id,
            row.text,
            "true" if row.crisis else "false",
            ";".join(row.categories),
            row.author,
            row.stratum,
            row.language,
            ";".join(rating.rater for rating in row.ratings),
        )
        writer.writerow([inert(cell) for cell in cells])
    return file.getvalue()


def _read_messages(connection: Connection, tenant: str, since_ms: int, until_ms: int) -> Iterator[Row[Any]]:
    """Messages with an item that a person finished in the window, and nothing of them still to be read."""
    done = exists().where(
        items.c.message_id == messages.c.id,
        items.c.state == "done",
        items.c.done_ms >= since_ms,
        items.c.done_ms < until_ms,
    )
    unread = exists().where(
        items.c.message_id == messages.c.id, items.c.kind == "alert", items.c.state.in_(("waiting", "claimed"))
    )
    alerted = exists().where(items.c.message_id == messages.c.id, items.c.kind == "alert", items.c.state == "done")
    wanted = (
        select(messages, alerted.label("alerted"))
        .where(messages.c.tenant == tenant, done, ~unread)
        .order_by(messages.c.id)
    )
    yield from connection.execute(wanted).all()


def _said(connection: Connection, message: Row[Any]) -> list[Row[Any]]:
    """Each reader's last answer, in the order of the answers."""
    found: dict[str, Row[Any]] = {}
    for row in connection.execute(
        select(readings)
        .where(readings_of(message.id), readings.c.action != "escalate")
        .order_by(readings.c.read_ms, readings.c.id)
    ):
        found.pop(row.reader, None)
        found[row.reader] = row
    return list(found.values())


def _label(connection: Connection, message: Row[Any], said: Sequence[Row[Any]]) -> tuple[str, list[str]]:
    standing = connection.execute(
        select(decisions).where(and_(decisions.c.message_id == message.id, decisions.c.revision == message.revision))
    ).one()
    row = standing if standing.by == "person" or not said else said[-1]
    return row.outcome, json.loads(row.categories)


def _rating(store: Store, tenant: str, row: Row[Any], clinicians: Collection[str]) -> Rating:
    known = "clinician" if row.reader in clinicians else "reader"
    return Rating(
        rater=f"{known}-{store.keys.pseudonym(tenant, 'reader', row.reader)[:_HEX]}",
        crisis=row.outcome == "crisis",
        categories=tuple(json.loads(row.categories)),
    )


def _author(store: Store, message: Row[Any]) -> str:
    if message.subject_pseudonym is None:
        return "unknown"
    return store.keys.pseudonym(message.tenant, "exported_author", message.subject_pseudonym)[: 2 * _HEX]
