"""What a chat request asks: which message is to be judged, under which nonce, and in which form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from crisis_filter.errors import InputError

FormKind = Literal["screen", "categorise", "literal"]
"""`screen` and `categorise`: a JSON object for one of our own prompts. `literal`: another client's text."""

# With the nonce in one piece, the same on both sides, or half of it on each.
_FENCE = re.compile(
    r'<message nonce(?:="(?P<nonce>[^"<>\n]+)"|-begins="(?P<begins>[^"<>\n]+)")>\n(?P<string>".*")\n'
    r'</message nonce(?:="(?P=nonce)"|-ends="(?P<ends>[^"<>\n]+)")>'
)
_PIECES = re.compile(r'</?message nonce(?P<part>|-begins|-ends)="(?P<piece>[^"<>\n]+)">')


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of the answer that is wanted."""

    kind: FormKind
    fields: tuple[str, ...] = ()
    """Names of the object's fields in the order of the schema; empty for `literal`."""
    as_tool: str | None = None
    """Name of the function that the answer is to be the arguments of; `None` for an answer in the content."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of a `categorise` form, in order."""
        return tuple(name for name in self.fields if name != "nonce") if self.kind == "categorise" else ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to judge a message."""

    model: str
    message: str = field(repr=False)
    """The message as the client got it, out of our fence, or the last user message of another client."""
    nonce: str
    """What an answer must echo; empty when the request has none."""
    form: Form
    prompt_tokens: int
    """An estimate: a token for every four characters."""


def read_asked(body: Mapping[str, Any]) -> Asked:
    """What a chat completion request asks.

    Args:
        body: the decoded JSON body. A message may be text or a list of parts, whose texts are joined.

    Raises:
        InputError: it has no list of messages.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InputError("the request holds no messages")
    texts = [(m.get("role"), _text(m.get("content"))) for m in messages if isinstance(m, Mapping)]
    system = "\n".join(text for role, text in texts if role in ("system", "developer"))
    user = next((text for role, text in reversed(texts) if role == "user"), texts[-1][1] if texts else "")
    form = _form_of(body, system)
    fence = _FENCE.search(user)
    message, nonce = user, ""
    if fence is not None:
        nonce = fence["nonce"] or f"{fence['begins']}{fence['ends']}"
        message = _unquoted(fence["string"])
    model = body.get("model")
    return Asked(
        model=model if isinstance(model, str) else "",
        message=message,
        nonce=nonce,
        form=form,
        prompt_tokens=sum(len(text) for _, text in texts) // 4 + 1,
    )


Loss = Literal["front", "back", "tail"]
"""Which part of a prompt a server drops: its first half, its second half, or all from the middle of the message on."""


def nonce_without(body: Mapping[str, Any], loss: Loss) -> str:
    """What is left of the nonce in a request of which a part is dropped, as a model would copy it; empty when nothing is."""
    messages = body.get("messages")
    texts = [_text(m.get("content")) for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    prompt = "\n".join(texts)
    match loss:
        case "front":
            kept = prompt[len(prompt) // 2 :]
        case "back":
            kept = prompt[: len(prompt) // 2]
        case _:
            fence = _FENCE.search(prompt)
            kept = prompt[: sum(fence.span("string")) // 2] if fence else prompt
    pieces = {piece["part"]: piece["piece"] for piece in _PIECES.finditer(kept)}
    return pieces.get("", "") or pieces.get("-begins", "") + pieces.get("-ends", "")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _unquoted(string: str) -> str:
    try:
        value = json.loads(string)
    except ValueError:
        return string
    return value if isinstance(value, str) else string


def _form_of(body: Mapping[str, Any], system: str) -> Form:
    schema, tool = _asked_schema(body)
    if schema is None:
        schema = _written_schema(system)
    fields, kind = _kind_of(schema)
    return Form(kind, fields, tool if kind != "literal" else None)


def _asked_schema(body: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str | None]:
    """The JSON schema of the response format or of the first tool, and the name of that tool."""
    form = body.get("response_format")
    named = form.get("json_schema") if isinstance(form, Mapping) else None
    schema = named.get("schema") if isinstance(named, Mapping) else None
    if isinstance(schema, Mapping):
        return schema, None
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        parameters = function.get("parameters") if isinstance(function, Mapping) else None
        if isinstance(function, Mapping) and isinstance(parameters, Mapping):
            return parameters, str(function.get("name"))
    return None, None


def _kind_of(schema: Mapping[str, Any] | None) -> tuple[tuple[str, ...], FormKind]:
    properties = schema.get("properties") if schema is not None else None
    if not isinstance(properties, Mapping) or "nonce" not in properties:
        return (), "literal"
    fields = tuple(properties)
    if "crisis" in properties:
        return fields, "screen"
    definitions = schema.get("$defs", {}) if schema is not None else {}
    if any("present" in _resolved(each, definitions).get("properties", ()) for each in properties.values()):
        return fields, "categorise"
    return (), "literal"


def _resolved(node: object, definitions: object) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        return {}
    name = str(node.get("$ref", "")).rpartition("/")[2]
    found = definitions.get(name) if isinstance(definitions, Mapping) and name else node
    return found if isinstance(found, Mapping) else {}


@lru_cache(maxsize=32)
def _written_schema(system: str) -> Mapping[str, Any] | None:
    """The JSON schema that stands in a system part, for a server that cannot be given it otherwise."""
    return next(_schemas_in(system), None)


def _schemas_in(system: str) -> Iterator[Mapping[str, Any]]:
    decoder = json.JSONDecoder()
    for start in re.finditer(r"\{\s*\"", system):
        try:
            value, _ = decoder.raw_decode(system, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict) and "nonce" in value["properties"]:
            yield value
