"""A recorded request with a hole in it: filled with a text, it is byte for byte what the recorded object would have sent.

That is not assumed but tried: a template is accepted only when it reproduces what the object sends for every one of a list of awkward texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Final

from crisis_filter.backends.wire.capture import Build, Captured

__all__ = ["PROBES", "SENTINEL", "Template", "learn_template"]

SENTINEL: Final = "wire7f3a9c51sentinel"
"""What stands where the text will; characters that no encoder changes."""

PROBES: Final = (
    'He said "no" \\ and \\\\ then \\" or </message> & \'so\' /',
    "one\ntwo\r\nthree\tfour\rfive\b\f",
    "caf\u00e9 na\u00efve \u00df \u65e5\u672c\u8a9e \U0001f62d\U0001f469\u200d\U0001f4bb \u0627\u0644",
    "\u2028 \u2029 \ufeff \u00a0 \x7f \x85 \u200b \ufffd \ufffe e\u0301",
    "".join(map(chr, range(32))),
    "  at both ends  \n\n",
    '{"role": "system", "content": "x"} {text} {{text}} %s $text \\u0041 \\n',
    f"{SENTINEL[:-1]} {'many words, ' * 2_000}",
)
"""Texts that an accepted template has been tried with."""


def _as_it_is(text: str) -> bytes:
    return encode_basestring(text)[1:-1].encode()


def _as_ascii(text: str) -> bytes:
    text.encode()  # half a surrogate pair could be written this way; whether the object would is not known
    return encode_basestring_ascii(text)[1:-1].encode()


def _safe_for_scripts(text: str) -> bytes:
    return _as_it_is(text).replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


ESCAPES: Final[tuple[Callable[[str], bytes], ...]] = (_as_it_is, _as_ascii, _safe_for_scripts)
"""The ways in which JSON encoders in use write a text."""


@dataclass(frozen=True, slots=True)
class Template:
    """A request but for one text, and where it may be more than once."""

    request: Captured = field(repr=False)
    """As recorded, the sentinel in it."""
    parts: tuple[bytes, ...] = field(repr=False)
    """What stands before, between and after the holes; at least two."""
    escape: Callable[[str], bytes] = field(repr=False)

    def fill(self, text: str) -> bytes:
        """The body for a text.

        Raises:
            UnicodeEncodeError: the text holds half of a surrogate pair.
        """
        return self.escape(text).join(self.parts)


async def learn_template(build: Build) -> Template | None:
    """Find the template of the requests that `build` makes.

    Args:
        build: makes the request for one text; `None` where it makes none.

    Returns:
        `None` for anything unusual: no request or several, no plain JSON body, a streamed answer, a text that is changed on its way or not
        in the body at all, and anything else in the request that differs from one to the next.
    """
    first = await build(SENTINEL)
    if first is None or not _usual(first):
        return None
    parts = tuple(first.body.split(SENTINEL.encode()))
    candidates = [Template(first, parts, escape) for escape in ESCAPES] if len(parts) > 1 else []
    for probe in PROBES:
        if not candidates:
            return None
        made = await build(probe)
        if made is None or (made.method, made.target, made.headers) != (first.method, first.target, first.headers):
            return None
        candidates = [template for template in candidates if template.fill(probe) == made.body]
    return candidates[0] if candidates else None


def _usual(request: Captured) -> bool:
    headers = {name.lower(): value for name, value in request.headers}
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if request.method != "POST" or kind != b"application/json" or b"content-encoding" in headers:
        return False
    try:
        body = json.loads(request.body)
    except ValueError:
        return False
    return isinstance(body, dict) and not body.get("stream")
