"""`POST /v1/moderations` in OpenAI's schema, so that a client changes nothing but its base URL.

`flagged` is false for exactly one outcome: `no_crisis`. An old client that reads nothing else takes no fault for a negative.

OpenAI's keys carry what is true by OpenAI's own words for them (https://platform.openai.com/docs/guides/moderation and
`openai.types.moderation`): `self-harm` is content that "promotes, encourages, or depicts acts of self-harm, such as suicide, cutting, and eating
disorders", and `self-harm/intent` is that of a speaker who is "engaging or intend[s] to engage" in such acts. So an eating disorder is `self-harm`
there. The ten other keys are not assessed here: false, score 0, and no applied input type, which is where OpenAI's schema says so. Our own keys
lie beside them under `behavioral-health/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from crisis_filter.errors import Fault
from crisis_filter.schema import UNSPECIFIED, Finding, Flag, Outcome, ScoreSource, Urgency
from crisis_filter.service.bodies import MOST_MESSAGES, Locale, Name, Source, mended
from crisis_filter.service.problems import Problem
from crisis_filter.service.said import Said
from crisis_filter.store.records import Actor, Received

__all__ = [
    "ASSESSED",
    "OPENAI_KEYS",
    "OURS",
    "ModerationAnswer",
    "ModerationRequest",
    "ModerationResult",
    "inputs_of",
    "moderation_of",
    "moderations",
]

OPENAI_KEYS = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""Every key of an answer, as the SDK expects them."""
ASSESSED = ("self-harm", "self-harm/intent", "violence")
"""Those of them that our categories speak to."""
OURS = "behavioral-health/"
UNDETERMINED = OURS + "undetermined"
"""Ours for a message without a verdict, so that whoever looks for any true key finds one."""
_NAMED: Mapping[str, str] = MappingProxyType(
    {"suicide": "self-harm", "self_harm": "self-harm", "eating_disorder": "self-harm", "violence": "violence"}
)
"""What each category is by OpenAI's definitions; abuse, neglect, psychosis and substance misuse are none of its keys."""
_ON_THE_WAY = frozenset({"current", "future"})
PICTURE = "\ufffc"
"""Stands in a text where a picture was (U+FFFC, OBJECT REPLACEMENT CHARACTER)."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class TextPart(_Body):
    """A text among the parts of one message."""

    type: Literal["text"]
    text: Annotated[str, Field(repr=False)]


class ImageUrl(_Body):
    """Where a picture is; it is never fetched."""

    url: Annotated[str, Field(repr=False)]


class ImagePart(_Body):
    """A picture among the parts of one message. Nobody here can look at it, so the message is never cleared."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, Field(repr=False)]


def _kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "image_url" if kind == "image_url" else "text"


ContentPart = Annotated[Annotated[TextPart, Tag("text")] | Annotated[ImagePart, Tag("image_url")], Discriminator(_kind)]
_Texts = Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=MOST_MESSAGES)]
_Parts = Annotated[tuple[ContentPart, ...], Field(strict=False, min_length=1, max_length=MOST_MESSAGES)]


def _form(value: object) -> str:
    if isinstance(value, list | tuple):
        return "parts" if value and not isinstance(value[0], str) else "texts"
    return "alone"


class ModerationRequest(_Body):
    """OpenAI's body, and three optional fields of ours (`extra_body` of the SDK)."""

    input: Annotated[
        Annotated[str, Tag("alone")] | Annotated[_Texts, Tag("texts")] | Annotated[_Parts, Tag("parts")],
        Discriminator(_form),
        Field(repr=False),
    ]
    """A text, several texts (a result for each), or the parts of one message (one result)."""
    model: Annotated[str, Field(min_length=1, max_length=128)] = "crisis-filter"
    """Echoed; it chooses nothing."""
    locale: Locale | None = None
    source: Source | None = None
    subject: Annotated[Name | None, Field(repr=False)] = None


class Input(BaseModel):
    """One text of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(repr=False)]
    flags: frozenset[Flag] = frozenset()
    """`encoding_repaired` where a part of it is no text: such a message is never cleared."""

    def received(self, request: ModerationRequest, actor: Actor, source: str = "moderations") -> Received:
        """What goes into the store."""
        return Received(
            tenant=actor.tenant,
            source=request.source or source,
            subject=request.subject,
            text=self.text,
            locale=request.locale,
            flags=self.flags,
        )


class ModerationRoute(_Body):
    """Where a message went, in short."""

    queue: str
    urgency: Urgency
    rule: str


class ModerationResult(_Body):
    """One result: OpenAI's four fields, and ours beside them."""

    flagged: bool
    """False for `no_crisis` alone."""
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]
    """Empty for every key that nobody assessed, which on a fault is every one of OpenAI's."""
    decision: Outcome
    undetermined_reason: Fault | None
    """`null` unless `decision` is `undetermined`."""
    score: float | None
    """Probability of any crisis; `null` where the detector gives none."""
    score_source: ScoreSource | None
    degraded: bool
    disposition: ModerationRoute | None
    message_id: str | None


