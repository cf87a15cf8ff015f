"""What a server of the OpenAI chat protocol turned out to support, and the request made for it.

Servers differ: some know strict JSON schemas, some only JSON mode, some neither; some give no log-probabilities, and some
models take no temperature. One asks for everything first and steps down when the server says no.

The schema part of a request is prepared by `instructor`. It is given the stable system part only, never the message, and its
own create, retry and parse paths are not used: they log the model's answer and carry it in exceptions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel

from crisis_filter.backends.base import PlainText
from crisis_filter.backends.http_faults import error_object

__all__ = ["Dialect", "Feature", "Form", "prepare", "rejected_feature", "simpler", "strict_schema"]

Feature = Literal["response_format", "logprobs", "max_tokens", "temperature", "seed"]
Form = Literal["json_schema", "json_object", "plain"]
_NEXT_FORM: dict[Form, Form] = {"json_schema": "json_object", "json_object": "plain"}
_NEXT_LOGPROBS = {20: 5, 5: 0}
_OTHER_CAP = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_REJECTIONS = (400, 404, 422, 501)
_WORDS: dict[Feature, tuple[str, ...]] = {
    "logprobs": ("logprobs",),
    "max_tokens": ("max_completion_tokens", "max_tokens"),
    "temperature": ("temperature",),
    "seed": ("'seed'", '"seed"', "`seed`"),
    "response_format": ("response_format", "response format", "json_schema", "json schema", "structured output",
                        "json mode", "grammar"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """What to send; only ever replaced by a simpler one."""

    form: Form = "json_schema"
    top_logprobs: int = 20
    """How many alternatives to ask for at each token; 0 asks for no log-probabilities."""
    cap: str = "max_tokens"
    """The name under which the server knows the output limit."""
    cap_settled: bool = False
    """Whether the other name was tried already."""
    temperature: bool = True
    seed: bool = True


def rejected_feature(status: int, body: object) -> Feature | None:
    """Which part of a request the server says it doesn't support; `None` when it is about something else.

    Args:
        status: HTTP status.
        body: decoded JSON body. The error's `param` decides where there is one, else the beginning of its message.
    """
    if status not in _REJECTIONS:
        return None
    error = error_object(body)
    param, message = error.get("param"), error.get("message")
    if isinstance(param, str) and param:
        said = f"'{param}'"
    elif isinstance(message, str):
        said = message[:500]
    else:  # FastAPI's {"detail": [{"loc": ["body", "seed"], ...}]}: the places alone, for the rest may repeat the request
        said = " ".join(f"'{place}'" for place in _places(error.get("detail")))
    said = said.lower()
    return next((feature for feature, words in _WORDS.items() if any(word in said for word in words)), None)


def _places(detail: object) -> list[object]:
    """The fields that a list of validation errors points at."""
    entries = [entry.get("loc") for entry in detail if isinstance(entry, Mapping)] if isinstance(detail, list) else []
    return [place for loc in entries if isinstance(loc, list) for place in loc]


def simpler(dialect: Dialect, feature: Feature) -> Dialect | None:
    """The next simpler dialect without the feature, or `None` when there is none."""
    match feature:
        case "response_format" if dialect.form in _NEXT_FORM:
            return dataclasses.replace(dialect, form=_NEXT_FORM[dialect.form])
        case "logprobs" if dialect.top_logprobs in _NEXT_LOGPROBS:
            return dataclasses.replace(dialect, top_logprobs=_NEXT_LOGPROBS[dialect.top_logprobs])
        case "max_tokens" if not dialect.cap_settled:
            return dataclasses.replace(dialect, cap=_OTHER_CAP[dialect.cap], cap_settled=True)
        case "temperature" if dialect.temperature:
            return dataclasses.replace(dialect, temperature=False)
        case "seed" if dialect.seed:
            return dataclasses.replace(dialect, seed=False)
        case _:
            return None


@lru_cache(maxsize=64)
def prepare(answer: type[BaseModel], system: str, form: Form) -> tuple[str, dict[str, Any] | None]:
    """The system part and the `response_format` for an answer model.

    Returns:
        The system part, with the schema appended where the server cannot be given it otherwise, and the response format,
        `None` for `plain`. Both are the same for every message, so prefix caches work. Not to be modified. For a plain text the
        system part as it is, and no format.
    """
    if issubclass(answer, PlainText):
        return system, None
    from instructor.v2 import Mode, Provider, mode_registry

    mode = Mode.JSON_SCHEMA if form == "json_schema" else Mode.JSON
    handlers = mode_registry.get_handlers(Provider.OPENAI, mode)
    kwargs = {"messages": [{"role": "system", "content": system}]}
    _, prepared = handlers.request_handler(response_model=answer, kwargs=kwargs)
    format_ = prepared.get("response_format")
    if form == "json_schema" and format_ is not None:
        format_["json_schema"] |= {"schema": strict_schema(answer), "strict": True}
    return str(prepared["messages"][0]["content"]), None if form == "plain" else format_


@lru_cache(maxsize=64)
def strict_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer model as strict structured output wants it: closed objects, every field required."""
    schema = answer.model_json_schema()
    _close(schema)
    return schema


def _close(node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _close(item)
    if not isinstance(node, dict):
        return
    if "$ref" in node:  # a reference stands alone, or strict servers refuse it
        reference = node["$ref"]
        node.clear()
        node["$ref"] = reference
        return
    properties = node.get("properties")
    if isinstance(properties, Mapping):
        node["additionalProperties"] = False
        node["required"] = list(properties)
        for each in properties.values():
            if isinstance(each, dict):
                each.pop("default", None)
    for value in node.values():
        _close(value)
