"""From a prompt and a message to the two parts of a request.

Rendering is strict: a template variable that was not declared, a declared one that the template does not use, or an example
that does not fit the answer model is an error. The stable part is rendered once; only nonce and message vary.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ValidationError

from crisis_filter.errors import AssetError
from crisis_filter.prompting.prompt import MESSAGE_VARIABLES, Prompt
from crisis_filter.taxonomy.answers import Answer, Categorised, CategoryAnswer, answer_model
from crisis_filter.taxonomy.records import Taxonomy

NonceSource = Callable[[int], str]
"""Given a number of bits, a fresh unpredictable lower-case hex string."""

_NONCE_PLACEHOLDER = "<the nonce>"
_VARIABLE = re.compile(r"\{\{-? *(\w+) *-?\}\}")
# Of the private use area, for the moment of cutting.
_MARKS = {"nonce": "\ue000", "nonce_begins": "\ue001", "nonce_ends": "\ue002", "message": "\ue003"}
_MARK = re.compile("([\ue000-\ue003])")
_SURROGATE = re.compile("[\ud800-\udfff]")
# So that the string in the fence holds no angle bracket that could look like the fence.
_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def fresh_nonce(bits: int) -> str:
    """A nonce from the operating system's randomness."""
    return secrets.token_hex(-(-bits // 8))


def fence_string(text: str) -> str:
    """The text as one JSON string on one line, without any character that could close the fence.

    Unpaired surrogates become U+FFFD: no server accepts them.
    """
    return json.dumps(_SURROGATE.sub("\ufffd", text), ensure_ascii=False).translate(_INERT)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt made ready for a taxonomy."""

    prompt: Prompt
    answer: type[Answer]
    system: str = field(repr=False)
    """Byte-identical for every message."""

    def user(self, text: str, nonce: str) -> str:
        """The part that changes: the fenced message."""
        half = len(nonce) // 2
        values = {
            "nonce": nonce,
            "nonce_begins": nonce[:half],
            "nonce_ends": nonce[half:],
            "message": fence_string(text),
        }
        pieces = _pieces(self.prompt.user)
        if pieces is None:
            return _compiled(self.prompt.user).render(**values)
        return "".join([values[piece] if at % 2 else piece for at, piece in enumerate(pieces)])


def render(prompt: Prompt, taxonomy: Taxonomy) -> Rendered:
    """Make the stable part.

    Worked examples written for another taxonomy are left out.

    Raises:
        AssetError: when variables are unknown, missing or unused, or an example does not fit the answer model.
    """
    answer = answer_model(prompt.answer, taxonomy)
    fitting = prompt.examples if prompt.examples_taxonomy in ("any", taxonomy.id) else ()
    values: dict[str, Any] = {
        "taxonomy": taxonomy,
        "examples": [{"message": e.message, "answer": _example(prompt, answer, e.answer)} for e in fitting],
    }
    _check_variables(prompt, prompt.system, prompt.variables)
    _check_variables(prompt, prompt.user, *MESSAGE_VARIABLES)
    unknown = prompt.variables - set(values)
    if unknown:
        raise AssetError(f"prompt {prompt.id}: unknown variables {', '.join(sorted(unknown))}")
    try:
        system = _environment().from_string(prompt.system).render(**{k: values[k] for k in prompt.variables})
    except TemplateError as error:
        raise AssetError(f"prompt {prompt.id}: {error}") from None
    return Rendered(prompt, answer, system.strip() + "\n")


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    """Compiling takes longer than rendering, and is the same for every message."""
    return _environment().from_string(template)


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[str, ...] | None:
    """What stands between the variables, and their names in turns; `None` for a template with anything else in it.

    Putting pieces together costs a twentieth of a rendering, and gives the same: the pieces are cut from one.
    """
    names = _VARIABLE.findall(template)
    if template.count("{") != 2 * len(names) or not set(names) <= _MARKS.keys() or _MARK.search(template):
        return None
    rendered = _compiled(template).render(**_MARKS)
    back = {mark: name for name, mark in _MARKS.items()}
    return tuple(back.get(piece, piece) for piece in _MARK.split(rendered))


def _environment() -> SandboxedEnvironment:
    # Not HTML: escaping would change what the model reads.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters["fenced"] = fence_string  # so that examples look as the message will
    return environment


def _check_variables(prompt: Prompt, template: str, *declared: frozenset[str]) -> None:
    """Refuse a template that uses other variables than one of the sets that were declared."""
    try:
        used = meta.find_undeclared_variables(_environment().parse(template))
    except TemplateError as error:
        raise AssetError(f"prompt {prompt.id}: {error}") from None
    if used not in declared:
        odd = min(declared, key=lambda known: len(used ^ known)) ^ used
        raise AssetError(f"prompt {prompt.id}: variables used and declared differ: {', '.join(sorted(odd))}")


def _example(prompt: Prompt, answer: type[Answer], given: dict[str, Any]) -> str:
    """A worked answer as JSON in the answer's own order, checked against the model.

    A Stage 2 example may leave absent categories out; it is checked with them filled in and shown without them.
    """
    whole = {"nonce": _NONCE_PLACEHOLDER, **given}
    if issubclass(answer, Categorised):
        whole = {**dict.fromkeys(answer.model_fields, _ABSENT), **whole}
    try:
        answer.model_validate_json(json.dumps(whole))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"prompt {prompt.id}: example: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    shown = {name: whole[name] for name in answer.model_fields if name == "nonce" or name in given}
    return json.dumps(shown, ensure_ascii=False)


_ABSENT = CategoryAnswer(
    rationale="", quotes=(), present=False, severity=None, subject=None, timeframe=None
).model_dump(mode="json")
