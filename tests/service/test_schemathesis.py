"""Requests made from the service's own description, good and bad: it never fails, and never answers what it does not document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.schemathesis_run import fuzzed, responses
from tests.service.running import Gate, equations, results, running

ROOT = Path(__file__).parent.parent.parent


def test_some_hundred_cases(tmp_path):
    with running(tmp_path, Gate(), second_readings=0.5) as service:
        client = service.client()
        results(client.post("/v1/classify", json={"messages": [{"text": "crisis"}] * 5}))
        item = client.post("/v1/queue/next", json={"claim_ms": 3_600_000}).json()["item"]
        key = client.headers["Authorization"].removeprefix("Bearer ")
        found = fuzzed(service.url, key, 20, "--phases", "fuzzing", ids=[f"{item['id']}:{item['message_id']}"], seed=7)
        assert (found.ended, found.failures) == (0, 0), found.said[-5000:]
        assert found.cases >= 150
        assert responses(service.url)["5xx"] == 0
        equations(client)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_thousand_cases():
    done = subprocess.run(
        [sys.executable, "-m", "bench.schemathesis_run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
