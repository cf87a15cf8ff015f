"""One system by itself: answers by outcome, rates, how far repeats agree, and what it cost."""

from __future__ import annotations

from pydantic import Field

from crisis_filter.schema import PromptRef, Record

__all__ = ["CategoryFigures", "Naming", "Rate", "Stability", "SystemFigures", "Tally"]


class Tally(Record):
    """Answers by outcome, over all repeats."""

    crisis: int = Field(ge=0)
    undetermined: int = Field(ge=0)
    no_crisis: int = Field(ge=0)

    @property
    def answers(self) -> int:
        """All of them."""
        return self.crisis + self.undetermined + self.no_crisis


class Rate(Record):
    """Share of right answers about messages of one kind: the mean over repeats."""

    estimate: float | None
    """0 to 1; undetermined counts as wrong. `None` where there is no message."""
    low: float
    """Wilson's bound for so many messages as there are, repeats taken for one; where messages form clusters the bound of a bootstrap over
    whole clusters, if that lies further out. 0 where there is no message."""
    high: float
    level: float
    messages: int = Field(ge=0)
    repeats: int = Field(ge=1)
    right: int = Field(ge=0)
    """Answers, over all repeats."""
    undetermined: int = Field(ge=0)
    """Answers, over all repeats; none of them is among the right ones."""
    lowest: float | None
    """The rate of the worst repeat."""
    highest: float | None
    """The rate of the best repeat."""
    if_right: float | None
    """The rate if every undetermined answer had been right. Among the crises that is the share of which a person is told."""

    @property
    def answers(self) -> int:
        """What `right` and `undetermined` are of."""
        return self.messages * self.repeats


class Stability(Record):
    """How far repeats agree; there is none of it where a message was judged once."""

    flip_rate: float
    """The chance that two answers about one message differ in outcome, mean over messages, without bias, 0 to 1."""
    low: float
    high: float
    level: float
    unstable: int
    """Messages whose answers do not all have the same outcome."""
    messages: int
    repeats: int


class CategoryFigures(Record):
    """One category of one system, over all repeats, end to end."""

    category: str
    messages: int
    """That carry it."""
    crisis: int
    """Answers about those that say crisis, of whatever category."""
    undetermined: int
    """Answers about those that are undetermined."""
    named: int
    """Answers about those that name the category."""
    wrongly_named: int
    """Answers about other messages that name it."""


class Naming(Record):
    """Answers that say crisis, about whatever messages and over all repeats, and how many of them are not whole."""

    crisis: int = Field(ge=0)
    unnamed: int | None = Field(ge=0)
    """Of those, answers that name no category but `unspecified`; `None` for a file that does not tell of categories."""
    faulty: int = Field(ge=0)
    """Of those, answers that carry a fault beside the crisis."""
    share: float | None
    """Of unnamed ones, 0 to 1, the mean over messages with such an answer; `None` where there is none, or nothing is told."""
    low: float
    """Wilson's bound for so many messages; with clusters as in `Rate`. 0 without a share."""
    high: float
    """1 without a share."""
    level: float
    messages: int = Field(ge=0)
    """With an answer that says crisis."""


class SystemFigures(Record):
    """One system by itself."""

    name: str
    """Unique within the comparison."""
    source: str
    """Name of the folder or file that it was read from."""
    variant: str | None
    """Id of the variant; `None` for a file."""
    provider: str
    """Who was asked."""
    prompts: tuple[PromptRef, ...]
    """Empty where none of ours was used, or a file does not say."""
    fingerprint: str | None
    """SHA-256 of everything that shapes its answers; `None` for a file."""
    crises: Tally
    others: Tally
    sensitivity: Rate
    specificity: Rate
    faults: dict[str, int]
    """Undetermined answers by fault, over all repeats, the most frequent first."""
    undetermined: Rate
    """Share of undetermined answers among all messages, whatever they are; `right` and `undetermined` both count them here."""
    naming: Naming
    stability: Stability | None
    """`None` for one repeat."""
    answers: int = Field(ge=0)
    """In its folder or file, whether compared or not."""
    taken: int | None
    """Of those, answers that were taken over from an earlier experiment; `None` for a file."""
    categories: tuple[CategoryFigures, ...] = ()
    """Empty where the system names none, or the labels do not say which."""
    macro_f1: float | None = None
    """Mean over categories that any message carries, end to end, mean over repeats; `None` where `categories` is empty."""
    tokens_per_1000: float | None = None
    """Prompt and completion tokens for 1,000 answers; `None` for a file."""
    money_per_1000: float | None = None
    """The price of 1,000 answers by the experiment's price table; `None` where it has no price for the system, or a server did not say how many
    tokens a reply took."""
