"""The prompt that screens several messages in one request: a versioned file in the form of all prompts, with a loader of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field, ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.prompting.render import fence_string
from crisis_filter.schema import PromptRef, Record
from crisis_filter.taxonomy.answers import Answer, ScreenTerse
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["TOGETHER", "ReadyTogether", "ScreenTogether", "TogetherPrompt", "load_together", "ready_together"]

TOGETHER = "together/screen-v1"
"""The prompt that is used."""

_MARK = "\n=== message ===\n"
_CHANGING = frozenset({"nonce_begins", "nonce_ends", "messages"})


class ScreenTogether(Answer):
    """Stage 1 of several messages: a verdict for each, with that message's own nonce."""

    verdicts: Annotated[
        tuple[ScreenTerse, ...],
        Field(description="One for each message, in their order, none left out and none twice."),
    ]


class _Example(Record):
    message: str
    crisis: bool


class _Examples(Record):
    taxonomy: str
    planted: tuple[str, ...] = Field(min_length=1)
    examples: tuple[tuple[_Example, ...], ...]


class _FrontMatter(Record):
    id: str
    stage: Literal["together"]
    answer: Literal["screen_together"]
    nonce_bits: int = Field(ge=20, le=256)
    max_output_tokens: int = Field(ge=1)
    variables: frozenset[str]


class TogetherPrompt(Record):
    """A released prompt for several messages."""

    id: str
    nonce_bits: int
    """Size of every nonce: that of the whole and that of each message."""
    max_output_tokens: int
    """For one message; a request may use as many times that as it has messages, the planted one too, and once more."""
    system: str
    """Template of the stable part."""
    user: str
    """Template of the part with the messages; ends with the fence."""
    planted: tuple[str, ...]
    """Plain crises, of which one goes along in every request: who says that it is none is not believed about the others."""
    examples: tuple[tuple[_Example, ...], ...]
    examples_taxonomy: str
    sha256: str
    """Over the prompt file and its examples file."""

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=self.id, sha256=self.sha256)


@dataclass(frozen=True, slots=True)
class ReadyTogether:
    """A prompt made ready for a taxonomy."""

    prompt: TogetherPrompt
    system: str = field(repr=False)
    """Byte-identical for every request."""

    def user(self, messages: Sequence[tuple[str, str]], nonce: str) -> str:
        """The part that changes.

        Args:
            messages: text and nonce of each; every one stands in a fence of its own, half of its nonce before and half after it.
            nonce: of the whole, likewise around all of them, so that a prompt that was cut at either end is noticed.
        """
        fenced = [dict(zip(_HALVES, _halves(own), strict=True), message=fence_string(text)) for text, own in messages]
        begins, ends = _halves(nonce)
        return _compiled(self.prompt.user).render(nonce_begins=begins, nonce_ends=ends, messages=fenced)


_HALVES = ("nonce_begins", "nonce_ends")


def load_together(name: str = TOGETHER) -> TogetherPrompt:
    """Load a prompt by name or by the path of its `.md` file.

    Raises:
        AssetError: when a file is missing or malformed.
    """
    path = assets.find("prompts", name, ".md")
    text = assets.read_text(path)
    examples_path = path.with_suffix(".examples.yaml")
    examples_text = assets.read_text(examples_path)
    try:
        _, front, body = text.split("---\n", 2)
        system, user = body.split(_MARK)
        head = _FrontMatter.model_validate(yaml.safe_load(front))
        examples = _Examples.model_validate(yaml.safe_load(examples_text))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, yaml.YAMLError):
        raise AssetError(f"{path}: needs front matter between '---' lines and one '=== message ===' line") from None
    _check(head.id, system, head.variables)
    _check(head.id, user, _CHANGING)
    return TogetherPrompt(
        **head.model_dump(include={"id", "nonce_bits", "max_output_tokens"}),
        system=system,
        user=user,
        planted=examples.planted,
        examples=examples.examples,
        examples_taxonomy=examples.taxonomy,
        sha256=assets.sha256(text.encode(), examples_text.encode()),
    )


def ready_together(prompt: TogetherPrompt, taxonomy: Taxonomy) -> ReadyTogether:
    """Make the stable part. Worked examples written for another taxonomy are left out.

    Raises:
        AssetError: when the template asks for something that a taxonomy has not.
    """
    fitting = prompt.examples if prompt.examples_taxonomy in ("any", taxonomy.id) else ()
    values: dict[str, Any] = {"taxonomy": taxonomy, "examples": [_shown(example) for example in fitting]}
    try:
        system = _environment().from_string(prompt.system).render(values)
    except TemplateError as error:
        raise AssetError(f"prompt {prompt.id}: {error}") from None
    return ReadyTogether(prompt, system.strip() + "\n")


def _shown(example: Sequence[_Example]) -> dict[str, Any]:
    """Several worked messages, and the answer to all of them."""
    verdicts = [
        {"nonce": f"<the nonce of message {number}>", "crisis": one.crisis} for number, one in enumerate(example, 1)
    ]
    answer = {"nonce": "<the nonce of the whole>", "verdicts": verdicts}
    return {"messages": [one.message for one in example], "answer": json.dumps(answer)}


def _halves(nonce: str) -> tuple[str, str]:
    half = len(nonce) // 2
    return nonce[:half], nonce[half:]


def _check(prompt_id: str, template: str, declared: frozenset[str]) -> None:
    try:
        used = meta.find_undeclared_variables(_environment().parse(template))
    except TemplateError as error:
        raise AssetError(f"prompt {prompt_id}: {error}") from None
    if used != declared:
        raise AssetError(
            f"prompt {prompt_id}: variables used and declared differ: {', '.join(sorted(used ^ declared))}"
        )


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    """Compiling takes longer than rendering, and is the same for every request."""
    return _environment().from_string(template)


def _environment() -> SandboxedEnvironment:
    # Not HTML: escaping would change what the model reads.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters["fenced"] = fence_string
    return environment
