"""Two blind passes: each rater sees messages one by one in an order of its own, and neither the intention nor the other rater."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from crisis_filter.experiments.simulate.answers import Rated
from crisis_filter.experiments.simulate.asking import Asker, Pace, ask_each
from crisis_filter.experiments.simulate.authoring import Candidate
from crisis_filter.experiments.simulate.journal import Journal, Labels, RatingLine, Trouble
from crisis_filter.experiments.simulate.recipe import Question, Recipe
from crisis_filter.prompting.render import fence_string
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["RATERS", "RaterKey", "differ", "rate_all", "shuffled", "turned"]

RaterKey = Literal["rater_a", "rater_b"]
RATERS: Mapping[RaterKey, Literal["A", "B"]] = {"rater_a": "A", "rater_b": "B"}
_ORDER = {"rater_a": 1, "rater_b": 2, "adjudicator": 3}


def shuffled(ids: Sequence[str], recipe: Recipe, who: Literal["rater_a", "rater_b", "adjudicator"]) -> list[str]:
    """The ids in the order in which one of them sees the messages; the same for the same recipe and ids."""
    ordered = sorted(ids)
    rng = np.random.default_rng([recipe.seed, 1_000_000 + _ORDER[who]])
    return [ordered[at] for at in rng.permutation(len(ordered))]


def turned(taxonomy: Taxonomy, recipe: Recipe, who: RaterKey) -> Taxonomy:
    """The manual as one rater gets it: the second has its pages in another order, so that what stands first does not sway both alike."""
    if who == "rater_a":
        return taxonomy
    rng = np.random.default_rng([recipe.seed, 2_000_000])
    pages = [taxonomy.categories[at] for at in rng.permutation(len(taxonomy.categories))]
    return taxonomy.model_copy(update={"categories": tuple(pages)})


def differ(first: Labels, second: Labels, questions: Sequence[Question]) -> bool:
    """Whether two raters say different things; categories are compared without order."""
    return any(_said(first, question) != _said(second, question) for question in questions)


def _said(labels: Labels, question: Question) -> object:
    return frozenset(labels.categories) if question == "categories" else getattr(labels, question)


async def rate_all(
    recipe: Recipe,
    candidates: Mapping[str, Candidate],
    who: RaterKey,
    journal: Journal,
    asker: Asker[Rated],
    pace: Pace,
) -> bool:
    """One rater's pass over all messages that it has not rated and still may be asked about.

    Args:
        recipe: gives the tries and the order.
        candidates: by id.
        who: which rater.
        journal: what has been rated, and where it is written down.
        asker: the rater.
        pace: how many at once.

    Returns:
        Whether every request got a reply.
    """
    lines, tries = journal.ratings[who], journal.tries(who)
    done = {one.id for one in lines.records}

    async def ask(key: str) -> Trouble | None:
        candidate = candidates[key]
        left = recipe.tries - tries[key]
        reply = await asker.ask_until(key, left, journal.troubles.append, message=fence_string(candidate.text))
        if isinstance(reply, Trouble):
            return reply
        assert reply.answer is not None  # noqa: S101  # a trouble otherwise
        said = reply.answer.model_dump(exclude={"nonce"})
        lines.append(RatingLine(**said, id=key, rater=RATERS[who], author=candidate.author, **asker.provenance(reply)))
        return None

    todo = [key for key in shuffled(list(candidates), recipe, who) if key not in done and tries[key] < recipe.tries]
    return await ask_each(todo, ask, pace)
