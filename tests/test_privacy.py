"""No message text, quote or model answer in a log record, an exception, a repr or a file, whatever goes wrong.

`tests/conftest.py` watches over the logs of all other tests; the drill under every fault is in `tests/slow/test_privacy_slow.py`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.baselines.registry import KNOWN, BaselineSpec, open_baseline
from crisis_filter.cli.app import app
from crisis_filter.errors import CrisisFilterError
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Fault, Message
from tests.careless import left_by
from tests.pipeline.test_filter import named, said, scripted
from tests.watch import Watch

TEXT = "canary7731 i want to die"
QUOTE = "canary7731"
ANSWER = "heron5520"

BROKEN = [
    ScriptedAnswer(text=f"{ANSWER} I cannot help"),
    ScriptedAnswer(text=f'{{"nonce": "{ANSWER}", "crisis": false}}'),
    ScriptedAnswer(text=f'{{"crisis": "{ANSWER}"}}'),
    ScriptedAnswer(text=f'{{"crisis": {ANSWER}'),
    ScriptedAnswer(finish="refused", fault=Fault.REFUSAL_FIELD, text=ANSWER),
    ScriptedAnswer(error=Fault.TIMEOUT),
    said(True, answer={"reasoning": ANSWER, "quotes": [ANSWER, QUOTE]}),
]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger there is, at the lowest level."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return caplog


def silent(text: str) -> None:
    assert QUOTE not in text
    assert ANSWER not in text


@pytest.mark.parametrize("entry", BROKEN)
async def test_the_pipeline_logs_and_shows_nothing(entry, everything):
    """Faulty, refusing and good answers alike leave no trace outside the assessment's own text fields."""
    a = await scripted(entry, named(suicide={"rationale": ANSWER, "quotes": [QUOTE]})).assess(
        Message(id="m", text=TEXT)
    )
    silent(everything.text)
    silent(repr(a))
    silent(a.fault_detail)
    silent(repr(Message(id="m", text=TEXT)))


async def test_a_bug_that_carries_the_text_is_silenced(everything, monkeypatch):
    """An exception whose words are the person's own is logged by its type alone."""

    def bug(text):
        raise ValueError(text)

    monkeypatch.setattr("crisis_filter.pipeline.judge.views", bug)
    a = await scripted(said(False)).assess(Message(id="m", text=TEXT))
    silent(everything.text)
    silent(a.model_dump_json())


async def test_only_the_record_asked_for_carries_quotes():
    """They are in the JSON the user asked for, and only in the fields made for them."""
    a = await scripted(said(True), named(suicide={"quotes": [QUOTE]})).assess(Message(id="m", text=TEXT))
    dumped = a.model_dump()
    assert dumped["findings"][0]["evidence"][0]["quote"] == QUOTE
    silent(str(dumped["provenance"]))
    silent(str(dumped["disposition"]))


@pytest.mark.parametrize("content", [f'{{"answer": "{ANSWER}"}}', f"[{ANSWER}", f'{{"surprise": "{ANSWER}"}}'])
def test_a_broken_script_is_named_without_its_words(tmp_path, content):
    """An error about a file of answers says where, not what."""
    path = tmp_path / "script.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CrisisFilterError) as caught:
        Scripted.read(str(path))
    silent("".join(traceback.format_exception(caught.value)))


FOREIGN = [
    ScriptedAnswer(text=f"unsafe\n{ANSWER}"),
    ScriptedAnswer(text=f'{{"User Safety": "unsafe", "Safety Categories": "{ANSWER}"}}'),
    ScriptedAnswer(text=f"Safety: Unsafe\nCategories: {ANSWER}"),
    ScriptedAnswer(text=f"<score>{ANSWER}</score>"),
    ScriptedAnswer(text=f'{{"violation": 1, "policy_category": ["{ANSWER}", "{QUOTE}"], "rationale": "{ANSWER}"}}'),
    ScriptedAnswer(finish="truncated", fault=Fault.TRUNCATED, text=f"unsafe\nS1 {ANSWER}"),
    ScriptedAnswer(error=Fault.TIMEOUT),
]


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.make is not None])
async def test_a_baseline_logs_and_shows_nothing(name, everything):
    """Another's labels are kept as far as they are of its vocabulary; what else it writes goes nowhere, not even into the record."""
    for entry in FOREIGN:
        spec = BaselineSpec(name=name, base_url="http://127.0.0.1:9/v1")
        backend = Scripted((entry,))
        detector = open_baseline(spec, through=lambda _, backend=backend: backend)
        a = await detector.assess(Message(id="m", text=TEXT))
        assert a.outcome in ("crisis", "undetermined")
        silent(a.model_dump_json())
    silent(everything.text)


