"""What `/metrics` shows, in the text format of Prometheus.

Every label value comes from a closed set of ours: no id, no address and no word of a request can become one. Verdicts and faults are different
families, so that an outage does not look like a quiet night. Nothing is global: each service has its own registry, and a machine with several
worker processes gives each its own port (or scrapes each by itself) and adds up in Prometheus; counters restart with their process, as `rate()`
expects, and the figures of the store are the same from every worker, so those are to be taken from one (`max`), not added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crisis_filter.errors import Fault
from crisis_filter.schema import OUTCOMES, URGENCIES, Assessment, Outcome, Urgency

__all__ = ["CONTENT_TYPE", "SURFACES", "Ages", "Figures", "Metrics", "Surface", "Waiting"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
Surface = Literal["classify", "moderations", "guardrail", "queue", "ledger", "health", "metrics", "other"]
SURFACES: tuple[Surface, ...] = get_args(Surface)
ItemState = Literal["waiting", "claimed", "overdue"]
_STATES: tuple[ItemState, ...] = get_args(ItemState)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OTHER = "other"


class Waiting(NamedTuple):
    """Items of one queue."""

    queue: str
    urgency: Urgency
    waiting: int
    claimed: int
    overdue: int


class Ages(NamedTuple):
    """What is pending or dead on the way out, and for how long the oldest waits."""

    pending: int
    dead: int
    oldest_s: float


class Figures(NamedTuple):
    """What the store says at one moment; read by whoever renders, never here."""

    items: Sequence[Waiting] = ()
    oldest_s: Mapping[str, float] = {}
    """By queue, how long its oldest waiting item has waited."""
    pending: int = 0
    """Messages that are stored and not decided."""
    outbox: Ages = Ages(0, 0, 0.0)
    incidents: int = 0
    """Open ones."""
    incident_messages: int = 0
    """Messages under them."""
    ledger_holds: bool | None = None
    """`None` where it was not looked at."""
    ready: bool = False


class Metrics:
    """The counts of one service.

    Args:
        queues: ids of the policy's queues; anything else is counted under `other`.
    """

    def __init__(self, queues: Collection[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._queues = (*sorted(queues), _OTHER)
        self._outcomes = self._counter("messages", "Messages decided by a detector, by outcome.", "outcome")
        self._faults = self._counter(
            "faults", "Faults named in decisions: why undetermined, or beside a crisis.", "fault"
        )
        self._degraded = self._counter("degraded", "Messages decided while the service was not whole.")
        self._stood = self._counter("duplicates", "Messages that had come before and were not judged again.")
        self._responses = self._counter("responses", "Responses, by surface and class of status.", "surface", "status")
        self._refused = self._counter("refused", "Requests refused before anything was accepted, by reason.", "reason")
        self._seconds = self._histogram("request_seconds", "From the first byte to the answer.", "surface")
        self._judged = self._histogram("judging_seconds", "Judging of one message.")
        self._in_work = self._gauge("in_work", "Messages taken in by this process and not decided yet.")
        self._items = self._gauge("queue_items", "Items of the queue.", "queue", "urgency", "state")
        self._oldest = self._gauge("queue_oldest_seconds", "Age of the oldest waiting item.", "queue")
        self._pending = self._gauge("pending", "Messages stored and not decided.")
        self._outbox = self._gauge("outbox_rows", "Webhooks not delivered.", "state")
        self._outbox_age = self._gauge("outbox_oldest_seconds", "Age of the oldest webhook that waits.")
        self._incidents = self._gauge("incidents_open", "Incidents that are open.")
        self._under = self._gauge("incident_messages", "Messages under open incidents.")
        self._ledger = self._gauge(
            "ledger_holds", "1 when every equation of the ledger holds, 0 when one fails, -1 when not looked at."
        )
        self._ready = self._gauge("ready", "1 when the service takes messages.")
        self._begin()

    def assessed(self, assessment: Assessment) -> None:
        """Count one decision of a detector. Beside a crisis a fault is counted too, and the outcome stays a crisis."""
        self._outcomes.labels(outcome=assessment.outcome).inc()
        if assessment.fault is not None:
            self._faults.labels(fault=assessment.fault.value).inc()
        if assessment.degraded:
            self._degraded.inc()
        self._judged.observe(assessment.provenance.elapsed_ms / 1000)

    def came_before(self) -> None:
        """Count a message whose decision was there already."""
        self._stood.inc()

    def responded(self, surface: str, status: int, seconds: float) -> None:
        """Count one response.

        Args:
            surface: one of `SURFACES`; anything else is `other`.
            status: of HTTP.
            seconds: from the request to the answer.
        """
        known = surface if surface in SURFACES else _OTHER
        kind = f"{status // 100}xx"
        self._responses.labels(surface=known, status=kind if kind in _CLASSES else "5xx").inc()
        self._seconds.labels(surface=known).observe(seconds)

    def refused(self, reason: Literal["rate", "size", "overload", "stopping", "slow"]) -> None:
        """Count a request of which nothing was accepted."""
        self._refused.labels(reason=reason).inc()

    def watch(self, in_work: Callable[[], int]) -> None:
        """Take the number of messages in work from a function, at each look."""
        self._in_work.set_function(in_work)

    def render(self, figures: Figures | None = None) -> bytes:
        """The text for Prometheus (`CONTENT_TYPE`).

        Args:
            figures: of the store; `None` keeps those of the last time.
        """
        if figures is not None:
            self._show(figures)
        return generate_latest(self.registry)

    def _show(self, figures: Figures) -> None:
        counts = dict.fromkeys(((q, u, s) for q in self._queues for u in URGENCIES for s in _STATES), 0)
        for item in figures.items:
            queue = self._known(item.queue)
            for state in _STATES:
                counts[queue, item.urgency, state] += getattr(item, state)
        for (queue, urgency, state), count in counts.items():
            self._items.labels(queue=queue, urgency=urgency, state=state).set(count)
        ages = dict.fromkeys(self._queues, 0.0)
        for queue, age in figures.oldest_s.items():
            ages[self._known(queue)] = max(ages[self._known(queue)], age)
        for queue, age in ages.items():
            self._oldest.labels(queue=queue).set(age)
        self._pending.set(figures.pending)
        self._outbox.labels(state="pending").set(figures.outbox.pending)
        self._outbox.labels(state="dead").set(figures.outbox.dead)
        self._outbox_age.set(figures.outbox.oldest_s)
        self._incidents.set(figures.incidents)
        self._under.set(figures.incident_messages)
        self._ledger.set(-1 if figures.ledger_holds is None else int(figures.ledger_holds))
        self._ready.set(int(figures.ready))

    def _known(self, queue: str) -> str:
        return queue if queue in self._queues else _OTHER

    def _begin(self) -> None:
        """Every series from the start, at 0: a first fault is seen as an increase."""
        outcomes: tuple[Outcome, ...] = OUTCOMES
        for outcome in outcomes:
            self._outcomes.labels(outcome=outcome)
        for fault in Fault:
            self._faults.labels(fault=fault.value)
        for surface in SURFACES:
            self._seconds.labels(surface=surface)
            for kind in _CLASSES[1:]:
                self._responses.labels(surface=surface, status=kind)
        for reason in ("rate", "size", "overload", "stopping", "slow"):
            self._refused.labels(reason=reason)
        self._show(Figures())

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"crisis_filter_{name}", words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"crisis_filter_{name}", words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, *labels: str) -> Histogram:
        return Histogram(f"crisis_filter_{name}", words, labels, registry=self.registry, buckets=_SECONDS)
