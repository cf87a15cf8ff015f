"""Ray on this machine: two workers, a broker, a fake model. Needs the `ray` extra, and fails without it; `make test-system` puts it there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from crisis_filter.tables.flat import COLUMNS

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
ROOT = Path(__file__).parent.parent.parent


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run something at the project's root."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_recipe_loses_and_doubles_nothing_with_faults_and_a_worker_killed():
    """Also broken rows, rows without ids, and a limit that the broker holds."""
    words = "-m bench.ray_recipe --messages 3000 --slots 32 --rate 250 --faults --kill"
    ran = program(*words.split())
    assert ran.returncode == 0, (ran.stdout, ran.stderr[-2000:])
    assert "DOES NOT HOLD" not in ran.stdout
    assert "1 worker killed" in ran.stdout
    refused = int(ran.stdout.split(" refused with 429")[0].rpartition(" ")[2].replace(",", ""))
    assert refused <= 60


@pytest.fixture(scope="module")
def told():
    """What the scenes say."""
    folder = tempfile.mkdtemp(prefix="ray-")  # the path of a socket is short
    try:
        ran = program("tests/system/ray_scenes.py", folder)
        assert ran.returncode == 0, ran.stderr[-3000:]
        return json.loads(ran.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_small_blocks_fill_the_slots_of_an_actor(told):
    """Four of eight rows are under way at once, of which one alone would have eight at the server."""
    found = told["alone"]
    assert (found["rows"], found["different"]) == (200, 200)
    assert 16 < found["peak"] <= 32


def test_two_actors_share_a_dataset_of_one_block(told):
    found = told["together"]
    assert (found["rows"], found["different"]) == (2000, 2000)
    assert found["outcomes"] == {"no_crisis": 2000}
    assert found["columns"] == list(COLUMNS)
    assert 32 < found["peak"] <= 64


@pytest.mark.parametrize(
    ("scene", "words"),
    [("no text", "no column is called text"), ("gone", "messages one after the other"), ("odd", "nowhere-v9")],
)
def test_what_goes_wrong_ends_the_job_and_says_why(told, scene, words):
    assert words in told[scene]


def test_neither_messages_nor_keys_are_in_ray_s_logs_or_errors(told):
    assert told["logs"] > 5
    assert told["secrets in logs"] == []
    assert told["secrets in errors"] == []
