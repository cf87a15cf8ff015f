"""The error tree, and the closed set of faults with what is done about each."""

from crisis_filter.errors.faults import FAULTS, Fault, FaultRule
from crisis_filter.errors.tree import (
    AssetError,
    BackendError,
    ConfigurationError,
    CrisisFilterError,
    EngineError,
    InputError,
)

__all__ = [
    "FAULTS",
    "AssetError",
    "BackendError",
    "ConfigurationError",
    "CrisisFilterError",
    "EngineError",
    "Fault",
    "FaultRule",
    "InputError",
]