def test_the_embedded_engine_logs_nothing(everything):
    """The offline default leaves no trace either."""
    with open_filter(FilterSpec()) as crisis_filter:
        a = crisis_filter.classify(TEXT)
    assert a.outcome in ("crisis", "no_crisis", "undetermined")
    silent(everything.text)
    silent(repr(a))


@pytest.mark.parametrize("key", ["sk-canary7731"])
def test_a_key_is_never_shown(key):
    """Secrets are masked in a description that is printed or logged."""
    spec = FilterSpec(backend="openai:m", api_key=key)
    silent(repr(spec))
    silent(str(spec.model_dump()))
    silent(spec.model_dump_json())


FAULTS = (
    "http_500",
    "http_401",
    "refusal_field",
    "refusal_prose",
    "trailing_comma",
    "extra_field_true",
    "nonce_other",
    "filter_prompt",
    "cut",
    "category_invented",
)


def test_a_drill_tells_nothing(tmp_path):
    """A careless host sees no word of what is sent to broken endpoints and what they answer, and no file is written."""
    wanted = [word for fault in FAULTS for word in ("--fault", fault)]
    left = left_by(tmp_path / "run", "drill", "--per-fault", "1", "--per-attack", "1", "--deadline", "1", *wanted)
    assert "silent negatives under fault: 0" in left.out
    assert left.sent > 100
    assert left.logged > 100_000
    assert left.told == frozenset()
    assert left.opened == ()


def script(folder: Path) -> str:
    """A backend that quotes and reasons in the message's own words."""
    entries = [
        {**said(True).answer, "reasoning": f"{ANSWER} why", "quotes": [QUOTE]},
        named(suicide={"rationale": f"{ANSWER} how", "quotes": [TEXT]}).answer,
    ]
    lines = [json.dumps({"purpose": p, "answer": a}) for p, a in zip(("screen", "categorise"), entries, strict=True)]
    path = folder / "script.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"scripted:{path}"


def test_only_the_standard_output_carries_quotes(tmp_path):
    """`classify --json` gives them in the fields made for them; its talk, its log and its files are silent."""
    source = tmp_path / "messages.jsonl"
    source.write_text(json.dumps({"id": "1", "text": TEXT}), encoding="utf-8")
    left = left_by(tmp_path / "run", "classify", str(source), "--json", "--backend", script(tmp_path))
    assert (left.status, left.told, left.opened) == (0, {"out"}, ())
    record = json.loads(left.out)
    assert record["findings"][0]["evidence"][0]["quote"] == TEXT
    private = {"evidence": (), "rationale": ""}
    record |= {"findings": [{**finding, **private} for finding in record["findings"]]}
    record |= {"screen": {**record["screen"], **private}}
    silent(json.dumps(record))


