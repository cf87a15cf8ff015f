"""What a folder of a search was begun with, and what came of it."""

from __future__ import annotations

from pydantic import Field

from crisis_filter.experiments.optimize.choosing import Candidate
from crisis_filter.experiments.optimize.search import Ended
from crisis_filter.experiments.records import Item
from crisis_filter.schema import PromptRef, Record

__all__ = ["Result", "Start"]


class Start(Record):
    """Never changes; how long to search is not in it, so that a longer search goes on with a shorter one."""

    format: int = Field(default=1, ge=1, le=1)
    sha256: str
    """Over all that follows but for the version."""
    judge: str
    """Hash of who judges, with which settings, policy and taxonomy."""
    provider: str
    """Label of who judges."""
    seed: PromptRef
    id: str
    """Of the prompt that comes of it."""
    parts: tuple[str, ...]
    """Names of what may be rewritten."""
    development: tuple[Item, ...]
    development_name: str
    development_sha256: tuple[str, ...]
    labelled_by: str
    training: tuple[Item, ...]
    training_name: str
    training_sha256: tuple[str, ...]
    reflection: str
    """Hash of who reflects, with which settings and question."""
    reflection_name: str
    minibatch: int = Field(ge=1)
    rng_seed: int = Field(ge=0)
    version: str
    """Of this package."""


class Result(Record):
    """What a search came to. No text of a message or an answer is in it."""

    ended: Ended
    whole: bool
    """Whether it ended by its own rules and no service failed; else the same command goes on."""
    max_calls: int
    judgements: int = Field(ge=0)
    """Answers that were needed; the same prompt about the same message counts once."""
    faults: int = Field(ge=0)
    """Answers and proposals that a fault of a service has cost."""
    proposals: int = Field(ge=0)
    """That the reflection model was asked for."""
    rejected: dict[str, int]
    """Proposals that were thrown away before they were tried, by reason."""
    candidates: tuple[Candidate, ...]
    """Prompts that were judged on all of development, the seed first; empty where not even the seed was."""
    winner: int | None
    """Number of the best; `None` where none is better than the seed."""
    id: str
    """Of its prompt."""
    development: str
    labelled_by: str
