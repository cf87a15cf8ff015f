"""The contract with any language model: one request, one reply, one method.

A reply that came back is a value whatever it says: `Reply.finish` is a closed set. `BackendError` is raised only when no
reply came back. Retrying, recording and scripting are wrappers with the same method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from crisis_filter.schema import Fault

AnswerT = TypeVar("AnswerT", bound=BaseModel)
NONCE_PLACEHOLDER = "{{nonce}}"
"""Stands for the nonce in recordings and scripts."""

Finish = Literal["answered", "refused", "filtered", "truncated", "malformed", "mismatched"]
"""`answered`: complete, valid against the answer model, nonce echoed. `refused`: the model declined. `filtered`: the
provider's content filter cut the answer or blocked the prompt. `truncated`: the output limit was reached. `malformed`: not
one JSON object of the right shape, or nothing at all. `mismatched`: a valid answer to some other request (wrong nonce)."""


class PlainText(BaseModel):
    """The answer of a model that speaks a format of its own: its text as it stands, which whoever asked reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    text: str = Field(repr=False)
    """Never blank."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message that goes before `Request.user`."""

    role: Literal["user", "assistant"]
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where in a plain text the verdict stands, the words between which the model chose there, and what is a positive wherever it stands."""

    yes: tuple[str, ...]
    """Words of a positive, in the model's own spelling."""
    no: tuple[str, ...]
    """Words of a negative."""
    place: Callable[[str], int | None]
    """Offset of the verdict's first character in the text, whole or cut off, for the score alone; `None` where there is none."""
    positive: Callable[[str], bool]
    """Whether a positive stands anywhere in all that was written, in any case: of whatever is taken for one in a whole reply, and of more."""

    def claims(self, text: str | None) -> bool:
        """Whether a positive stands in the text. It can only raise: what is claimed is never asked for again, so that nothing takes it back."""
        return text is not None and self.positive(text)


@dataclass(frozen=True, slots=True)
class Request(Generic[AnswerT]):
    """One question to a language model."""

    system: str = field(repr=False)
    """The stable part, byte-identical from call to call so that prefix caches work; of a plain text empty where there is none."""
    user: str = field(repr=False)
    """The part that changes: the fenced message. Ends with it."""
    answer: type[AnswerT]
    """Answer model. Has a string field `nonce`, but for `PlainText`."""
    nonce: str
    """What the answer must echo; empty for a plain text, which echoes nothing."""
    replayed: Callable[[], str] | None = field(default=None, repr=False)
    """Makes `user` as it is with `{{nonce}}` for a nonce, by which a recording finds it again; `None` where the nonce stands in one piece."""
    label_field: str | None = None
    """Boolean field whose token log-probabilities give the score; `None` when none is wanted."""
    claim: str | None = None
    """Boolean whose `true` in a faulty answer counts as a positive and is never asked again; separate from `label_field`,
    which stands in for it when it is `None`."""
    max_output_tokens: int = 1024
    deadline_s: float = 30.0
    """Total seconds for this request, retries and waits included."""
    purpose: str = ""
    """`screen` or `categorise`; for records and scripts, never sent."""
    attempts: int | None = None
    """Most requests for this call, where that is fewer than the backend's own limit."""
    patient: bool = True
    """Whether waiting and asking again after trouble in transport is worth it; not where another endpoint can be asked."""
    choice: Choice | None = None
    """Of a plain text, whose token log-probabilities give the score, and whose positive is never asked again; `None` when neither is wanted."""
    turns: tuple[Turn, ...] = ()
    """Messages between the system part and `user`."""
    raw: bool = False
    """Whether `user` is the whole prompt, special tokens included, for a server that completes it as it stands; plain text only."""
    extra: Mapping[str, Any] | None = field(default=None, repr=False)
    """Fields beside those of the protocol, such as `chat_template_kwargs`, sent as they are; JSON values."""

    def __post_init__(self) -> None:
        """Refuse what no server could be sent."""
        if self.raw and not (self.plain and not self.system and not self.turns):
            raise ValueError("a raw prompt is one text for a plain text, without a system part or turns")
        if self.choice is not None and not self.plain:
            raise ValueError("a choice is read from a plain text; an answer model has its label_field")

    @property
    def plain(self) -> bool:
        """Whether a plain text is asked for: no schema, no nonce, no reminder, and what came back is the answer."""
        return issubclass(self.answer, PlainText)

    @property
    def beyond(self) -> dict[str, Any]:
        """What shapes the reply beside the parts that every request has, as JSON values; empty for a usual request."""
        said = {
            "choice": None if self.choice is None else [list(self.choice.yes), list(self.choice.no)],
            "turns": [[turn.role, turn.content] for turn in self.turns],
            "raw": self.raw,
            "extra": None if self.extra is None else dict(self.extra),
        }
        return {name: value for name, value in said.items() if value}

    @property
    def claimed(self) -> str | None:
        """`claim`, or else `label_field`."""
        return self.label_field if self.claim is None else self.claim


@dataclass(frozen=True, slots=True)
class Reply(Generic[AnswerT]):
    """What came back."""

    finish: Finish
    answer: AnswerT | None = field(default=None, repr=False)
    """Present exactly when `finish` is `answered`."""
    text: str | None = field(default=None, repr=False)
    """The answer as sent, for `recorded` and for a positive that survives schema drift. Private. Without an answer, all that
    was written: the content, the arguments of tool calls and the reasoning, a line break between them."""
    fault: Fault | None = None
    """`None` exactly when `finish` is `answered`; otherwise which fault it is."""
    detail: str = ""
    """A few fixed words of ours about the fault; never text of the answer."""
    score: float | None = None
    """Probability that `label_field` is true, or that `choice` is a positive, from token log-probabilities; `None` where the server gives none."""
    model: str | None = None
    """The model the server says it used."""
    attempts: int = 1
    """Requests sent to obtain this reply, re-asks included."""
    danger: bool = False
    """Whether a provider's filter names self-harm or violence of medium severity or more, in the message or the answer."""
    attack: bool = False
    """Whether a provider's filter found an attack on the model in the message."""
    link: str | None = None
    """Of a chain, the endpoint that replied."""
    degraded: bool = False
    """Whether another endpoint than the first of a chain replied."""
    troubles: tuple[tuple[str, Fault], ...] = ()
    """Which endpoints failed before, with which fault, in order; the same one where it was asked again."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse a reply that says two things at once."""
        if (self.finish == "answered") != (self.answer is not None):
            raise ValueError("an answer is present exactly when finish is 'answered'")
        if (self.finish == "answered") == (self.fault is not None):
            raise ValueError("a fault is named exactly when finish is not 'answered'")


class Backend(Protocol):
    """Any language model."""

    @property
    def name(self) -> str:
        """`openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted`, `recorded`."""
        ...

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request.

        Raises:
            BackendError: no reply came back within `request.deadline_s`.
        """
        ...

    async def aclose(self) -> None:
        """Release connections. Calling it twice does nothing."""
        ...
