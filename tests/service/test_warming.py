"""What the first message would wait for is loaded before it comes, and nobody is asked for that."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from crisis_filter.backends.base import Backend
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.server import FaultServer
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Message
from crisis_filter.service.service import open_service
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.service.warming import warm_up
from crisis_filter.store.tables import messages
from crisis_filter.text.attack import attack_ready

ROOT = Path(__file__).parents[2]
_COLD = """
import asyncio, sys
from tests.service.test_warming import first_message
print(*asyncio.run(first_message(sys.argv[1])))
"""


def described(folder: str | Path, **judging: object) -> ServiceSpec:
    given = {"api_key": SecretStr("k"), "fallbacks": (), "policy": "default-v4", **judging}
    return ServiceSpec(store=f"sqlite:///{folder}/s.db", judging=FilterSpec.model_validate(given), deliver=False)


async def first_message(folder: str) -> tuple[int, bool, str, int]:
    """Requests before the first message, whether patterns were compiled, what it came to, and how many modules were loaded with it."""
    async with FaultServer(lambda _: False) as server:
        async with open_service(described(folder, backend="openai:any", base_url=server.base_url)) as service:
            before, asked, ready = len(sys.modules), server.counts.total(), attack_ready()
            said = await service._filter.assess(Message(id="1", text="a fine day by the sea"))
            return asked, ready, said.outcome, len(sys.modules) - before


def test_the_first_message_loads_nothing(tmp_path: Path) -> None:
    """In a fresh process, before an endpoint that nobody asked until then."""
    done = subprocess.run(
        [sys.executable, "-c", _COLD, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["0", "True", "no_crisis", "0"]


async def test_before_the_engine_the_message_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes nowhere else: not into the store, not into a count."""
    heard: list[str] = []
    assess = CrisisFilter.assess

    async def hearing(self: CrisisFilter, message: Message) -> Assessment:
        said = await assess(self, message)
        heard.append(f"{message.id} {said.outcome}")
        return said

    monkeypatch.setattr(CrisisFilter, "assess", hearing)
    async with open_service(described(tmp_path, backend="local", fallbacks=None)) as service:
        assert heard == ["warm-up no_crisis"]
        assert service.store.read(lambda c: c.scalar(select(func.count()).select_from(messages))) == 0


async def test_a_failure_is_left_to_the_first_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> bool:
        raise RuntimeError

    monkeypatch.setattr("crisis_filter.service.warming.attack_seen", broken)
    async with open_service(described(tmp_path, backend="local", fallbacks=None)) as service:
        assert await service.troubles() == {}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_hears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.2)
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        async with open_service(described(tmp_path, backend="openai:any", base_url="http://203.0.113.1/v1")):
            with pytest.raises(TimeoutError):
                proxy.accept()


async def opened(**judging: object) -> list[BackendSpec]:
    """The links that warming up opens, before a filter that is of no matter."""
    seen: list[BackendSpec] = []

    def open_link(link: BackendSpec) -> Backend:
        seen.append(link)
        return open_backend(link, np.random.default_rng(0))

    given = FilterSpec.model_validate({"api_key": SecretStr("k"), "policy": "default-v4", **judging})
    own = open_filter(FilterSpec(policy="default-v4"))
    try:
        await warm_up(given, own, open_link)
    finally:
        await own.aclose()
    return seen


@pytest.mark.parametrize(
    "judging",
    [
        {"backend": "openai:any"},
        {"backend": "openai:any", "base_url": "https://203.0.113.1/v1", "cascade": True},
        {"backend": "openai:any", "azure_endpoint": "https://203.0.113.1", "azure_api_version": "2024-10-21"},
        {"backend": "langchain:openai:any", "base_url": "https://203.0.113.1/v1"},
        {"backend": "openai:any", "fallbacks": [{"kind": "openai", "model": "other", "api_key": "k2"}, "local"]},
    ],
)
async def test_clients_meet_a_closed_port_and_get_no_key(judging: dict[str, object]) -> None:
    (link,) = await opened(**judging)
    assert str(link.base_url).startswith("http://127.0.0.1:")
    assert link.azure_endpoint is None
    assert link.api_key is not None
    assert (link.api_key.get_secret_value(), link.attempts) == ("none", 1)


@pytest.mark.parametrize("base_url", [None, "https://203.0.113.1/v1"])
async def test_a_client_that_may_go_elsewhere_is_left_alone(base_url: str | None) -> None:
    assert await opened(backend="langchain:xai:any", base_url=base_url) == []


@pytest.mark.parametrize(("name", "links"), [("NO_PROXY", 1), ("HTTPS_PROXY", 0)])
async def test_a_host_without_a_proxy_is_no_proxy(monkeypatch: pytest.MonkeyPatch, name: str, links: int) -> None:
    monkeypatch.setenv(name, "203.0.113.9")
    assert len(await opened(backend="openai:any")) == links
