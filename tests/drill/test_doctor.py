"""The doctor: each fault is found by its own check, a healthy endpoint is called so, and nothing private is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.answers import Healthy
from crisis_filter.drill.doctor import REQUESTS, Doctor
from crisis_filter.drill.finding import CHECKS, counts
from crisis_filter.drill.plans import Always, First, InTurn
from crisis_filter.drill.probes import UNCLEAR
from crisis_filter.drill.window_probe import Need, Tried, judge_window
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import FilterSpec
from tests.drill.examining import MACHINE, MESSAGES, ORACLE, PRIVATE, Reading, examined, of_status, spec


async def test_a_healthy_endpoint() -> None:
    """All is well, every check is made, and no more is asked than was said."""
    async with Reading() as server:
        found = await examined(server)
    assert set(found) == set(CHECKS)
    assert of_status(found, "ok") == set(CHECKS) - MACHINE
    assert found["verdicts"].seen.startswith("of 8 clear crises 8 called crisis, 0 not; of 1 ordinary 1 not crisis")
    assert "reads 53," in found["window"].seen
    assert server.counts.total() <= REQUESTS


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("connect_refused", "reachable"),
        ("hang", "reachable"),
        ("html_200", "reachable"),
        ("tls_alert", "reachable"),
        ("http_500", "reachable"),
        ("http_429_a_day", "reachable"),
        ("http_401", "key"),
        ("http_403", "key"),
        ("http_404", "key"),
        ("http_429_quota", "key"),
        ("refusal_field", "refusals"),
        ("refusal_prose", "refusals"),
        ("filter_prompt", "filters"),
        ("filter_finish", "filters"),
        ("length_cut", "output_limit"),
        ("length_null", "output_limit"),
        ("nonce_missing", "nonce"),
        ("nonce_other", "nonce"),
        ("code_fence", "answers"),
        ("empty_content", "answers"),
        ("verdict_null", "answers"),
        ("score_too_high", "answers"),
        ("category_synonym", "categorise"),
        ("category_shouted", "categorise"),
        ("category_translated", "categorise"),
        ("category_invented", "categorise"),
        ("categorise_empty", "categorise"),
        ("categorise_error", "categorise"),
        ("categorise_hang", "categorise"),
        ("prompt_front_dropped", "window"),
        ("context_length_exceeded", "window"),
    ],
)
async def test_each_fault_is_found_by_its_own_check(fault: str, check: str) -> None:
    """Only that check fails."""
    async with Reading(plan=Always(fault)) as server:
        found = await examined(server, timeout_s=0.3 if fault.endswith("hang") else 5.0)
    assert of_status(found, "fail") == {check}
    assert not of_status(found, "warn")
    if check in ("reachable", "key"):
        assert server.counts.total() <= 3
        assert of_status(found, "unknown") >= {
            "model",
            "verdicts",
            "categorise",
            "refusals",
            "filters",
            "nonce",
            "window",
        }


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("http_401", "key is wrong"),
        ("http_403", "may not use"),
        ("http_404", "no such model"),
        ("http_429_quota", "quota"),
    ],
)
async def test_a_key_that_is_turned_down_is_told_by_its_kind(fault: str, words: str) -> None:
    """Each has an advice of its own."""
    async with Reading(plan=Always(fault)) as server:
        assert words in (await examined(server))["key"].advice


async def test_what_goes_wrong_now_and_then_is_counted() -> None:
    """Two refusals, a filter and an error among fourteen requests, none of them asked again."""
    steps = ("none", "refusal_field", "none", "filter_prompt", "none", "refusal_prose", "http_503", "none")
    async with Reading(plan=InTurn(steps)) as server:
        found = await examined(server)
    assert found["refusals"].seen == "2 of 13 replies refuse to judge (refusal_field 1, refusal_prose 1)"
    assert found["filters"].seen.startswith("1 of 13 ")
    assert "filter_prompt 1, filter_finish 0; 1 named self-harm" in found["filters"].seen
    assert found["reachable"].status == "warn"
    assert found["reachable"].seen.startswith("13 of 14 requests came back (server_error 1: HTTP 503)")


async def test_a_key_that_is_revoked_on_the_way() -> None:
    """Fails, although the first requests were answered."""
    async with Reading(plan=First(5, "none", then="http_401")) as server:
        found = await examined(server)
    assert (found["key"].status, found["reachable"].status) == ("fail", "ok")


@pytest.mark.parametrize(
    ("said", "status"), [(lambda _: False, "fail"), (lambda _: True, "warn"), (ORACLE.oracle, "ok")]
)
async def test_verdicts_are_reported(said: Any, status: str) -> None:
    """A model that calls nothing a crisis fails; one that calls everything so is worth a word."""
    async with Reading(Healthy(said)) as server:
        assert (await examined(server))["verdicts"].status == status


async def test_a_model_that_changes_its_mind() -> None:
    """The verdicts on one text are compared; so are the scores."""
    calls = iter(range(100))

    def fickle(text: str) -> bool:
        return next(calls) % 2 == 0 if text == UNCLEAR.text else ORACLE.oracle(text)

    async with Reading(Healthy(fickle)) as server:
        found = await examined(server)
    assert of_status(found, "warn") == {"repeatable"}
    assert found["repeatable"].seen == "2 of 5 verdicts on one text differ from the others; scores 0.95 apart"


@pytest.mark.parametrize(("pinned", "status"), [(None, "warn"), ("any", "fail"), ("drill-other-2", "ok")])
async def test_the_model_that_answers_is_compared(pinned: str | None, status: str) -> None:
    """With the one that was asked for, or with the one that is pinned."""
    async with Reading(plan=Always("model_changed")) as server:
        found = await examined(server, model_reported=pinned)
    assert found["model"].status == status
    assert "drill-other-2" in found["model"].seen


async def test_a_server_without_schemas() -> None:
    """Is worth a word and works."""
    async with Reading(schemas=False) as server:
        found = await examined(server)
    assert of_status(found, "warn") == {"schema_form"}
    assert not of_status(found, "fail")


async def test_a_prompt_that_asks_for_no_probability() -> None:
    """Without token probabilities there is no score at all."""
    async with Reading() as server:
        found = await examined(server, screen_prompt="screen/terse-v2")
    assert of_status(found, "warn") == {"score"}


async def test_answers_that_are_too_slow_for_the_policy() -> None:
    """A message is asked about twice within the deadline."""
    async with Reading() as server:
        found = await examined(server, deadline_s=0.001)
    assert of_status(found, "warn") == {"speed"}


@pytest.mark.parametrize(
    ("window", "more", "status", "words"),
    [
        (4_096, {}, "fail", "cuts a prompt of 24,"),
        (4_096, {"counting": False}, "fail", "cuts a prompt of 24,"),
        (4_096, {"drops": "end"}, "fail", "cuts a prompt of 24,"),
        (12_200, {}, "warn", "does not repeat the first line of 53,"),
        (4_096, {"loud": True}, "fail", "turns down the screen prompt"),
        (12_200, {"loud": True}, "warn", "turns down a prompt of 53,"),
        (20_000, {}, "ok", "reads 53,"),
    ],
)
async def test_windows(window: int, more: dict[str, Any], status: str, words: str) -> None:
    """Cut at either end, with or without a count of tokens, in silence or not."""
    async with Reading(window=window, **more) as server:
        finding = (await examined(server))["window"]
    assert finding.status == status
    assert words in finding.seen


NEED = Need(prompt=20_000, longest=28_000, system=19_000)


@pytest.mark.parametrize(
    ("endings", "status"),
    [
        ((), "unknown"),
        (("no_reply",), "fail"),
        (("whole", "no_reply"), "warn"),
        (("whole", "whole", "no_reply"), "warn"),
        (("whole", "whole", "whole", "no_reply"), "ok"),
        (("not_told", "no_reply"), "warn"),
        (("not_told", "not_told", "not_told"), "unknown"),
        (("not_told", "cut"), "fail"),
        (("whole", "whole", "whole"), "ok"),
        (("whole", "whole", "whole", "cut"), "warn"),
        (("whole", "whole", "whole", "turned_down"), "ok"),
        (("turned_down",), "fail"),
        (("whole", "turned_down"), "warn"),
        (("whole", "whole", "turned_down"), "warn"),
        (("whole", "lost", "whole"), "ok"),
        (("whole", "whole", "lost"), "warn"),
    ],
)
def test_what_sizes_say(endings: Any, status: str) -> None:
    """Cut in silence is worse than turned down, and what cannot be told is not called well."""
    sizes = (12_000, 24_000, 28_000, 48_000)
    tried = [Tried(size, ending) for size, ending in zip(sizes, endings, strict=False)]
    assert judge_window(tried, NEED, ()).status == status


async def test_every_endpoint_of_a_chain_is_examined() -> None:
    """Two of one name are told apart; what stands behind them is not mixed up."""
    async with Reading() as first, Reading(plan=Always("http_401")) as second:
        other = BackendSpec(kind="openai", model="any", base_url=second.base_url, api_key=SecretStr("k"))
        doctor = Doctor(spec(first, fallbacks=(other, "local")), MESSAGES, timeout_s=5.0)
        findings = [finding async for finding in doctor.examine()]
    assert [name for name, _ in doctor.endpoints] == ["openai:any", "openai:any (2)"]
    failed_ = [(f.endpoint, f.check) for f in findings if f.status == "fail"]
    assert failed_ == [("openai:any (2)", "key")]
    assert counts(findings)["fail"] == 1


async def test_through_langchain() -> None:
    """The same road; only the form of the request is not known."""
    async with Reading() as server:
        given = FilterSpec(backend="langchain:openai:any", base_url=server.base_url)
        found = {f.check: f async for f in Doctor(given, MESSAGES, timeout_s=10.0).examine()}
    assert of_status(found, "ok") == set(CHECKS) - MACHINE - {"schema_form"}
    assert "schema_form" not in found


@pytest.mark.parametrize("fault", ["none", "refusal_prose", "code_fence", "score_too_high", "http_500"])
async def test_nothing_private_is_logged(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a message nor an answer, at any level."""
    caplog.set_level(logging.DEBUG)
    async with Reading(plan=Always(fault)) as server:
        await examined(server)
    assert not [text for text in PRIVATE if text in caplog.text]


@pytest.mark.parametrize("kind", ["scripted:/nonexistent", "recorded:/nonexistent"])
def test_prepared_answers_are_no_endpoint(kind: str) -> None:
    """Refused at once."""
    with pytest.raises(ConfigurationError, match="not prepared answers"):
        Doctor(FilterSpec(backend=kind), MESSAGES)
