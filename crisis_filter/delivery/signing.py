"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com), so that a receiver can check them with its libraries.

What is signed is `id.timestamp.payload`. During a change of the secret there are several signatures, one of each secret, and a receiver
that knows any of them is content.
"""

from __future__ import annotations

import base64
import secrets as system
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

__all__ = ["new_secret", "signed"]

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret(entropy: Callable[[int], bytes] = system.token_bytes) -> str:
    """A secret for one endpoint, `whsec_` and 32 random bytes in base64.

    Args:
        entropy: gives so many random bytes.
    """
    return _PREFIX + base64.b64encode(entropy(_SECRET_BYTES)).decode("ascii")


def signed(secrets: Sequence[str], webhook_id: str, payload: str, *, now_ms: int) -> dict[str, str]:
    """The headers that go with a payload.

    Args:
        secrets: of the endpoint, at least one; the newest first.
        webhook_id: the same at every attempt; holds no space.
        payload: exactly as it is sent.
        now_ms: of this attempt; receivers refuse what is more than five minutes off.

    Raises:
        ValueError: there is no secret, or one is no base64.
    """
    if not secrets:
        raise ValueError("a webhook needs a secret")
    now = datetime.fromtimestamp(now_ms // 1000, tz=UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, now, payload) for secret in secrets),
    }
