"""A whole run: the author writes, two raters rate, somebody decides, and the journal is drawn up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crisis_filter import assets
from crisis_filter.backends.base import Backend
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import InputError
from crisis_filter.experiments.simulate.adjudication import adjudicate_all
from crisis_filter.experiments.simulate.answers import Written, adjudicated_model, rated_model
from crisis_filter.experiments.simulate.asking import Asker, Pace
from crisis_filter.experiments.simulate.authoring import write_all
from crisis_filter.experiments.simulate.journal import Journal, State
from crisis_filter.experiments.simulate.outcome import Summary, draw_up
from crisis_filter.experiments.simulate.plan import plan
from crisis_filter.experiments.simulate.prompts import SimulatePrompt, load_simulate_prompt, make_ready
from crisis_filter.experiments.simulate.rating import RATERS, rate_all, turned
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.prompting.render import NonceSource, fresh_nonce
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["Crew", "Work", "load_work", "read_texts", "simulate"]


@dataclass(frozen=True, slots=True)
class Crew:
    """Who answers. One backend may have several parts; then raters share its mistakes with one another and with the author."""

    author: Backend
    rater_a: Backend
    rater_b: Backend
    adjudicator: Backend


@dataclass(frozen=True, slots=True)
class Work:
    """All that decides what is asked."""

    recipe: Recipe
    taxonomy: Taxonomy
    author: SimulatePrompt
    rater: SimulatePrompt
    adjudicator: SimulatePrompt
    against: tuple[str, ...]
    """Messages to stay away from."""

    @property
    def sha256(self) -> str:
        """Over the recipe, the prompts, the taxonomy and the messages to stay away from, whatever their order."""
        hashes = [
            self.recipe.sha256,
            self.taxonomy.sha256,
            *(p.sha256 for p in (self.author, self.rater, self.adjudicator)),
        ]
        known = assets.sha256(*(text.encode("utf-8", "replace") for text in sorted(self.against)))
        return assets.sha256(*(part.encode() for part in (*hashes, known)))

    def state(self, crew: Crew, salt: str) -> State:
        """What a folder for this work is begun with.

        Args:
            crew: who judges.
            salt: random, from which ids are made.
        """
        return State(
            recipe=self.recipe.id,
            recipe_sha256=self.recipe.sha256,
            work_sha256=self.sha256,
            prompts=(self.author.ref, self.rater.ref, self.adjudicator.ref),
            taxonomy=self.taxonomy.ref,
            judges={
                "rater_a": crew.rater_a.name,
                "rater_b": crew.rater_b.name,
                "adjudicator": crew.adjudicator.name,
            },
            salt=salt,
            version=assets.package_version(),
        )


def load_work(recipe: Recipe, against: Iterable[Path] = ()) -> Work:
    """Load what a recipe names.

    Args:
        recipe: what is to be written.
        against: JSON Lines files with a field `text`.

    Raises:
        AssetError: a prompt or the taxonomy is missing or malformed, or has not what the recipe names.
        InputError: a file of `against` cannot be read; names the line, never its text.
    """
    taxonomy = load_taxonomy(recipe.taxonomy)
    recipe.check(taxonomy)
    names = recipe.prompts
    return Work(
        recipe=recipe,
        taxonomy=taxonomy,
        author=load_simulate_prompt(names.author, "author"),
        rater=load_simulate_prompt(names.rater, "rater"),
        adjudicator=load_simulate_prompt(names.adjudicator, "adjudicator"),
        against=tuple({fingerprint(text): text for path in against for text in read_texts(path)}.values()),
    )


def read_texts(path: Path) -> list[str]:
    """The field `text` of every line of a JSON Lines file.

    Raises:
        InputError: naming the line, never what stands there.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None
    texts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise InputError(f"{path}: line {number}: needs a JSON object with a text")
        texts.append(row["text"])
    return texts


async def simulate(work: Work, crew: Crew, journal: Journal, pace: Pace, nonces: NonceSource = fresh_nonce) -> Summary:
    """Do what is left of a run, and draw up what there is.

    A stage is begun when the one before it got a reply to every request. Otherwise, and when it is killed, the run is started again
    with the same arguments: nothing is asked again that has an answer in the journal.

    Args:
        work: what to do.
        crew: who answers; closing the backends is the caller's part.
        journal: begun with the state of this work.
        pace: how fast.
        nonces: where nonces come from.

    Returns:
        The counts; `done` tells whether anything is left.

    Raises:
        ConfigurationError: the journal cannot be written.
        InputError: the journal is not that of the recipe.
    """
    recipe, slots = work.recipe, plan(work.recipe)
    ready = make_ready(work.author, work.taxonomy)
    author = Asker("author", crew.author, ready, Written, nonces, pace.deadline_s)
    found = await write_all(recipe, slots, journal, author, pace, work.against)
    if not found.next:
        candidates = {one.id: one for one in found.candidates.values()}
        rated = True
        for who in RATERS:
            ready = make_ready(work.rater, turned(work.taxonomy, recipe, who))
            backend = crew.rater_a if who == "rater_a" else crew.rater_b
            rater = Asker(who, backend, ready, rated_model(work.taxonomy), nonces, pace.deadline_s)
            rated = await rate_all(recipe, candidates, who, journal, rater, pace) and rated
        if rated:
            ready = make_ready(work.adjudicator, work.taxonomy)
            model = adjudicated_model(work.taxonomy)
            judge = Asker("adjudicator", crew.adjudicator, ready, model, nonces, pace.deadline_s)
            await adjudicate_all(recipe, candidates, journal, judge, pace)
    return draw_up(recipe, slots, journal, found)
