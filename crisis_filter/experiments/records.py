"""What a finished or half-finished experiment is, read back from its folder: everything a comparison or a page needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from crisis_filter.experiments.plan import Acceptance, Plan, Price
from crisis_filter.schema import Assessment, PromptRef, Record

__all__ = ["Cell", "Experiment", "Item", "PromptText", "Spent", "State", "Variant"]


class Item(Record):
    """One labelled message of an experiment, without its text."""

    id: str
    crisis: bool
    categories: tuple[str, ...]
    """Empty where it is no crisis, or where the labels do not say which."""
    cluster: str | None = None
    """Items of equal value are not independent, such as the messages of one author; `None` stands alone."""
    text_sha256: str
    """Of the text in UTF-8, so that a changed message is noticed."""


class PromptText(Record):
    """A prompt as it was when the experiment began, for the page that shows what changed."""

    id: str
    sha256: str
    system: str
    """The stable part, rendered for the taxonomy."""
    user: str
    """Template of the part that changes."""


class Variant(Record):
    """One column: a way to judge messages."""

    id: str
    """Unique within the experiment: the prompt's label, `@`, and the provider's; the provider's alone where it takes no prompt."""
    prompt: str | None
    """Label of the prompt; `None` for a provider that takes none."""
    provider: str
    """Label of the provider."""
    screen: PromptRef | None
    categorise: PromptRef | None
    fingerprint: str
    """SHA-256 over everything that shapes its answers: prompts, provider and its settings, policy, taxonomy, engine. No key."""
    price: Price | None


class State(Record):
    """What the folder was begun with. Only what the hash leaves out may change later: pace, budget, words, and how long to wait."""

    format: int = Field(default=2, ge=2, le=2)
    sha256: str
    """Over all that follows but for the version, and of the plan the split, the bounds and who is asked; see `states.state_sha256`."""
    plan: Plan
    variants: tuple[Variant, ...]
    prompts: tuple[PromptText, ...]
    data: str
    """Name of the data set and its split, or of the file."""
    data_sha256: tuple[str, ...]
    labelled_by: str
    items: tuple[Item, ...]
    repeats: int = Field(ge=1)
    version: str
    """Of this package."""

    @property
    def acceptance(self) -> Acceptance | None:
        """The bounds that were declared before the first answer came in."""
        return self.plan.acceptance


class Cell(Record):
    """One answer: a variant, an item, a repeat."""

    variant: str
    item: str
    repeat: int = Field(ge=1)
    assessment: Assessment
    """With `elapsed_ms` 0, so that a replay gives the same bytes."""


class Spent(Record):
    """What was asked and paid so far."""

    requests: int = Field(ge=0)
    """Sent to a language model in this folder; replies taken from an earlier experiment are not among them."""
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    money: float | None = Field(ge=0)
    """By the price table; `None` where a variant that asked has no price, or a server did not say how many tokens a reply took."""
    untold: int = Field(default=0, ge=0)
    """Replies whose server did not say how many tokens they took."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A folder, read."""

    name: str
    """The folder's name."""
    state: State
    cells: dict[tuple[str, str, int], Cell]
    """By variant, item and repeat; those that are missing were not asked yet."""
    spent: dict[str, Spent]
    """By variant."""
    taken: dict[str, int] = field(default_factory=dict)
    """By variant: answers of which at least one reply was taken over from another experiment."""

    @property
    def complete(self) -> bool:
        """Whether every cell is there; one that holds a fault is."""
        return len(self.cells) == len(self.state.variants) * len(self.state.items) * self.state.repeats

    def variant(self, name: str) -> Variant | None:
        """The variant of that id, or the only one with that prompt or provider label; `None` where none or several fit."""
        exact = [v for v in self.state.variants if v.id == name]
        found = exact or [v for v in self.state.variants if name in (v.prompt, v.provider)]
        return found[0] if len(found) == 1 else None
