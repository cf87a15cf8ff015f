"""Opening a backend from its spec."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import parse_backend
from crisis_filter.errors import ConfigurationError


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"api_key": SecretStr("")}, "OPENAI_API_KEY"),
        ({"azure_endpoint": "https://x.example"}, "AZURE_OPENAI_API_KEY"),
    ],
)
def test_a_missing_key_is_named(settings: dict[str, object], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public endpoint without a key is refused when it is opened, whatever the environment holds, naming the variable."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    with pytest.raises(ConfigurationError, match=named):
        open_backend(parse_backend("openai:m", **settings))


async def test_another_server_needs_no_key() -> None:
    """A server given by address is opened without a key."""
    backend = open_backend(parse_backend("openai:m", base_url="http://127.0.0.1:9/v1"))
    assert backend.name == "openai:m"
    await backend.aclose()
    await backend.aclose()


async def test_azure_is_opened_from_its_endpoint() -> None:
    """An Azure endpoint with a key gives a backend for the deployment."""
    backend = open_backend(parse_backend("openai:dep", azure_endpoint="https://x.example", api_key=SecretStr("k")))
    assert backend.name == "openai:dep"
    await backend.aclose()


def test_a_missing_provider_package_is_named() -> None:
    """A LangChain provider that is not installed is refused with the package to install."""
    with pytest.raises(ConfigurationError, match="pip install langchain-anthropic"):
        open_backend(parse_backend("langchain:anthropic:claude-x"))


def test_an_unknown_provider_is_refused() -> None:
    """A provider that LangChain does not know is a configuration error."""
    with pytest.raises(ConfigurationError, match="'nobody' is unknown"):
        open_backend(parse_backend("langchain:nobody:m"))


def test_a_provider_without_its_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that cannot be opened for want of a key is a configuration error."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="check its key"):
        open_backend(parse_backend("langchain:openai:gpt-x"))


@pytest.mark.parametrize("kind", ["scripted", "recorded"])
def test_a_missing_file_is_refused(kind: str, tmp_path: Path) -> None:
    """A file that is not there is a configuration error."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_backend(parse_backend(f"{kind}:{tmp_path / 'none.jsonl'}"))


def test_importing_loads_no_client() -> None:
    """The modules that other rooms import load neither openai nor langchain nor instructor."""
    code = (
        "import sys, crisis_filter.backends.base, crisis_filter.backends.spec, crisis_filter.backends.registry\n"
        "sys.exit(any(m in sys.modules for m in ('openai', 'langchain', 'langsmith', 'instructor', 'tenacity')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
