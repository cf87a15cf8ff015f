"""Where two raters differ, a third pass decides and says why, or says that it cannot be decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crisis_filter.experiments.simulate.answers import Adjudicated
from crisis_filter.experiments.simulate.asking import Asker, Pace, ask_each
from crisis_filter.experiments.simulate.authoring import Candidate
from crisis_filter.experiments.simulate.journal import Journal, Labels, RatingLine, Ruling, Trouble
from crisis_filter.experiments.simulate.prompts import fence_object
from crisis_filter.experiments.simulate.rating import differ, shuffled
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.prompting.render import fence_string

__all__ = ["adjudicate_all", "disputed", "pairs"]


def pairs(journal: Journal) -> dict[str, tuple[RatingLine, RatingLine]]:
    """The ratings of a and b for each message that both have rated."""
    first = {one.id: one for one in journal.ratings["rater_a"].records}
    second = {one.id: one for one in journal.ratings["rater_b"].records}
    return {key: (first[key], second[key]) for key in first if key in second}


def disputed(recipe: Recipe, journal: Journal) -> dict[str, tuple[RatingLine, RatingLine]]:
    """The pairs that differ on what raters must agree on, or of which one rater is not sure."""
    found = pairs(journal).items()
    return {key: pair for key, pair in found if differ(*pair, recipe.must_agree) or (recipe.doubts and _unsure(*pair))}


def _unsure(first: RatingLine, second: RatingLine) -> bool:
    return not (first.sure and second.sure)


async def adjudicate_all(
    recipe: Recipe,
    candidates: Mapping[str, Candidate],
    journal: Journal,
    asker: Asker[Adjudicated],
    pace: Pace,
) -> bool:
    """Decide about every message that is disputed, is not decided and still may be asked about.

    The two ratings are shown in an order drawn for each message, without a word on whose they are.

    Returns:
        Whether every request got a reply.
    """
    open_pairs, tries = disputed(recipe, journal), journal.tries("adjudicator")
    done = {one.id for one in journal.rulings.records}

    async def ask(key: str) -> Trouble | None:
        pair = open_pairs[key]
        if np.random.default_rng([recipe.seed, *key.encode()]).random() < 0.5:
            pair = pair[::-1]
        shown = {"first": _shown(pair[0]), "second": _shown(pair[1]), "message": fence_string(candidates[key].text)}
        reply = await asker.ask_until(key, recipe.tries - tries[key], journal.troubles.append, **shown)
        if isinstance(reply, Trouble):
            return reply
        assert reply.answer is not None  # noqa: S101  # a trouble otherwise
        journal.rulings.append(Ruling(**reply.answer.model_dump(exclude={"nonce"}), id=key, **asker.provenance(reply)))
        return None

    order = shuffled(list(open_pairs), recipe, "adjudicator")
    return await ask_each([key for key in order if key not in done and tries[key] < recipe.tries], ask, pace)


def _shown(rating: RatingLine) -> str:
    labels: dict[str, Any] = rating.model_dump(mode="json", include={*Labels.model_fields, "sure"})
    return fence_object(labels)
