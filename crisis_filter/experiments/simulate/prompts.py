"""The prompts of author, rater and adjudicator: versioned files in the form of all prompts, with roles of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field, ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.prompting.render import fence_string
from crisis_filter.schema import PromptRef, Record
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["Ready", "Role", "SimulatePrompt", "fence_object", "load_simulate_prompt", "make_ready"]

Role = Literal["author", "rater", "adjudicator"]
_MARK = "\n=== message ===\n"
_NONCE = {"nonce_begins", "nonce_ends"}
_CHANGING: dict[Role, set[str]] = {
    "author": {"slots", "note"},
    "rater": {"message"},
    "adjudicator": {"message", "first", "second"},
}
"""What the changing part of each role's prompt is given besides the nonce."""
_ANSWERS: dict[Role, str] = {"author": "written", "rater": "rated", "adjudicator": "adjudicated"}


class _FrontMatter(Record):
    id: str
    stage: Role
    answer: str
    label_field: None
    nonce_bits: int = Field(ge=20, le=256)
    max_output_tokens: int = Field(ge=1)
    variables: frozenset[str]


class SimulatePrompt(Record):
    """A released prompt of the simulation."""

    id: str
    role: Role
    nonce_bits: int
    max_output_tokens: int
    """For one message; a request for several may use as many times that."""
    system: str
    """Template of the stable part."""
    user: str
    """Template of the part that changes."""
    sha256: str
    """Of the file."""

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=self.id, sha256=self.sha256)


@dataclass(frozen=True, slots=True)
class Ready:
    """A prompt made ready for a taxonomy."""

    prompt: SimulatePrompt
    system: str = field(repr=False)

    def user(self, nonce: str, **values: Any) -> str:
        """The part that changes; half of the nonce stands before what it holds and half behind."""
        half = len(nonce) // 2
        return _compiled(self.prompt.user).render(nonce_begins=nonce[:half], nonce_ends=nonce[half:], **values)


def load_simulate_prompt(name: str, role: Role) -> SimulatePrompt:
    """Load a prompt by name (`simulate/author-v1`) or by the path of its `.md` file.

    Raises:
        AssetError: when the file is missing or malformed, or belongs to another role.
    """
    path = assets.find("prompts", name, ".md")
    text = assets.read_text(path)
    try:
        _, front, body = text.split("---\n", 2)
        system, user = body.split(_MARK)
        head = _FrontMatter.model_validate(yaml.safe_load(front))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, yaml.YAMLError):
        raise AssetError(f"{path}: needs front matter between '---' lines and one '=== message ===' line") from None
    if head.stage != role or head.answer != _ANSWERS[role]:
        raise AssetError(f"{path}: a prompt for the {role} needs 'stage: {role}' and 'answer: {_ANSWERS[role]}'")
    _check(path.name, system, set(head.variables))
    _check(path.name, user, _NONCE | _CHANGING[role])
    return SimulatePrompt(
        id=head.id,
        role=role,
        nonce_bits=head.nonce_bits,
        max_output_tokens=head.max_output_tokens,
        system=system,
        user=user,
        sha256=assets.sha256(text.encode()),
    )


def make_ready(prompt: SimulatePrompt, taxonomy: Taxonomy) -> Ready:
    """Make the stable part.

    Raises:
        AssetError: when the template asks for something that a taxonomy has not.
    """
    try:
        system = _environment().from_string(prompt.system).render(taxonomy=taxonomy)
    except TemplateError as error:
        raise AssetError(f"prompt {prompt.id}: {error}") from None
    return Ready(prompt, system.strip() + "\n")


def fence_object(value: object) -> str:
    """A value as JSON on one line, without any character that could close a fence."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _check(name: str, template: str, declared: set[str]) -> None:
    try:
        used = meta.find_undeclared_variables(_environment().parse(template))
    except TemplateError as error:
        raise AssetError(f"prompt {name}: {error}") from None
    if used != declared or not used <= {"taxonomy", *_NONCE, *(name for names in _CHANGING.values() for name in names)}:
        raise AssetError(f"prompt {name}: variables used and declared differ: {', '.join(sorted(used ^ declared))}")


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    return _environment().from_string(template)


def _environment() -> SandboxedEnvironment:
    # Not HTML: escaping would change what the model reads.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters["fenced"] = fence_string
    return environment
