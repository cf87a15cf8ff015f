"""`crisis-filter baseline`: other people's systems over real HTTP, and assessments that `evaluate` reads."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crisis_filter.backends.moderation import CATEGORIES
from tests.cli.conftest import Run
from tests.fault_server import Answer, Received, chat, serve_faults

ROWS = [
    {"id": "1", "text": "give up on everything", "crisis": True, "categories": ["suicide"]},
    {"id": "2", "text": "can I move my appointment", "crisis": False, "categories": []},
    {"id": "3", "text": "a long story without an end", "crisis": False, "categories": []},
]


@contextmanager
def _serving(server_says: object) -> Iterator[str]:
    """A server in a thread of its own, since a command has its own event loop."""
    ready, url, loops = threading.Event(), [], []

    async def serve() -> None:
        async with serve_faults() as server:
            server.answer(server_says)  # type: ignore[arg-type]
            url.append(server.url)
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield url[0]
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def guard(received: Received) -> Answer:
    """Llama Guard as it is documented; one message makes it prattle."""
    text = received.body["messages"][-1]["content"]
    return chat("unsafe\nS11" if "give up" in text else "Not safe." if "long story" in text else "safe")


@pytest.fixture
def url() -> Iterator[str]:
    with _serving(guard) as address:
        yield address


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_list_shows_every_baseline(run: Run) -> None:
    """Names, options and scope; as JSON a line each."""
    ran = run("baseline", "list", backend=False)
    assert ran.status == 0
    for words in (
        "openai-moderation",
        "llama-guard-3-8b",
        "--option controversial=strict|loose",
        "runs in this process",
    ):
        assert words in ran.out
    as_json = run("baseline", "list", "--json", backend=False)
    assert {"name", "title", "model", "options", "in_scope"} == set(as_json.records[0])
    assert next(record["name"] for record in as_json.records) == "openai-moderation"


def test_run_prints_assessments_in_order(run: Run, url: str, messages: Path) -> None:
    """One line each, in the order of the input; what failed makes the exit status 3."""
    ran = run("baseline", "run", "llama-guard-3-8b", str(messages), "--base-url", url, "--json", backend=False)
    assert ran.status == 3
    found = [(record["id"], record["outcome"], record["fault"]) for record in ran.records]
    assert found == [("1", "crisis", None), ("2", "no_crisis", None), ("3", "undetermined", "schema")]
    first = ran.records[0]["provenance"]
    assert isinstance(first, dict)
    assert (first["detector"], first["native_labels"], first["model"]) == (
        "baseline:llama-guard-3-8b",
        ["S11"],
        "fault-1",
    )
    assert "3 messages: 1 crisis, 1 not crisis, 1 undetermined" in ran.err
    assert "for evaluation only" in ran.err


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_evaluate_reads_what_run_wrote(run: Run, url: str, messages: Path, tmp_path: Path, ending: str) -> None:
    """The whole road from labels to figures."""
    out = tmp_path / f"guard.{ending}"
    ran = run(
        "baseline",
        "run",
        "llama-guard-3-8b",
        str(messages),
        "--base-url",
        url,
        "-o",
        str(out),
        "--quiet",
        backend=False,
    )
    assert (ran.status, ran.out, ran.err) == (3, "", "")
    figures = run("evaluate", str(messages), str(out), "--json", "--labelled-by", "a test", backend=False)
    assert figures.status == 0, figures.err
    assert "baseline:llama-guard-3-8b" in figures.out
    again = run("baseline", "run", "llama-guard-3-8b", str(messages), "--base-url", url, "-o", str(out), backend=False)
    assert again.status == 2
    assert "--force" in again.err


def test_many_at_once_stay_in_order(run: Run, url: str, tmp_path: Path) -> None:
    """More messages than places."""
    path = tmp_path / "many.txt"
    path.write_text("".join(f"message {n}\n" for n in range(30)), encoding="utf-8")
    more = ("--base-url", url, "--json", "--concurrency", "7")
    ran = run("baseline", "run", "llama-guard-3-8b", str(path), *more, backend=False)
    assert ran.status == 0
    ids = [str(record["id"]) for record in ran.records]
    assert len(ids) == 30
    assert ids == sorted(ids, key=lambda name: int(name.rsplit(":", 1)[-1]))


def test_the_moderation_endpoint(run: Run) -> None:
    """Its own protocol, with a key from the variable that is named."""

    def moderate(received: Received) -> Answer:
        flagged = "give up" in received.body["input"]
        result = {
            "flagged": flagged,
            "categories": {key: flagged and key == "self-harm" for key in CATEGORIES},
            "category_scores": dict.fromkeys(CATEGORIES, 0.5),
        }
        return Answer(json.dumps({"model": "m-1", "results": [result]}).encode())

    with _serving(moderate) as address:
        ran = run("baseline", "run", "openai-moderation", "give up", "--base-url", address, "--json", backend=False)
    assert ran.status == 0
    assert [finding["category"] for finding in ran.records[0]["findings"]] == [
        "eating_disorder",
        "self_harm",
        "suicide",
    ]  # type: ignore[index,attr-defined]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("llama-guard-3-8b", "hello"), 2, "--json for the standard output"),
        (("llama-guard-3-8b", "hello", "--json", "-o", "x.jsonl"), 2, "--json for the standard output"),
        (("llama-guard-3-8b", "hello", "--json"), 5, "needs the address of a server"),
        (("nothing", "hello", "--json"), 5, "there is no baseline 'nothing'"),
        (("qwen3guard-gen", "hello", "--json", "--option", "strict"), 2, "NAME=VALUE"),
        (("qwen3guard-gen", "hello", "--json", "--option", "a=b", "--option", "a=c"), 2, "NAME=VALUE"),
        (
            ("qwen3guard-gen", "hello", "--json", "--base-url", "http://127.0.0.1:9/v1", "--option", "a=b"),
            5,
            "no option 'a'",
        ),
        (("openai-moderation", "hello", "--json", "--api-key-env", "NOT_SET_ANYWHERE"), 5, "NOT_SET_ANYWHERE"),
        (("llama-guard-3-8b", "nowhere.jsonl", "--json", "--base-url", "http://127.0.0.1:9/v1"), 2, "no such file"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, said: str
) -> None:
    """With the exit status that goes with it, and no file left behind."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ran = run("baseline", "run", *arguments, backend=False)
    assert ran.status == status
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert ran.out == ""


def test_a_shared_cause_is_told_once(run: Run) -> None:
    """A server that is not there."""
    ran = run(
        "baseline", "run", "llama-guard-3-8b", "hello", "--base-url", "http://127.0.0.1:9/v1", "--json", backend=False
    )
    assert ran.status == 3
    assert ran.records[0]["fault"] == "broken_reply"
    assert "Check that the server is up" in ran.err


def test_a_bad_row_ends_the_run_after_what_was_read(run: Run, url: str, tmp_path: Path) -> None:
    """What was read before is written; the file is named, not its words."""
    path = tmp_path / "broken.csv"
    path.write_text('id,text\n1,can I come\n2,"open quote canary7731\n', encoding="utf-8")
    ran = run("baseline", "run", "llama-guard-3-8b", str(path), "--base-url", url, "--json", backend=False)
    assert ran.status in (2, 3)
    assert ran.records[0]["id"] == "1"
    assert "canary7731" not in ran.err
