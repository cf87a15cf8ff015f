"""Behaviours of the model: what it writes that is no complete valid answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from crisis_filter.drill.asked import Loss
from crisis_filter.drill.behaviour import Behaviour, Says, Stage
from crisis_filter.drill.http import Response
from crisis_filter.drill.scene import Scene, answered, choice, completion, tool_call
from crisis_filter.drill.wavering import WAVERING
from crisis_filter.schema import Fault

_Text = Callable[[Scene], str]


def _written(
    name: str,
    summary: str,
    fault: Fault | None,
    text: _Text,
    says: Says = "verdict",
    *,
    finish: str = "stop",
    ours: bool = False,
) -> Behaviour:
    """A behaviour that is all in the text of the answer."""
    return Behaviour(
        name, "answer", summary, fault, lambda s: answered(s, text(s), finish=finish), says=says, ours_only=ours
    )


def _marked(scene: Scene, value: object) -> str:
    """A negative whose verdict field, or those of all categories, holds this value."""
    fields = scene.fields(verdict=False)
    if scene.asked.form.kind == "screen":
        return json.dumps({**fields, "crisis": value}, ensure_ascii=False)
    parts = {name: {**part, "present": value} if isinstance(part, dict) else part for name, part in fields.items()}
    return json.dumps(parts, ensure_ascii=False)


def _with(scene: Scene, verdict: bool, **changes: object) -> str:
    return json.dumps({**scene.fields(verdict), **changes}, ensure_ascii=False)


def _scored(scene: Scene, value: object) -> str:
    """A negative with this score, in the stage that has one; with a score too many in the others."""
    return _with(scene, False, confidence=value)


def _repeated(scene: Scene) -> str:
    """The verdict field twice: false, then true."""
    no, yes = scene.words(verdict=False), scene.fields(verdict=True)
    if scene.asked.form.kind == "literal":
        return f"{no}\n{scene.words(verdict=True)}"
    last = list(yes)[-1] if scene.asked.form.kind == "categorise" else "crisis"
    value = {**yes[last], "present": True} if isinstance(yes[last], dict) else True
    return f"{no[:-1]}, {json.dumps(last)}: {json.dumps(value)}}}"


def _without_nonce(scene: Scene) -> str:
    return json.dumps({k: v for k, v in scene.fields().items() if k != "nonce"}, ensure_ascii=False)


def _swapped(scene: Scene) -> Response:
    words = scene.words()
    own, other = json.dumps(scene.asked.nonce), json.dumps(scene.other_nonce)
    return Response(completion(scene, words), act="swap", alone=completion(scene, words.replace(own, other, 1)))


_FORMATS = (
    _written(
        "code_fence", "the answer inside a Markdown code fence", Fault.BAD_JSON, lambda s: f"```json\n{s.words()}\n```"
    ),
    _written("byte_order_mark", "a byte order mark before the answer", Fault.BAD_JSON, lambda s: f"\ufeff{s.words()}"),
    _written(
        "trailing_comma",
        "a comma too many at the end of the object",
        Fault.BAD_JSON,
        lambda s: f"{s.words()[:-1]},}}" if s.words().endswith("}") else f"{s.words()},",
    ),
    _written(
        "single_quotes",
        "single quotes instead of double ones",
        Fault.BAD_JSON,
        lambda s: s.words().replace('"', "'"),
    ),
    _written(
        "afterthought",
        "a negative, then the words: wait, actually true",
        Fault.BAD_JSON,
        lambda s: f"{s.words(verdict=False)}\nWait, actually true: this needs a person.",
        "negative",
    ),
    _written(
        "two_objects",
        "two answers, the first negative, the second positive",
        Fault.BAD_JSON,
        lambda s: f"{s.words(verdict=False)}\n{s.words(verdict=True)}",
        "positive",
    ),
    _written(
        "duplicate_key", "the verdict twice in one object, false and then true", Fault.BAD_JSON, _repeated, "positive"
    ),
    _written(
        "think_block",
        "a reasoning block that denies, then an answer that is positive",
        Fault.BAD_JSON,
        lambda s: f"<think>not a crisis</think>{s.words(verdict=True)}",
        "positive",
    ),
)

_WRONG_TYPES: dict[str, tuple[object, str]] = {
    "verdict_string_false": ("false", 'the verdict is the text "false"'),
    "verdict_zero": (0, "the verdict is the number 0"),
    "verdict_null": (None, "the verdict is null"),
    "verdict_string_no": ("no", 'the verdict is the text "no"'),
}
_BAD_SCORES: dict[str, tuple[object, str, Fault]] = {
    "score_too_high": (1.7, "a negative with the score 1.7", Fault.SCHEMA),
    "score_nan": (float("nan"), "a negative with the score NaN, which is not JSON", Fault.BAD_JSON),
    "score_negative": (-1, "a negative with the score -1", Fault.SCHEMA),
    "score_string": ("0.9", 'a negative with the text "0.9" for a score', Fault.SCHEMA),
}


def _typed(name: str, value: object, summary: str) -> Behaviour:
    return _written(name, summary, Fault.SCHEMA, lambda s: _marked(s, value), "negative", ours=True)


def _badly_scored(name: str, value: object, summary: str, fault: Fault) -> Behaviour:
    return _written(name, summary, fault, lambda s: _scored(s, value), "negative", ours=True)


_SHAPES = (
    *(_typed(name, value, summary) for name, (value, summary) in _WRONG_TYPES.items()),
    *(_badly_scored(name, *rest) for name, rest in _BAD_SCORES.items()),
    _written(
        "extra_field_true",
        "a positive with a field too many",
        Fault.SCHEMA,
        lambda s: _with(s, True, note="x"),
        "positive",
        ours=True,
    ),
    _written(
        "extra_field_false",
        "a negative with a field too many",
        Fault.SCHEMA,
        lambda s: _with(s, False, note="x"),
        "negative",
        ours=True,
    ),
    _written("nonce_missing", "the answer has no nonce", Fault.NONCE_MISMATCH, _without_nonce, ours=True),
    _written(
        "nonce_other",
        "a negative with the nonce of another request",
        Fault.NONCE_MISMATCH,
        lambda s: _with(s, False, nonce=s.other_nonce),
        "negative",
        ours=True,
    ),
    Behaviour(
        "swapped_replies",
        "answer",
        "two calls that wait at once get each other's answers; a call alone gets that of the one before",
        Fault.NONCE_MISMATCH,
        _swapped,
        says="verdict",
        ours_only=True,
    ),
)


def _refusing(scene: Scene) -> Response:
    return answered(scene, None, message={"refusal": "I'm sorry, but I can't help with that."})


def _cut_off(scene: Scene) -> Response:
    words = scene.words()
    return answered(scene, words[: len(words) // 2], finish="length")


_ENDINGS = (
    Behaviour(
        "refusal_field", "answer", "the refusal field is set, the content is null", Fault.REFUSAL_FIELD, _refusing
    ),
    _written(
        "refusal_prose",
        "the model declines in prose",
        Fault.REFUSAL_PROSE,
        lambda _: "I'm sorry, I can't help with that.",
        "nothing",
    ),
    _written(
        "filter_finish",
        "HTTP 200 with empty content, finish_reason content_filter",
        Fault.FILTER_FINISH,
        lambda _: "",
        "nothing",
        finish="content_filter",
    ),
    Behaviour(
        "length_cut", "answer", "finish_reason length, the answer is cut in the middle", Fault.TRUNCATED, _cut_off
    ),
    Behaviour(
        "length_null",
        "answer",
        "finish_reason length, the content is null: thinking used the limit up",
        Fault.TRUNCATED,
        lambda s: answered(s, None, finish="length"),
    ),
    _written(
        "empty_content", "HTTP 200 with empty content that ended of itself", Fault.EMPTY_REPLY, lambda _: "", "nothing"
    ),
)


def _two_choices(scene: Scene) -> Response:
    both = [choice(scene, scene.words(verdict), index=i) for i, verdict in enumerate((False, True))]
    return Response(completion(scene, "", choices=both))


def _parts(scene: Scene) -> Response:
    return answered(scene, [{"type": "text", "text": scene.words()}], message={})


def _called(scene: Scene) -> Response:
    call = tool_call("Verdict", scene.words())
    return answered(scene, None, finish="tool_calls", message={"tool_calls": [call]})


def _cut(scene: Scene, loss: Loss, prompt_tokens: int | None) -> Response:
    words = scene.words(verdict=False)
    if scene.asked.form.kind != "literal":
        words = _with(scene, False, nonce=scene.nonce_without(loss))
    return answered(scene, words, prompt_tokens=prompt_tokens)


_ENVELOPES = (
    Behaviour(
        "no_choices",
        "answer",
        "the list of choices is empty",
        Fault.EMPTY_REPLY,
        lambda s: Response(completion(s, "", choices=[])),
    ),
    Behaviour("content_parts", "answer", "the content is a list of parts", Fault.EMPTY_REPLY, _parts, says="verdict"),
    Behaviour(
        "tool_call",
        "answer",
        "a tool call that nobody asked for, with the answer as its arguments",
        Fault.EMPTY_REPLY,
        _called,
        says="verdict",
    ),
    Behaviour(
        "two_choices",
        "answer",
        "two choices, the first negative, the second positive",
        Fault.BAD_JSON,
        _two_choices,
        says="positive",
    ),
    Behaviour(
        "model_changed",
        "answer",
        "a healthy answer from a model of another name",
        Fault.MODEL_DRIFT,
        lambda s: answered(s, s.words(), model="drill-other-2"),
        says="verdict",
    ),
    Behaviour(
        "prompt_front_dropped",
        "answer",
        "the first half of the prompt is dropped in silence: a negative with the right nonce and 2,050 prompt tokens",
        Fault.CONTEXT_OVERFLOW,
        lambda s: _cut(s, "front", 2050),
        says="negative",
        recoverable_elsewhere=False,
    ),
    Behaviour(
        "prompt_end_dropped",
        "answer",
        "the second half of the prompt, nonce and message included, is dropped in silence: a negative without a nonce",
        Fault.NONCE_MISMATCH,
        lambda s: _cut(s, "back", 2050),
        says="negative",
        ours_only=True,
        recoverable_elsewhere=False,
    ),
    Behaviour(
        "prompt_tail_dropped",
        "answer",
        "all from the middle of the message on is dropped in silence: a negative with what is left of the nonce",
        Fault.NONCE_MISMATCH,
        lambda s: _cut(s, "tail", None),
        says="negative",
        ours_only=True,
        recoverable_elsewhere=False,
    ),
)

# What judges write that a loose reader takes for "safe", and what contradicts itself.
_PROSE: dict[str, tuple[str, Fault]] = {
    "prose_not_safe": ("Not safe", Fault.REFUSAL_PROSE),
    "prose_not_safe_why": ("Not safe: self-harm", Fault.REFUSAL_PROSE),
    "prose_no_unsafe": ("no, this is unsafe", Fault.REFUSAL_PROSE),
    "prose_no_block": ("No. The user describes a plan; block it.", Fault.REFUSAL_PROSE),
    "prose_safe_false": ('{"safe": false}', Fault.SCHEMA),
    "prose_safe_question": ("safe? no - unsafe", Fault.REFUSAL_PROSE),
    "prose_safe_handling": ("Safe handling required: crisis", Fault.REFUSAL_PROSE),
    "prose_no_harm_intended": ("no-harm-intended? Actually yes", Fault.REFUSAL_PROSE),
    "prose_unsafe": ("unsafe", Fault.REFUSAL_PROSE),
    "prose_unsafe_full_stop": ("UNSAFE.", Fault.REFUSAL_PROSE),
    "prose_unsafe_class": ("unsafe\nS11", Fault.REFUSAL_PROSE),
    "prose_by_no_means": ("Safe by no means", Fault.REFUSAL_PROSE),
    "prose_hard_to_call_safe": ("It is hard to call this safe.", Fault.REFUSAL_PROSE),
    "prose_safe_to_escalate": ("Safe to say that this person needs help now.", Fault.REFUSAL_PROSE),
    "prose_no_doubt": ("No doubt: somebody is in danger.", Fault.REFUSAL_PROSE),
    "prose_zero_no": ("0 reasons to wait. Call somebody.", Fault.REFUSAL_PROSE),
}


def _prose(name: str, text: str, fault: Fault) -> Behaviour:
    # Positive to a person, but not in a form that a reader of answers may trust: so it says nothing.
    return _written(name, f"the model writes {json.dumps(text)}", fault, lambda _: text, "nothing")


def _categorising(
    name: str, summary: str, fault: Fault, respond: Callable[[Scene], Response], *, lasts: bool = False
) -> Behaviour:
    stage: Stage = "categorise"
    return Behaviour(name, "answer", summary, fault, respond, stage=stage, ours_only=True, lasts=lasts, says="nothing")


def _renamed(name: str, summary: str, category: str) -> Behaviour:
    def respond(scene: Scene) -> Response:
        fields = scene.fields(verdict=True)
        as_named: dict[str, Any] = {
            category if isinstance(part, dict) and part["present"] else key: part for key, part in fields.items()
        }
        return answered(scene, json.dumps(as_named, ensure_ascii=False))

    return _categorising(name, summary, Fault.UNKNOWN_CATEGORY, respond)


_CATEGORISING = (
    _renamed("category_synonym", "Stage 2 names a category by a synonym: suicidality", "suicidality"),
    _renamed("category_shouted", "Stage 2 names a category in capitals with a space after it", "SUICIDE "),
    _renamed("category_translated", "Stage 2 names a category in another language", "自殺"),
    _renamed("category_invented", "Stage 2 names a category that nobody knows", "doom"),
    _categorising(
        "categorise_empty",
        "Stage 2 finds no category after Stage 1 found a crisis",
        Fault.STAGE_CONFLICT,
        lambda s: answered(s, s.words(verdict=False)),
    ),
    _categorising(
        "categorise_error",
        "Stage 2 gets HTTP 500",
        Fault.SERVER_ERROR,
        lambda _: Response(b'{"error": {"message": "drill"}}', 500, (("retry-after", "0"),)),
    ),
    _categorising("categorise_hang", "Stage 2 hangs", Fault.TIMEOUT, lambda _: Response(act="hang"), lasts=True),
)

ANSWER_FAULTS: tuple[Behaviour, ...] = (
    *_ENDINGS,
    *_FORMATS,
    *_SHAPES,
    *_ENVELOPES,
    WAVERING,
    *_CATEGORISING,
    *(_prose(name, *rest) for name, rest in _PROSE.items()),
)
