"""Proving on an operator's own labels that asking about several messages at once loses no more crises than a margin.

Every crisis is judged singly, and once more in a request with others, exactly as a run does it. What counts is a crisis that is held back singly
(found, or undetermined) and cleared together; one that is only found together makes up for none. With the exact binomial tail over
those the share lost is bounded, and with it the difference of the two recalls, which cannot be greater.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crisis_filter.backends.base import Backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.backends.together import Together, may_share, shared_link
from crisis_filter.batch.together import Prompts, bound_of, plain, prompts_of
from crisis_filter.batch.together_proof import Pairs, TogetherProof
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.chain import Opener, open_links
from crisis_filter.pipeline.clearing import Labels
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.schema import Message, ScreenVerdict
from crisis_filter.stages.base import Screened
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stages.votes import VotedScreen
from crisis_filter.stats.operating import allowed_misses, fewest_positives
from crisis_filter.text import mended, normalise

__all__ = ["How", "Progress", "validate"]


@dataclass(frozen=True, slots=True)
class How:
    """How a proof is made."""

    messages: int
    """To a request."""
    margin: float = 0.01
    """Share of crises that may be lost at most."""
    delta: float = 0.05
    """Highest chance that more are."""
    seed: int = 0
    """Draws who is asked about with whom."""
    at_once: int = 8
    """Requests on their way."""


Progress = Callable[[int, int], None]
"""Is told how many requests are done, and of how many."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One request about several messages."""

    texts: tuple[str, ...] = field(repr=False)
    at: int
    """Which of them is the crisis that counts."""


@dataclass(slots=True)
class _Judged:
    """What came back. Lives for one validation."""

    singly: dict[str, bool] = field(default_factory=dict, repr=False)
    """Whether a text is cleared."""
    crises: dict[str, bool] = field(default_factory=dict, repr=False)
    """The same of a crisis in its own request; absent where its verdict did not come from that."""
    others: dict[str, bool] = field(default_factory=dict, repr=False)
    """The same of those in their company, the first time."""
    served: dict[str | None, None] = field(default_factory=dict)
    again: Counter[str] = field(default_factory=Counter)
    done: int = 0


async def validate(
    judging: FilterSpec,
    labels: Labels,
    how: How,
    *,
    opener: Opener = open_links,
    tell: Progress = lambda _done, _of: None,
) -> TogetherProof:
    """Judge labelled messages singly and together, and say how many crises the one loses to the other at most.

    Each crisis that may go together at all is asked about in a request of its own, at a random place among messages that are no crisis; in every
    other request one of those is another crisis, which does not count there. Only a verdict that came from that request counts: one that
    was asked about once more proves nothing of asking together.

    Args:
        judging: what judges; its Stage 1 prompt asks for the verdict alone.
        labels: the operator's.
        how: how many go together, and what is to be proved.
        opener: opens the language model.
        tell: is told of progress.

    Raises:
        ConfigurationError: it cannot be done with this filter, there are too few crises or other messages, or too many crises are lost.
    """
    prompts = prompts_of(judging)
    if judging.backend.startswith(("scripted:", "recorded:")):
        raise ConfigurationError("answers that were prepared or recorded prove nothing of a language model")
    crises, singly = _eligible(labels.crises, prompts)
    others, _ = _eligible(labels.others, prompts)
    others = [text for text in others if text not in set(crises)]
    _refuse_few(labels.name, len(crises), len(others), how)
    drawn = _draw(crises, others, how)
    links = (judging.backend_spec(), *(link for link in judging.fallbacks or () if isinstance(link, BackendSpec)))
    backend = opener(links)
    try:
        judged = await _judge(backend, prompts, drawn, how, tell)
    finally:
        await backend.aclose()
    pairs = _pairs(judged.singly, judged.crises)
    allowed = allowed_misses(pairs.n, 1.0 - how.margin, how.delta)
    if allowed is None or pairs.singly_alone > allowed:
        raise ConfigurationError(_why_not(labels.name, pairs, allowed, judged.again, how))
    return TogetherProof(
        bound=bound_of(judging, prompts, how.messages),
        served=tuple(judged.served),
        labels=labels.name,
        labels_path=labels.path or labels.name,
        labels_sha256=labels.sha256,
        labelled_by=labels.labelled_by,
        crises=pairs,
        others=_pairs(judged.singly, {text: judged.others[text] for text in others if text in judged.others}),
        allowed=allowed,
        margin=how.margin,
        delta=how.delta,
        singly=singly,
        again=len(crises) - pairs.n,
        copies=labels.copies + len(labels.crises) - len(crises) - singly,
        seed=how.seed,
    ).signed()


def _eligible(texts: Sequence[str], prompts: Prompts) -> tuple[list[str], int]:
    """Texts that a run would ask about together, each once as copies of it look; and how many it would not."""
    distinct = {folded: text for text in texts if (folded := normalise(mended(text), casefold=True).text)}
    found = [text for text in distinct.values() if plain(Message(id="label", text=text), prompts.policy)]
    return found, len(distinct) - len(found)


