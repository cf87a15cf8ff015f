"""What keeps a page closed: its parts come from the package, and its policy lets it fetch and send nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

__all__ = ["part", "policy"]

_PACKAGE = "crisis_filter.evaluation.report"


def part(name: str) -> str:
    """A style, script or template of the report, by its path in this package."""
    return (resources.files(_PACKAGE) / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """A content security policy: nothing may be fetched or sent, and only this style and this script act."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
