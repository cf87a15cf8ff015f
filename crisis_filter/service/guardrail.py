"""LiteLLM's generic guardrail contract, `POST /beta/litellm_basic_guardrail_api`: detect, then put the protocol into the conversation.

Source: https://docs.litellm.ai/docs/adding_provider/generic_guardrail_api (beta), and `litellm/types/proxy/guardrails/guardrail_hooks/
generic_guardrail_api.py` of the project. LiteLLM sends the texts of a request or of a reply without roles, and puts the texts that come back in
their places: there have to be as many, in the same order.

A crisis is not blocked unless the operator says so: to be refused is a harm of its own to somebody in danger. The model is told how to answer, or
the person is told where to turn. `NONE` means that every text that had to be read was read, and none is a crisis or undetermined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crisis_filter.errors import Fault
from crisis_filter.schema import OUTCOMES, Flag, Outcome, Record, Resource
from crisis_filter.service.bodies import MOST_MESSAGES, mended
from crisis_filter.service.problems import Problem
from crisis_filter.service.said import Said, unsaid
from crisis_filter.store.records import Actor, Received
from crisis_filter.tables.rows import repaired_text

__all__ = [
    "PATH",
    "GuardrailAnswer",
    "GuardrailRequest",
    "Intervention",
    "Piece",
    "guardrail_answer",
    "pieces_of",
    "subject_of",
]

PATH = "/beta/litellm_basic_guardrail_api"
_NOT_PEOPLE = frozenset({"assistant", "developer", "function", "system", "tool"})
_TEXTS = frozenset({"text", "input_text"})
_LONGEST_SUBJECT = 256
_Line = Annotated[str, Field(min_length=1, max_length=4_000)]
Act = Literal["intervene", "block"]


class GuardrailRequest(BaseModel):
    """What LiteLLM sends. What is not named here (headers, the names of its keys, tools) is dropped while it is read, and so logged nowhere.

    The contract is a beta: a field more is no error, and what only helps us is not checked.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    texts: Annotated[Annotated[tuple[str, ...], Field(strict=False)] | None, Field(repr=False)] = None
    input_type: Literal["request", "response"]
    """Texts of people (and of prompts) on their way to a model, or the reply of a model on its way to a person."""
    images: Annotated[Any, Field(repr=False)] = None
    structured_messages: Annotated[Any, Field(repr=False)] = None
    """The same texts with roles, where LiteLLM has them."""
    request_data: Annotated[Any, Field(repr=False)] = None
    """Of it only `user_api_key_end_user_id` is looked at; it is kept as a pseudonym."""
    litellm_call_id: Annotated[Any, Field(repr=False)] = None


class Intervention(Record):
    """What is done and said. The words are the operator's to change; no clinician has reviewed these."""

    crisis: Act = "intervene"
    undetermined: Act = "intervene"
    read: Literal["newest", "all"] = "newest"
    """With roles known: what people wrote since the model spoke last, because the rest was read when it came; or everything they wrote."""
    pictures: Literal["undetermined", "ignore"] = "undetermined"
    """A picture cannot be read here, so a message with one is never cleared, unless somebody else reads pictures."""
    to_model: _Line = (
        "[Added by the platform; the person did not write this. This message may come from somebody in a crisis, or be about one. Answer warmly and "
        "plainly. Say that you take it seriously, ask whether they are safe now, and stay with them. Do not judge, argue or end the conversation, "
        "give no detail of any way to come to harm, and promise nothing on anybody's behalf. Tell them where they can turn now:]"
    )
    to_model_undetermined: _Line = (
        "[Added by the platform; the person did not write this. This message could not be checked for signs of a crisis. If it holds any, answer "
        "warmly and plainly, ask whether they are safe now, give no detail of any way to come to harm, and tell them where they can turn now:]"
    )
    to_person: _Line = "If you or somebody near you may be in danger, you can turn to people now:"
    elsewhere: _Line = "the local emergency number, if anybody is in danger now, or a crisis line where you are"
    """Where to turn when the resource pack has nothing for the place that somebody has verified."""
    blocked: _Line = "This conversation was stopped because somebody may be in danger. You are not in trouble. You can turn to people now:"
    most_resources: int = Field(default=3, ge=0, le=20)


