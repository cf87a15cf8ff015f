"""Receivers of webhooks on the loopback: real servers that take down what comes and answer as they are told, well or badly."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "hooks.example.com"

PLAIN = {
    "ok": b"HTTP/1.1 204 No Content\r\n\r\n",
    "ok_body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ok_old": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "early_hints": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "503_later": b"HTTP/1.1 503 Busy\r\nRetry-After: 900\r\nContent-Length: 0\r\n\r\n",
    "404": b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    "410": b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    "301": b"HTTP/1.1 301 Moved\r\nLocation: %LOCATION%\r\nContent-Length: 0\r\n\r\n",
    "302": b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n",
    "307": b"HTTP/1.1 307 Over There\r\nLocation: %LOCATION%\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
    "garbage": b"220 mail.example.com ESMTP\r\n",
    "half_a_body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half_a_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n",
}
"""Behaviours that are bytes, after which the connection ends."""
WELL = {"ok", "ok_body", "ok_old", "early_hints", "giant"}
BEHAVIOURS = (
    *PLAIN,
    "giant",
    "hang",
    "drip_head",
    "drip_body",
    "reset",
    "reset_mid_body",
    "endless_head",
    "endless_hints",
)


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(slots=True)
class Receiver:
    """A server that takes every request down before it answers.

    Args:
        behave: from the number of a request, 0 first, to one of `BEHAVIOURS`.
        tls: of the server, or plain HTTP.
        location: where `301` and `307` point to.
    """

    behave: Callable[[int], str] = lambda _: "ok"
    tls: ssl.SSLContext | None = None
    location: str = "http://127.0.0.1/"
    host: str = "127.0.0.1"
    got: list[Got] = field(default_factory=list)
    accepted: int = 0
    names: list[str | None] = field(default_factory=list)
    port: int = 0
    at_once: int = 0
    most_at_once: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.got]

    def url(self, path: str = "/hook") -> str:
        return f"https://{NAME}:{self.port}{path}" if self.tls else f"http://{self.host}:{self.port}{path}"

    async def __aenter__(self) -> Receiver:
        if self.tls is not None:
            self.tls.sni_callback = lambda _, name, __: self.names.append(name)
        self._server = await asyncio.start_server(self._attend, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            number = len(self.got)
            self.got.append(Got(head[0], headers, body))
            await self._answer(self.behave(number), writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.at_once -= 1
            self._tasks.discard(task)
            with suppress(OSError, RuntimeError):
                writer.close()

    async def _answer(self, name: str, writer: asyncio.StreamWriter) -> None:
        if name in PLAIN:
            writer.write(PLAIN[name].replace(b"%LOCATION%", self.location.encode()))
            await writer.drain()
            return
        await getattr(self, f"_{name}")(writer)

    async def _hang(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def _giant(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        for _ in range(100_000):
            writer.write(b"x" * 65536)
            await writer.drain()

    async def _endless_head(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000_000):
            writer.write(b"X-%d: y\r\n" % number * 100)
            await writer.drain()

    async def _endless_hints(self, writer: asyncio.StreamWriter) -> None:
        for _ in range(10_000_000):
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            await writer.drain()

    async def _drip_head(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        await self._drip(writer)

    async def _drip_body(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        await self._drip(writer)

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        for _ in range(6000):
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def _reset(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def _reset_mid_body(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Authority:
    """Certificates made for a test, and a client's context that believes in them."""

    folder: Path
    client: ssl.SSLContext
    ca: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("a test authority")
        certificate = _certificate(name, name, key, key, authority=True)
        ca = folder / "ca.pem"
        ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        for file, own, host in (("good", True, NAME), ("other", True, "other.example.com"), ("self", False, NAME)):
            server = ec.generate_private_key(ec.SECP256R1())
            signer, issuer = (key, name) if own else (server, _name(host))
            made = _certificate(_name(host), issuer, server, signer, host=host)
            (folder / f"{file}.pem").write_bytes(
                made.public_bytes(serialization.Encoding.PEM)
                + server.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        return cls(folder, ssl.create_default_context(cafile=ca), ca)

    def server(self, which: str = "good") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{which}.pem")
        return context


def _name(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def _certificate(subject, issuer, key, signer, *, authority=False, host=None) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if host is not None:
        names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(signer, hashes.SHA256())


class Names:
    """A resolver that answers from a table, a list of answers for each name: the last one again and again."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        left = self._answers.get(host)
        if not left:
            raise OSError("no such name")
        return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def connections() -> Iterator[list[tuple[object, ...]]]:
    """Every address that this process connects to over IP meanwhile, the system's own resolver aside."""
    seen: list[tuple[object, ...]] = []
    _LISTENING.append(seen)
    try:
        yield seen
    finally:
        _LISTENING.remove(seen)


_LISTENING: list[list[tuple[object, ...]]] = []


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _LISTENING and isinstance(arguments[1], tuple):
        for seen in _LISTENING:
            seen.append(arguments[1])


sys.addaudithook(_heard)