class ModerationAnswer(_Body):
    """The answer of `POST /v1/moderations`."""

    id: str
    model: str
    results: list[ModerationResult]


def inputs_of(request: ModerationRequest, most: int = MOST_MESSAGES) -> tuple[Input, ...]:
    """The texts that are judged, one for each result.

    Parts make one text, each on lines of its own, as they make one result at OpenAI. A picture leaves U+FFFC in its place, and the flag that
    forbids a negative: it is not looked at.

    Raises:
        Problem: `too_large`; nothing was accepted.
    """
    given = request.input
    if isinstance(given, str):
        return (_input(given),)
    texts = [part for part in given if isinstance(part, str)]
    if len(texts) == len(given):
        if len(texts) > most:
            raise Problem("too_large", f"This service takes at most {most} texts in a request. Nothing was accepted.")
        return tuple(_input(text) for text in texts)
    parts = [part.text if isinstance(part, TextPart) else PICTURE for part in given if not isinstance(part, str)]
    unread: frozenset[Flag] = frozenset({"encoding_repaired"} if any(isinstance(p, ImagePart) for p in given) else ())
    return (_input("\n".join(parts), unread),)


def moderations(
    request: ModerationRequest, said: Sequence[Said], taxonomy: Sequence[str], answer_id: str
) -> ModerationAnswer:
    """The whole answer.

    Args:
        request: whose model is echoed.
        said: of each of `inputs_of`, in order.
        taxonomy: our category ids, in order.
        answer_id: `modr-` and something unique.
    """
    return ModerationAnswer.model_construct(
        id=answer_id, model=request.model, results=[moderation_of(one, taxonomy) for one in said]
    )


def moderation_of(said: Said, taxonomy: Sequence[str]) -> ModerationResult:
    """One result. `flagged` is whether any key is true, as OpenAI defines it, and false for `no_crisis` alone."""
    scores = dict.fromkeys(OPENAI_KEYS, 0.0)
    scores.update(dict.fromkeys((OURS + name for name in (*taxonomy, UNSPECIFIED)), 0.0))
    scores[UNDETERMINED] = 0.0
    present: set[str] = set()
    for finding in said.findings:
        for key in (OURS + finding.category, *_openai_keys(finding)):
            present.add(key)
            scores[key] = max(scores.get(key, 0.0), _score(finding, said))
    if said.outcome == "undetermined":
        present.add(UNDETERMINED)
        scores[UNDETERMINED] = 1.0
    negative = said.outcome == "no_crisis"
    if not negative and not present:
        # A crisis has a finding; were there ever one without, it is flagged all the same.
        present.add(OURS + UNSPECIFIED)
        scores[OURS + UNSPECIFIED] = 1.0
    told = said.disposition
    return ModerationResult.model_construct(
        flagged=not negative,
        categories={key: key in present for key in scores},
        category_scores=scores,
        category_applied_input_types={key: ["text"] if _assessed(key, present, said) else [] for key in scores},
        decision=said.outcome,
        undetermined_reason=said.fault if said.outcome == "undetermined" else None,
        score=said.score,
        score_source=said.score_source,
        degraded=said.degraded,
        disposition=None
        if told is None
        else ModerationRoute.model_construct(queue=told.queue, urgency=told.urgency, rule=told.rule),
        message_id=said.message_id,
    )


def _input(text: str, flags: frozenset[Flag] = frozenset()) -> Input:
    whole, told = mended(text, flags)
    return Input.model_construct(text=whole, flags=told)


def _openai_keys(finding: Finding) -> tuple[str, ...]:
    """OpenAI's keys for a finding; the intent is that of the speaker, so not where somebody else is meant."""
    named = _NAMED.get(finding.category)
    if named is None:
        return ()
    if named != "self-harm" or finding.subject == "other":
        return (named,)
    means_to = finding.category == "suicide" or finding.timeframe in _ON_THE_WAY
    return (named, "self-harm/intent") if means_to else (named,)


def _score(finding: Finding, said: Said) -> float:
    """The category's probability, else that of any crisis, else 1: a threshold of a client's misses no finding for want of a number."""
    if finding.probability is not None:
        return finding.probability
    return said.score if said.score is not None else 1.0


def _assessed(key: str, present: set[str], said: Said) -> bool:
    if key in present:
        return True
    if said.outcome == "undetermined" or OURS + UNSPECIFIED in present:
        # Nobody said which categories are there, so none is ruled out.
        return False
    return key in ASSESSED or key.startswith(OURS)