class Piece(Record):
    """One text that has to be read."""

    index: int
    """Its place in `texts`."""
    text: str = Field(repr=False)
    flags: frozenset[Flag] = frozenset()

    def received(self, request: GuardrailRequest, actor: Actor, source: str = "litellm") -> Received:
        """What goes into the store. The same call sent again is the same message."""
        call = _name(request.litellm_call_id)
        return Received(
            tenant=actor.tenant,
            source=source,
            external_id=None if call is None else f"{call}:{request.input_type}:{self.index}",
            subject=subject_of(request),
            text=self.text,
            flags=self.flags,
        )


class Told(Record):
    """What was said of one text, for the platform's own use; LiteLLM ignores it."""

    index: int
    message_id: str | None
    decision: Outcome
    undetermined_reason: Fault | None


class GuardrailAnswer(BaseModel):
    """What LiteLLM reads, and ours beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    action: Literal["NONE", "BLOCKED", "GUARDRAIL_INTERVENED"]
    blocked_reason: str | None = None
    texts: Annotated[tuple[str, ...] | None, Field(repr=False)] = None
    """As many as came in, in their order; `null` where nothing is changed."""
    decision: Outcome
    results: tuple[Told, ...] = ()


def pieces_of(request: GuardrailRequest, plan: Intervention, most: int = MOST_MESSAGES) -> tuple[Piece, ...]:
    """The texts that have to be read.

    Of a reply all; of a request what people wrote, where `structured_messages` says whose each text is, and else all, prompts included. A picture
    belongs to the last of them.

    Raises:
        Problem: `too_large`; LiteLLM refuses the call then, unless told to let errors pass.
    """
    texts = request.texts or ()
    chosen = _chosen(request, plan)
    if len(chosen) > most:
        raise Problem("too_large", f"This service reads at most {most} texts of a request. Nothing was accepted.")
    unread: frozenset[Flag] = frozenset({"encoding_repaired"} if _pictures(request, plan) else ())
    found = []
    for index in chosen:
        # A picture leaves its mark, so that no text beside it makes the message an empty or a known one.
        last = bool(unread) and index == chosen[-1]
        text, flags = mended(f"{texts[index]}\n\ufffc" if last else texts[index], unread if last else frozenset())
        found.append(Piece.model_construct(index=index, text=text, flags=flags))
    return tuple(found)


def guardrail_answer(request: GuardrailRequest, plan: Intervention, said: Mapping[int, Said]) -> GuardrailAnswer:
    """The answer.

    Args:
        request: as it came in.
        plan: what the operator wants done.
        said: by place in `texts`. What is missing of `pieces_of` counts as undetermined, so `{}` is the answer to any error of ours.
    """
    chosen = _chosen(request, plan)
    each = {index: said.get(index) or unsaid(Fault.INTERNAL, "not judged") for index in chosen}
    outcome = _joined([one.outcome for one in each.values()], unread=_pictures(request, plan))
    told = tuple(
        Told.model_construct(
            index=index,
            message_id=one.message_id,
            decision=one.outcome,
            undetermined_reason=one.fault if one.outcome == "undetermined" else None,
        )
        for index, one in each.items()
    )
    if outcome == "no_crisis":
        return GuardrailAnswer.model_construct(action="NONE", decision=outcome, results=told)
    # A crisis and an undetermined text in one request: whichever the operator blocks, blocks.
    acts = {plan.crisis if one.outcome == "crisis" else plan.undetermined for one in each.values() if _alarms(one)}
    if "block" in acts or (not acts and plan.undetermined == "block"):
        reason = _with_resources(plan.blocked, _resources(each.values(), plan), plan)
        return GuardrailAnswer.model_construct(action="BLOCKED", blocked_reason=reason, decision=outcome, results=told)
    return GuardrailAnswer.model_construct(
        action="GUARDRAIL_INTERVENED", texts=_injected(request, plan, each), decision=outcome, results=told
    )


def subject_of(request: GuardrailRequest) -> str | None:
    """Whoever the platform says is writing, or `None`. Nothing else of LiteLLM's `request_data` is looked at."""
    data = request.request_data
    return _name(data.get("user_api_key_end_user_id")) if isinstance(data, dict) else None


