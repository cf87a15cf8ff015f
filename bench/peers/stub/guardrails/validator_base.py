"""Base classes with the names and fields that a Guardrails AI validator uses: results that hold what they are given, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


class ValidationResult:
    """What a validator says of one value."""

    outcome = ""

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata


class PassResult(ValidationResult):
    """The value may go on."""

    outcome = "pass"


class FailResult(ValidationResult):
    """The value may not go on as it is."""

    outcome = "fail"

    def __init__(self, *, error_message: str, fix_value: object = None, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata=metadata)
        self.error_message = error_message
        self.fix_value = fix_value


class Validator:
    """Takes any arguments and keeps none."""

    def __init__(self, **kwargs: object) -> None:
        self.arguments = tuple(kwargs)


def register_validator(*, name: str, data_type: str) -> Callable[[_T], _T]:
    """Leave the class as it is."""
    del name, data_type
    return lambda cls: cls
