"""A backend whose answers are prepared: for tests, demonstrations and fault drills. Never for routing people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from crisis_filter.backends.base import NONCE_PLACEHOLDER, AnswerT, Finish, Reply, Request
from crisis_filter.backends.parse import parse_answer, unanswered
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault, Record

__all__ = ["Script", "Scripted", "ScriptedAnswer"]

_RETRYABLE = {Fault.TIMEOUT, Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.BROKEN_REPLY, Fault.OVERLOAD}


class ScriptedAnswer(Record):
    """One prepared answer: exactly one of `answer`, `text`, `finish` and `error`, but `text` may stand beside `finish`."""

    purpose: str | None = None
    """`screen` or `categorise`; `None` fits both."""
    when: str | None = Field(default=None, repr=False)
    """Fits only requests whose user part holds this; `None` fits all."""
    times: int | None = Field(default=None, ge=1)
    """How often it is given before the next one that fits takes over; `None` is for ever."""
    answer: dict[str, Any] | None = Field(default=None, repr=False)
    """Fields of the answer; the nonce is filled in unless given."""
    text: str | None = Field(default=None, repr=False)
    """The answer as a model would write it; `{{nonce}}` is filled in."""
    finish: Finish | None = None
    """A reply without an answer; needs `fault`."""
    fault: Fault | None = None
    error: Fault | None = None
    """No reply comes back, with this fault."""
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    """What log-probabilities would have given; only beside `answer` and `text`."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [name for name in ("answer", "text", "finish", "error") if getattr(self, name) is not None]
        if len(given) != 1 and given != ["text", "finish"]:
            raise ValueError("give exactly one of answer, text, finish and error")
        if self.finish == "answered" or (self.finish is None) != (self.fault is None):
            raise ValueError("finish and fault go together and say what failed")
        if self.score is not None and (self.finish or self.error):
            raise ValueError("a score belongs to an answer")
        return self


Script = Sequence[ScriptedAnswer] | Callable[[Request[Any]], ScriptedAnswer]


class Scripted:
    """Gives prepared answers through the same strict reader as a real backend.

    Args:
        script: answers, of which the first that fits and is not used up is given; or a function from request to answer.
    """

    def __init__(self, script: Script) -> None:
        self._choose = script if callable(script) else None
        self._answers = () if callable(script) else tuple(script)
        self._given = [0] * len(self._answers)

    @classmethod
    def read(cls, path: str) -> Self:
        """Read a script from a file of JSON Lines (`.jsonl`) or a YAML list.

        Raises:
            ConfigurationError: the file cannot be read, or an entry is malformed or has unknown keys; names its number.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"script {path}: cannot be read: {type(error).__name__}") from None
        try:
            entries = (
                [json.loads(s) for s in text.splitlines() if s.strip()]
                if path.endswith(".jsonl")
                else yaml.safe_load(text)
            )
        except (ValueError, yaml.YAMLError):
            raise ConfigurationError(f"script {path}: not JSON Lines (.jsonl) or YAML") from None
        if not isinstance(entries, list):
            raise ConfigurationError(f"script {path}: not a list of entries")
        return cls(tuple(_entries(path, entries)))

    @property
    def name(self) -> str:
        """`scripted`."""
        return "scripted"

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Give the answer that is next for this request.

        Raises:
            BackendError: the script says so, or `MISCONFIGURED` when no answer of it fits.
        """
        entry = self._next(request)
        if entry.error is not None:
            raise BackendError(entry.error, "scripted", retryable=entry.error in _RETRYABLE)
        text = entry.text
        if entry.answer is not None:
            text = json.dumps({"nonce": request.nonce, **entry.answer}, ensure_ascii=False)
        elif text is not None:
            text = text.replace(NONCE_PLACEHOLDER, request.nonce)
        if entry.finish is not None and entry.fault is not None:
            return unanswered(entry.finish, entry.fault, "scripted", text=text, model=self.name)
        reply = parse_answer(text, request)
        return Reply(
            finish=reply.finish,
            answer=reply.answer,
            text=reply.text,
            fault=reply.fault,
            detail=reply.detail,
            score=entry.score if reply.answer is not None else None,
            model=self.name,
        )

    async def aclose(self) -> None:
        """Nothing to release."""

    def _next(self, request: Request[Any]) -> ScriptedAnswer:
        if self._choose is not None:
            return self._choose(request)
        for index, entry in enumerate(self._answers):
            if entry.times is not None and self._given[index] >= entry.times:
                continue
            if entry.purpose in (None, request.purpose) and (entry.when is None or entry.when in request.user):
                self._given[index] += 1
                return entry
        raise BackendError(Fault.MISCONFIGURED, "no answer in the script for this request", retryable=False)


def _entries(path: str, entries: list[Any]) -> Iterable[ScriptedAnswer]:
    for number, entry in enumerate(entries, start=1):
        try:
            yield ScriptedAnswer.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ConfigurationError(f"script {path}: entry {number}: {place}: {first['msg']}") from None
