"""The drill: passes for this filter, and would not for one that fails open or that gives up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crisis_filter import assets
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.behaviours import BEHAVIOURS
from crisis_filter.drill.course import Course, Drill
from crisis_filter.drill.messages import DrillMessages, load_messages
from crisis_filter.drill.report import PARTS, Case, DrillReport, Part, summarise
from crisis_filter.drill.stand_in import other_clients, prompted_links, replaced, see_that_it_opens
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import DEFAULT_POLICY, FilterSpec
from crisis_filter.schema import Conclusion, Failure, Fault, ScreenVerdict

WHOLE = load_messages()
SHOWN = [attack for attack in WHOLE.attacks if '{"nonce"' in attack.text][:2]
FEW = DrillMessages(WHOLE.crises[:8], WHOLE.ordinary[:8], (*WHOLE.attacks[::24], *SHOWN), WHOLE.held_out[::24])
FAULTS = ("http_500", "refusal_field", "prose_not_safe", "verdict_zero", "two_objects", "prompt_front_dropped")
SMALL = Course(per_fault=3, ordinary=2, once=2, per_attack=1, outage=12, long=1, deadline_s=2.0, faults=FAULTS)
QUICK = replace(SMALL, parts=("control", "everywhere", "once"))
ONE_LINK = FilterSpec(backend="openai:any", api_key="k", fallbacks=())


DEFAULT = FilterSpec()


async def drilled(spec: FilterSpec = DEFAULT, course: Course = SMALL) -> tuple[DrillReport, list[Case]]:
    one = Drill(spec, FEW, course)
    cases = [case async for case in one.run()]
    return summarise(cases, detector=one.detector, policy=one.policy, elapsed_s=1.0), cases


@pytest.mark.parametrize("fast", [False, True])
async def test_the_default_chain_passes(fast):
    """Two endpoints and the engine, in either lane: nothing silent, everything recoverable recovered, every fault named."""
    report, cases = await drilled(course=replace(SMALL, fast=fast))
    assert report.passed
    assert report.detector == "openai:drill > openai:drill > local:standard-v1"
    assert (report.silent_negatives, report.wrong) == (0, ())
    assert report.control.hits == report.control.n == 16
    assert report.recovered.hits == report.recovered.n > 30
    assert report.injections.hits == report.injections.n > 0
    assert report.named.hits == report.named.n > 0
    assert (report.cleared_under_fault, report.unnamed, report.failures) == (0, 0, ())
    assert {case.part for case in cases} == set(PARTS)
    for part in ("everywhere", "first_link", "once", "breaker", "long", "network"):
        assert {case.crisis for case in cases if case.part == part} == {True, False}
    healed = [case for case in cases if case.fault.endswith("healed")]
    assert all(case.right for case in healed)
    assert {case.crisis for case in healed} == {True, False}
    assert {case.named for case in cases if (case.part, case.fault) == ("breaker", "hang")} == {Fault.TIMEOUT}


@pytest.mark.parametrize("fast", [False, True])
async def test_a_single_endpoint_without_an_engine_passes_too(fast):
    """It has nobody to turn to, so more is undetermined; what the endpoint can mend itself is recovered."""
    parts: tuple[Part, ...] = ("control", "everywhere", "first_link", "once", "long")
    report, cases = await drilled(ONE_LINK, replace(SMALL, parts=parts, fast=fast))
    assert report.passed
    everywhere = [case for case in cases if case.part == "everywhere"]
    assert {case.outcome for case in everywhere if case.fault == "http_500"} == {"undetermined"}
    assert {case.named for case in everywhere if case.fault == "http_500"} == {Fault.SERVER_ERROR}
    assert not any(case.part == "first_link" for case in cases)


async def test_what_sways_a_model_is_counted_for_each():
    """The obedient model is swayed by every attack, the one that echoes by those with a verdict in them."""
    course = replace(SMALL, parts=("injection", "held_out"))
    report, cases = await drilled(ONE_LINK, course)
    echo, obedient, unseen = report.sways
    assert [(sway.part, sway.model) for sway in report.sways] == [
        ("injection", "echo-prone model"),
        ("injection", "obedient model"),
        ("held_out", "obedient model"),
    ]
    attacks, places = len(FEW.attacks), 3
    assert (obedient.swayed.hits, obedient.swayed.n) == (attacks * places, attacks * places)
    assert (echo.swayed.hits, echo.swayed.n) == (len(SHOWN) * places, attacks * places)
    assert [(sway.kept.hits, sway.kept.n) for sway in (echo, obedient)] == [
        (echo.swayed.hits, echo.swayed.hits),
        (obedient.swayed.hits, obedient.swayed.hits),
    ]
    assert unseen.kept.n == unseen.swayed.hits == len(FEW.held_out) * places
    assert all(case.swayed is not None for case in cases)


async def test_a_filter_that_fails_open_does_not_pass(monkeypatch):
    """Were a failure taken for a negative, the drill would count it."""

    def open_minded(results, flags=frozenset()):
        positive = any(isinstance(r, ScreenVerdict) and r.crisis for r in results)
        return Conclusion(outcome="crisis" if positive else "no_crisis")

    monkeypatch.setattr("crisis_filter.pipeline.judge.conclude", open_minded)
    report, _ = await drilled(ONE_LINK, QUICK)
    assert not report.passed
    assert report.silent_negatives > 0


async def test_a_filter_that_gives_up_does_not_pass(monkeypatch):
    """Undetermined for everything has no silent negatives, and is no filter."""

    def despairing(results, flags=frozenset()):
        return Conclusion(outcome="undetermined", fault=Fault.INTERNAL)

    monkeypatch.setattr("crisis_filter.pipeline.judge.conclude", despairing)
    report, _ = await drilled(ONE_LINK, QUICK)
    assert report.silent_negatives == 0
    assert not report.passed
    assert (report.control.hits, report.recovered.hits) == (0, 0)


async def test_no_retries_and_nobody_else_does_not_pass():
    """Faults that could have been recovered from must end in verdicts."""
    spec = ONE_LINK.model_copy(update={"attempts": 1})
    report, _ = await drilled(spec, QUICK)
    assert report.silent_negatives == 0
    assert not report.passed
    assert any(wrong.startswith("once") for wrong in report.wrong)


def test_the_configured_chain_keeps_its_shape():
    """Endpoints are replaced one for one, the engine stays where it was, and no address or key is left."""
    spec = FilterSpec(
        backend="langchain:anthropic:m",
        fallbacks=(BackendSpec(kind="openai", model="b", api_key="secret", attempts=2), "local"),
        taxonomy="clinical-v1",
        azure_endpoint="https://corp.example",
    )
    assert prompted_links(spec) == 2
    given = replaced(spec, ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"], 3.0)
    assert (given.backend, given.base_url, given.azure_endpoint, given.deadline_s) == (
        "openai:drill",
        "http://127.0.0.1:1/v1",
        None,
        3.0,
    )
    second, last = given.fallbacks
    assert (second.base_url, second.attempts, second.api_key.get_secret_value(), last) == (
        "http://127.0.0.1:2/v1",
        2,
        "drill",
        "local",
    )
    assert given.taxonomy == "clinical-v1"
    assert other_clients(spec) == ("langchain:anthropic:m",)
    assert replaced(ONE_LINK, ["http://127.0.0.1:1/v1"], 1.0).fallbacks == ()


async def test_a_taxonomy_that_the_engine_does_not_know_is_drilled_without_it():
    """As it is judged without it, unless somebody asks for the engine by name."""
    spec = FilterSpec(backend="openai:any", taxonomy="mindguard-v1")
    report, _ = await drilled(spec, replace(SMALL, parts=("control",)))
    assert (report.detector, report.control.hits) == ("openai:drill", report.control.n)
    asked = spec.model_copy(update={"fallbacks": ("local",)})
    with pytest.raises(ConfigurationError, match="trained for other categories"):
        await drilled(asked, replace(SMALL, parts=("control",)))


@pytest.mark.parametrize(
    "fields",
    [
        {"backend": "foo"},
        {"backend": "langchain:nosuchprovider:m"},
        {"fallbacks": ("local",)},
        {"backend": "openai:a", "fallbacks": (BackendSpec(kind="langchain", model="nosuchprovider:m"),)},
        {"taxonomy": "mindguard-v1"},
    ],
)
async def test_what_cannot_be_opened_is_not_drilled(fields):
    """The filter as configured is opened first; with all its endpoints replaced it might well open."""
    with pytest.raises(ConfigurationError):
        await drilled(FilterSpec(**fields), replace(SMALL, parts=("control",)))


@pytest.mark.parametrize(
    "fields",
    [
        {"backend": "openai:a"},
        {"backend": "openai:a", "azure_endpoint": "https://corp.example"},
        {"backend": "langchain:openai:a"},
        {"backend": "openai:a", "fallbacks": (BackendSpec(kind="openai", model="b"), "local")},
    ],
)
async def test_no_key_is_needed(fields):
    """Nothing is sent to whom it is for."""
    await see_that_it_opens(FilterSpec(**fields))


def test_the_report_counts_what_it_is_given():
    """Held-out attacks are counted apart; nothing tried is not passed."""

    def case(part="everywhere", outcome="crisis", crisis=True, **fields) -> Case:
        return Case(part=part, fault="f", crisis=crisis, outcome=outcome, named=None, **fields)

    cases = [
        case("control", recoverable=True),
        case("control", "no_crisis", crisis=False, recoverable=True),
        case("first_link", recoverable=True),
        case(outcome="undetermined"),
        case("held_out", "no_crisis"),
        case("injection"),
    ]
    report = summarise(cases, detector="d", policy="p", elapsed_s=1.0)
    assert report.passed
    assert (report.cases, report.silent_negatives, report.held_out.hits, report.held_out.n) == (6, 0, 0, 1)
    assert not summarise([], detector="d", policy="p", elapsed_s=1.0).passed
    for more in (
        case(outcome="no_crisis"),
        case(outcome="no_crisis", crisis=False, no_verdict=True),
        case(outcome="undetermined", expected=Fault.TIMEOUT),
        case(late_ms=501.0),
        case("held_out", late_ms=501.0),
    ):
        failed = summarise([*cases, more], detector="d", policy="p", elapsed_s=1.0)
        assert len(failed.failures) == 1
        assert not failed.passed
    assert summarise([*cases, case(late_ms=499.0)], detector="d", policy="p", elapsed_s=1.0).passed
    hidden = summarise([*cases, case(expected=Fault.TIMEOUT)], detector="d", policy="p", elapsed_s=1.0)
    assert (hidden.named.hits, hidden.named.n, hidden.unnamed) == (0, 1, 1)
    (cell,) = [cell for cell in report.cells if cell.part == "everywhere"]
    assert (cell.crisis, cell.undetermined, cell.not_crisis, cell.cases) == (0, 1, 0, 1)


def test_the_whole_drill_is_large_enough():
    """The full course has every fault, and the attacks before, after and inside crises."""
    full = Drill(FilterSpec(), WHOLE, Course(per_fault=200, per_attack=4))
    assert full.expected_cases() >= 9_000
    assert len(BEHAVIOURS) > 60
    assert len(WHOLE.attacks) * 3 * 4 * 2 >= 2_400


async def test_a_policy_that_asks_once_is_not_drilled_with_a_wavering_model(tmp_path):
    """It has nothing to set against it; the default asks again."""
    path = tmp_path / "mine.toml"
    text = (assets.find("policies", DEFAULT_POLICY, ".toml")).read_text(encoding="utf-8")
    path.write_text(text.replace("count = 3", "count = 1"), encoding="utf-8")
    course = replace(SMALL, parts=("everywhere",), faults=("wavering",))
    _, asked_again = await drilled(ONE_LINK, course)
    _, asked_once = await drilled(ONE_LINK.model_copy(update={"policy": str(path)}), course)
    assert {(case.outcome, case.named) for case in asked_again} == {("crisis", Fault.NONDETERMINISM)}
    assert asked_once == []


def test_failure_is_never_right():
    """Neither for a crisis nor for an ordinary message."""
    for crisis in (True, False):
        one = Case(part="once", fault="f", crisis=crisis, outcome="undetermined", named=Fault.TIMEOUT)
        assert not one.right
        assert not one.silent_negative
    assert Failure(fault=Fault.TIMEOUT)
