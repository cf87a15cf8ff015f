"""What is away, full, overloaded or ending: it is named, refused in words, and nothing that was taken in is lost."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from sqlalchemy import event

from crisis_filter.errors import StoreUnavailable
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.service.service import open_service
from crisis_filter.store.conclude import CONCLUDE
from crisis_filter.store.opening import now_ms
from crisis_filter.store.tables import items, messages
from tests.service.running import Gate, Running, at_once, equations, problem, results, running, until


def ask(client, body, path="/v1/classify", **headers):
    return client.post(path, json=body, headers=headers)


def test_overload_is_refused_before_anything_is_taken_in(tmp_path):
    judge = Gate(shut=True)
    with running(tmp_path, judge, most_waiting=3) as service:
        client = service.client("classify")
        problem(ask(client, {"messages": [{"text": "crisis"}] * 3}, **{"X-Deadline-Ms": "100"}), 504, "deadline_passed")
        refused = ask(client, {"text": "crisis"})
        problem(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        until(lambda: service.count(messages) == 3)
        ready = client.get("/readyz")
        assert (ready.status_code, set(ready.json()["troubles"])) == (503, {"desk"})
        # One request was refused; that it is not ready is none.
        assert 'crisis_filter_refused_total{reason="overload"} 1.0' in client.get("/metrics").text
        guarded = ask(client, {"texts": ["calm"], "input_type": "request"}, "/beta/litellm_basic_guardrail_api")
        assert (guarded.status_code, guarded.json()["action"]) == (200, "GUARDRAIL_INTERVENED")
        judge.let()
        until(lambda: service.count(messages, messages.c.state == "decided") == 3)
        assert results(ask(client, {"text": "calm"}))[0]["outcome"] == "no_crisis"


def test_a_key_may_ask_so_often(tmp_path):
    with running(tmp_path, Gate(), per_minute=3) as service:
        client = service.client("classify")
        statuses = [ask(client, {"text": "calm"}).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        refused = ask(client, {"text": "calm"})
        problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert service.count(messages) == 3
        other = service.client("classify", per_minute=100)
        assert [ask(other, {"text": "calm"}).status_code for _ in range(5)] == [200] * 5


class Pragma:
    """One of SQLite's settings, on every connection of a store."""

    def __init__(self, store, name, value):
        self.store, self.name, self.value = store, name, value
        event.listen(store.engine, "connect", self._opened)

    def _opened(self, raw, _):
        raw.execute(f"PRAGMA {self.name}={self.value}").fetchall()

    def __call__(self, value):
        self.value = value
        self.store.engine.dispose()
        self.store.write(lambda connection: connection.exec_driver_sql(f"PRAGMA {self.name}={value}"))


def test_a_full_disk_takes_nothing_in_and_loses_nothing(tmp_path):
    judge, ahead = Gate(), [0]
    with running(tmp_path, judge) as service:
        service.store.clock = lambda: now_ms() + ahead[0]
        client = service.client("classify", "supervise")
        results(ask(client, {"text": "calm"}))
        judge.shut()
        problem(ask(client, {"id": "taken", "text": "crisis"}, **{"X-Deadline-Ms": "100"}), 504, "deadline_passed")

        room = Pragma(service.store, "max_page_count", 1_000_000)
        room(1)
        judge.let()
        refused = ask(client, {"messages": [{"text": f"crisis {'x' * 400_000}"}] * 4})
        problem(refused, 503, "store_unavailable")
        assert refused.headers["retry-after"] == "5"
        guarded = ask(
            client, {"texts": ["calm " * 80_000] * 4, "input_type": "request"}, "/beta/litellm_basic_guardrail_api"
        )
        assert guarded.json()["action"] == "GUARDRAIL_INTERVENED"
        stored = service.count(messages)
        room(1_000_000)
        until(lambda: ask(client, {"text": "calm"}).status_code == 200)
        assert service.count(messages) == stored + 1
        ahead[0] = 600_000  # leases of what could not be put down run out
        until(lambda: not service.count(messages, messages.c.state == "pending"))
        equations(client)
        assert service.count(items, items.c.kind == "alert") == service.count(items)


