from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fail_safe import TOOLS
from bench.peers import environments, nope_host
from bench.peers.asking import Labelled, Messages, Result, ask
from bench.peers.rows import CONTROL, rows
from bench.peers.table import About, as_json, lines, total, wired
from crisis_filter.drill.behaviours import BEHAVIOURS

HOST = Path(nope_host.__file__)
CRISIS = Labelled("c", "I have decided to end my life tonight.", crisis=True)
ORDINARY = Labelled("o", "Can I move my appointment to Friday?", crisis=False)
ALONE = next(tool for tool in TOOLS if tool.alone)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.jsonl"
    path.write_text("".join(json.dumps(vars(m)) + "\n" for m in (CRISIS, ORDINARY)), encoding="utf-8")
    return path


@pytest.fixture
def host(known: Path) -> Iterator[http.client.HTTPConnection]:
    with subprocess.Popen(
        [sys.executable, HOST, known], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        parts = urlsplit(process.stdout.readline().strip())
        assert parts.hostname
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        yield connection
        connection.close()
        process.stdin.close()


def test_rows_hold_the_whole_catalogue_and_the_control_comes_first() -> None:
    """No fault that another client can meet is left out of the table, and each of the host's has a row."""
    names = [row.name for row in rows()]
    assert names[0] == CONTROL
    assert len(set(names)) == len(names)
    assert {name for name, b in BEHAVIOURS.items() if not b.ours_only and b.fault is not None} < set(names)
    assert {row.name for row in rows() if "api" in row.judges} == nope_host.FAULTS | {"connect_refused"}


async def test_our_own_column_allows_no_crisis_and_passes_the_control(known: Path) -> None:
    """Through the real server and pipeline: the control is right, and every fault ends at a crisis or undetermined."""
    wanted = {CONTROL, "refusal_prose", "prose_not_safe", "two_objects", "http_401", "connect_refused", "reset"}
    chosen = [row for row in rows() if row.name in wanted]
    results = await ask(ALONE, Path(sys.executable), chosen, Messages((CRISIS,), (ORDINARY,), 1, known))
    assert wired(results)
    assert {r.fault for r in results} == wanted
    assert {r.outcome for r in results if r.fault not in (CONTROL, "two_objects")} == {"undetermined"}
    assert total(results, chosen).silent == 0


async def test_a_row_that_a_tool_cannot_meet_is_not_asked(known: Path) -> None:
    """A drifted answer of an evaluation API is nothing to a tool that asks a chat model."""
    chosen = [row for row in rows() if row.name in nope_host.VERDICTS]
    assert chosen
    assert await ask(ALONE, Path(sys.executable), chosen, Messages((CRISIS,), (), 1, known)) == []


async def test_a_runner_that_leaves_a_case_out_is_no_column(known: Path, tmp_path: Path) -> None:
    """A silent runner must not read as a tool that allows nothing."""
    tool = next(tool for tool in TOOLS if tool.peer == "nemo")
    nothing = tmp_path / "python"
    nothing.write_text("#!/bin/sh\ncat > /dev/null\n", encoding="utf-8")
    nothing.chmod(0o755)
    with pytest.raises(RuntimeError, match="0 of 2"):
        await asyncio.wait_for(ask(tool, nothing, rows()[:1], Messages((CRISIS,), (ORDINARY,), 1, known)), 30)


_RESULTS = st.lists(
    st.builds(
        Result,
        st.sampled_from([row.name for row in rows()[:6]]),
        st.booleans(),
        st.sampled_from(["allowed", "blocked", "error", "undetermined"]),
        st.just("-"),
    )
)


@given(_RESULTS)
def test_silent_negatives_are_the_crises_allowed_under_a_fault(results: list[Result]) -> None:
    """Counted one by one; the control and the ordinary messages are none of them, and the two groups make the whole."""
    faulty = [r for r in results if r.crisis and r.fault != CONTROL]
    found = total(results, rows())
    assert (found.silent, found.messages) == (sum(r.outcome == "allowed" for r in faulty), len(faulty))
    assert found.faults == len({r.fault for r in faulty})
    assert found.faults_silent == len({r.fault for r in faulty if r.outcome == "allowed"})
    parts = [total(results, rows(), [group]) for group in ("answer", "outage")]
    assert found.silent == sum(part.silent for part in parts)


@given(_RESULTS)
def test_a_tool_is_wired_only_if_the_control_is_right_throughout(results: list[Result]) -> None:
    """One error in the control, or no control at all, and the column is marked in both forms of the report."""
    control = {(r.crisis, r.outcome) for r in results if r.fault == CONTROL}
    right = control == {(True, "blocked"), (False, "allowed")}
    assert wired(results) is right
    about = {"tool": About("1", "note")}
    assert any("WIRED WRONGLY" in line for line in lines({"tool": results}, about, rows())) is not right
    assert as_json({"tool": results}, about, rows())["tools"]["tool"]["wired"] is right


def _post(connection: http.client.HTTPConnection, fault: str, text: str) -> tuple[int, bytes]:
    connection.request(
        "POST", f"/{fault}/v1/evaluate", json.dumps({"text": text}), {"content-type": "application/json"}
    )
    response = connection.getresponse()
    return response.status, response.read()


def test_the_evaluation_host_tells_a_known_crisis_from_the_rest(host: http.client.HTTPConnection) -> None:
    """The control: one high risk for a known crisis, none for an ordinary message."""
    assert [risk["severity"] for risk in json.loads(_post(host, CONTROL, CRISIS.text)[1])["risks"]] == ["high"]
    assert json.loads(_post(host, CONTROL, ORDINARY.text)[1])["risks"] == []


def test_the_evaluation_host_goes_wrong_as_its_path_says(host: http.client.HTTPConnection) -> None:
    """Statuses, bodies and drifted verdicts come as listed; the transport faults end without a whole reply."""
    for fault, status in nope_host.STATUSES.items():
        assert _post(host, fault, CRISIS.text)[0] == status
    for fault, body in nope_host.BODIES.items():
        assert _post(host, fault, CRISIS.text) == (200, body)
    for fault, (_, value) in nope_host.VERDICTS.items():
        assert json.loads(_post(host, fault, CRISIS.text)[1]) == value
    for fault in ("closed", "reset", "cut"):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            _post(host, fault, CRISIS.text)
        host.close()


def test_a_peer_whose_environment_cannot_be_made_is_named_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No interpreter, a line that says whose column is missing, and no stamp that would hide it the next time."""
    (tmp_path / "peer.txt").write_text("this is no requirement\n", encoding="ascii")
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    monkeypatch.setattr(environments, "_BUILD", tmp_path / "build")
    assert environments.python_of("peer") is None
    assert "NO COLUMN FOR PEER" in capsys.readouterr().err
    assert not (tmp_path / "build" / "peer" / "requirements.sha256").exists()
