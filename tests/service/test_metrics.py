"""Metrics: labels from closed sets alone, and an outage that does not look like a quiet night."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from crisis_filter.schema import OUTCOMES, URGENCIES, Assessment, Fault
from crisis_filter.service.metrics import SURFACES, Ages, Figures, Metrics, Waiting
from tests.service.assessments import PROVENANCE, assessments
from tests.strategies import texts

QUEUES = ("act-now", "read")
LABELS = {
    "outcome": set(OUTCOMES),
    "fault": {fault.value for fault in Fault},
    "surface": set(SURFACES),
    "status": {"1xx", "2xx", "3xx", "4xx", "5xx"},
    "reason": {"rate", "size", "overload", "stopping", "slow"},
    "queue": {*QUEUES, "other"},
    "urgency": set(URGENCIES),
    "state": {"waiting", "claimed", "overdue", "pending", "dead"},
}


def shown(metrics: Metrics, figures: Figures | None = None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(metrics.render(figures).decode()):
        for sample in family.samples:
            found[sample.name.removeprefix("crisis_filter_"), tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return shown(metrics)[name, tuple(sorted(labels.items()))]


def test_everything_is_there_from_the_start_at_zero():
    found = shown(Metrics(QUEUES))
    assert {dict(labels)["outcome"] for name, labels in found if name == "messages_total"} == set(OUTCOMES)
    assert {dict(labels)["fault"] for name, labels in found if name == "faults_total"} == LABELS["fault"]
    assert all(v == 0.0 for (name, _), v in found.items() if not name.endswith(("_created", "ledger_holds")))


@settings(deadline=None, max_examples=50)
@given(st.lists(assessments(), max_size=8))
def test_verdicts_and_faults_are_counted_apart(judged):
    metrics = Metrics(QUEUES)
    for assessment in judged:
        metrics.assessed(assessment)
    found = shown(metrics)
    for outcome in OUTCOMES:
        assert found["messages_total", (("outcome", outcome),)] == sum(a.outcome == outcome for a in judged)
    for fault in Fault:
        assert found["faults_total", (("fault", fault.value),)] == sum(a.fault == fault for a in judged)
    assert found["degraded_total", ()] == sum(a.degraded for a in judged)
    assert found["judging_seconds_count", ()] == len(judged)


@settings(deadline=None, max_examples=50)
@given(texts, st.integers(0, 999), texts)
def test_no_word_from_outside_becomes_a_label(surface, status, queue):
    metrics = Metrics(QUEUES)
    metrics.responded(surface, status, 0.1)
    metrics.assessed(
        Assessment(
            id="canary", outcome="undetermined", fault=Fault.TIMEOUT, fault_detail="canary", provenance=PROVENANCE
        )
    )
    figures = Figures(items=(Waiting(queue, "soon", 1, 2, 3),), oldest_s={queue: 5.0})
    for _, labels in shown(metrics, figures):
        for name, label in labels:
            assert name == "le" or label in LABELS[name]
    assert b"canary" not in metrics.render()


def test_what_the_store_says():
    metrics = Metrics(QUEUES)
    figures = Figures(
        items=(
            Waiting("act-now", "urgent", 4, 1, 2),
            Waiting("gone", "soon", 3, 0, 0),
            Waiting("gone-too", "soon", 2, 0, 0),
        ),
        oldest_s={"act-now": 61.0, "gone": 3.0, "gone-too": 8.0},
        pending=7,
        outbox=Ages(5, 1, 30.5),
        incidents=1,
        incident_messages=412,
        ledger_holds=True,
        ready=True,
    )
    metrics.render(figures)
    assert value(metrics, "queue_items", queue="act-now", urgency="urgent", state="overdue") == 2
    assert value(metrics, "queue_items", queue="other", urgency="soon", state="waiting") == 5
    assert value(metrics, "queue_oldest_seconds", queue="other") == 8.0
    assert (value(metrics, "pending"), value(metrics, "outbox_rows", state="dead")) == (7, 1)
    assert (value(metrics, "outbox_oldest_seconds"), value(metrics, "incident_messages")) == (30.5, 412)
    assert (value(metrics, "ledger_holds"), value(metrics, "ready")) == (1, 1)
    shown(metrics, Figures(ledger_holds=False))
    assert value(metrics, "queue_items", queue="act-now", urgency="urgent", state="overdue") == 0
    assert (value(metrics, "ledger_holds"), value(metrics, "ready")) == (0, 0)


def test_the_rest_is_counted():
    metrics = Metrics()
    metrics.responded("classify", 200, 0.02)
    metrics.responded("classify", 503, 0.02)
    metrics.refused("overload")
    metrics.came_before()
    metrics.watch(lambda: 9)
    assert value(metrics, "responses_total", surface="classify", status="5xx") == 1
    assert value(metrics, "request_seconds_bucket", surface="classify", le="0.025") == 2
    assert (value(metrics, "refused_total", reason="overload"), value(metrics, "duplicates_total")) == (1, 1)
    assert value(metrics, "in_work") == 9


def test_each_has_its_own_and_nothing_is_global():
    one, other = Metrics(), Metrics()
    one.came_before()
    assert value(other, "duplicates_total") == 0
    assert not [m.name for m in REGISTRY.collect() if m.name.startswith("crisis_filter")]
