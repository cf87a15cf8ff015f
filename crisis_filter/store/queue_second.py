"""Blind second readings: the only way to see misses, and whether readers agree.

A share of what was decided is drawn and read again by somebody who is shown the text alone, among other texts, and not told what was said.
Of `no_crisis` this finds misses, of alerts false alarms and disagreement. Figures are of the window, and of those drawn that were read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select

from crisis_filter.schema import OUTCOMES, Outcome, Record
from crisis_filter.stats.agreement import Agreement, binary_questions, cohen_kappa, gwet_ac1, krippendorff_alpha
from crisis_filter.stats.intervals import clopper_pearson, wilson
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.queue_records import may
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import decisions, items, readings

__all__ = ["AgreementFigures", "Coefficient", "Misses", "SecondReadings", "Share", "drawn", "second_readings"]

_WHOLE = 1 << 256


def drawn(keys: Keyring, tenant: str, message_id: str, share: float) -> bool:
    """Whether a message is read a second time: by a keyed hash of its id, so that it is the same on every machine and after a crash.

    Nobody without the key can tell beforehand, and a message drawn at one share is drawn at every greater one.

    Args:
        keys: of the store.
        tenant: whose message.
        message_id: ours.
        share: 0 draws none, 1 all.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError("the share of second readings lies between 0 and 1")
    return int(keys.pseudonym(tenant, "second_reading", message_id), 16) < int(share * _WHOLE)


class Share(Record):
    """A proportion with its interval."""

    count: int
    of: int
    estimate: float | None
    """`None` where nothing was read."""
    low: float
    high: float
    level: float
    method: str


class Misses(Record):
    """What the second reading of `no_crisis` says of all of them."""

    not_crisis: int
    """Messages that a detector called not crisis in the window, when it first judged them: from these is drawn."""
    drawn: int
    """Of those, drawn to be read."""
    found: Share
    """Of those that were read, crises."""
    undetermined: int
    """Of those that were read, that the reader could not tell; counted as no crisis in `found`."""
    expected: float | None
    """Crises among all of them, by the share found."""
    expected_low: float
    expected_high: float
    """Bounds from Clopper and Pearson's interval, 95%: for the unread by the share's bounds, and those found in any case."""


class Coefficient(Record):
    """One coefficient of agreement."""

    name: str
    estimate: float | None
    low: float | None
    high: float | None


class AgreementFigures(Record):
    """How far two readers agree on one question."""

    question: str
    units: int
    same: Share
    coefficients: tuple[Coefficient, ...]


class SecondReadings(Record):
    """All figures of a window."""

    since_ms: int
    until_ms: int
    waiting: int
    """Drawn in the window and not read yet. Figures take those that were read for a random part of those drawn."""
    misses: Misses
    alerts_drawn: int
    """Crises of a detector's in the window that were drawn."""
    false_alarms: Share
    """Of those that were read blind, that the reader called not crisis. Wilson's interval."""
    alerts_undetermined: int
    """Of those that were read blind, that the reader could not tell."""
    overridden: Share
    """Of a detector's crises that were read as alerts, that a reader who saw what was said called not crisis. Wilson's interval."""
    agreement: tuple[AgreementFigures, ...]
    """Between the reader of the alert and the blind one, of messages that both have read: on the outcome, then on each category."""


def second_readings(
    connection: Connection, actor: Actor, *, since_ms: int, until_ms: int, categories: Sequence[str] = ()
) -> SecondReadings:
    """The figures of one window, by when the detector decided.

    Args:
        connection: where to ask.
        actor: with the scope `supervise`; of whose tenant.
        since_ms: from then on.
        until_ms: up to and without that.
        categories: ids on which agreement is wanted too; others that readers named are left out there.

    Raises:
        QueueError: `scope`.
    """
    may(actor, "supervise")
    window = (
        decisions.c.tenant == actor.tenant,
        decisions.c.by == "detector",
        decisions.c.decided_ms >= since_ms,
        decisions.c.decided_ms < until_ms,
    )
    rows = _drawn_rows(connection, window)
    alerts = _alert_rows(connection, window)
    not_crisis = connection.scalar(
        select(func.count())
        .select_from(decisions)
        .where(*window, decisions.c.outcome == "no_crisis", decisions.c.revision == 1)
    )
    of_alerts = [row for row in rows if row.record == "crisis"]
    read = [row for row in of_alerts if row.outcome is not None]
    first = [row for row in alerts if row.record == "crisis"]
    return SecondReadings(
        since_ms=since_ms,
        until_ms=until_ms,
        waiting=sum(row.outcome is None for row in rows),
        misses=_misses([row for row in rows if row.record == "no_crisis"], not_crisis or 0),
        alerts_drawn=len(of_alerts),
        false_alarms=_share(sum(row.outcome == "no_crisis" for row in read), len(read)),
        alerts_undetermined=sum(row.outcome == "undetermined" for row in read),
        overridden=_share(sum(row.outcome == "no_crisis" for row in first), len(first)),
        agreement=_agreement(alerts, rows, categories),
    )


