"""The clearing threshold: how low the engine's score must be for a cascade to leave the language model out, and who proved it on what.

None comes with the package. An operator validates one on own labels (`crisis-filter cascade validate`), for one engine, one set of labels and one
version of this package; it is void when any of them changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import PromptRef
from crisis_filter.sealed import Sealed
from crisis_filter.stats.operating import allowed_misses

__all__ = ["LONGEST", "Clearing", "largest_provable", "load_clearing"]

LONGEST = 8_000
"""Characters; a longer text is cut into pieces by some policies, and pieces are never cleared."""


class Clearing(Sealed):
    """A validated clearing threshold, as its file holds it."""

    format: Literal[1] = 1
    """Version of this file's format."""
    threshold: float = Field(gt=0.0, lt=1.0)
    """Only a score strictly below it may be cleared."""
    engine: str
    """Id of the engine, for people."""
    engine_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    labels: str
    """Name of the file of labels."""
    labels_path: str
    """Where it lay, seen from this file: there, and beside this file, its hash is compared when the threshold is used."""
    labels_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    labelled_by: str | None = None
    """Who gave the labels, in the operator's words; `None` where nobody said."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 primary tags that the labels were taken to be in; no text in another is cleared."""
    most_characters: int = Field(ge=1, le=LONGEST)
    """A longer text is never cleared."""
    n: int = Field(ge=1)
    """Crises that it was set on: different texts, of different people where the labels say whose, and such as a score could clear."""
    k: int = Field(ge=0)
    """The most of them that it may have missed."""
    misses: int = Field(ge=0)
    """Those that it did miss."""
    kept: int = Field(ge=0)
    """Crises besides that no score could have cleared: hidden, long, attacking, in another language, or without a score. They prove nothing."""
    copies: int = Field(ge=0)
    """Crises besides that are copies of another, or one more of the same person."""
    others: int = Field(ge=0)
    """Messages among the labels that are no crisis."""
    others_cleared: int = Field(ge=0)
    """Those below the threshold, which is what a cascade saves."""
    target: float = Field(gt=0.0, lt=1.0)
    """Share of crises that is promised not to be cleared."""
    delta: float = Field(gt=0.0, lt=1.0)
    """Highest chance, over the draw of those crises, that the promise does not hold."""
    version: str
    """Version of this package, whose reading of texts the scores depend on."""

    @model_validator(mode="after")
    def _is_what_was_validated(self) -> Self:
        if self.misses > self.k or self.others_cleared > self.others:
            raise ValueError("counts contradict one another")
        if allowed_misses(self.n, self.target, self.delta) != self.k:
            raise ValueError(f"{self.n} crises do not allow {self.k} misses at this target and delta")
        self.refuse_altered()
        return self

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=f"clearing below {self.threshold:.6g}", sha256=self.sha256)

    def statement(self) -> str:
        """What is promised and under which assumption."""
        return (
            f"With {100 * (1 - self.delta):g}% confidence at most {100 * (1 - self.target):g}% of the crises that it may clear at all are cleared by the engine {self.engine} alone, "
            f"provided that the crises to come are like the {self.n} that this was set on, that these are independent of one another, and that "
            f"they had no part in the making of the engine. Of these {self.n} it clears {self.misses}; it may clear {self.k}. "
            f"{self.n} crises can prove at most {100 * largest_provable(self.n, self.delta):.1f}%."
        )


def largest_provable(n: int, delta: float) -> float:
    """The highest sensitivity that `n` crises, none of them missed, can promise: `delta` to the power of 1/n."""
    return float(delta ** (1.0 / n))


def load_clearing(path: Path, *, engine_sha256: str) -> Clearing:
    """Read a clearing threshold and refuse it where anything that it names has changed.

    Args:
        path: the file that `crisis-filter cascade validate` wrote.
        engine_sha256: hash of the engine that is about to be used.

    Raises:
        ConfigurationError: unreadable, altered, or made for another engine, other labels or another version of this package.
    """
    try:
        clearing = Clearing.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({type(error).__name__})") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"{path}: no valid clearing threshold ({problems}); {_AGAIN}") from None
    if not clearing.sha256:
        raise ConfigurationError(f"{path}: unsigned; {_AGAIN}")
    if clearing.engine_sha256 != engine_sha256:
        raise ConfigurationError(f"{path}: void, it was validated for another engine; {_AGAIN}")
    if clearing.version != assets.package_version():
        raise ConfigurationError(
            f"{path}: void, it was validated with version {clearing.version} of this package; {_AGAIN}"
        )
    for labels in {path.parent / clearing.labels, path.parent / clearing.labels_path}:
        if labels.is_file() and assets.file_sha256(labels) != clearing.labels_sha256:
            raise ConfigurationError(f"{path}: void, the labels in {labels} have changed; {_AGAIN}")
    return clearing


_AGAIN = "validate it again (crisis-filter cascade validate) or leave it out"
