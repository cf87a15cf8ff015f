"""The error tree, and the closed set of faults with what is done about each."""

from crisis_filter.errors.faults import FAULTS, Fault, FaultRule
from crisis_filter.errors.tree import (
    AssetError,
    BackendError,
    ConfigurationError,
    CrisisFilterError,
    EngineError,
    IdempotencyConflict,
    IdempotencyInFlight,
    InputError,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreSchemaError,
    StoreUnavailable,
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
    "IdempotencyConflict",
    "IdempotencyInFlight",
    "InputError",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreSchemaError",
    "StoreUnavailable",
]
