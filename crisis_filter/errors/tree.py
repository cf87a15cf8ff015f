"""Errors, by who must act.

    CrisisFilterError
    ├── ConfigurationError      the operator mends a file, a flag or a key (exit 5)
    │   └── AssetError          a prompt, category file, policy or engine is missing, malformed or altered
    ├── InputError              the caller mends the input as a whole (exit 2); a bad row is a result, not an error
    ├── EngineError             the embedded engine computed no usable probability
    ├── StoreError              the store did not do what was asked; nothing of it happened
    │   ├── StoreBusy           the caller comes again later: more waits than can be written in time
    │   ├── StoreUnavailable    the operator sees to the database or the disk; the caller comes again later
    │   ├── StoreSchemaError    the operator brings the tables up to date (also a ConfigurationError, exit 5)
    │   ├── StoreClosed         the caller goes elsewhere: this process is ending
    │   ├── IdempotencyConflict the caller takes another key: this one belongs to another request
    │   └── IdempotencyInFlight the caller comes again later: the same request is still at work
    └── BackendError            no reply came back; carries a fault and whether another try can help

A refusal, a cut-off or a malformed answer is a value (`backends.base.Reply`), never an exception. No message of these
errors contains the text of a message or of a model's answer.
"""

from __future__ import annotations

from crisis_filter.errors.faults import Fault

__all__ = [
    "AssetError",
    "BackendError",
    "ConfigurationError",
    "CrisisFilterError",
    "EngineError",
    "IdempotencyConflict",
    "IdempotencyInFlight",
    "InputError",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreSchemaError",
    "StoreUnavailable",
]


class CrisisFilterError(Exception):
    """Root of every error raised on purpose by this package."""


class ConfigurationError(CrisisFilterError):
    """A setting, flag or file of the operator's is wrong; the message says which and what to do."""


class AssetError(ConfigurationError):
    """A prompt, category file, policy pack, resource pack or engine is missing, malformed or altered."""


class InputError(CrisisFilterError):
    """The input as a whole cannot be read: no such file, no such column, unknown format."""


class EngineError(CrisisFilterError):
    """The embedded engine computed no usable probability: the runtime failed or a value is not finite.

    Carries no text. Whoever catches it reports the fault `local_model`, never "not crisis".
    """


class StoreError(CrisisFilterError):
    """The store did not do what was asked, and nothing of it happened.

    Carries neither a text nor a value of any row.
    """


class StoreBusy(StoreError):
    """More waits to be written than can be in good time. Nothing was accepted; the caller comes again later."""


class StoreUnavailable(StoreError):
    """The database is gone, locked by another or out of room. What was asked may be asked again when the operator has seen to it."""


class StoreSchemaError(StoreError, ConfigurationError):
    """The tables are not those of this version; the message holds the command that mends it."""


class StoreClosed(StoreError):
    """The store is being closed and takes nothing more."""


class IdempotencyConflict(StoreError):
    """The key was used before with another body. The caller takes another key."""


class IdempotencyInFlight(StoreError):
    """The same request is still at work. The caller comes again for its answer."""


class BackendError(CrisisFilterError):
    """No reply came back from a language model.

    Args:
        fault: which fault it is, for the assessment and the counts.
        detail: a few fixed words of ours about the cause; never text of the message or the answer.
        retryable: whether the same request may succeed when tried again.
        retry_after_s: seconds the server asked us to wait, or `None` when it did not say.

    Attributes:
        attempts: requests that were sent before giving up; 0 when none was.
        troubles: of a chain, which endpoint failed with which fault, in order.
    """

    def __init__(self, fault: Fault, detail: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.attempts = 0
        self.troubles: tuple[tuple[str, Fault], ...] = ()
