"""The whole service over HTTP: what it takes it stores, judges, routes and tells; what it refuses it says so, and nothing is lost."""

from __future__ import annotations

import json

import pytest

from crisis_filter.service.app import make_app
from crisis_filter.store.tables import audit, messages, outbox
from tests.service.running import (
    POLICY,
    PROBLEM,
    TAXONOMY,
    Gate,
    at_once,
    equations,
    problem,
    results,
    running,
    tell_of_everything,
    until,
)
from tests.service.served import raw

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), Gate()) as service:
        yield service


@pytest.fixture(scope="module")
def client(service):
    return service.client()


def ask(client, body, path="/v1/classify", **headers):
    return client.post(path, json=body, headers=headers)


def test_one_message(service, client):
    (one,) = results(ask(client, {"id": "first", "text": "crisis here", "source": "sms", "locale": "en-US"}))
    assert (one["id"], one["outcome"], one["pending"], one["by"]) == ("first", "crisis", False, "detector")
    assert one["disposition"]["queue"] in {queue.id for queue in POLICY.queues}
    assert [found["evidence"] for found in one["findings"]] == [None]
    assert service.count(messages, messages.c.id == one["message_id"], messages.c.state == "decided") == 1
    stands = client.get(f"/v1/messages/{one['message_id']}").json()
    # The store knows the sender's id as a pseudonym alone.
    assert {**stands, "id": "first"} == one


def test_many_messages_are_answered_in_their_order(client):
    words = ["calm", "crisis", "else", "calm", "bug"]
    found = results(ask(client, {"messages": [{"id": f"m{n}", "text": word} for n, word in enumerate(words)]}))
    assert [one["id"] for one in found] == [f"m{n}" for n in range(5)]
    assert [one["outcome"] for one in found] == ["no_crisis", "crisis", "undetermined", "no_crisis", "undetermined"]
    assert len({one["message_id"] for one in found}) == 5


def test_the_same_message_again_is_judged_once(service, client):
    asked = len(service.judge.asked)
    (first,) = results(ask(client, {"id": "again", "text": "crisis"}))
    (second,) = results(ask(client, {"id": "again", "text": "crisis"}))
    assert first == second
    assert len(service.judge.asked) == asked + 1
    (other,) = results(ask(client, {"id": "again", "text": "calm"}))
    assert other["message_id"] != first["message_id"]


def test_quotes_and_reasons_need_the_scope_text(service, client):
    before = service.count(messages)
    problem(ask(service.client("classify"), {"text": "crisis", "include": ["evidence"]}), 403, "forbidden")
    assert service.count(messages) == before
    (one,) = results(ask(service.client("classify", "text"), {"text": "crisis", "include": ["evidence", "rationale"]}))
    assert one["screen"]["evidence"] == []
    assert one["findings"][0]["evidence"] == []


def test_the_same_key_and_body_twenty_times_at_once_is_one_decision(service):
    """Row 63 of the fault catalogue."""
    clients = [service.client("classify", tenant="twenty") for _ in range(4)]
    asked, before = len(service.judge.asked), service.count(messages)

    def one(number):
        answer = ask(clients[number % 4], {"text": "crisis of twenty"}, **{"Idempotency-Key": "twenty"})
        while answer.status_code == 409:
            problem(answer, 409, "idempotency_in_flight")
            assert answer.headers["retry-after"] == "1"
            answer = ask(clients[number % 4], {"text": "crisis of twenty"}, **{"Idempotency-Key": "twenty"})
        return answer

    answers = at_once(*(lambda n=n: one(n) for n in range(20)))
    assert {json.dumps(results(answer)) for answer in answers} == {json.dumps(results(answers[0]))}
    assert [answer.headers.get("idempotent-replayed") for answer in answers].count("true") == 19
    assert len(service.judge.asked) - asked == service.count(messages) - before == 1


def test_a_key_is_for_one_body_and_one_address(client):
    key = {"Idempotency-Key": "one use"}
    results(ask(client, {"text": "calm"}, **key))
    problem(ask(client, {"text": "calm "}, **key), 422, "idempotency_conflict")
    problem(ask(client, {"input": "calm"}, "/v1/moderations", **key), 422, "idempotency_conflict")
    assert ask(client, {"text": "calm"}, **key).headers["idempotent-replayed"] == "true"


def test_a_request_that_is_still_at_work_is_not_begun_again(tmp_path):
    judge = Gate(shut=True)
    with running(tmp_path, judge) as service:
        client, key = service.client("classify"), {"Idempotency-Key": "slow"}
        problem(ask(client, {"text": "crisis"}, **key, **{"X-Deadline-Ms": "100"}), 504, "deadline_passed")
        problem(ask(client, {"text": "crisis"}, **key), 409, "idempotency_in_flight")
        judge.let()
        until(lambda: service.count(messages, messages.c.state == "decided") == 1)
        again = ask(client, {"text": "crisis"}, **key)
        assert results(again)[0]["outcome"] == "crisis"
        assert again.headers["idempotent-replayed"] == "true"
        assert service.count(messages) == 1


