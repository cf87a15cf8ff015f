"""The OpenAI SDK's client as we use it: bound to one address, without retries of its own, and read no further than it needs to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
from pydantic import SecretStr

from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault

__all__ = [
    "LOGGERS",
    "LONGEST_BODY",
    "LONGEST_ERROR",
    "PUBLIC_BASE_URL",
    "Refused",
    "body_of",
    "open_client",
    "read_error",
]

PUBLIC_BASE_URL = "https://api.openai.com/v1"
LOGGERS = ("openai", "instructor")
"""What the client and what prepares its requests log through."""
# Answers are a few kilobytes; log-probabilities make them a few hundred.
LONGEST_BODY = 8 * 2**20
"""Bytes of an answer, after decompression, that are read before it is given up."""
LONGEST_ERROR = 2**20
"""Bytes of an error's body, likewise."""
# A server that is not the public one often wants no key, but the client wants some.
_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Refused:
    """A response whose status is not 2xx."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: object = field(repr=False)
    """What its JSON holds under `error`, or all of it, or its text where it is no JSON; `None` where there was none."""


async def body_of(response: Any) -> bytes | BackendError:
    """The whole body of a streamed response, or why there is none."""
    received = bytearray()
    try:
        async for chunk in response.iter_bytes():
            received += chunk
            if len(received) > LONGEST_BODY:
                return BackendError(Fault.BROKEN_REPLY, "the body is too long", retryable=True)
    except Exception as error:  # noqa: BLE001  # the client's transport errors have no public common base
        if "Timeout" in type(error).__name__:
            return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
        return BackendError(Fault.BROKEN_REPLY, "the body broke off", retryable=True)
    return bytes(received)


def open_client(spec: BackendSpec) -> openai.AsyncOpenAI:
    """The SDK's client with its own retries off, and bound to the address it was given.

    Address and key are always passed, so that the SDK looks for neither in the environment, and a redirect is not followed:
    the text goes only where the operator said.

    Raises:
        ConfigurationError: the certificates cannot be read.
    """
    try:
        http = openai.DefaultAsyncHttpx2Client(follow_redirects=False, event_hooks={"response": [read_error]})
    except OSError as error:
        raise ConfigurationError(
            f"the certificates cannot be read ({type(error).__name__}): point SSL_CERT_FILE at a bundle that exists, or unset it"
        ) from None
    if spec.azure_endpoint is not None:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=spec.azure_endpoint,
            azure_deployment=spec.model,
            api_version=spec.azure_api_version or "2024-10-21",
            api_key=_key(spec.api_key),
            timeout=spec.attempt_timeout_s,
            max_retries=0,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        base_url=spec.base_url or PUBLIC_BASE_URL,
        api_key=_key(spec.api_key),
        timeout=spec.attempt_timeout_s,
        max_retries=0,
        http_client=http,
    )


async def read_error(response: Any) -> None:
    """Read the body of an error before the client does, which reads it however long it is.

    Raises:
        ValueError: it is too long; the client makes a connection error of it.
    """
    if response.is_success:
        return
    received = bytearray()
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > LONGEST_ERROR:
            await response.aclose()
            raise ValueError("the body of the error is too long")
    response._content = bytes(received)  # noqa: SLF001  # where a body that was read is kept; there is no public way


def _key(key: SecretStr | None) -> str:
    return key.get_secret_value() if key is not None else _NO_KEY
