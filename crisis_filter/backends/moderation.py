"""The moderation endpoint of the OpenAI protocol, `POST /moderations`: a text in, thirteen yes-or-no categories out.

A second, smaller protocol beside `Backend`. Nothing in a reply is taken on trust: a key more or less, a boolean that is none, a score outside
0 to 1 or a flag that the categories contradict is no complete reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import Field

from crisis_filter.backends.parse import load_object, server_model
from crisis_filter.backends.spec import BackendKind, BackendSpec
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault, Record

__all__ = [
    "CATEGORIES",
    "PINNED_MODEL",
    "Moderation",
    "ModerationReply",
    "ModerationSpec",
    "read_moderation",
]

PINNED_MODEL = "omni-moderation-2024-09-26"
"""The dated model; `omni-moderation-latest` can become another one overnight."""
_OPTIONAL = ("illicit", "illicit/violent")
_WHOLE = "omni"
"""What the names of the models begin with that have every key."""
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    *_OPTIONAL,
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""All keys of a reply; the older text models leave out those of `illicit`, the `omni` models none."""


class ModerationSpec(BackendSpec):
    """Which moderation endpoint, and how; of the fields of a backend those of `openai` count, and temperature and seed are never sent."""

    kind: BackendKind = "openai"
    model: str = Field(default=PINNED_MODEL, min_length=1)

    @property
    def name(self) -> str:
        """`moderation:MODEL`."""
        return f"moderation:{self.model}"


class ModerationReply(Record):
    """What an endpoint said of one text. It holds no word of the text."""

    flagged: bool
    categories: dict[str, bool]
    """By key of `CATEGORIES`; beside a fault those that could be read."""
    scores: dict[str, float]
    """0 to 1, for the same keys; empty beside a fault."""
    fault: Fault | None = None
    """`schema` or `model_drift` when a flag was read from a reply that was otherwise faulty; the lack of a flag is never read from one."""
    model: str | None = None
    """The model the server said it used."""
    attempts: int = 1
    troubles: tuple[tuple[str, Fault], ...] = ()
    """What requests before the last one met."""


class Moderation(Protocol):
    """Any moderation endpoint."""

    @property
    def name(self) -> str:
        """`moderation:MODEL`."""
        ...

    async def moderate(self, text: str, deadline_s: float) -> ModerationReply:
        """Judge one text.

        Raises:
            BackendError: no complete reply came back within `deadline_s` seconds, retries and waits included.
        """
        ...

    async def aclose(self) -> None:
        """Release connections. Calling it twice does nothing."""
        ...


def read_moderation(body: bytes, asked: str = PINNED_MODEL) -> ModerationReply | BackendError:
    """Read a body that came with HTTP 200.

    Args:
        body: as received.
        asked: the model that was asked for; it says which keys there must be where the body names no model.

    Returns:
        The reply, with the fault `schema` where it flags and is otherwise not as documented; `BROKEN_REPLY`, retryable, for anything that is
        no moderation at all or holds an error, and flags nothing; `SCHEMA` for a reply that is not as documented and flags nothing.
    """
    try:
        text = body.decode()
        loose = json.loads(text)
    except (ValueError, RecursionError):
        return BackendError(Fault.BROKEN_REPLY, "the body is not JSON", retryable=True)
    whole = loose if isinstance(loose, dict) else {}
    model, failed = server_model(whole.get("model")), bool(whole.get("error"))
    results = whole.get("results")
    one = results[0] if isinstance(results, list) and len(results) == 1 and isinstance(results[0], Mapping) else None
    if one is not None and not failed and load_object(text) is not None and _as_documented(one, model or asked):
        categories = {key: said for key, said in one["categories"].items() if said is not None}
        scores = {key: float(one["category_scores"][key]) for key in categories}
        return ModerationReply(flagged=one["flagged"], categories=categories, scores=scores, model=model)
    # Before anything that is asked for again, so that no second reply takes a flag back.
    if (flags := _flags(results)) is not None:
        known = {key: True for key in CATEGORIES if key in flags}
        return ModerationReply(flagged=True, categories=known, scores={}, fault=Fault.SCHEMA, model=model)
    if failed or not isinstance(results, list):
        return BackendError(Fault.BROKEN_REPLY, "the body is no moderation", retryable=True)
    return BackendError(Fault.SCHEMA, "the reply is not as documented", retryable=False)


def _flags(results: object) -> set[str] | None:
    """The categories that are flagged in any result, a list of them or one alone; `None` where nothing is flagged."""
    each = [one for one in (results if isinstance(results, list) else [results]) if isinstance(one, Mapping)]
    flags = {key for one in each for key, said in _mapping(one, "categories").items() if said is True}
    return flags if flags or any(one.get("flagged") is True for one in each) else None


def _as_documented(result: Mapping[str, Any], model: str) -> bool:
    categories, scores = _mapping(result, "categories"), _mapping(result, "category_scores")
    optional = () if model.startswith(_WHOLE) else _OPTIONAL
    said = {key: value for key, value in categories.items() if not (key in optional and value is None)}
    return (
        type(result.get("flagged")) is bool
        and set(CATEGORIES) - set(optional) <= set(said) <= set(CATEGORIES)
        and all(type(value) is bool for value in said.values())
        and result["flagged"] == any(said.values())
        and set(said) <= set(scores) <= set(CATEGORIES)
        and all(_is_share(scores[key]) for key in said)
    )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0


def _mapping(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = result.get(name)
    return value if isinstance(value, Mapping) else {}
