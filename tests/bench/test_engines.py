from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import engines
from bench.engines import PEERS, external, ordinary_topics, ours, simulated
from bench.peers import environments, offline_runner
from bench.peers.offline_asking import Case, RunnerError, System, ask
from bench.peers.offline_rates import is_near_miss
from bench.peers.offline_runner import TOOLS
from crisis_filter.local.artifact import bundled

HERE = Path(offline_runner.__file__).parent
ENGINE = System("our engine", "engine", "alone", engine=str(bundled()))
CRISIS, ORDINARY = "I have decided to end my life tonight.", "Can I move my appointment to Friday?"


def case(number: int, *, crisis: bool, near_miss: bool = False, self_directed: bool = False) -> Case:
    return Case(str(number), CRISIS if crisis else ORDINARY, crisis, near_miss, self_directed)


@pytest.mark.parametrize(
    ("tool", "answer", "flagged"),
    [
        ("bh-sentinel-any", {"total_flags": 0, "flags": (), "max_severity": "LOW", "whole": True}, False),
        ("bh-sentinel-any", {"total_flags": 0, "flags": (), "max_severity": "POSITIVE", "whole": True}, False),
        ("bh-sentinel-any", {"total_flags": 1, "flags": ("CD-006",), "max_severity": "LOW", "whole": True}, True),
        ("bh-sentinel-any", {"total_flags": 3, "flags": ("SH-001",), "max_severity": "CRITICAL", "whole": True}, True),
        ("bh-sentinel-any", {"total_flags": 0, "flags": ("SH-001",), "max_severity": "LOW", "whole": True}, True),
        ("bh-sentinel-any", {"total_flags": 0, "flags": (), "max_severity": "LOW", "whole": False}, None),
        ("bh-sentinel-any", {"total_flags": 1, "flags": ("SH-001",), "max_severity": "LOW", "whole": False}, True),
        ("bh-sentinel-any", {"error_code": "VALIDATION_TEXT_TOO_SHORT"}, None),
        ("bh-sentinel-high", {"max_severity": "LOW", "whole": True}, False),
        ("bh-sentinel-high", {"max_severity": "MEDIUM", "whole": True}, False),
        ("bh-sentinel-high", {"max_severity": "MEDIUM", "whole": False}, None),
        ("bh-sentinel-high", {"max_severity": "HIGH", "whole": True}, True),
        ("bh-sentinel-high", {"max_severity": "CRITICAL", "whole": False}, True),
        ("bh-sentinel-high", {"max_severity": "EXTREME", "whole": True}, None),
        ("bh-sentinel-high", {"error_code": "VALIDATION_TEXT_EMPTY"}, None),
        ("rrt-advocate", {"crisis_level": "GREEN"}, False),
        ("rrt-advocate", {"crisis_level": "YELLOW"}, True),
        ("rrt-advocate", {"crisis_level": "BLACK"}, True),
        ("rrt-advocate-vader", {"crisis_level": "ORANGE"}, True),
        ("rrt-advocate-vader", {"crisis_level": "VIOLET"}, None),
        ("pantheon-guardrails", {"triggered": True}, True),
        ("pantheon-guardrails", {"triggered": False}, False),
        ("pantheon-guardrails", {"triggered": None}, None),
        ("cogno-aegis", {"category": "ok"}, False),
        ("cogno-aegis", {"category": "too_long"}, False),
        ("cogno-aegis", {"category": "crisis"}, True),
        ("cogno-aegis", {"category": "audio_too_long"}, None),
        ("engine", {"score": 0.4, "threshold": 0.4}, True),
        ("engine", {"score": 0.39, "threshold": 0.4}, False),
        ("filter", {"outcome": "crisis"}, True),
        ("filter", {"outcome": "no_crisis"}, False),
        ("filter", {"outcome": "undetermined"}, None),
    ],
)
def test_an_answer_is_read_as_the_runner_says(tool: str, answer: dict[str, Any], flagged: bool | None) -> None:
    """What nobody knows is no verdict, never "not flagged"."""
    assert TOOLS[tool].read(answer) is flagged


