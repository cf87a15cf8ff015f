"""Other people's offline packages as baselines.

None of them is a dependency, so the fakes here stand for what they answer: objects with the fields and values that the real packages were seen to
give, built by hand, and used to test the reading alone. The packages themselves run where they are installed; the skip says what to install.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import sys
import threading
from enum import Enum, StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.baselines import offline
from crisis_filter.baselines.base import About, Said, about
from crisis_filter.baselines.offline import NAMES, OfflineBaseline, open_offline, verdict
from crisis_filter.baselines.offline_rules import TOOLS, Tool
from crisis_filter.errors import ConfigurationError, Fault
from crisis_filter.schema import Assessment, Failure, Message
from crisis_filter.taxonomy.maps import load_map

MODULES = {
    "bh-sentinel-core": "bh_sentinel",
    "rrt-advocate": "rrt_advocate",
    "pantheon-guardrails": "pantheon_guardrails",
    "cogno-aegis": "cogno_aegis",
}
CRISIS = "I want to kill myself tonight"
ORDINARY = "can I move my appointment to thursday"
PINS = Path(__file__).parents[2] / "bench/peers"


def installed(name: str) -> bool:
    return importlib.util.find_spec(MODULES[name]) is not None


def missing(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(installed(name), reason=f"{name} is installed, so its absence cannot be tried")


def needed(name: str, pin: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not installed(name), reason=f"NOT TRIED ON THE REAL PACKAGE: pip install '{pin}'")


@cache
def shared(name: str) -> About:
    return about(name, load_map(name))


async def judged(tool: Tool, call: Any, text: str = "a message") -> Assessment:
    return await OfflineBaseline(tool, call, shared(tool.package), "a release").assess(Message(id="m", text=text))


def bh(*flags: str, total: int | None = None, severity: str = "LOW", failed: str = "") -> SimpleNamespace:
    """As `bh_sentinel.core.Pipeline.analyze` of release 0.1.2 answers."""
    layers = ("layer_1_pattern", "layer_3_emotion_lexicon", "layer_4_rules")
    return SimpleNamespace(
        flags=[SimpleNamespace(flag_id=each, severity=severity) for each in flags],
        summary=SimpleNamespace(total_flags=len(flags) if total is None else total, max_severity=severity),
        pipeline_status=SimpleNamespace(**{at: "failed" if at == failed else "completed" for at in layers}),
    )


class Level(Enum):
    GREEN = "stable"
    YELLOW = "elevated"
    BLACK = "emergency"
    VIOLET = "nobody knows"


class Category(StrEnum):
    OK = "ok"
    TOO_LONG = "too_long"
    CRISIS = "crisis"
    AUDIO_TOO_LONG = "audio_too_long"


def rrt(level: Level, *fields: str) -> SimpleNamespace:
    """As `rrt_advocate.CrisisEngine.assess` of release 0.1.1 answers."""
    return SimpleNamespace(crisis_level=level, secondary_indicators=list(fields))


REFUSED = SimpleNamespace(error_code="VALIDATION_TEXT_TOO_SHORT")
TOO_LONG = SimpleNamespace(error_code="VALIDATION_TEXT_TOO_LONG")
ANSWERS: list[tuple[str, object, str, tuple[str, ...], Fault | None]] = [
    ("bh-sentinel-any", bh(), "no_crisis", (), None),
    ("bh-sentinel-any", bh(severity="POSITIVE"), "no_crisis", (), None),
    ("bh-sentinel-any", bh("SH-002", severity="CRITICAL"), "crisis", ("suicide",), None),
    ("bh-sentinel-any", bh("SH-007", "CD-005a"), "crisis", ("psychosis", "self_harm"), None),
    ("bh-sentinel-any", bh("MED-001", severity="MEDIUM"), "crisis", ("unspecified",), None),
    ("bh-sentinel-any", bh("SH-002", "XX-001"), "crisis", ("suicide",), Fault.SCHEMA),
    ("bh-sentinel-any", bh("SH-002", total=0), "crisis", ("suicide",), None),
    ("bh-sentinel-any", bh(total=2), "crisis", ("unspecified",), None),
    ("bh-sentinel-any", bh(failed="layer_1_pattern"), "undetermined", (), Fault.SCHEMA),
    ("bh-sentinel-any", bh("SH-002", failed="layer_4_rules"), "crisis", ("suicide",), None),
    ("bh-sentinel-any", REFUSED, "undetermined", (), Fault.SCHEMA),
    ("bh-sentinel-any", TOO_LONG, "undetermined", (), Fault.INPUT_TOO_LONG),
    ("bh-sentinel-any", SimpleNamespace(), "undetermined", (), Fault.INTERNAL),
    ("bh-sentinel-any", None, "undetermined", (), Fault.INTERNAL),
    ("bh-sentinel-high", bh("CD-006", severity="MEDIUM"), "no_crisis", (), None),
    ("bh-sentinel-high", bh("CD-001", severity="HIGH"), "crisis", ("unspecified",), None),
    ("bh-sentinel-high", bh("HO-002", severity="CRITICAL"), "crisis", ("violence",), None),
    ("bh-sentinel-high", bh("HO-002", severity="EXTREME"), "undetermined", (), Fault.SCHEMA),
    ("bh-sentinel-high", bh(failed="layer_3_emotion_lexicon"), "undetermined", (), Fault.SCHEMA),
    ("rrt-advocate", rrt(Level.GREEN), "no_crisis", (), None),
    ("rrt-advocate", rrt(Level.GREEN, "overwhelm"), "no_crisis", (), None),
    ("rrt-advocate", rrt(Level.YELLOW, "overwhelm", "meltdown"), "crisis", ("unspecified",), None),
    ("rrt-advocate", rrt(Level.YELLOW), "crisis", ("unspecified",), None),
    ("rrt-advocate", rrt(Level.BLACK, "self_harm_risk"), "crisis", ("self_harm", "suicide"), None),
    ("rrt-advocate", rrt(Level.VIOLET, "self_harm_risk"), "undetermined", (), Fault.SCHEMA),
    ("rrt-advocate-vader", rrt(Level.BLACK, "self_harm_risk"), "crisis", ("self_harm", "suicide"), None),
    ("pantheon-guardrails", SimpleNamespace(triggered=True), "crisis", ("self_harm", "suicide"), None),
    ("pantheon-guardrails", SimpleNamespace(triggered=False), "no_crisis", (), None),
    ("pantheon-guardrails", SimpleNamespace(triggered=None), "undetermined", (), Fault.SCHEMA),
    ("pantheon-guardrails", SimpleNamespace(triggered=0), "undetermined", (), Fault.SCHEMA),
    ("cogno-aegis", SimpleNamespace(category=Category.OK), "no_crisis", (), None),
    ("cogno-aegis", SimpleNamespace(category=Category.TOO_LONG), "no_crisis", (), None),
    ("cogno-aegis", SimpleNamespace(category=Category.CRISIS), "crisis", ("self_harm", "suicide"), None),
    ("cogno-aegis", SimpleNamespace(category=Category.AUDIO_TOO_LONG), "undetermined", (), Fault.SCHEMA),
]


@pytest.mark.parametrize(("tool", "answer", "outcome", "categories", "fault"), ANSWERS)
async def test_what_a_package_says_becomes(tool, answer, outcome, categories, fault) -> None:
    found = await judged(TOOLS[tool], lambda _: answer)
    assert (found.outcome, found.fault) == (outcome, fault)
    assert sorted(finding.category for finding in found.findings) == sorted(categories)
    assert found.disposition is None
    assert found.provenance.detector == f"baseline:{TOOLS[tool].package}"
    if outcome == "crisis":
        known = load_map(TOOLS[tool].package).vocabulary
        assert set(found.provenance.native_labels) <= known
    else:
        assert found.provenance.native_labels == ()


@pytest.mark.parametrize("tool", TOOLS)
@settings(deadline=None, max_examples=40)
@given(answer=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_answer_of_another_kind_clears(tool: str, answer: object) -> None:
    """Whatever a package gives in place of its documented object: nobody is told "not crisis"."""
    assert asyncio.run(judged(TOOLS[tool], lambda _: answer)).outcome == "undetermined"


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_package_that_raises_is_undetermined_and_tells_nothing(tool, caplog) -> None:
    def call(text: str) -> None:
        raise RuntimeError(f"the text was {text}")

    with caplog.at_level(logging.DEBUG):
        found = await judged(TOOLS[tool], call, CRISIS)
    assert (found.outcome, found.fault) == ("undetermined", Fault.INTERNAL)
    assert CRISIS not in caplog.text
    assert CRISIS not in found.model_dump_json()


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_text_without_anything_visible_is_not_asked_about(tool) -> None:
    asked: list[str] = []
    found = await judged(TOOLS[tool], asked.append, " \u200b\n")
    assert (found.outcome, found.fault, asked) == ("undetermined", Fault.EMPTY_CONTENT, [])


def test_a_verdict_keeps_labels_of_a_flag_alone() -> None:
    tool = TOOLS["rrt-advocate"]
    assert verdict(tool, {"crisis_level": "GREEN", "fields": ("overwhelm",)}) == Said(flagged=False)
    assert isinstance(verdict(tool, {"crisis_level": "?", "fields": ()}), Failure)


def test_every_package_has_a_map_that_serves_it_and_the_pin_of_the_bench() -> None:
    assert set(NAMES) == set(MODULES)
    for tool in TOOLS.values():
        assert tool.package in load_map(tool.package).detectors
        package, release = re.sub(r"\[.*]", "", tool.pin).split("==")
        assert package == tool.package
        assert (
            f"\n{package}=={release} "
            in "\n" + (PINS / f"{package.removesuffix('-core').replace('-', '_')}.txt").read_text()
        )


@pytest.mark.parametrize("name", ["", "llama-guard-3-8b", "bh_sentinel", "../bh-sentinel-core"])
def test_another_name_is_not_ours(name: str) -> None:
    assert open_offline(name) is None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("bh-sentinel-core", {"flag": "loud"}, "any, high"),
        ("bh-sentinel-core", {"sentiment": "vader"}, "flag"),
        ("cogno-aegis", {"flag": "any"}, "none"),
    ],
)
def test_an_option_that_there_is_not_is_refused(name, options, words) -> None:
    """Before the package is looked for."""
    with pytest.raises(ConfigurationError, match=words):
        open_offline(name, options)


@pytest.mark.parametrize("name", [pytest.param(name, marks=missing(name)) for name in MODULES])
def test_a_package_that_is_not_installed_is_named_with_the_command(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"not installed: pip install '{name}(\[\w+])?==\d") as refused:
        open_offline(name)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("name", MODULES)
def test_a_package_that_is_half_there_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are gone, or a package that it needs."""
    monkeypatch.setattr(offline, "version", lambda _: "0")
    monkeypatch.setitem(sys.modules, MODULES[name], None)  # what the import system takes for "there is none"
    with pytest.raises(ConfigurationError, match="pip install '"):
        open_offline(name)


