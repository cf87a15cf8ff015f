"""A filled template is what the recorded object would have sent, byte for byte, or there is none."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx2
import instructor
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bench.identity import OBJECTS, identical, prompt
from crisis_filter.backends.wire.capture import Build, Captured, building, road_of
from crisis_filter.backends.wire.template import ESCAPES, PROBES, SENTINEL, Template, learn_template

URL = "http://127.0.0.1:9/v1"
HEADERS = ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", OBJECTS)
async def test_what_users_objects_send_is_sent(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's, instructor's with tools and with a schema, and LangChain's."""
    caplog.set_level(logging.CRITICAL, "instructor")
    same, length = await identical(name, 40)
    assert (same, length > 500) == (40, True)


def made(body: str, *, target: bytes = b"/v1/chat/completions", headers: Any = HEADERS) -> Captured:
    return Captured("POST", target, headers, body.encode())


def object_of(encode: Callable[[str], str]) -> Build:
    """Something that writes its texts its own way."""

    async def build(text: str) -> Captured | None:
        return made('{"messages": [{"content": ' + encode(text) + '}], "model": "m"}')

    return build


async def learnt(encode: Callable[[str], str]) -> Template:
    template = await learn_template(object_of(encode))
    assert template is not None
    return template


ENCODERS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "ascii": json.dumps,
    "for scripts": lambda text: (
        json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
@given(text=st.text())
@example(text='\x00\x7f\u2028\u2029\U0001f62d"\\/\n')
async def test_any_text_is_written_as_the_object_writes_it(name: str, text: str) -> None:
    """Also one that was never tried, and one in which the sentinel stands."""
    encode = ENCODERS[name]
    template = await learnt(encode)
    for one in (text, f"{SENTINEL}{text}{SENTINEL}"):
        whole = await object_of(encode)(one)
        assert whole is not None
        assert template.fill(one) == whole.body


async def test_a_text_may_stand_more_than_once() -> None:
    """A prompt that repeats the message has two holes."""
    template = await learnt(lambda text: f'{json.dumps(text)}, "again": {json.dumps(text)}')
    assert template.fill('"') == b'{"messages": [{"content": "\\"", "again": "\\""}], "model": "m"}'


@pytest.mark.parametrize("escape", ESCAPES)
def test_half_a_surrogate_pair_is_nobodys_text(escape: Callable[[str], bytes]) -> None:
    """What the object would do with it is not known, so the template says so."""
    with pytest.raises(UnicodeEncodeError):
        Template(made(""), (b"", b""), escape).fill("\ud83d")


ODD: dict[str, Callable[[str], str]] = {
    "stripped": lambda text: json.dumps(text.strip()),
    "cut": lambda text: json.dumps(text[:5_000]),
    "line ends": lambda text: json.dumps(text.replace("\r\n", "\n")),
    "upper-case digits": lambda text: "".join(
        c if ord(c) < 128 else f"\\u{ord(c):04X}" for c in json.dumps(text, ensure_ascii=False)
    ),
    "slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "without NUL": lambda text: json.dumps(text.replace("\x00", "")),
    "normalised": lambda text: json.dumps(text.replace("e\u0301", "\u00e9")),
    "without controls": lambda text: json.dumps("".join(c for c in text if c >= " ")),
    "somewhere else": lambda text: '"constant"',
    "template filled": lambda text: json.dumps(text.replace("{text}", "x")),
}


@pytest.mark.parametrize("name", ODD)
async def test_a_text_that_is_changed_on_its_way_has_no_template(name: str) -> None:
    """Whatever the object does to some texts is found by one of those that are tried."""
    assert await learn_template(object_of(ODD[name])) is None


def changing(**changes: Any) -> Build:
    """Something of which one thing besides the text changes from request to request."""
    count = itertools.count()

    async def build(text: str) -> Captured | None:
        at = next(count)
        body = json.dumps({"text": text, **({"at": at} if "body" in changes else {})})
        headers = (*HEADERS, (b"x-at", str(at if "headers" in changes else 0).encode()))
        target = f"/v1/{at if 'target' in changes else 0}".encode()
        return None if "gone" in changes and at == 3 else made(body, headers=headers, target=target)

    return build


@pytest.mark.parametrize("what", ["body", "headers", "target", "gone"])
async def test_what_changes_besides_the_text_has_no_template(what: str) -> None:
    """A date, a key of its own for each request, an address that moves."""
    assert await learn_template(changing(**{what: True})) is None
    assert await learn_template(changing()) is not None


@pytest.mark.parametrize(
    "request_made",
    [
        None,
        Captured("GET", b"/", HEADERS, b'{"a": "' + SENTINEL.encode() + b'"}'),
        Captured("POST", b"/", (), b'{"a": "' + SENTINEL.encode() + b'"}'),
        Captured("POST", b"/", ((b"Content-Type", b"multipart/form-data"),), b'{"a": "' + SENTINEL.encode() + b'"}'),
        Captured("POST", b"/", (*HEADERS, (b"Content-Encoding", b"gzip")), b'{"a": "' + SENTINEL.encode() + b'"}'),
        made('{"stream": true, "a": "' + SENTINEL + '"}'),
        made(f'["{SENTINEL}"]'),
        made(f"a={SENTINEL}"),
        made("\ud800".encode("utf-16", "surrogatepass").decode("latin-1")),
    ],
)
async def test_an_unusual_request_has_no_template(request_made: Captured | None) -> None:
    """None at all, another method, another body, a stream."""

    async def build(text: str) -> Captured | None:
        return request_made

    assert await learn_template(build) is None


def client(**settings: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(**{"base_url": URL, "api_key": "sk-canary", **settings})


def ask(it: Any, text: str) -> Any:
    return it.chat.completions.create(model="m", messages=prompt(text))


async def test_a_client_that_blocks_can_be_recorded_too() -> None:
    """The SDK's synchronous one makes the same body."""
    blocking = building(openai.OpenAI(base_url=URL, api_key="sk-canary"), ask)
    waiting = building(client(), ask)
    assert blocking is not None
    assert waiting is not None
    first, second = await blocking("text"), await waiting("text")
    assert first is not None
    assert second is not None
    assert first.body == second.body


async def test_the_request_is_recorded_whole_and_shown_to_nobody() -> None:
    """Method, address, key and the client's own headers are there, and not in what is printed of it."""
    build = building(client(default_headers={"x-team": "canary-team"}, default_query={"v": "1"}), ask)
    assert build is not None
    one = await build("canary-text")
    assert one is not None
    assert (one.method, one.target) == ("POST", b"/v1/chat/completions?v=1")
    headers = dict(one.headers)
    assert (headers[b"authorization"], headers[b"x-team"]) == (b"Bearer sk-canary", b"canary-team")
    assert b"canary-text" in one.body
    template = await learn_template(build)
    assert "canary" not in f"{one!r} {template!r}"


def recorded(thing: Any) -> bool:
    return building(thing, ask) is not None


async def hook(_: object) -> None: ...


async def fetch_key() -> str:
    return "sk-2"


@pytest.mark.parametrize(
    ("thing", "can"),
    [
        (client(), True),
        (client(http_client=httpx2.AsyncClient(headers={"x": "1"})), True),
        (client(http_client=httpx2.AsyncClient(auth=("a", "b"))), False),
        (client(http_client=httpx2.AsyncClient(cookies={"a": "b"})), False),
        (client(http_client=httpx2.AsyncClient(event_hooks={"request": [hook]})), False),
        (client(http_client=httpx2.AsyncClient(event_hooks={"response": [hook]})), False),
        (client(api_key=fetch_key), False),
        (instructor.from_openai(client(api_key=fetch_key)), False),
        (ChatOpenAI(model="m", base_url=URL, api_key=SecretStr("x")), True),
        (ChatOpenAI(model="m", base_url=URL, api_key=fetch_key), False),
        (object(), False),
        ("openai", False),
        (None, False),
    ],
)
def test_what_can_be_recorded(thing: Any, can: bool) -> None:
    """Not a client whose requests differ from one to the next, and nothing that is no client."""
    assert recorded(thing) is can


async def test_more_requests_than_one_are_not_recorded() -> None:
    """A loop over tools, or a second try."""

    async def twice(it: Any, text: str) -> None:
        for _ in range(2):
            try:
                await ask(it, text)
            except openai.APIConnectionError:
                continue

    async def never(it: Any, text: str) -> None: ...

    for call in (twice, never):
        build = building(client(), call)
        assert build is not None
        assert await build("text") is None


def test_a_proxy_is_no_plain_road(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether one is used is the client's own rule, its environment included."""
    assert road_of(client()) is not None
    assert road_of(client(http_client=httpx2.AsyncClient(proxy="http://127.0.0.1:8"))) is None
    assert road_of(client(http_client=httpx2.AsyncClient(http2=False, transport=httpx2.MockTransport(hook)))) is None
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:8")
    assert road_of(client(base_url="http://example.org/v1")) is None
    assert road_of(client(base_url="https://example.org/v1")) is not None
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert road_of(client(base_url="http://example.org/v1")) is not None


def test_the_road_has_the_clients_own_certificates() -> None:
    """So that both lanes trust the same."""
    encrypted = road_of(client(base_url="https://[::1]:8443/v1"))
    assert encrypted is not None
    assert (encrypted.host, encrypted.port) == ("::1", 8443)
    assert encrypted.tls is not None
    assert encrypted.tls.check_hostname
    plain = road_of(client(base_url="http://localhost/v1"))
    assert plain is not None
    assert (plain.host, plain.port, plain.tls) == ("localhost", 80, None)


def test_the_probes_try_what_encoders_differ_in() -> None:
    """A control for the list itself: quotes, backslashes, every control character, both separators, emoji, length."""
    everything = "".join(PROBES)
    wanted = {chr(c) for c in range(32)} | set('"\\/<>&\x7f\x85\u2028\u2029\ufeff\ufffd\u00e9\U0001f62d')
    assert wanted <= set(everything)
    assert max(map(len, PROBES)) > 20_000
