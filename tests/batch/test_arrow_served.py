"""Blocks of rows through a real server and a real broker: faults, outages, limits; and the spec that workers get."""

from __future__ import annotations

import pickle
import time
from collections import Counter

import pyarrow as pa
import pyarrow.compute
import pytest
from pydantic import ValidationError

from crisis_filter.batch.arrow import BlockSpec, BrokerAddress, Judge, StoppedError, judge_batches
from crisis_filter.batch.lease_thread import broker_beside
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.tables.reading import read_messages
from tests.batch.arrows import PATIENT, block, ids, kept_in
from tests.experiments.trying import messages, serving

GONE = "http://127.0.0.1:9/v1"
"""Where nobody answers."""


def asking(url, **more):
    judging = FilterSpec(backend="openai:m", base_url=url, api_key="none", fallbacks=(), attempts=2)
    return BlockSpec(**{"judging": judging, "slots": 8, **more})


def labelled(tmp_path, each, size):
    """Blocks of labelled messages, and their ids."""
    given_ = list(read_messages(messages(tmp_path, each=each)))
    rows = pa.Table.from_pydict({"id": [m.id for m in given_], "text": [m.text for m in given_]})
    return rows.to_batches(max_chunksize=size), [m.id for m in given_]


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ordinary"])
def test_verdicts_through_a_server_with_faults(tmp_path, fast):
    """Every row has its own verdict, whatever the server does in between."""
    blocks, wanted = labelled(tmp_path, 25, 7)
    faults = ("http_500=0.08", "trailing_comma=0.05", "reset=0.05")
    with serving(tmp_path, *(word for fault in faults for word in ("--rate", fault))) as url:
        found = list(judge_batches(blocks, asking(url, fast=fast)))
    assert ids(*found) == wanted
    for batch in found:
        for row_id, outcome, fault in zip(*(batch[n].to_pylist() for n in ("id", "outcome", "fault")), strict=True):
            right = "crisis" if row_id.startswith("c") else "no_crisis"
            assert outcome == right or (outcome == "undetermined" and fault is not None)


def test_a_service_that_is_gone_stops_the_work_loudly(tmp_path):
    blocks, _ = labelled(tmp_path, 60, 10)
    found = []
    with pytest.raises(StoppedError, match="5 messages one after the other"):
        found.extend(kept_in(found, judge_batches(blocks, asking(GONE, patience=5, slots=2))))
    assert sum(batch.num_rows for batch in found) < 120
    assert {outcome for batch in found for outcome in batch["outcome"].to_pylist()} <= {"undetermined"}


def test_a_service_that_is_gone_gives_rows_where_rows_are_wanted(tmp_path):
    blocks, wanted = labelled(tmp_path, 60, 10)
    begun = time.monotonic()
    found = list(judge_batches(blocks, asking(GONE, patience=5, slots=2, stopped_rows=True)))
    assert ids(*found) == wanted
    assert {outcome for batch in found for outcome in batch["outcome"].to_pylist()} == {"undetermined"}
    assert None not in {fault for batch in found for fault in batch["fault"].to_pylist()}
    assert time.monotonic() - begun < PATIENT


def test_two_workers_keep_one_limit(tmp_path):
    """Through the broker's socket; sixty requests at twenty a second take three seconds."""
    blocks, wanted = labelled(tmp_path, 30, 5)
    others = [rows for rows in blocks if rows.num_rows]
    with serving(tmp_path) as url, broker_beside(Limits(requests_per_minute=20 * 60)) as broker:
        plain = [rows.filter(pa.compute.starts_with(rows["id"], "o")) for rows in others]
        begun, found = time.monotonic(), []
        with Judge(asking(url, broker=broker)) as one, Judge(asking(url, broker=broker)) as two:
            futures = [(one, two)[n % 2].submit(rows) for n, rows in enumerate(plain * 2)]
            found = [future.result(PATIENT) for future in futures]
        took = time.monotonic() - begun
    assert Counter(ids(*found)) == Counter({row_id: 2 for row_id in wanted if row_id.startswith("o")})
    assert took >= (60 - 20) / 20


def test_a_broker_that_does_not_know_us_stops_the_work():
    with broker_beside(Limits(requests_per_minute=6000)) as broker:
        stranger = broker.model_copy(
            update={"token": BrokerAddress(host="h", port=1, token="another token than that").token}
        )
        with pytest.raises(StoppedError, match="does not know the token"):
            list(judge_batches([block("a", "b")], asking(GONE, broker=stranger)))


# The spec


def test_a_spec_can_be_sent_and_tells_no_secret():
    broker = BrokerAddress(host="10.0.0.1", port=7000, token="a-token-of-the-broker")
    spec = asking("http://127.0.0.1:1/v1", broker=broker)
    sent = pickle.loads(pickle.dumps(spec))  # noqa: S301  # our own
    assert sent == spec
    assert hash(sent) == hash(spec)
    for shown in (repr(spec), str(spec), spec.model_dump_json()):
        assert "a-token-of-the-broker" not in shown
    assert sent.broker.token.get_secret_value() == "a-token-of-the-broker"


@pytest.mark.parametrize(
    "odd",
    [
        {"requests_per_minute": 10.0},
        {"tokens_per_minute": 10.0},
        {"judging": FilterSpec()},
        {"slots": 0},
        {"patience": 0},
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(odd):
    broker = BrokerAddress(host="10.0.0.1", port=7000, token="a-token-of-the-broker")
    with pytest.raises(ValidationError):
        asking("http://127.0.0.1:1/v1", **{"broker": broker, **odd})
