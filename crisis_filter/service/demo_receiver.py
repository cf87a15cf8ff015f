"""A receiver of webhooks for the demonstration: on the loopback, with the checks that anybody's receiver needs, and nothing of ours in them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Arrived", "Receiver", "is_signed"]

_TOLERANCE_S = 300
_MOST_BYTES = 64 * 1024
_WORD = re.compile(r"\w+")
_RUN = 3


@dataclass(frozen=True, slots=True)
class Arrived:
    """One webhook.

    Attributes:
        signed: whether the signature is the sender's, of the last five minutes.
        wordless: whether none of the texts it was compared with has three words in a row of it.
        payload: what it says; empty where it is no JSON object.
    """

    signed: bool
    wordless: bool
    payload: Mapping[str, Any]


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Whether a webhook was signed by whoever knows the secret, in the last five minutes.

    By the Standard Webhooks specification (https://www.standardwebhooks.com), and by hand: HMAC-SHA256 of `id.timestamp.body`.

    Args:
        secret: `whsec_` and base64.
        headers: of the request, names in lower case.
        body: as it came.
        now_s: seconds since 1970.
    """
    stamp = headers.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16) or abs(now_s - int(stamp)) > _TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    told = f"{headers.get('webhook-id', '')}.{stamp}.".encode("utf-8", "replace") + body
    wanted = b"v1," + base64.b64encode(hmac.new(key, told, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode("utf-8", "replace").split()
    return any(hmac.compare_digest(wanted, one) for one in given)


class Receiver:
    """Takes webhooks at `url` while its context lasts.

    Args:
        texts: messages of which no webhook may hold a word.
        clock: seconds since 1970.
    """

    def __init__(self, texts: Iterable[str], clock: Callable[[], float] = time.time) -> None:
        self.secret = ""
        """Signs what comes; nothing is signed until it is set."""
        self._runs = frozenset(run for text in texts for run in _runs(text))
        self._clock = clock
        self._seen: set[str] = set()
        self._arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._take))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, timeout_s: float) -> Arrived | None:
        """The next that was taken for the first time; `None` where none comes in time."""
        try:
            return self._arrived.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def _take(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status to answer."""
        signed = bool(self.secret) and is_signed(self.secret, headers, body, self._clock())
        webhook_id = headers.get("webhook-id", "")
        if signed and webhook_id in self._seen:
            return 204  # the answer to an earlier attempt got lost
        try:
            payload = json.loads(body)
        except ValueError:
            payload = None
        wordless = self._runs.isdisjoint(_runs(body.decode("utf-8", "replace")))
        self._arrived.put(Arrived(signed, wordless, payload if isinstance(payload, dict) else {}))
        if signed:
            self._seen.add(webhook_id)
        return 204 if signed else 400


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}


def _handler(take: Callable[[Mapping[str, str], bytes], int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            stated = self.headers.get("content-length", "")
            size = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 8 else _MOST_BYTES + 1
            if size > _MOST_BYTES:
                self.close_connection = True
                status = 413
            else:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = take(headers, self.rfile.read(size))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not a word."""

    return Handler