def _refuse_few(name: str, crises: int, others: int, how: How) -> None:
    needed = fewest_positives(1.0 - how.margin, how.delta)
    if crises < needed:
        raise ConfigurationError(
            f"{name}: {crises} different crises that may go together are too few to prove that at most {100 * how.margin:g}% are lost: "
            f"{needed} are needed, and more if any is lost"
        )
    if others < how.messages - 1:
        raise ConfigurationError(
            f"{name}: {others} different messages that are no crisis are too few for {how.messages} to a request: {how.messages - 1} are needed"
        )


def _draw(crises: Sequence[str], others: Sequence[str], how: How) -> list[_Drawn]:
    """A request for each crisis. The others take turns, so that none comes again before all have been there."""
    rng = np.random.default_rng(how.seed)
    turns: list[str] = []
    found = []
    for number, crisis in enumerate(crises):
        company: list[str] = []
        while len(company) < how.messages - 1:
            turns = turns or [others[i] for i in rng.permutation(len(others))]
            company += [text] if (text := turns.pop()) not in company else []
        if number % 2 and len(crises) > 1:
            away = int(rng.integers(1, len(crises)))
            company[int(rng.integers(len(company)))] = crises[(number + away) % len(crises)]
        at = int(rng.integers(how.messages))
        found.append(_Drawn((*company[:at], crisis, *company[at:]), at))
    return found


async def _judge(backend: Backend, prompts: Prompts, drawn: Sequence[_Drawn], how: How, tell: Progress) -> _Judged:
    judged = _Judged()
    texts = list(dict.fromkeys(text for one in drawn for text in one.texts))
    places = asyncio.Semaphore(how.at_once)
    of = len(texts) + len(drawn)
    deadline_s = prompts.policy.limits.deadline_s

    def told() -> None:
        judged.done += 1
        tell(judged.done, of)

    async def singly(text: str) -> None:
        async with places:
            judged.singly[text] = _cleared(await _screener(backend, prompts).screen(text, deadline_s))
        told()

    async def together(one: _Drawn) -> None:
        async with places:
            # One for each request, so that nobody else comes in between.
            shared = Together(backend, prompts.single, prompts.together, most=how.messages, wait_s=deadline_s / 10)
            screener = _screener(shared, prompts)

            async def ask(text: str) -> Screened:
                with may_share(text):
                    return await screener.screen(text, deadline_s)

            screened = await asyncio.gather(*map(ask, one.texts))
        judged.again.update(shared.figures.again)
        _note(judged, one, screened, how.messages)
        told()

    async with asyncio.TaskGroup() as group:
        for text in texts:
            group.create_task(singly(text))
        for one in drawn:
            group.create_task(together(one))
    return judged


def _note(judged: _Judged, one: _Drawn, screened: Sequence[Screened], messages: int) -> None:
    """Keep the verdicts that came from the request about several."""
    mark = shared_link("", messages)
    for place, (text, given) in enumerate(zip(one.texts, screened, strict=True)):
        if not any(link.endswith(mark) for link in given.cost.links):
            continue
        judged.served[given.cost.model] = None
        if place == one.at:
            judged.crises[text] = _cleared(given)
        else:
            judged.others.setdefault(text, _cleared(given))


def _screener(backend: Backend, prompts: Prompts) -> VotedScreen:
    """Stage 1 as the pipeline has it."""
    threshold, votes = prompts.policy.thresholds.prompted_screen, prompts.policy.votes
    prompted = PromptedScreen(backend, prompts.single, threshold=threshold)
    return VotedScreen(prompted, count=votes.count, threshold=threshold, margin=votes.margin)


def _cleared(screened: Screened) -> bool:
    """Whether this alone would let a message go; a failure never does."""
    verdict = screened.result
    return isinstance(verdict, ScreenVerdict) and not verdict.crisis and verdict.may_clear


def _pairs(singly: Mapping[str, bool], together: Mapping[str, bool]) -> Pairs:
    counts = Counter((singly[text], cleared) for text, cleared in together.items())
    return Pairs(
        both=counts[False, False],
        singly_alone=counts[False, True],
        together_alone=counts[True, False],
        neither=counts[True, True],
    )


def _why_not(name: str, pairs: Pairs, allowed: int | None, again: Counter[str], how: How) -> str:
    if allowed is None:
        causes = ", ".join(f"{cause} {number:,}" for cause, number in again.most_common()) or "none"
        return (
            f"{name}: only {pairs.n} crises got their verdict together, too few to prove that at most {100 * how.margin:g}% are lost: "
            f"{fewest_positives(1.0 - how.margin, how.delta)} are needed; asked about again, by cause: {causes}"
        )
    return (
        f"{name}: of {pairs.n} crises {pairs.singly_alone} are held back singly and cleared {how.messages} to a request; at most {allowed} may be, "
        f"to prove that no more than {100 * how.margin:g}% are lost. Try fewer to a request, or leave --together out"
    )
