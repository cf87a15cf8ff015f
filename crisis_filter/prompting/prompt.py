"""A prompt file and its examples, loaded and checked.

A prompt is `prompts/<stage>/<name>-v<N>.md`: YAML front matter, the stable part, a line `=== message ===`, and the part that
changes with every message. Worked examples stand beside it in `.examples.yaml`. A released file never changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import PromptRef, Record
from crisis_filter.taxonomy.answers import AnswerKind

_RecordT = TypeVar("_RecordT", bound=Record)
_MESSAGE_MARK = "\n=== message ===\n"
MESSAGE_VARIABLES = (frozenset({"nonce", "message"}), frozenset({"nonce_begins", "message", "nonce_ends"}))
"""What the changing part may use: the nonce as a whole, or half of it before the message and half after, so that a server that
cuts either end of a prompt in silence gets an answer without the whole nonce."""

Stage = Literal["screen", "categorise"]


class Example(Record):
    """One worked example; its answer is checked against the answer model when the prompt is rendered."""

    message: str
    answer: dict[str, Any]


class _Examples(Record):
    taxonomy: str
    """Id of the taxonomy the answers are for, or `any`."""
    examples: tuple[Example, ...]


class _FrontMatter(Record):
    id: str
    stage: Stage
    answer: AnswerKind
    label_field: str | None
    nonce_bits: int = Field(ge=20, le=256)
    max_output_tokens: int = Field(ge=1)
    variables: frozenset[str]


class Prompt(Record):
    """A released prompt."""

    id: str
    stage: Stage
    answer: AnswerKind
    """Which answer model it asks for."""
    label_field: str | None
    """Boolean field whose token log-probabilities give a score."""
    nonce_bits: int
    """Size of the nonce that the answer echoes; at least 20."""
    max_output_tokens: int
    variables: frozenset[str]
    """Variables of the stable part, declared; rendering refuses any other set."""
    system: str
    """Template of the stable part."""
    user: str
    """Template of the message part; ends with the fence."""
    examples: tuple[Example, ...]
    examples_taxonomy: str
    sha256: str
    """Over the prompt file and its examples file."""

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef.of(self.id, self.sha256)


def load_prompt(name: str) -> Prompt:
    """Load a prompt by name (`screen/reasoned-v1`) or by the path of its `.md` file.

    Raises:
        AssetError: when a file is missing or malformed; names the file and the field.
    """
    path = assets.find("prompts", name, ".md")
    text = assets.read_text(path)
    try:
        _, front, body = text.split("---\n", 2)
        system, user = body.split(_MESSAGE_MARK)
    except ValueError:
        raise AssetError(f"{path}: needs front matter between '---' lines and one '=== message ===' line") from None
    examples_path = path.with_suffix(".examples.yaml")
    examples_text = assets.read_text(examples_path) if examples_path.exists() else "taxonomy: any\nexamples: []\n"
    head = _checked(_FrontMatter, front, path)
    examples = _checked(_Examples, examples_text, examples_path)
    return Prompt(
        **head.model_dump(),
        system=system,
        user=user,
        examples=examples.examples,
        examples_taxonomy=examples.taxonomy,
        sha256=assets.sha256(text.encode(), examples_text.encode()),
    )


def _checked(model: type[_RecordT], text: str, path: Path) -> _RecordT:
    """YAML text as a record, or an error that names the place."""
    try:
        return model.model_validate(yaml.safe_load(text))
    except yaml.YAMLError:
        raise AssetError(f"{path}: not valid YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
