"""One request on the fault server's stage, and the bodies that the OpenAI chat protocol answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crisis_filter.drill.answers import Literals, verdict_fields
from crisis_filter.drill.asked import Asked, Loss, nonce_without
from crisis_filter.drill.http import Response

DEFAULT_MODEL = "drill-1"


@dataclass(frozen=True, slots=True)
class Scene:
    """A request and what a healthy server would say to it."""

    asked: Asked
    said: bool | str = field(repr=False)
    """The brain's verdict, or the words of its answer."""
    literals: Literals
    body: Mapping[str, Any] = field(repr=False)
    """The request as decoded from JSON."""
    other_nonce: str = "0ther0nonce"
    """Of the request before this one."""
    now: float = 0.0
    """Seconds since 1970, for the dates in headers."""

    @property
    def verdict(self) -> bool:
        """The brain's verdict; true where it gave words."""
        return self.said if isinstance(self.said, bool) else True

    def fields(self, verdict: bool | None = None) -> dict[str, Any]:
        """A fresh valid answer object with this verdict, by default the brain's; empty for another client."""
        return verdict_fields(self.asked, crisis=self.verdict if verdict is None else verdict)

    def words(self, verdict: bool | None = None) -> str:
        """A valid answer in words with this verdict, by default what the brain said."""
        if verdict is None and isinstance(self.said, str):
            return self.said
        crisis = self.verdict if verdict is None else verdict
        if self.asked.form.kind == "literal":
            return self.literals.crisis if crisis else self.literals.clear
        return json.dumps(verdict_fields(self.asked, crisis=crisis), ensure_ascii=False)

    def nonce_without(self, loss: Loss) -> str:
        """The nonce that a model still sees when a part of the prompt is dropped."""
        return nonce_without(self.body, loss)


def completion(
    scene: Scene,
    content: object,
    *,
    finish: str | None = "stop",
    message: Mapping[str, Any] | None = None,
    choices: Sequence[Mapping[str, Any]] | None = None,
    model: str | None = None,
    prompt_tokens: int | None = None,
) -> bytes:
    """The body of a chat completion.

    Args:
        scene: the request; where it asked for a tool call, `content` becomes the arguments of one.
        content: of the answer's message.
        finish: `finish_reason`.
        message: further fields of the message, or other values of the usual ones.
        choices: instead of the one choice that the arguments above make.
        model: instead of the model that was asked for.
        prompt_tokens: instead of the estimate.
    """
    tokens = scene.asked.prompt_tokens if prompt_tokens is None else prompt_tokens
    written = len(content) // 4 if isinstance(content, str) else 1
    body = {
        "id": "chatcmpl-drill",
        "object": "chat.completion",
        "created": int(scene.now),
        "model": model or scene.asked.model or DEFAULT_MODEL,
        "choices": [choice(scene, content, finish=finish, message=message)] if choices is None else choices,
        "usage": {"prompt_tokens": tokens, "completion_tokens": written, "total_tokens": tokens + written},
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def choice(
    scene: Scene,
    content: object,
    *,
    finish: str | None = "stop",
    message: Mapping[str, Any] | None = None,
    index: int = 0,
) -> dict[str, Any]:
    """One choice of a chat completion."""
    tool = scene.asked.form.as_tool
    made: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if tool is not None and isinstance(content, str) and message is None:
        made |= {"content": None, "tool_calls": [tool_call(tool, content)]}
        finish = "tool_calls" if finish == "stop" else finish
    made |= message or {}
    return {"index": index, "message": made, "finish_reason": finish, "logprobs": None}


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    """One call of a function."""
    return {"id": "call_drill", "type": "function", "function": {"name": name, "arguments": arguments}}


def answered(scene: Scene, content: object, **more: Any) -> Response:
    """A chat completion with HTTP 200; keywords are those of `completion`."""
    return Response(completion(scene, content, **more))


def failed(
    status: int, message: str, *, code: str | None = None, kind: str = "server_error", headers: Mapping[str, str] = {}
) -> Response:
    """An error as the OpenAI protocol has it."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Response(json.dumps({"error": error}).encode(), status, tuple(headers.items()))
