"""The environment is read once, arguments go before it, and nothing travels to an address nobody gave."""

from __future__ import annotations

import pytest

from crisis_filter.errors import ConfigurationError
from crisis_filter.settings import filter_spec

NAMES = (
    "CRISIS_FILTER_BACKEND",
    "CRISIS_FILTER_BASE_URL",
    "CRISIS_FILTER_API_KEY",
    "CRISIS_FILTER_AZURE_ENDPOINT",
    "CRISIS_FILTER_DEADLINE_S",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_API_KEY",
    "OPENAI_API_VERSION",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_without_anything_the_embedded_engine_is_used():
    """The offline default needs no setting."""
    spec = filter_spec()
    assert (spec.backend, spec.policy, spec.api_key) == ("local", "default", None)


def test_an_argument_goes_before_the_environment(monkeypatch):
    """And the environment before the default."""
    monkeypatch.setenv("CRISIS_FILTER_BACKEND", "openai:a")
    assert filter_spec().backend == "openai:a"
    assert filter_spec(backend="openai:b").backend == "openai:b"
    assert filter_spec(backend=None).backend == "openai:a"


def test_the_variables_of_the_openai_client_are_honoured(monkeypatch):
    """Ours go first."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    spec = filter_spec()
    assert spec.api_key.get_secret_value() == "sk-theirs"
    assert spec.base_url == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("CRISIS_FILTER_API_KEY", "sk-ours")
    assert filter_spec().api_key.get_secret_value() == "sk-ours"


def test_an_address_that_is_given_beats_an_endpoint_that_lies_around(monkeypatch):
    """Messages meant for a local server do not go to a cloud because a variable is set."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://corp.example")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    spec = filter_spec(backend="openai:m", base_url="http://127.0.0.1:8080/v1")
    assert (spec.base_url, spec.azure_endpoint, spec.azure_api_version) == ("http://127.0.0.1:8080/v1", None, None)
    assert filter_spec(backend="openai:m").azure_endpoint == "https://corp.example"


def test_two_addresses_on_the_same_footing_are_refused(monkeypatch):
    """It must be plain where messages go."""
    with pytest.raises(ConfigurationError, match="one of them"):
        filter_spec(base_url="http://127.0.0.1/v1", azure_endpoint="https://corp.example")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://corp.example")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1/v1")
    with pytest.raises(ConfigurationError, match="one of them"):
        filter_spec()


def test_a_key_for_openai_does_not_travel_to_another_provider(monkeypatch):
    """LangChain's providers read their own variables."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1/v1")
    spec = filter_spec(backend="langchain:anthropic:m")
    assert (spec.api_key, spec.base_url) == (None, None)
    assert filter_spec(backend="langchain:openai:m", api_key="k").api_key.get_secret_value() == "k"


@pytest.mark.parametrize(
    ("given", "says"),
    [({"deadline_s": -1}, "deadline_s"), ({"surprise": 1}, "surprise"), ({"engine_threads": 0}, "engine_threads")],
)
def test_a_wrong_value_is_named_and_not_shown(given, says):
    """The field is named; the value may be a secret."""
    with pytest.raises(ConfigurationError, match=says):
        filter_spec(**given)


def test_a_wrong_variable_is_an_error_too(monkeypatch):
    """Nothing falls back silently."""
    monkeypatch.setenv("CRISIS_FILTER_DEADLINE_S", "soon-MARKER")
    with pytest.raises(ConfigurationError, match="deadline_s") as caught:
        filter_spec()
    assert "MARKER" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_a_blank_key_is_no_key(monkeypatch, key):
    """A missing secret often comes as an empty variable; it must not count as a key for the public endpoint."""
    from crisis_filter.backends.registry import open_backend

    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        open_backend(filter_spec(backend="openai:m").backend_spec())


def test_the_line_end_of_a_secret_file_is_no_part_of_the_key():
    """White space around a key is left off."""
    assert filter_spec(backend="openai:m", api_key="sk-test\n").backend_spec().api_key.get_secret_value() == "sk-test"


@pytest.mark.parametrize("key", ["schlüssel", "“sk-test”", "a\x00b"])
def test_a_key_that_no_header_can_carry_is_refused(key):
    """It is a wrong setting, named and not shown."""
    with pytest.raises(ConfigurationError, match="header") as caught:
        filter_spec(backend="openai:m", api_key=key).backend_spec()
    assert key not in str(caught.value)
