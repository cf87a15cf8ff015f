"""The proof that asking about several messages at once misses no more crises than a margin, on the operator's own labels: what it holds for, and when it is void.

None comes with the package. `crisis-filter batch together validate` makes one for one model, one pair of prompts, one number of messages and one
policy; a run refuses it where any of these is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.backends.together import MOST
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import PromptRef, Record
from crisis_filter.sealed import Sealed
from crisis_filter.stats.operating import allowed_misses

__all__ = ["Bound", "TogetherProof", "differences", "load_proof"]

_AGAIN = "validate it again (crisis-filter batch together validate) or leave --together out"


class Bound(Record):
    """What a proof holds for; void where any of it is another."""

    messages: int = Field(ge=2, le=MOST)
    """To a request, at most."""
    backend: str
    """As it is named without this: the chain, in words."""
    judging: dict[str, str]
    """Settings of the language model and of its endpoint that are not the default, by name."""
    single: PromptRef
    """Stage 1's prompt for one message."""
    together: PromptRef
    """The prompt for several."""
    taxonomy: PromptRef
    policy: PromptRef
    most_characters: int = Field(ge=1)
    """A longer message always goes singly."""
    version: str
    """Of this package."""


class Pairs(Record):
    """Messages judged singly and together. Held back: found to be a crisis, or undetermined; cleared: neither."""

    both: int = Field(ge=0)
    """Held back both ways."""
    singly_alone: int = Field(ge=0)
    """Held back singly, cleared together."""
    together_alone: int = Field(ge=0)
    neither: int = Field(ge=0)

    @property
    def n(self) -> int:
        """All of them."""
        return self.both + self.singly_alone + self.together_alone + self.neither


class TogetherProof(Sealed):
    """A proof, as its file holds it."""

    format: Literal[1] = 1
    """Version of this file's format."""
    bound: Bound
    served: tuple[str | None, ...] = Field(min_length=1)
    """Models that answered for several messages, as the server names them; an answer from another is not believed."""
    labels: str
    """Name of the file of labels."""
    labels_path: str
    """Where it lay, seen from this file: there, and beside this file, its hash is compared when the proof is used."""
    labels_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    labelled_by: str | None = None
    crises: Pairs
    """Each in a request of its own among others; those whose verdict did not come from that request are not counted."""
    others: Pairs
    """Messages that are no crisis, each the first time that it was judged together; they decide nothing."""
    allowed: int = Field(ge=0)
    """The most crises that may be cleared together and not singly."""
    margin: float = Field(gt=0.0, lt=1.0)
    """Share of crises that asking together loses at most."""
    delta: float = Field(gt=0.0, lt=1.0)
    """Highest chance, over the draw of the crises, that it loses more."""
    singly: int = Field(ge=0)
    """Crises besides that are always asked about singly: hidden, long, attacking, flagged or in another language. They prove nothing."""
    again: int = Field(ge=0)
    """Crises besides that got no sound verdict together and were asked about once more."""
    copies: int = Field(ge=0)
    """Crises besides that are copies of another, or one more of the same person."""
    seed: int = Field(ge=0)
    """Drew who was asked about with whom."""

    @model_validator(mode="after")
    def _is_what_was_validated(self) -> Self:
        if allowed_misses(self.crises.n, 1.0 - self.margin, self.delta) != self.allowed:
            raise ValueError(f"{self.crises.n} crises do not allow {self.allowed} losses at this margin and delta")
        if self.crises.singly_alone > self.allowed:
            raise ValueError("more crises are lost than may be")
        self.refuse_altered()
        return self

    def statement(self) -> str:
        """What is promised and under which assumption."""
        return (
            f"With {100 * (1 - self.delta):g}% confidence at most {100 * self.margin:g}% of the crises that may go together at all are held back when "
            f"each is asked about singly and cleared when up to {self.bound.messages} messages are asked about at once, provided that the crises to come "
            f"are like the {self.crises.n} that this was proved on and independent of one another. Of these {self.crises.n}, {self.crises.singly_alone} "
            f"were lost that way; {self.allowed} may be. What a single request misses, and an attack that nobody noticed in another message of the "
            "same request, are no part of this."
        )


def differences(proved: Bound, now: Bound) -> Iterator[str]:
    """In words, what is another than when it was proved."""
    names = {
        "messages": "messages to a request",
        "backend": "model",
        "single": "prompt for one message",
        "together": "prompt for several",
        "most_characters": "longest message",
        "version": "version of this package",
    }
    for name in Bound.model_fields:
        before, after = getattr(proved, name), getattr(now, name)
        if before == after:
            continue
        if isinstance(before, dict):
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            yield f"settings ({', '.join(changed)})"
        else:
            yield f"{names.get(name, name)} {_said(before)} then, {_said(after)} now"


def _said(value: object) -> str:
    return f"{value.id} {value.sha256[:12]}" if isinstance(value, PromptRef) else str(value)


def load_proof(path: Path, now: Bound) -> TogetherProof:
    """Read a proof and refuse it where anything that it names has changed.

    Args:
        path: the file that `crisis-filter batch together validate` wrote.
        now: what is about to judge.

    Raises:
        ConfigurationError: unreadable, altered, or made for something else; names what differs.
    """
    try:
        proof = TogetherProof.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({type(error).__name__})") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"{path}: no valid proof ({problems}); {_AGAIN}") from None
    if not proof.sha256:
        raise ConfigurationError(f"{path}: unsigned; {_AGAIN}")
    if differing := list(differences(proof.bound, now)):
        raise ConfigurationError(f"{path}: void, not what it was made for: {', '.join(differing)}; {_AGAIN}")
    for labels in {path.parent / proof.labels, path.parent / proof.labels_path}:
        if labels.is_file() and assets.file_sha256(labels) != proof.labels_sha256:
            raise ConfigurationError(f"{path}: void, the labels in {labels} have changed; {_AGAIN}")
    return proof