@pytest.mark.parametrize("path", ["/v1/messages/{}", "/v1/nothing", "/v1/queue/items/{}/view"])
def test_what_is_not_there_is_a_404(client, path):
    answer = client.post(path.format("0" * 32)) if path.endswith("view") else client.get(path.format("0" * 32))
    problem(answer, 404, "not_found")


BAD = [
    (b"{", "invalid_json"),
    (b"", "invalid_request"),
    (b"[" * 100_000, "invalid_json"),
    (b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
    (b'{"text":1}', "invalid_request"),
    (b'{"text":["a"]}', "invalid_request"),
    (b'{"text":{"a":1}}', "invalid_request"),
    (b'{"text":null}', "invalid_request"),
    (b'{"text":"a","text":"b"}', "invalid_json"),
    (b'{"text":"a","unknown":1}', "invalid_request"),
    (b'{"messages":[]}', "invalid_request"),
    (b'{"messages":[{"text":"a"}],"text":"b"}', "invalid_request"),
    (b'{"text":"a","received_at":1700000000}', "invalid_request"),
    (b'{"text":"a","received_at":"2026-01-01T00:00:00"}', "invalid_request"),
    (b'{"text":"a","source":"a b"}', "invalid_request"),
    (b'{"text":"a","id":"\\ud800"}', "invalid_request"),
    (b'"text"', "invalid_request"),
    (b"NaN", "invalid_json"),
]


@pytest.mark.parametrize(("body", "code"), BAD, ids=[repr(body[:40]) for body, _ in BAD])
def test_bad_bodies_are_refused_and_nothing_is_stored(service, client, body, code):
    before = service.count(messages)
    problem(client.post("/v1/classify", content=body, headers=JSON), 422, code)
    assert service.count(messages) == before


@pytest.mark.parametrize("text", [b"\\ud83d", b"\xff\xfe", b"crisis \xc3", b"\\u0000", b"\\ud800\\udbff"])
def test_a_broken_byte_in_a_text_loses_no_message(service, client, text):
    body = b'{"messages":[{"text":"calm ' + text + b'"},{"text":"crisis"}]}'
    first, second = results(client.post("/v1/classify", content=body, headers=JSON))
    repaired = messages.c.flags.contains("encoding_repaired")
    assert service.count(messages, messages.c.id == first["message_id"], repaired) == 1
    assert second["outcome"] == "crisis"


def test_a_person_who_cannot_be_named_is_judged_all_the_same(client):
    body = b'{"texts":["crisis"],"input_type":"request","litellm_call_id":"\\ud800","request_data":{"user_api_key_end_user_id":"\\udfff"}}'
    answer = client.post("/beta/litellm_basic_guardrail_api", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["decision"]) == (200, "crisis")


def test_other_refusals_are_problems_too(client):
    problem(
        client.post("/v1/classify", content=b"{}", headers={"Content-Type": "text/plain"}),
        415,
        "unsupported_media_type",
    )
    answer = client.delete("/v1/classify")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    problem(ask(client, {"messages": [{"text": "a"}] * 101}), 413, "too_large")
    problem(ask(client, {"text": "a"}, **{"X-Deadline-Ms": "0"}), 422, "invalid_request")
    problem(ask(client, {"text": "a" * 3_000_000}), 413, "too_large")


@pytest.mark.parametrize(
    "line", ["NOTHING /v1/classify HTTP/1.1", "GET / HTTP/9.9", "\x16\x03\x01", "GET /\x00 HTTP/1.1"]
)
async def test_what_is_no_http_is_refused_as_everything_else_is(service, line):
    status, head, body = await raw(service.port, f"{line}\nHost: here")
    assert (status, json.loads(body)["decision"]) == (400, "undetermined")
    assert PROBLEM in head


def test_the_guardrail_lets_through_what_is_no_crisis_alone(client):
    def said(*texts, **more):
        answer = ask(client, {"texts": texts, "input_type": "request", **more}, "/beta/litellm_basic_guardrail_api")
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert said("calm")["action"] == "NONE"
    for word, decision in (("crisis", "crisis"), ("else", "undetermined"), ("bug", "undetermined")):
        answer = said("calm", word)
        assert (answer["action"], answer["decision"]) == ("GUARDRAIL_INTERVENED", decision)
        assert answer["texts"][0] == "calm"
        assert answer["texts"][1].startswith(f"{word}\n\n")
    assert said()["action"] == "GUARDRAIL_INTERVENED"


def test_the_way_through_the_queue(tmp_path):
    with running(tmp_path, Gate(), second_readings=1.0) as service:
        tell_of_everything(service.store, "https://example.org/hook")
        sender, reader, chief = (
            service.client("classify"),
            service.client("review", "text"),
            service.client("supervise"),
        )
        grave, calm = results(ask(sender, {"messages": [{"text": "crisis one"}, {"text": "calm two"}]}))
        assert chief.get("/v1/queue/board").json()["lines"][0]["waiting"] == 1
        item = ask(reader, {}, "/v1/queue/next").json()["item"]
        assert item["message_id"] == grave["message_id"]
        assert ask(reader, {"claim_ms": 2000.0}, "/v1/queue/next").json()["item"]["id"] == item["id"]
        seen = reader.post(f"/v1/queue/items/{item['id']}/view").json()
        assert (seen["text"], seen["outcome"], seen["text_state"]) == ("crisis one", "crisis", "there")
        assert reader.post(f"/v1/queue/items/{item['id']}/renew").status_code == 200
        at = f"/v1/queue/items/{item['id']}/decision"
        problem(ask(reader, {"action": "override", "outcome": "no_crisis"}, at), 422, "invalid_request")
        problem(ask(reader, {"action": "accept", "revision": 7}, at), 409, "conflict")
        problem(
            ask(reader, {"action": "override", "outcome": "crisis", "categories": ["sucide"]}, at),
            422,
            "invalid_request",
        )
        said = {"action": "override", "outcome": "no_crisis", "reason": "figure_of_speech", "note": "a film"}
        problem(ask(reader, {**said, "revision": 7}, at), 409, "conflict")
        said["revision"] = seen["item"]["revision"]
        assert ask(reader, said, at).json()["outcome"] == "no_crisis"
        assert ask(reader, said, at).json()["again"]
        stands = sender.get(f"/v1/messages/{grave['message_id']}").json()
        assert (stands["outcome"], stands["by"]) == ("no_crisis", "person")
        # The other is read blind; whoever reads it is not told that it raises anything.
        blind = ask(reader, {}, "/v1/queue/next").json()["item"]
        assert (blind["blind"], blind["message_id"], blind["queue"]) == (True, None, None)
        answer = ask(reader, {"action": "answer", "outcome": "crisis"}, f"/v1/queue/items/{blind['id']}/decision")
        assert (answer.json()["outcome"], answer.json()["raised"]) == (None, False)
        assert sender.get(f"/v1/messages/{calm['message_id']}").json()["outcome"] == "crisis"
        readings = chief.get("/v1/queue/second-readings?days=1").json()
        assert (readings["misses"]["not_crisis"], readings["misses"]["found"]["count"]) == (1, 1)
        raised = ask(service.client("review"), {}, "/v1/queue/next").json()["item"]
        assert raised["message_id"] == calm["message_id"]
        assert ask(reader, {}, "/v1/queue/next").json()["item"] is None
        assert equations(chief)["received = decided + pending"] == (2, 2)
        assert service.count(outbox) >= 3
        assert service.count(audit, audit.c.action == "view") == 1


def test_an_item_given_back_is_anybodys(tmp_path):
    with running(tmp_path, Gate()) as service:
        results(ask(service.client("classify"), {"text": "crisis"}))
        one, other = service.client("review"), service.client("review")
        item = ask(one, {}, "/v1/queue/next").json()["item"]["id"]
        problem(other.post(f"/v1/queue/items/{item}/release"), 409, "conflict")
        problem(other.post(f"/v1/queue/items/{item}/renew"), 409, "conflict")
        given = one.post(f"/v1/queue/items/{item}/release")
        assert (given.status_code, given.content) == (204, b"")
        assert ask(other, {}, "/v1/queue/next").json()["item"]["id"] == item


def test_health_and_figures(service, client):
    nobody = service.bearer(None)
    assert nobody.get("/livez").json() == {"status": "alive"}
    assert nobody.get("/readyz").json() == {"ready": True, "troubles": {}, "failing": {}}
    results(ask(client, {"text": "crisis"}))
    lines = nobody.get("/metrics").text.splitlines()
    figures = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert figures['crisis_filter_messages_total{outcome="crisis"}'] >= 1
    assert figures['crisis_filter_responses_total{status="2xx",surface="classify"}'] >= 1
    assert figures['crisis_filter_responses_total{status="5xx",surface="classify"}'] == 0
    assert figures["crisis_filter_ready"] == 1
    assert figures["crisis_filter_in_work"] == 0


def test_the_description_says_what_holds_here(service):
    schema = service.bearer(None).get("/openapi.json").json()
    whole = json.dumps(schema)
    assert schema["components"]["schemas"]["ClassifyMany"]["properties"]["messages"]["maxItems"] == 100
    assert '"maxItems": 1000' not in whole
    assert json.dumps({"enum": [*TAXONOMY.ids, "unspecified"]})[1:-1] in whole
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            if not path.startswith(("/livez", "/readyz", "/metrics")):
                assert {"401", "403", "422", "429", "500", "503"} <= set(told["responses"]), (method, path)
                assert told["security"] == [{"HTTPBearer": []}]
    assert "openapi" in make_app(lambda: service.service).openapi()