def test_a_package_that_cannot_be_made_ready_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> str:
        raise OSError("no such table")

    monkeypatch.setattr(offline, "version", broken)
    with pytest.raises(ConfigurationError, match="cannot be made ready"):
        open_offline("cogno-aegis")
    monkeypatch.setattr(offline, "version", lambda name: (_ for _ in ()).throw(PackageNotFoundError(name)))
    with pytest.raises(ConfigurationError, match="cogno-aegis is not installed"):
        open_offline("cogno-aegis")


REAL = [
    pytest.param(tool.package, dict(tool.options), id=key, marks=needed(tool.package, tool.pin))
    for key, tool in TOOLS.items()
]


def opened(name: str, options: dict[str, str]) -> Any:
    if options.get("sentiment") == "vader" and importlib.util.find_spec("vaderSentiment") is None:
        pytest.skip("NOT TRIED ON THE REAL PACKAGE: pip install 'rrt-advocate[vader]==0.1.1'")
    return open_offline(name, options)


@pytest.mark.parametrize(("name", "options"), REAL)
async def test_the_real_package_judges_and_leaves_nothing_behind(name, options, caplog) -> None:
    """Inside a running loop, in this process, with the network off: two verdicts, no thread, and no words of a message in a log."""
    before = set(threading.enumerate())
    baseline = opened(name, options)
    with caplog.at_level(logging.DEBUG):
        found = await asyncio.gather(
            *(baseline.assess(Message(id=text, text=text)) for text in (CRISIS, ORDINARY, CRISIS, ORDINARY))
        )
    await baseline.aclose()
    await baseline.aclose()
    assert [each.outcome for each in found] == ["crisis", "no_crisis"] * 2
    assert "suicide" in {finding.category for finding in found[0].findings}
    assert all(each.provenance.model.startswith(f"{name} ") for each in found)
    assert all(f"{key}={value}" in found[0].provenance.model for key, value in options.items())
    assert CRISIS not in caplog.text
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(("name", "options"), REAL)
async def test_the_real_package_does_not_know_yesterday(name, options) -> None:
    """A message is judged alike, whatever was said before it."""
    baseline = opened(name, options)
    first = await baseline.assess(Message(id="m", text=ORDINARY))
    for _ in range(6):
        await baseline.assess(Message(id="m", text="everything is awful, I hate it, I cannot cope with any of it"))
    again = await baseline.assess(Message(id="m", text=ORDINARY))
    assert (again.outcome, again.findings) == (first.outcome, first.findings)


@pytest.mark.parametrize(("name", "options"), REAL)
def test_the_map_has_every_label_of_the_real_package(name, options) -> None:
    """So that no label of the release that was read is dropped."""
    known, vocabulary = load_map(name).vocabulary, set[str]()
    if name == "bh-sentinel-core":
        import json

        path = Path(importlib.util.find_spec("bh_sentinel.core").origin).parent  # type: ignore[union-attr,arg-type]
        said = json.loads((path / "_default_config/flag_taxonomy.json").read_text(encoding="utf-8"))
        vocabulary = {flag["flag_id"] for domain in said["domains"] for flag in domain["flags"]}
    elif name == "rrt-advocate":
        from rrt_advocate import KeywordSemanticField  # type: ignore[import-not-found]

        vocabulary = {each.value for each in KeywordSemanticField}
    else:
        vocabulary = {"crisis" if name == "cogno-aegis" else "triggered"}
    assert vocabulary == set(known)
