"""An engine folder: `engine.json` says what it is and hashes the rest, `model.onnx` holds the network, `vocab.txt` the tokens.

Nothing in it is executable: the network is an ONNX graph of standard operators, the rest is text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import Record

CARD, MODEL, VOCABULARY = "engine.json", "model.onnx", "vocab.txt"
CRISIS = "crisis"
"""The first label of every engine: any crisis at all."""
ENGINES = Path(__file__).parent / "engines"
"""Folder of the engines that come with the package."""


class EngineCard(Record):
    """What `engine.json` says: all that a verdict depends on, and how it came about."""

    format: Literal[1]
    """Version of this file's format."""
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    labels: tuple[str, ...] = Field(min_length=2)
    """`crisis`, then the category ids in the order of the taxonomy."""
    thresholds: tuple[float, ...]
    """One for each label; a label is present at or above its own. Strictly between 0 and 1."""
    threshold_rule: str
    """The rule that chose the thresholds, and on which messages."""
    max_tokens: int = Field(ge=8)
    """Tokens the network reads at once, `[CLS]` and `[SEP]` included."""
    window: int = Field(default=0, ge=0)
    """Tokens of a window of a text that does not fit `max_tokens`, `[CLS]` and `[SEP]` included: fewer than `max_tokens`, because one sentence is lost among
    many that mean nothing. 0 takes `max_tokens`."""
    overlap: int = Field(ge=0)
    """Tokens that neighbouring windows of a long text share."""
    alone: bool = False
    """Whether each window must be run by itself: the arithmetic rounds by the largest number it meets, so that windows run together would move
    one another's probabilities."""
    buckets: int = Field(default=0, ge=0)
    """Buckets of the n-grams that the graph takes beside the tokens; 0 for a network alone. Only with `alone`."""
    files: dict[str, str]
    """SHA-256 of `model.onnx` and `vocab.txt`."""
    calibrated_at: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Share of crises among the messages that the probabilities were calibrated on; `None` where nobody kept it."""
    training: dict[str, str]
    """SHA-256 of each file of messages the engine was made with, and what it served for in its name."""
    start_weights: str
    """What training began from."""
    code_sha256: str
    """Digest over the source files that made the engine."""
    recipe: dict[str, JsonValue]
    figures: dict[str, JsonValue]
    """Measured when the engine was made, each with its counts; `labelled_by` says who gave the labels."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.labels[0] != CRISIS or len(set(self.labels)) != len(self.labels):
            raise ValueError("the first label is 'crisis' and no label comes twice")
        if len(self.thresholds) != len(self.labels) or not all(0.0 < t < 1.0 for t in self.thresholds):
            raise ValueError("each label has one threshold strictly between 0 and 1")
        if set(self.files) != {MODEL, VOCABULARY}:
            raise ValueError("the files are model.onnx and vocab.txt")
        if self.buckets and not self.alone:
            raise ValueError("n-grams are given for one window at a time")
        if self.window > self.max_tokens or self.overlap >= (self.window or self.max_tokens) - 2:
            raise ValueError("windows are no longer than the network reads, and overlap by less than they hold")
        return self


@dataclass(frozen=True, slots=True)
class Artifact:
    """An engine folder, read and checked."""

    card: EngineCard
    sha256: str
    """Of `engine.json`; since that hashes the rest, it identifies the whole engine."""
    model: bytes = field(repr=False)
    """The ONNX graph."""
    vocabulary: Sequence[str] = field(repr=False)
    """The tokens; the place of a token is its number."""


def bundled(name: str = "standard-v1") -> Path:
    """Folder of an engine that comes with the package.

    Raises:
        AssetError: when there is none of that name; names those that exist.
    """
    known = sorted(path.parent.name for path in ENGINES.glob(f"*/{CARD}"))
    if name not in known:
        raise AssetError(f"there is no engine {name!r} in this package. There are: {', '.join(known) or 'none'}")
    return ENGINES / name


def read(folder: Path) -> Artifact:
    """Read an engine folder and check every hash. The bytes that are checked are the bytes that are used.

    Raises:
        AssetError: when a file is missing, malformed or altered.
    """
    text = _bytes(folder / CARD)
    try:
        card = EngineCard.model_validate_json(text)
    except ValidationError as error:
        raise AssetError(
            f"{folder / CARD}: {error.error_count()} fields are missing or wrong; restore the engine folder"
        ) from None
    contents = {}
    for name, expected in card.files.items():
        contents[name] = _bytes(folder / name)
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise AssetError(
                f"{folder / name}: altered, its SHA-256 is not the one in {CARD}; restore the engine folder"
            )
    try:
        vocabulary = contents[VOCABULARY].decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise AssetError(f"{folder / VOCABULARY}: not UTF-8 text") from None
    return Artifact(card, hashlib.sha256(text).hexdigest(), contents[MODEL], vocabulary)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssetError(f"{path}: cannot be read ({type(error).__name__}); restore the engine folder") from None


def file_hashes(folder: Path) -> dict[str, str]:
    """Hashes for `EngineCard.files` of a folder in which the network and the vocabulary have just been written."""
    return {name: assets.file_sha256(folder / name) for name in (MODEL, VOCABULARY)}
