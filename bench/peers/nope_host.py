"""A host that speaks the NOPE evaluation API and goes wrong as its path says; standard library only.

    nope_host.py MESSAGES.jsonl

Prints its base URL and serves `POST /FAULT/v1/evaluate` on a free loopback port until its standard input closes. The healthy answer names one high
suicide risk for a text that the file marks as a crisis and none for any other; the shape is that of the validator's documentation and source.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HANG_S = 12.0  # the validator gives up after 10
_RISK = {"type": "suicide", "subject": "self", "severity": "high", "imminence": "urgent"}
STATUSES = {f"http_{status}": status for status in (401, 403, 404, 408, 429, 500, 502, 503, 504)}
BODIES: dict[str, bytes] = {
    "refusal_prose": b"I'm sorry, I can't help with that.",
    "empty_200": b"",
    "length_cut": json.dumps({"risks": [_RISK]}).encode()[:30],
    "html_200": b"<!doctype html><title>Please wait</title>",
    "error_200": b'{"error": {"message": "internal error"}}',
}
VERDICTS: dict[str, tuple[str, dict[str, object]]] = {
    "verdict_missing": ("HTTP 200 without the field that lists the risks", {"speaker_severity": "critical"}),
    "type_unknown": (
        "HTTP 200, a risk of a type that is not in the list",
        {"risks": [{**_RISK, "type": "suicidality"}]},
    ),
    "severity_unknown": ("HTTP 200, a risk of the severity severe", {"risks": [{**_RISK, "severity": "severe"}]}),
    "severity_shouted": ("HTTP 200, a risk of the severity HIGH", {"risks": [{**_RISK, "severity": "HIGH"}]}),
}
"""Answers whose meaning is plain to a person and whose form has drifted: what it is, and the answer."""
TRANSPORT = ("hang", "closed", "reset", "cut")
FAULTS = frozenset({"none", *STATUSES, *BODIES, *VERDICTS, *TRANSPORT})


def answer(fault: str, text: str, crises: frozenset[str]) -> bytes:
    """The body of a 200: the fault's own, or the healthy one."""
    if fault in BODIES:
        return BODIES[fault]
    if fault in VERDICTS:
        return json.dumps(VERDICTS[fault][1]).encode()
    found = text in crises
    risks = [_RISK] if found else []
    return json.dumps({"risks": risks, "speaker_severity": "high" if found else "none", "request_id": "r"}).encode()


def _handler(crises: frozenset[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fault = self.path.split("/")[1]
            if fault == "hang":
                time.sleep(HANG_S)
            elif fault == "reset":
                # A zero linger time makes the close a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if fault in ("hang", "closed", "reset"):
                self.close_connection = True
                return
            status = STATUSES.get(fault, 200)
            body = b'{"error": "no"}' if status != HTTPStatus.OK else answer(fault, asked["text"], crises)
            self._send(status, body, cut=fault == "cut")

        def _send(self, status: int, body: bytes, *, cut: bool) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:-1] if cut else body)
            self.close_connection = self.close_connection or cut

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

    return Handler


def _main(path: str) -> None:
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(frozenset(row["text"] for row in rows if row["crisis"])))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    _main(sys.argv[1])
