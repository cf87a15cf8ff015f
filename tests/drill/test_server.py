"""The fault server's HTTP, its scripts and its controls, over raw sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.drill.answers import LITERALS, Healthy
from crisis_filter.drill.behaviours import BEHAVIOURS
from crisis_filter.drill.http import LONGEST_HEAD, HttpRequest, RequestReader, UnreadableError
from crisis_filter.drill.plans import Always, First, Flapping, InTurn, Plan, Rate, parse_plan
from crisis_filter.drill.server import FaultServer
from crisis_filter.errors import ConfigurationError
from tests.drill.talking import Talk, chat, get, post, said

CRISIS = Healthy(lambda text: "crisis" in text)


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_connection_is_kept_and_its_requests_are_answered_in_order() -> None:
    """Many requests on one connection, even when they are sent before the first answer has come."""
    async with FaultServer(CRISIS) as server:
        talk = await Talk.to(server.port)
        talk.writer.write(b"".join(post(chat(text)) for text in ("a crisis", "fine", "a crisis")))
        answers = [(await talk.hear()).content for _ in range(3)]
        again = await talk.say(post(chat("fine")))
        await talk.end()
    assert answers == ['{"crisis": true}', '{"crisis": false}', '{"crisis": true}']
    assert again.content == '{"crisis": false}'
    assert again.headers["connection"] == "keep-alive"
    assert server.counts == {"none": 4}


async def test_a_request_in_any_pieces_is_one_request() -> None:
    """A byte at a time, chunked, or after asking for leave."""
    body = chat("a crisis")
    chunked = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x;note=1\r\n" % 10
        + body[:10]
        + b"\r\n%x\r\n" % (len(body) - 10)
        + body[10:]
        + b"\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    async with FaultServer(CRISIS) as server:
        talk = await Talk.to(server.port)
        for byte in post(body):
            talk.writer.write(bytes((byte,)))
            await talk.writer.drain()
        first = await talk.hear()
        second = await talk.say(chunked)
        talk.writer.write(post(body, Expect="100-continue")[: -len(body)])
        leave = await talk.reader.readuntil(b"\r\n\r\n")
        third = await talk.say(body)
        await talk.end()
    assert first.content == second.content == third.content == '{"crisis": true}'
    assert leave == b"HTTP/1.1 100 Continue\r\n\r\n"


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_the_reader_finds_the_same_requests_however_they_are_cut(bodies: list[bytes], data: st.DataObject) -> None:
    """The pieces in which bytes arrive do not matter."""
    whole = b"".join(post(body, f"/{i}") for i, body in enumerate(bodies))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    reader, found = RequestReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        reader.feed(whole[start:end])
        while (request := reader.take()) is not None:
            assert isinstance(request, HttpRequest)
            found.append((request.path, request.body))
    assert found == [(f"/{i}", body) for i, body in enumerate(bodies)]


@given(st.binary(max_size=300))
def test_the_reader_survives_any_bytes(noise: bytes) -> None:
    """A request, nothing yet, or one kind of error."""
    reader = RequestReader()
    reader.feed(noise + b"\r\n\r\n")
    try:
        reader.take()
    except UnreadableError as error:
        assert error.status in (400, 413, 431)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * LONGEST_HEAD + b"\r\n", 431),
        (get("/elsewhere"), 404),
        (get("/v1/chat/completions"), 405),
        (post(b"not json"), 400),
        (post(b"[]"), 400),
        (post(b'{"messages": []}'), 400),
        (post(b"[" * 100_000), 400),
        (post(chat(), x_fault="no_such_fault"), 400),
        (
            post(json.dumps({"model": "fault:no_such_fault", "messages": [{"role": "user", "content": "x"}]}).encode()),
            400,
        ),
        (post(b"{}", "/_faults"), 400),
        (b"DELETE /_faults HTTP/1.1\r\n\r\n", 405),
    ],
)
async def test_what_is_no_chat_request_is_refused_in_the_protocols_form(sent: bytes, status: int) -> None:
    """With an error object, and nothing of what was sent."""
    async with FaultServer(CRISIS) as server:
        got = await said(server.port, sent)
    assert got.status == status
    assert set(got.json) == {"error"}
    assert "no_such_fault" not in got.body.decode()


async def test_models_are_listed() -> None:
    """A client that looks for the model first finds one."""
    async with FaultServer(CRISIS) as server:
        got = await said(server.port, get("/v1/models"))
    assert (got.status, [m["object"] for m in got.json["data"]]) == (200, ["model"])


async def test_a_request_can_name_its_own_fault() -> None:
    """By header, by model, and without using up the plan."""
    async with FaultServer(CRISIS, First(1, "http_503")) as server:
        by_header = await said(server.port, post(chat(), x_fault="http_401"))
        by_model = await said(server.port, post(chat().replace(b'"m"', b'"fault:http_404"')))
        planned = await said(server.port, post(chat()))
        after = await said(server.port, post(chat()))
    assert [g.status for g in (by_header, by_model, planned, after)] == [401, 404, 503, 200]


async def test_others_can_drive_it_and_read_the_counts() -> None:
    """A plan by POST, the counts by GET, with no word of any message in them."""
    async with FaultServer(CRISIS) as server:
        taken = await said(server.port, post(b'{"sequence": ["http_500", "none"], "repeat": true}', "/_faults"))
        statuses = [(await said(server.port, post(chat("canary7731")))).status for _ in range(4)]
        counted = await said(server.port, get("/_faults"))
        wrong = await said(server.port, post(b'{"always": "no_such_fault"}', "/_faults"))
        still = await said(server.port, post(chat()))
    assert taken.json == {"names": ["http_500", "none"]}
    assert statuses == [500, 200, 500, 200]
    assert counted.json == {"requests": 4, "by_behaviour": {"http_500": 2, "none": 2}}
    assert wrong.status == 400
    assert still.status == 500


async def test_each_request_is_recorded_without_its_body_unless_asked() -> None:
    """Number, path, behaviour, time and headers; bodies only for who wants them; no text in any repr."""
    for keep in (False, True):
        async with FaultServer(CRISIS, InTurn(("none", "html_200")), keep_bodies=keep) as server:
            await said(server.port, post(chat("canary7731"), X_Note="seen"))
            await said(server.port, post(chat("canary7731"), "/proxy/v9/chat/completions"))
        first, second = server.received
        assert [(r.number, r.path, r.behaviour) for r in server.received] == [
            (1, "/v1/chat/completions", "none"),
            (2, "/proxy/v9/chat/completions", "html_200"),
        ]
        assert first.at <= second.at
        assert first.headers["x-note"] == "seen"
        assert (first.body is not None) is keep
        assert "canary7731" not in repr(first)


async def test_hundreds_of_connections_are_served_at_once() -> None:
    """Three hundred slow answers take as long as one."""
    async with FaultServer(CRISIS, latency_s=0.3) as server:
        talks = [await Talk.to(server.port) for _ in range(300)]
        loop = asyncio.get_running_loop()
        before = loop.time()
        answers = await asyncio.gather(*(talk.say(post(chat("a crisis"))) for talk in talks))
        took = loop.time() - before
        await asyncio.gather(*(talk.end() for talk in talks))
    assert {a.content for a in answers} == {'{"crisis": true}'}
    assert 0.3 <= took < 3


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("reset", ConnectionResetError),
        ("cut", asyncio.IncompleteReadError),
        ("closed", asyncio.IncompleteReadError),
        ("hang", TimeoutError),
        ("hang_body", TimeoutError),
        ("drip", TimeoutError),
        ("connect_refused", ConnectionResetError),
    ],
)
async def test_what_goes_wrong_on_the_wire_does(name: str, lost: type[Exception]) -> None:
    """A reset is a reset, a cut is an end, a hang is silence."""
    async with FaultServer(CRISIS, drip_s=0.05, down_s=None) as server:
        talk = await Talk.to(server.port)
        with pytest.raises(lost):
            await asyncio.wait_for(talk.say(post(chat(), x_fault=name)), 0.3)
        await talk.end()
        assert await refused(server.port) is (name == "connect_refused")


async def test_the_raw_shapes() -> None:
    """Chunks without an end, TLS on a plain port, a bomb, padding, dates: as they say."""
    async with FaultServer(CRISIS) as server:
        for name, wanted in (("unfinished_chunks", rb'"crisis\\": true}.*\r\n$'), ("tls_alert", rb"^\x15\x03\x03")):
            talk = await Talk.to(server.port)
            talk.writer.write(post(chat("a crisis"), x_fault=name))
            raw = await talk.reader.read()
            assert re.search(wanted, raw, re.DOTALL)
            assert not raw.endswith(b"0\r\n\r\n")
            await talk.end()
        bomb = await said(server.port, post(chat(), x_fault="gzip_bomb"))
        big = await said(server.port, post(chat(), x_fault="oversized"))
        dated = await said(server.port, post(chat(), x_fault="http_429_date"))
    assert len(bomb.body) < 100_000
    assert len(gzip.decompress(bomb.body)) > 10_000_000
    assert len(big.body) > 10_000_000
    assert big.json["object"] == "chat.completion"
    assert dated.headers["date"].endswith("gmt")
    assert dated.headers["date"] != dated.headers["retry-after"]


async def test_a_refusing_server_comes_back() -> None:
    """By itself after a while, or when told; and a plan that always refuses begins with a closed port."""
    async with FaultServer(CRISIS, First(1, "connect_refused"), down_s=0.2) as server:
        with pytest.raises(ConnectionResetError):
            await said(server.port, post(chat()))
        assert await refused(server.port)
        await asyncio.sleep(0.4)
        assert (await said(server.port, post(chat()))).status == 200
    async with FaultServer(CRISIS, Always("connect_refused")) as server:
        assert await refused(server.port)
        server.plan = Always()
        await server.listen()
        assert (await said(server.port, post(chat()))).status == 200


async def test_leaving_ends_everything() -> None:
    """With calls that hang, drip, wait and are being filled, the server ends at once and leaves no task."""
    before = asyncio.all_tasks()
    async with FaultServer(CRISIS, latency_s=0.05, drip_s=10, down_s=60) as server:
        talks = [await Talk.to(server.port) for _ in range(5)]
        for talk, name in zip(talks, ("hang", "drip", "oversized", "hang_body", "none"), strict=True):
            talk.writer.write(post(chat(), x_fault=name))
        await asyncio.sleep(0.15)
        talks[4].writer.write(post(chat(), x_fault="connect_refused"))
        await asyncio.sleep(0.1)
    for talk in talks:
        await talk.end()
    assert asyncio.all_tasks() == before
    assert await refused(server.port)


async def test_a_port_in_use_is_told() -> None:
    """By an error of configuration that names it."""
    async with FaultServer(CRISIS) as server:
        with pytest.raises(
            ConfigurationError, match=rf"^127\.0\.0\.1:{server.port} cannot be listened on: Address already"
        ):
            await FaultServer(CRISIS, port=server.port).listen()


@pytest.mark.parametrize("host", ["::1%nosuch", "192.0.2.1", "a..b", "2001:db8::1"])
async def test_a_host_that_is_not_here_is_told(host: str) -> None:
    """By name: the port is not to blame."""
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(ConfigurationError, match=rf"^{re.escape(shown)}:0 cannot be listened on: \S"):
        await FaultServer(CRISIS, host=host).listen()


async def test_a_brain_that_fails_is_an_error_without_its_words() -> None:
    """HTTP 500 with the kind of error only."""

    def broken(asked: object) -> bool:
        raise ValueError("canary7731")

    async with FaultServer(broken) as server:
        got = await said(server.port, post(chat()))
    assert got.status == 500
    assert "ValueError" in got.body.decode()
    assert "canary7731" not in got.body.decode()


OTHERS = [b for b in BEHAVIOURS.values() if b.group == "answer"]


@pytest.mark.parametrize("behaviour", OTHERS, ids=lambda b: b.name)
async def test_other_clients_are_told_what_means_nothing_to_them(behaviour: object) -> None:
    """A fault in our own JSON is refused with 501; all others come in the client's own words."""
    async with FaultServer(CRISIS, literals=LITERALS["safe-unsafe"]) as server:
        got = await said(server.port, post(chat("a crisis"), x_fault=behaviour.name))
    assert got.status == (501 if behaviour.ours_only else 200)
    if behaviour.says == "verdict" and not behaviour.ours_only:
        assert "unsafe" in json.dumps(got.json)


