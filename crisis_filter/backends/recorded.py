"""Recordings: what a model once replied, replayed to the byte without a model.

A recording is a JSON Lines file, one reply a line, found by a hash of the request in which the nonce is a fixed placeholder,
since each run draws nonces of its own. The file holds model answers, which quote the person: keep it like the messages.
Errors are not recorded: a call without a reply leaves no line.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from crisis_filter.backends.base import NONCE_PLACEHOLDER, AnswerT, Backend, Finish, Reply, Request
from crisis_filter.backends.parse import load_object, parse_answer, unanswered
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault, Record

__all__ = ["Recorded", "Recorder", "Recording", "import_answers", "record", "replay", "request_hash"]

_KEPT = (
    "finish",
    "fault",
    "detail",
    "score",
    "model",
    "attempts",
    "danger",
    "attack",
    "link",
    "degraded",
    "troubles",
    "prompt_tokens",
    "completion_tokens",
)
"""What of a reply is written down as it is."""


class Recording(Record):
    """One line of the file."""

    request: str = Field(pattern=r"^[0-9a-f]{64}$")
    """`request_hash` of the request."""
    echoed: bool
    """Whether the reply echoed its own nonce; only then is `{{nonce}}` in `text` filled in on replay."""
    text: str | None = Field(repr=False)
    finish: Finish | None = None
    """`None` for an imported answer: reading it decides."""
    fault: Fault | None = None
    detail: str = ""
    score: float | None = None
    model: str | None = None
    attempts: int = 1
    danger: bool = False
    attack: bool = False
    link: str | None = None
    degraded: bool = False
    troubles: tuple[tuple[str, Fault], ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0


def request_hash(request: Request[Any]) -> str:
    """SHA-256, as hex, over everything of a request that shapes the reply, with the nonce replaced by a placeholder."""
    if request.replayed is not None:
        user = request.replayed()
    else:
        user = request.user.replace(request.nonce, NONCE_PLACEHOLDER) if request.nonce else request.user
    answer: type[BaseModel] = request.answer
    parts: dict[str, Any] = {
        "system": request.system,
        "user": user,
        "answer": _schema(answer),
        "label_field": request.label_field,
        "max_output_tokens": request.max_output_tokens,
        "purpose": request.purpose,
    }
    # Empty for a usual request, so that recordings older than these fields are found as before.
    parts |= request.beyond
    # A lone surrogate has no UTF-8; ASCII JSON spells it out.
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def record(reply: Reply[Any], request: Request[Any]) -> Recording:
    """A reply as a line of a recording."""
    echoed = _echoes(reply, request)
    text = reply.text.replace(request.nonce, NONCE_PLACEHOLDER) if reply.text and echoed else reply.text
    kept = {name: getattr(reply, name) for name in _KEPT}
    return Recording(request=request_hash(request), echoed=echoed, text=text, **kept)


def replay(recording: Recording, request: Request[AnswerT]) -> Reply[AnswerT]:
    """The reply that a line of a recording holds, its answer read again as strictly as when it came."""
    text = recording.text
    if text is not None and recording.echoed:
        text = text.replace(NONCE_PLACEHOLDER, request.nonce)
    if recording.finish in (None, "answered") or recording.fault is None:
        reply = parse_answer(text, request)
    else:
        reply = unanswered(recording.finish or "malformed", recording.fault, recording.detail, text=text)
    kept = {name: getattr(recording, name) for name in _KEPT if name not in ("finish", "fault", "detail", "score")}
    return dataclasses.replace(reply, score=recording.score if reply.answer is not None else None, **kept)


class Recorder:
    """Any backend, with every reply appended to a file.

    Args:
        backend: does the work.
        path: is made when absent, readable by its owner only, and appended to when present.
    """

    def __init__(self, backend: Backend, path: str) -> None:
        self._backend = backend
        self._path = path

    @property
    def name(self) -> str:
        """The name of the backend inside."""
        return self._backend.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer through the backend inside and write the reply down."""
        reply = await self._backend.complete(request)
        _append(self._path, [record(reply, request)])
        return reply

    async def aclose(self) -> None:
        """Close the backend inside."""
        await self._backend.aclose()


class Recorded:
    """Replays a file. Replies to the same request come in the order in which they were recorded; the last one stays.

    Args:
        path: of the file.

    Raises:
        ConfigurationError: the file cannot be read, or a line is malformed or has unknown keys; names its number.
    """

    def __init__(self, path: str) -> None:
        self._recordings = _read(path)
        self._given: dict[str, int] = defaultdict(int)

    @property
    def name(self) -> str:
        """`recorded`."""
        return "recorded"

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Replay the reply to this request.

        An answer is read again as strictly as when it came, so a line that was tampered with cannot pass for one.

        Raises:
            BackendError: `MISCONFIGURED`, there is no recording for this request.
        """
        key = request_hash(request)
        found = self._recordings.get(key)
        if not found:
            raise BackendError(Fault.MISCONFIGURED, "no recording for this request", retryable=False)
        recording = found[min(self._given[key], len(found) - 1)]
        self._given[key] += 1
        return replay(recording, request)

    async def aclose(self) -> None:
        """Nothing to release."""


def import_answers(path: str, answers: Mapping[str, str], *, model: str | None = None) -> int:
    """Make a recording of answers that were given elsewhere, such as by other readers of the same prompts.

    Args:
        path: of the recording; appended to when present.
        answers: from `request_hash` to the answer as JSON text, with `{{nonce}}` where the nonce belongs.
        model: who answered, for provenance.

    Returns:
        How many were written.

    Raises:
        ConfigurationError: a key is no request hash.
    """
    try:
        entries = [Recording(request=key, echoed=True, text=text, model=model) for key, text in answers.items()]
    except ValidationError:
        raise ConfigurationError(f"recording {path}: a key is no request hash") from None
    _append(path, entries)
    return len(entries)


def _echoes(reply: Reply[Any], request: Request[Any]) -> bool:
    """Whether the reply named its nonce, and the placeholder can stand for it without ambiguity."""
    if not reply.text or not request.nonce or NONCE_PLACEHOLDER in reply.text:
        return False
    found = load_object(reply.text)
    return found is not None and found.get("nonce") == request.nonce


def _append(path: str, recordings: list[Recording]) -> None:
    lines = "".join(r.model_dump_json() + "\n" for r in recordings)
    # One write of whole lines, so that concurrent calls and a killed process leave no half line between two.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)


def _read(path: str) -> dict[str, list[Recording]]:
    found: dict[str, list[Recording]] = defaultdict(list)
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"recording {path}: cannot be read: {type(error).__name__}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                recording = Recording.model_validate_json(line)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False, include_context=False)[0]
                place = ".".join(map(str, first["loc"]))
                raise ConfigurationError(f"recording {path}: line {number}: {place}: {first['msg']}") from None
            found[recording.request].append(recording)
    return dict(found)


@lru_cache(maxsize=64)
def _schema(answer: type[BaseModel]) -> str:
    return json.dumps(answer.model_json_schema(), sort_keys=True)