def test_every_row_has_its_tool_and_its_pinned_packages() -> None:
    """Each requirements file pins the package of its row, everything in it has a hash, and it names no address."""
    assert {system.tool for system in PEERS} == set(TOOLS) - {"engine", "filter"}
    for system in PEERS:
        text = (HERE / f"{system.peer}.txt").read_text(encoding="ascii")
        entries = re.split(r"\n(?=\S)", text.strip())
        assert all(re.match(r"[a-z0-9-]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL) for entry in entries)
        assert TOOLS[system.tool].package in {entry.split("==")[0] for entry in entries}
        assert "://" not in text
        assert "--index" not in text


@pytest.mark.parametrize(
    ("stratum", "near"),
    [("medication_pickup", False), ("symptom_tracking", False), ("grief", True), ("idiom", True), ("negated", True)],
)
def test_a_near_miss_belongs_to_none_of_the_ordinary_topics(stratum: str, near: bool) -> None:
    """The 18 topics of the recipe, and whatever else a message was asked for as."""
    assert len(ordinary_topics()) == 18
    assert is_near_miss(stratum, ordinary_topics()) is near


def test_a_message_without_a_stratum_is_not_guessed() -> None:
    """It could be either."""
    with pytest.raises(ValueError, match="neither"):
        is_near_miss("", ordinary_topics())


def test_near_misses_of_the_sets() -> None:
    """Test has none, every message of test-hard that is no crisis is one, and no crisis is one."""
    test, hard = simulated("test", ordinary_topics()), simulated("test-hard", ordinary_topics())
    assert sum(c.near_miss for c in test) == 0
    assert [c.near_miss for c in hard] == [not c.crisis for c in hard]
    assert all(c.crisis for c in (*test, *hard) if c.self_directed)


def test_an_external_file_keeps_what_is_labelled_and_sets_a_package_own_messages_apart(tmp_path: Path) -> None:
    """Null is not scored; a second set leaves out messages that a compared package was tested with, and the note counts them."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "1", "crisis": 1, "categories": ["suicide"], "source": "github:x/bh-sentinel@1"},
        {"id": "b", "text": "2", "crisis": True, "categories": ["violence"], "source": "elsewhere"},
        {"id": "c", "text": "3", "crisis": 0, "near_miss": True, "source": "elsewhere"},
        {"id": "d", "text": "4", "crisis": False, "source": "github:x/bh-sentinel@1"},
        {"id": "e", "text": "5", "crisis": None, "source": "elsewhere"},
    ]
    path = tmp_path / "other.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    whole, rest = external(path).values()
    assert [(c.id[-1], c.crisis, c.near_miss, c.self_directed) for c in whole.cases] == [
        ("a", True, False, True),
        ("b", True, False, False),
        ("c", False, True, False),
        ("d", False, False, False),
    ]
    assert [c.id[-1] for c in rest.cases] == ["b", "c"]
    assert whole.note == "1 of its 2 crises and 1 of the others are test messages of bh-sentinel"
    path.write_text(json.dumps(rows[1]) + "\n", encoding="utf-8")
    assert list(external(path)) == ["other.jsonl"]


def test_engines_are_told_apart() -> None:
    """One needs no name; two of one id have the hash; each stands alone and in the filter, and is first."""
    assert [s.name for s in ours([bundled()])] == ["our engine", "our filter"]
    names = [s.name for s in ours([bundled(), bundled()])]
    assert all(re.search(r" [0-9a-f]{8}$", name) for name in names)


def test_our_own_engine_answers_through_the_runner() -> None:
    """The real thing, in a process of its own: verdicts, scores, times and memory, and no network."""
    found = ask(ENGINE, Path(sys.executable), [case(0, crisis=True), case(1, crisis=False)], cold=1)
    assert found.said["0"].flagged is True
    assert found.said["1"].flagged is False
    assert all(said.ms > 0 and said.score is not None for said in found.said.values())
    assert found.cold_start_s > 0
    assert found.network == 0


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat > /dev/null", "said nothing"),
        ("cat > /dev/null; echo no module named peer >&2; exit 3", "ended with 3: no module named peer"),
        ("""cat > /dev/null; echo '{"cold_start_s": 1, "first": "TypeError"}'""", "no verdict on an ordinary message"),
        ("""cat > /dev/null; echo '{"cold_start_s": 1, "first": null}'""", "0 answers to 1 messages"),
    ],
)
def test_a_runner_that_fails_or_leaves_a_message_out_is_no_row(tmp_path: Path, script: str, why: str) -> None:
    """A silent runner must not read as a package that flags nothing."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(RunnerError, match=why):
        ask(PEERS[0], python, [case(0, crisis=True)], cold=1)


def test_a_package_that_raises_or_wants_the_network_gives_no_verdict() -> None:
    """The first message is answered; one makes the package raise and one makes it connect, and its own words stay inside."""
    code = f"""
import socket, sys
sys.path.insert(0, {str(HERE)!r})
import offline_runner as runner
def call(text):
    if text == "connect":
        socket.create_connection(("127.0.0.1", 9))
    if text == "raise":
        raise ValueError("the text was " + text)
    return text
runner.TOOLS = {{"x": runner.Tool("pytest", lambda _: call, lambda a: {{"a": a}}, lambda p: False)}}
runner.main("x")
"""
    sent = "".join(json.dumps({"id": text, "text": text}) + "\n" for text in ("plain", "raise", "connect"))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, text=True, check=True)
    plain, raised, connected, closing = map(json.loads, done.stdout.splitlines())
    assert plain["flagged"] is False
    assert (raised["flagged"], raised["error"]) == (None, "ValueError")
    assert (connected["flagged"], connected["error"]) == (None, "PermissionError")
    assert closing["network"] == 1
    assert "the text was" not in done.stdout


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments for a run over two messages with one package, whose environment cannot be made."""
    (tmp_path / "broken.txt").write_text("this is no requirement\n", encoding="ascii")
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    monkeypatch.setattr(environments, "_BUILD", tmp_path / "build")
    monkeypatch.setattr(engines, "PEERS", (System("other", "cogno-aegis", "theirs", "broken"),))
    monkeypatch.setattr(engines, "SPLITS", ())
    messages = tmp_path / "messages.jsonl"
    rows = [{"id": "c", "text": CRISIS, "crisis": 1}, {"id": "o", "text": ORDINARY, "crisis": 0}]
    messages.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ["engines", "--external", str(messages), "--cold", "1"]


def test_the_whole_run_is_loud_about_a_package_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: list[str]
) -> None:
    """Our own rows are measured, the other is named everywhere, the exit code says so, and no message stands in any output."""
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    monkeypatch.setattr(sys, "argv", [*broken, "--json", str(figures), "--plot", str(picture)])
    assert engines.main() == 1
    said = capsys.readouterr()
    written = [figures.read_text(encoding="utf-8"), picture.read_text(encoding="utf-8")]
    found = json.loads(written[0])
    assert list(found["sets"]["messages.jsonl"]["systems"]) == ["our engine", "our filter"]
    assert list(found["absent"]) == ["other"]
    for text in (said.out, said.err):
        assert "!! ABSENT: other: its environment could not be made" in text
    assert "ABSENT, not measured: other." in written[1]
    for text in (said.out, said.err, *written):
        assert CRISIS not in text
        assert ORDINARY not in text


def test_absence_may_be_allowed_and_is_named_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: list[str]
) -> None:
    """Only the exit code differs; that nothing at all answered is no error of its own."""
    monkeypatch.setattr(engines, "ours", lambda _: [])
    monkeypatch.setattr(sys, "argv", [*broken, "--allow-absent"])
    assert engines.main() == 0
    assert "!! ABSENT: other" in capsys.readouterr().out