PLANS: list[tuple[object, list[str]]] = [
    ({"always": "http_500"}, ["http_500"] * 4),
    ({"first": 2, "name": "http_500"}, ["http_500", "http_500", "none", "none"]),
    ({"first": 2, "name": "none", "then": "http_401"}, ["none", "none", "http_401", "http_401"]),
    ({"sequence": ["cut", "reset"]}, ["cut", "reset", "reset", "reset"]),
    ({"sequence": ["cut", "none"], "repeat": True}, ["cut", "none", "cut", "none"]),
    ({"rate": {"http_500": 1.0}, "seed": 3}, ["http_500"] * 4),
    ({"rate": {"http_500": 0.0}}, ["none"] * 4),
]


@pytest.mark.parametrize(("given_plan", "chosen"), PLANS)
def test_a_plan_from_json_says_what_happens(given_plan: object, chosen: list[str]) -> None:
    """Request by request."""
    plan = parse_plan(given_plan)
    assert [plan.choose(number, 0.0) for number in range(1, 5)] == chosen
    assert plan.names >= set(chosen)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            [],
            {},
            "always",
            {"always": "no_such_fault"},
            {"sequence": []},
            {"sequence": "cut"},
            {"first": "x", "name": "cut"},
            {"first": float("inf"), "name": "cut"},
        ),
        *({"first": 1}, {"rate": {"cut": 2}}, {"rate": {"cut": -1}}, {"rate": {"cut": float("nan")}}, {"rate": 1}),
        *({"rate": {"cut": 0.6, "reset": 0.6}}, {"flapping": "cut", "up_s": 0}, {"flapping": "no_such_fault"}),
    ],
)
def test_a_plan_that_means_nothing_is_refused(wrong: object) -> None:
    """By an error of configuration."""
    with pytest.raises(ConfigurationError):
        parse_plan(wrong)


@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_a_rate_is_repeatable_and_kept(seed: int, share: float) -> None:
    """The same seed gives the same faults; the share of them is the one asked for, within chance."""

    def drawn() -> list[str]:
        plan: Plan = Rate({"http_500": share / 2, "cut": share / 2}, np.random.default_rng(seed))
        return [plan.choose(n, 0.0) for n in range(1, 401)]

    first = drawn()
    assert drawn() == first
    faulty = sum(name != "none" for name in first) / 400
    assert abs(faulty - share) < 0.15  # six standard deviations


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 20), st.floats(0.05, 0.95))
def test_a_flapping_server_is_up_and_down_in_turn(up_s: float, down_s: float, cycle: int, part: float) -> None:
    """At any time within a cycle."""
    plan = Flapping("http_503", up_s, down_s)
    start = cycle * (up_s + down_s)
    assert plan.choose(1, start + part * up_s) == "none"
    assert plan.choose(1, start + up_s + part * down_s) == "http_503"