def _name(value: object) -> str | None:
    """A name that can be stored; anything else is as good as none, and no reason to leave the texts unread."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_SUBJECT:
        return None
    return None if repaired_text(value)[1] else value


def _joined(outcomes: Sequence[Outcome], *, unread: bool) -> Outcome:
    """Crisis before undetermined before the rest; nothing read at all is undetermined, as is a picture."""
    found: list[Outcome] = list(outcomes)
    if unread or not found:
        found.append("undetermined")
    return min(found, key=OUTCOMES.index)


def _alarms(said: Said) -> bool:
    return said.outcome != "no_crisis"


def _pictures(request: GuardrailRequest, plan: Intervention) -> bool:
    return bool(request.images) and plan.pictures == "undetermined"


def _injected(request: GuardrailRequest, plan: Intervention, each: Mapping[int, Said]) -> tuple[str, ...]:
    """The texts that came, those that alarm with the words after them."""
    texts = list(request.texts or ())
    notes = {index: _note(request, plan, one) for index, one in each.items() if _alarms(one)}
    if not notes and each:
        last = max(each)
        notes[last] = _note(request, plan, unsaid(Fault.INPUT_UNREADABLE))
    for index, note in notes.items():
        texts[index] = f"{texts[index]}\n\n{note}"
    return tuple(texts)


def _note(request: GuardrailRequest, plan: Intervention, said: Said) -> str:
    if request.input_type == "response":
        words = plan.to_person
    else:
        words = plan.to_model if said.outcome == "crisis" else plan.to_model_undetermined
    return _with_resources(words, _resources([said], plan), plan)


def _resources(said: Any, plan: Intervention) -> list[Resource]:
    found = {one.id: one for each in said if each.disposition for one in each.disposition.resources}
    return list(found.values())[: plan.most_resources]


def _with_resources(words: str, resources: Sequence[Resource], plan: Intervention) -> str:
    lines = [f"- {one.name}: {one.contact}" for one in resources] or [f"- {plan.elsewhere}"]
    return "\n".join([words, *lines])


def _chosen(request: GuardrailRequest, plan: Intervention) -> tuple[int, ...]:
    """Places of the texts that have to be read: those of people where it is known whose each is, and else all."""
    everything = tuple(range(len(request.texts or ())))
    if request.input_type == "response":
        return everything
    roles = _roles(request.structured_messages)
    if roles is None or tuple(text for _, text in roles) != request.texts:
        return everything
    people = [index for index, (role, _) in enumerate(roles) if role not in _NOT_PEOPLE]
    if not people:
        return everything
    if plan.read == "newest":
        # Since the last one that spoke in between; a tool's answer after a person's words leaves those the newest.
        spoken = [i for i, (role, _) in enumerate(roles) if role == "assistant" and i < people[-1]]
        people = [index for index in people if not spoken or index > spoken[-1]]
    return tuple(people)


def _roles(messages: object) -> list[tuple[str, str]] | None:
    """Role and text of every text in the messages, in order; `None` where that cannot be told."""
    if not isinstance(messages, list):
        return None
    found: list[tuple[str, str]] = []
    for message in messages:
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if not isinstance(role, str):
            return None
        role = role.strip().casefold()
        if isinstance(content, str):
            found.append((role, content))
        elif isinstance(content, list):
            found.extend((role, text) for part in content if (text := _text(part)) is not None)
    return found


def _text(part: object) -> str | None:
    text = part.get("text") if isinstance(part, dict) and part.get("type") in _TEXTS else None
    return text if isinstance(text, str) else None
