"""What a reader types, and the answer that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crisis_filter.cli.private import words_in
from crisis_filter.cli.store_options import with_the_extra
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from crisis_filter.schema import Outcome
    from crisis_filter.store.queue_records import Answer, Reason, View
    from crisis_filter.triage.policy import Policy

__all__ = ["Draft", "Says", "draft", "needs_reason", "note_in", "refuse_unknown"]

Says = Literal["accept", "crisis", "not-crisis", "undetermined", "escalate"]
_OUTCOMES: dict[Says, Outcome] = {"crisis": "crisis", "not-crisis": "no_crisis", "undetermined": "undetermined"}


@dataclass(slots=True)
class Draft:
    """An answer in the making."""

    says: Says
    categories: list[str] = field(default_factory=list)
    reason: Reason | None = None
    to: str | None = None
    note: str | None = field(default=None, repr=False)

    def answer(self, told: View) -> Answer:
        """The answer to an item.

        Raises:
            ValueError: it does not hang together.
        """
        from crisis_filter.store.queue_records import Answer

        if self.says == "accept":
            return Answer(action="accept", revision=told.item.revision, note=self.note)
        if self.says == "escalate":
            return Answer(action="escalate", to=self.to, note=self.note)
        outcome = _OUTCOMES[self.says]
        named = tuple(self.categories) if outcome == "crisis" else ()
        if told.item.blind:
            return Answer(action="answer", outcome=outcome, categories=named, note=self.note)
        reason = self.reason if needs_reason(told, self) else None
        seen = told.item.revision
        return Answer(
            action="override", outcome=outcome, categories=named, reason=reason, revision=seen, note=self.note
        )


def needs_reason(told: View, draft: Draft) -> bool:
    """Whether an answer contradicts what was said, so that it says why."""
    if told.item.blind or draft.says in {"accept", "escalate"} or told.outcome == "undetermined":
        return False
    outcome = _OUTCOMES[draft.says]
    if outcome == "crisis" and tuple(told.categories) == ("unspecified",):
        return False
    named = sorted(draft.categories) if outcome == "crisis" else []
    return (outcome, named) != (told.outcome, sorted(told.categories))


def draft(says: str, categories: list[str] | None, reason: str | None, to: str | None, note: str | None) -> Draft:
    """The answer as it was typed.

    Raises:
        InputError: it is none; names what there is.
    """
    with with_the_extra():
        from crisis_filter.store.queue_records import REASONS

    known = next((one for one in ("accept", "crisis", "not-crisis", "undetermined", "escalate") if one == says), None)
    if known is None:
        raise InputError("the answer is accept, crisis, not-crisis, undetermined or escalate")
    why = next((one for one in REASONS if one == reason), None)
    if reason is not None and why is None:
        raise InputError(f"--reason is one of: {', '.join(REASONS)}")
    if (known == "escalate") != (to is not None):
        raise InputError("escalate needs --to QUEUE, and nothing else has it")
    if categories and known != "crisis":
        raise InputError("--category belongs to crisis")
    return Draft(known, list(dict.fromkeys(categories or ())), why, to, note)


def refuse_unknown(policy: Policy, made: Draft) -> None:
    """Refuse kinds that the policy's taxonomy does not have.

    Raises:
        InputError: names those it has.
    """
    from crisis_filter.taxonomy.load import load_taxonomy

    known = load_taxonomy(policy.stages.taxonomy).ids
    if not set(made.categories) <= set(known):
        raise InputError(f"--category is one of: {', '.join(known)}")


def note_in(path: Path | None) -> str | None:
    """The note in a file; `None` without one.

    Raises:
        ConfigurationError: it cannot be read.
        InputError: it is no text.
    """
    if path is None:
        return None
    return words_in(path).strip() or None