def _shown() -> Any:
    """The decision that an item shows."""
    return and_(decisions.c.message_id == items.c.message_id, decisions.c.revision == items.c.revision)


def _drawn_rows(connection: Connection, window: Sequence[Any]) -> list[Any]:
    """Second readings with what the record said and, where they were read, what the reader said."""
    return list(
        connection.execute(
            select(
                items.c.message_id,
                decisions.c.outcome.label("record"),
                readings.c.outcome,
                readings.c.categories,
                readings.c.reader,
            )
            .select_from(items.join(decisions, _shown()).outerjoin(readings, readings.c.item_id == items.c.id))
            .where(*window, items.c.kind == "second_reading")
            .order_by(items.c.id)
        )
    )


def _alert_rows(connection: Connection, window: Sequence[Any]) -> list[Any]:
    """The first reading of each alert that closed it, of decisions of the window."""
    found: dict[str, Any] = {}
    for row in connection.execute(
        select(
            readings.c.message_id,
            decisions.c.outcome.label("record"),
            readings.c.outcome,
            readings.c.categories,
            readings.c.reader,
        )
        .select_from(
            readings.join(items, items.c.id == readings.c.item_id).join(
                decisions,
                and_(decisions.c.message_id == readings.c.message_id, decisions.c.revision == readings.c.revision),
            )
        )
        .where(*window, items.c.kind == "alert", readings.c.action != "escalate")
        .order_by(readings.c.read_ms, readings.c.id)
    ):
        found.setdefault(row.message_id, row)
    return list(found.values())


def _misses(rows: Sequence[Any], not_crisis: int) -> Misses:
    said: list[Outcome] = [row.outcome for row in rows if row.outcome is not None]
    count, read = said.count("crisis"), len(said)
    bounds = clopper_pearson(count, read)
    unread = max(0, not_crisis - read)
    return Misses(
        not_crisis=not_crisis,
        drawn=len(rows),
        found=Share(
            count=count,
            of=read,
            estimate=bounds.estimate,
            low=bounds.low,
            high=bounds.high,
            level=bounds.level,
            method="Clopper-Pearson",
        ),
        undetermined=said.count("undetermined"),
        expected=None if bounds.estimate is None else bounds.estimate * not_crisis,
        expected_low=count + bounds.low * unread,
        expected_high=count + bounds.high * unread,
    )


def _share(count: int, of: int) -> Share:
    bounds = wilson(count, of)
    return Share(
        count=count,
        of=of,
        estimate=bounds.estimate,
        low=bounds.low,
        high=bounds.high,
        level=bounds.level,
        method="Wilson",
    )


def _agreement(
    alerts: Sequence[Any], drawn_rows: Sequence[Any], categories: Sequence[str]
) -> tuple[AgreementFigures, ...]:
    blind = {row.message_id: row for row in drawn_rows if row.outcome is not None}
    pairs = [
        (one, other)
        for one in alerts
        if (other := blind.get(one.message_id)) is not None and other.reader != one.reader
    ]
    outcomes: list[tuple[Any, ...]] = [(one.outcome, other.outcome) for one, other in pairs]
    figures = [_figures("outcome", outcomes, OUTCOMES)]
    known = set(categories)
    named = [tuple(set(json.loads(row.categories)) & known for row in pair) for pair in pairs]
    for name, answers in binary_questions(named, list(categories)).items():
        figures.append(_figures(name, answers, (True, False)))
    return tuple(figures)


def _figures(question: str, answers: Sequence[tuple[Any, ...]], labels: tuple[Any, ...]) -> AgreementFigures:
    found = (cohen_kappa(answers), gwet_ac1(answers, labels=labels), krippendorff_alpha(answers))
    return AgreementFigures(
        question=question,
        units=len(answers),
        same=_share(sum(one == other for one, other in answers), len(answers)),
        coefficients=tuple(_coefficient(one) for one in found),
    )


def _coefficient(found: Agreement) -> Coefficient:
    span = found.interval
    return Coefficient(
        name=found.coefficient,
        estimate=found.estimate,
        low=None if span is None else span.low,
        high=None if span is None else span.high,
    )
