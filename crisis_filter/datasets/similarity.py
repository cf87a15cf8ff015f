"""When two messages are copies."""

from __future__ import annotations

import unicodedata


def fingerprint(text: str) -> str:
    """The text with case, compatibility forms and white space folded: equal for two copies of one message."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