def test_readiness_names_a_store_that_may_only_be_read(tmp_path):
    with running(tmp_path, Gate()) as service:
        client = service.client("classify")
        results(ask(client, {"text": "calm"}))
        only = Pragma(service.store, "query_only", 0)
        only(1)
        assert client.get("/readyz").json()["ready"], "nobody has tried yet"
        problem(ask(client, {"text": "crisis"}), 503, "store_unavailable")
        for _ in range(2):
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["troubles"]) == (503, {"store": "it takes nothing in"})
        only(0)
        assert client.get("/readyz").json()["ready"], "it finds out by itself, for nobody sends anything here meanwhile"
        assert results(ask(client, {"text": "crisis"}))[0]["outcome"] == "crisis"
        assert service.count(messages) == 2


def test_where_the_store_goes_away_after_it_took_a_message_the_answer_says_that_it_was_taken(tmp_path):
    with running(tmp_path, Gate()) as service:
        client = service.client("classify")
        gather = service.store.gather

        def away(bulk, item):
            if bulk is CONCLUDE:
                raise StoreUnavailable("gone")
            return gather(bulk, item)

        service.store.gather = away
        told = problem(ask(client, {"text": "crisis"}), 504, "deadline_passed")
        assert "What was taken in is decided all the same" in told["detail"]
        assert service.count(messages, messages.c.state == "pending") == 1
        service.store.gather = gather


def test_readiness_names_a_store_that_is_gone(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    with running(folder, Gate()) as service:
        client = service.client("classify")
        results(ask(client, {"text": "calm"}))
        shutil.move(folder, tmp_path / "elsewhere")
        service.store.engine.dispose()
        ready = client.get("/readyz")
        assert (ready.status_code, set(ready.json()["troubles"])) == (503, {"store"})
        assert client.get("/livez").status_code == 200
        assert client.get("/metrics").status_code == 200
        answer = client.get("/v1/messages/" + "0" * 32)
        assert answer.json()["decision"] == "undetermined"
        shutil.move(tmp_path / "elsewhere", folder)
        assert client.get("/readyz").status_code == 200
        assert results(ask(client, {"text": "crisis"}))[0]["outcome"] == "crisis"


def dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_readiness_names_a_detector_of_which_nothing_answers(tmp_path):
    judging = FilterSpec(
        backend="openai:nobody", base_url=f"http://127.0.0.1:{dead_port()}/v1", fallbacks=(), policy="default-v4"
    )
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Running(url, opened=open_service, judging=judging) as service:
        client = service.client()
        assert client.get("/readyz").status_code == 200
        found = results(ask(client, {"messages": [{"text": "are you open on friday?"}] * 12}))
        assert {one["outcome"] for one in found} == {"undetermined"}
        until(lambda: client.get("/readyz").status_code == 503 or ask(client, {"text": "hello"}) is None)
        troubles = client.get("/readyz").json()["troubles"]
        assert set(troubles) == {"detector"}
        assert troubles["detector"].startswith("no endpoint answers: ")
        # It still takes messages: a person reads them.
        (one,) = results(ask(client, {"text": "hello"}))
        assert (one["outcome"], one["disposition"] is None) == ("undetermined", False)
        equations(client)


def test_the_embedded_engine_behind_it_all(tmp_path):
    with running(tmp_path) as service:
        client = service.client("classify", "text")
        texts = ["I want to end my life tonight", "When is the clinic open on Friday?"]
        grave, calm = results(ask(client, {"messages": [{"text": text} for text in texts], "include": ["evidence"]}))
        assert (grave["outcome"], calm["outcome"]) == ("crisis", "no_crisis")
        assert grave["findings"]


def test_an_end_answers_what_is_in_work(tmp_path: Path):
    judge = Gate(shut=True)
    with running(tmp_path, judge, drain_s=30.0) as service:
        client = service.client("classify")
        url, key = f"sqlite:///{tmp_path / 'store.db'}", client.headers["Authorization"].removeprefix("Bearer ")

        def end():
            until(lambda: len(judge.asked) == 5)
            service.in_loop(service.service.desk.refuse)
            ready = service.bearer(None).get("/readyz")
            assert (ready.status_code, set(ready.json()["troubles"])) == (503, {"service"})
            problem(ask(service.bearer(key), {"text": "late"}), 503, "stopping")
            service.server.stop()
            judge.let()

        answers = at_once(end, *(lambda: ask(service.bearer(key), {"text": "crisis"}) for _ in range(5)))[1:]
        assert [results(answer)[0]["outcome"] for answer in answers] == ["crisis"] * 5
    with Running(url, Gate()) as service:
        assert service.count(messages, messages.c.state == "decided") == service.count(messages) == 5
