"""The protocol pack: what the person who reads a message does first, next and not at all, each with its sources."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import PromptRef, Record

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Harm = Literal["self", "others", "dependent", "unknown"]
"""Whom a protocol is about: the one in danger themself, somebody whom they may hurt, a child or another person who depends on others, or nobody knows yet."""


class Source(Record):
    """Something published that a protocol rests on."""

    title: Words
    address: Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$")]


class Protocol(Record):
    """What a reader does."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    title: Words
    harm: Harm
    first: tuple[Words, ...] = Field(min_length=1)
    """What to do at once, in order."""
    next: tuple[Words, ...] = Field(min_length=1)
    """What to do then, in order."""
    never: tuple[Words, ...] = Field(min_length=1)
    """What not to do."""
    sources: tuple[Source, ...] = Field(min_length=1)
    reviewed_by: Words | None = None
    """Who reviewed it, with their profession; `None` is nobody."""
    reviewed_on: str | None = None
    """ISO date of that review."""

    @field_validator("reviewed_on")
    @classmethod
    def _a_date_is_one(cls, given: str | None) -> str | None:
        if given is not None:
            date.fromisoformat(given)
        return given


class ProtocolPack(Record):
    """Protocols, by id."""

    id: str
    version: int = Field(ge=1)
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    sha256: str

    @field_validator("protocols")
    @classmethod
    def _ids_are_unique(cls, protocols: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        if len({protocol.id for protocol in protocols}) != len(protocols):
            raise ValueError("ids repeat")
        return protocols

    @property
    def ids(self) -> frozenset[str]:
        """Those that there are."""
        return frozenset(protocol.id for protocol in self.protocols)

    @property
    def ref(self) -> PromptRef:
        """Identity: what a reader was shown can be told later."""
        return PromptRef.of(f"{self.id}-v{self.version}", self.sha256)

    def get(self, name: str | None) -> Protocol | None:
        """The protocol of this id; `None` for no id, or one that is not there."""
        return next((protocol for protocol in self.protocols if protocol.id == name), None)


def load_protocols(name: str) -> ProtocolPack:
    """Load a protocol pack by name (`protocols-v1`) or path.

    Raises:
        AssetError: when the file is missing or malformed, or a protocol lacks a part or its sources.
    """
    path = assets.find("policies", name, ".toml")
    text = assets.read_text(path)
    try:
        return ProtocolPack.model_validate({**tomllib.loads(text), "sha256": assets.sha256(text.encode())})
    except tomllib.TOMLDecodeError as error:
        raise AssetError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
