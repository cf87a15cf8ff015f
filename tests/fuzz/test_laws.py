"""The laws of the fuzz targets, without a fuzzer: over the corpus, over a fixed set of random inputs, and over planted faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.http_faults import retry_after
from crisis_filter.backends.parse import parse_answer
from crisis_filter.text import View, chunks, normalise, views
from tests.fuzz import answers, texts, waits
from tests.fuzz.run import CORPUS, INTERVAL, SETTLED, TARGETS, Watched

ONE: dict[str, Callable[[bytes], None]] = {"answers": answers.one, "texts": texts.one, "waits": waits.one}
RANDOM_INPUTS = 2000
LONGEST = {"answers": 60, "texts": 24, "waits": 60}
"""Shorter than a fuzzer's, for time."""


def seeds(target: str) -> list[bytes]:
    """The corpus of a target, in a fixed order."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def inputs(target: str) -> Iterator[bytes]:
    """The corpus, then as many random bytes as corpus files with a few bytes changed, or cut."""
    rng = np.random.default_rng(7)
    kept = seeds(target)
    yield from kept
    for number in range(RANDOM_INPUTS):
        if number % 2:
            yield rng.bytes(int(rng.integers(LONGEST[target])))
            continue
        changed = bytearray(kept[int(rng.integers(len(kept)))][: int(rng.integers(2, 4 * LONGEST[target]))])
        for _ in range(int(rng.integers(1, 4))):
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
        yield bytes(changed)


def test_each_target_has_a_corpus() -> None:
    assert set(ONE) == set(TARGETS) == {path.name for path in CORPUS.iterdir()}
    assert all(len(seeds(target)) >= 20 for target in TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 200_000


@pytest.mark.parametrize("target", sorted(ONE))
def test_the_laws_hold(target: str) -> None:
    for data in inputs(target):
        try:
            ONE[target](data)
        except Exception as error:
            error.add_note(f"{target}: {data!r}")
            raise


def repaired(text: str | None, request: Request[Any]) -> Reply[Any]:
    """A reader that takes a code fence away."""
    reply = parse_answer((text or "").removeprefix("```json\n").removesuffix("\n```"), request)
    return replace(reply, text=text)


def last_key_wins(text: str | None, request: Request[Any]) -> Reply[Any]:
    """A reader for which a repeated key is no fault."""
    try:
        return replace(parse_answer(json.dumps(json.loads(text or "")), request), text=text)
    except ValueError:
        return parse_answer(text, request)


def any_nonce(text: str | None, request: Request[Any]) -> Reply[Any]:
    """A reader that does not compare the nonce."""
    return parse_answer(text, replace(request, nonce="other") if '"other"' in (text or "") else request)


def shifted(text: str, **options: bool) -> View:
    """A view whose map is off by one at its end."""
    view = normalise(text, **options)
    return replace(view, ends=tuple(end + 1 for end in view.ends))


def any_number(headers: Mapping[str, str]) -> float | None:
    """A reader of seconds that believes whatever it is told."""
    try:
        return float(headers["Retry-After"])
    except (KeyError, ValueError):
        return retry_after(headers)


PLANTED = [
    pytest.param("answers", answers, "parse_answer", repaired, id="a fence is taken away"),
    pytest.param("answers", answers, "parse_answer", last_key_wins, id="the last of two keys wins"),
    pytest.param("answers", answers, "parse_answer", any_nonce, id="any nonce will do"),
    pytest.param(
        "answers", answers, "claims_true", lambda text, _: '"crisis": true' in text, id="only the usual spelling"
    ),
    pytest.param("texts", texts, "normalise", shifted, id="a map off by one"),
    pytest.param("texts", texts, "views", lambda text: views(text)[1:], id="the raw view is lost"),
    pytest.param("texts", texts, "chunks", lambda text, **cut: chunks(text, **cut)[:1], id="a piece is lost"),
    pytest.param("texts", texts, "attack_seen", lambda text: "\n" not in text, id="a line before hides an attack"),
    pytest.param("texts", texts, "unvalidated", lambda *_: False, id="every language is cleared"),
    pytest.param("waits", waits, "retry_after", any_number, id="any number is a wait"),
    pytest.param("waits", waits, "retry_after", lambda _: None, id="no wait is ever heard"),
]


@pytest.mark.parametrize(("target", "module", "name", "fault"), PLANTED)
def test_the_laws_can_be_broken(
    target: str, module: Any, name: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, fault)
    with pytest.raises(AssertionError):
        for data in inputs(target):
            ONE[target](data)


def test_memory_that_grows_is_noticed() -> None:
    kept: list[bytes] = []
    steady = Watched(len)
    # In one piece: small ones would fit into what the process has free.
    leaking = Watched(lambda data: kept or kept.append(data * 300_000_000))
    for _ in range(SETTLED):
        steady(b"x")
    leaking._count, leaking._settled = steady._count, steady._settled
    with pytest.raises(AssertionError, match="memory grew"):
        for _ in range(INTERVAL):
            leaking(b"x")