def test_a_leak_is_found_wherever_it_is(tmp_path):
    """The search of the tests above sees a log record's field, a line, a warning, a file that stays, one that is gone."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "leak").touch()
    left = left_by(run, "--version")
    assert {name.split("/")[0] for name in left.told} == {"log", "err", "tmp"}
    assert left.err.count(QUOTE) >= 2
    assert any(path.endswith("cache") for path in left.opened)


ROWS = {
    "a ragged line": ("in.csv", "id,text\n1,canary7731 i want to die,more,more\n"),
    "no header": ("in.csv", "1,canary7731 i want to die\n2,heron5520\n"),
    "a header of words": ("in.csv", "id,canary7731 i want to die\n2,heron5520\n"),
    "not JSON": ("in.jsonl", '{"id": "1", "text": "canary7731'),
    "a number for a text": ("in.jsonl", '{"id": "canary7731", "text": 5}\n["canary7731"]'),
    "no text": ("in.jsonl", '{"canary7731": "heron5520"}'),
    "not Parquet": ("in.parquet", "canary7731 i want to die"),
    "an open quote": ("in.csv", 'id,text\n1,"canary7731 i want to die\n'),
    "not UTF-8": ("in.csv", "id,text\n1,canary7731 \udcff\n"),
}
BROKEN_SCRIPTS = ("{", '{"when": "canary7731", "answer": 5}', '{"finish": "heron5520"}', "[heron5520]")


@pytest.fixture
def caught(monkeypatch):
    """The trace of every error that the command line catches, its whole chain included."""
    traces: list[str] = []

    def said(line):
        traces.append(traceback.format_exc())
        print(line, file=sys.stderr)  # noqa: T201  # as the command does

    monkeypatch.setattr("crisis_filter.cli.trouble.say", said)
    return traces


@pytest.mark.parametrize("name", ROWS)
def test_an_error_of_the_input_is_told_without_its_words(name, tmp_path, caught, everything):
    """Neither the line on the terminal nor the trace that a debugger would show has a value of the file."""
    file, content = ROWS[name]
    path = tmp_path / file
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    ran = CliRunner().invoke(app, ["classify", str(path), "--json", "--backend", script(tmp_path)])
    silent("".join(caught))
    silent(ran.stderr)
    silent(everything.text)
    silent("".join(traceback.format_exception(ran.exception)) if ran.exception else "")


@pytest.mark.parametrize("content", BROKEN_SCRIPTS)
@pytest.mark.parametrize("command", ["classify", "explain"])
def test_an_error_of_the_configuration_is_told_without_its_words(command, content, tmp_path, caught):
    """Prepared answers are a model's words."""
    path = tmp_path / "script.jsonl"
    path.write_text(content, encoding="utf-8")
    ran = CliRunner().invoke(app, [command, TEXT, "--backend", f"scripted:{path}"])
    assert ran.exit_code == 5
    assert caught
    silent("".join(caught))
    silent(ran.stderr)


BUGS = [
    "crisis_filter.cli.classify.Tally",
    "crisis_filter.pipeline.filter.CrisisFilter.assess_many",
    "crisis_filter.cli.classify.json_line",
]


@pytest.mark.parametrize("place", BUGS)
def test_a_bug_is_told_without_its_words(place, tmp_path, caught, everything, monkeypatch):
    """A bug's exception may hold the text; what is told of it is its kind and its place."""

    def bug(*given, **named):
        raise ValueError(TEXT)

    monkeypatch.setattr(place, bug)
    source = tmp_path / "messages.txt"
    source.write_text(TEXT, encoding="utf-8")
    ran = CliRunner().invoke(app, ["classify", str(source), "--json", "--backend", script(tmp_path)])
    assert ran.exit_code == 1
    assert TEXT in caught[0]  # the bug was met
    assert "ValueError" in ran.stderr
    silent(ran.stderr)
    silent(everything.text)


@pytest.mark.parametrize(
    ("logged", "heard"),
    [
        ("all is well", set()),
        (TEXT, {"host"}),
        (f"judged {TEXT!r} now", {"host"}),
        (json.dumps({"body": 'i said "never again" to him'}), {"host"}),
        ("cut: a long story of a bus and", {"host"}),
        ("i want", set()),
    ],
)
def test_the_watch_hears_words_as_they_are_escaped_and_in_pieces(logged, heard):
    """Of the session-wide watch in `tests/conftest.py`."""
    watch = Watch()
    for words in (
        "i want to die today",
        'i said "never again" to him',
        "a long story of a bus and a long way home, told on a day of rain",
        None,
        "ok",
    ):
        watch.remember(words)
    watch.emit(logging.LogRecord("host", logging.DEBUG, "", 0, "%s", (logged,), None))
    assert watch.heard() == heard
    assert watch.heard() == set()


LEAKING = """
import logging

from crisis_filter import Message
from tests.pipeline.test_filter import said, scripted


async def test_leaks():
    await scripted(said(False)).assess(Message(id="m", text="somebody's own words"))
    logging.getLogger("host").debug("judged %s", "somebody's own words")


async def test_does_not():
    await scripted(said(False)).assess(Message(id="m", text="somebody's own words"))
    logging.getLogger("host").debug("judged a message")
"""


def test_a_test_that_logs_a_message_fails(tmp_path):
    """The watch over the whole run is on, and names the logger, not the words."""
    (tmp_path / "test_leaking.py").write_text(LEAKING, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", "pyproject.toml", "--show-capture=no"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1, ran.stdout
    assert "2 passed, 1 error" in ran.stdout
    assert "ERROR" in ran.stdout
    assert "were logged by host" in ran.stdout
    assert "somebody's own words" not in ran.stdout
