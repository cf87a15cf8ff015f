"""What takes minutes: runs killed at random instants, and readers fed with a great deal of nonsense."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.parse import claims_true, parse_answer
from crisis_filter.stages.drift import drifted_categories
from tests.backends.asking import asking
from tests.strategies import CATEGORIES

pytestmark = pytest.mark.slow

ROUNDS = 25
ROWS = 3000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("output", [False, True])
def test_a_killed_run_leaves_whole_lines_in_order(tmp_path: Path, output: bool) -> None:
    """SIGKILL at a random instant: every line that is out is whole, none is out twice, and no finished file is faked."""
    source = tmp_path / "rows.jsonl"
    source.write_text(
        "".join(json.dumps({"id": str(i), "text": f"message number {i}"}) + "\n" for i in range(ROWS)), encoding="utf-8"
    )
    rng = np.random.default_rng(1)
    for round_ in range(ROUNDS):
        target = tmp_path / f"out{round_}.jsonl"
        command = [sys.executable, "-m", "crisis_filter", "classify", str(source), "--quiet"]
        command += ["--output", str(target)] if output else ["--json"]
        with (tmp_path / "stdout").open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            time.sleep(float(rng.uniform(0.5, 4.0)))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not target.exists()
        written = Path(f"{target}.partial") if output else tmp_path / "stdout"
        content = written.read_bytes() if written.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if not output:  # standard output is flushed a line at a time
            assert whole == content
        ids = [json.loads(line)["id"] for line in whole.splitlines()]
        assert ids == [str(i) for i in range(len(ids))]


FRAGMENTS = [
    '{"nonce": "',
    '", "crisis": true',
    '", "crisis": false',
    "}",
    "{",
    '"suicide": {"present": true',
    ', "severity": "imminent"',
    "\\",
    '"',
    "```json\n",
    "<think>",
    "null",
    "NaN",
    "1e999",
    "\ud83d",
    "\x00",
]


@settings(max_examples=20_000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=25).map("".join))
def test_no_pile_of_fragments_becomes_an_answer_without_its_nonce(text: str) -> None:
    """The strict reader answers only for its nonce, and the lenient one never fails."""
    request = asking()
    reply = parse_answer(text, request)
    assert reply.finish != "answered" or request.nonce in text
    claims_true(text, "crisis")
    assert {n.category for n in drifted_categories(text, CATEGORIES)} <= {*CATEGORIES, "unspecified"}
