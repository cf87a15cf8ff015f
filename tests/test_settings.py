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
    assert (spec.backend, spec.policy, spec.api_key) == ("local", "default-v3", None)


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


def test_fallbacks_are_read_in_their_short_form(monkeypatch):
    """A backend with settings after it; the key comes from the variable that is named."""
    monkeypatch.setenv("SECOND_KEY", "sk-second")
    spec = filter_spec(
        backend="openai:a",
        api_key="sk-first",
        fallbacks=["openai:b base_url=http://127.0.0.1:1/v1 api_key_env=SECOND_KEY model_reported=b-1", "local"],
    )
    second, last = spec.fallbacks
    assert (second.kind, second.model, second.base_url, second.model_reported) == (
        "openai",
        "b",
        "http://127.0.0.1:1/v1",
        "b-1",
    )
    assert second.api_key.get_secret_value() == "sk-second"
    assert last == "local"
    assert "sk-" not in repr(spec)


def test_a_key_stays_with_its_endpoint(monkeypatch):
    """The public endpoint's key goes to no other address, and the first endpoint's to no second."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-public")
    spec = filter_spec(
        backend="openai:a",
        base_url="http://127.0.0.1:1/v1",
        api_key="sk-own",
        fallbacks=["openai:b base_url=http://127.0.0.1:2/v1", "openai:c", "langchain:anthropic:d"],
    )
    b, c, d = spec.fallbacks
    assert (b.api_key, c.api_key.get_secret_value(), d.api_key) == (None, "sk-public", None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["openai:b api_key_env=NOT_SET"], "NOT_SET"),
        (["openai:b colour=red"], "colour"),
        (["openai:b attempt_timeout_s=-1"], "attempt_timeout_s"),
        (["openai:"], "incomplete"),
        (["nonsense:b"], "known are"),
        ([""], "empty"),
    ],
)
def test_a_wrong_fallback_is_named(monkeypatch, given, says):
    """Which field, never which value."""
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigurationError, match=says):
        filter_spec(backend="openai:a", api_key="k", fallbacks=given)


def test_nobody_behind_it():
    """`none` leaves the engine out as well; nothing said leaves it to the default."""
    assert filter_spec(backend="openai:a", api_key="k", fallbacks=["none"]).fallbacks == ()
    assert filter_spec(backend="openai:a", api_key="k").fallbacks is None


CHAIN = """
[[chain]]
backend = "openai:first"
base_url = "http://127.0.0.1:1/v1"
model_reported = "first-1"

[[chain]]
backend = "openai:second"
api_key_env = "SECOND_KEY"

[[chain]]
backend = "local"
"""


@pytest.fixture
def pack(tmp_path):
    from crisis_filter.assets import find

    path = tmp_path / "mine.toml"
    path.write_text(find("policies", "default-v3", ".toml").read_text(encoding="utf-8") + CHAIN, encoding="utf-8")
    return str(path)


def test_a_policy_pack_may_hold_the_chain(monkeypatch, pack):
    """It counts where nobody names a backend, and the command line's fallbacks go before its own."""
    monkeypatch.setenv("SECOND_KEY", "sk-second")
    spec = filter_spec(policy=pack)
    assert (spec.backend, spec.base_url, spec.model_reported) == ("openai:first", "http://127.0.0.1:1/v1", "first-1")
    second, last = spec.fallbacks
    assert (second.name, second.api_key.get_secret_value(), last) == ("openai:second", "sk-second", "local")
    assert filter_spec(policy=pack, fallbacks=["none"]).fallbacks == ()
    named = filter_spec(policy=pack, backend="openai:other", api_key="k")
    assert (named.backend, named.base_url, named.fallbacks) == ("openai:other", None, None)


def test_the_key_of_the_chain_is_the_one_it_names(monkeypatch, pack):
    """A key for the public endpoint does not travel to the pack's own address."""
    monkeypatch.setenv("SECOND_KEY", "sk-second")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-public")
    assert filter_spec(policy=pack).api_key is None


@pytest.mark.parametrize("given", [{"base_url": "http://127.0.0.1:8080/v1"}, {"api_key": "k"}])
def test_an_address_beside_a_chain_of_the_pack_is_refused(monkeypatch, pack, given):
    """The chain would pass it over, and the text would go elsewhere than told."""
    monkeypatch.setenv("SECOND_KEY", "s")
    with pytest.raises(ConfigurationError, match="chain of its own"):
        filter_spec(policy=str(pack), **given)
