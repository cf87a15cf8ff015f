"""The short form of a backend and its record."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from crisis_filter.backends.spec import parse_backend
from crisis_filter.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "kind", "model", "path", "name"),
    [
        ("openai:gpt-x", "openai", "gpt-x", None, "openai:gpt-x"),
        ("openai:org/llama:8b-q4", "openai", "org/llama:8b-q4", None, "openai:org/llama:8b-q4"),
        ("langchain:anthropic:claude-x", "langchain", "anthropic:claude-x", None, "langchain:anthropic:claude-x"),
        ("langchain:ollama:llama3:8b", "langchain", "ollama:llama3:8b", None, "langchain:ollama:llama3:8b"),
        ("scripted:a/b:c.jsonl", "scripted", "", "a/b:c.jsonl", "scripted"),
        ("recorded:r.jsonl", "recorded", "", "r.jsonl", "recorded"),
    ],
)
def test_short_forms(text: str, kind: str, model: str, path: str | None, name: str) -> None:
    """Everything after the kind is the model or the file, colons and slashes included."""
    spec = parse_backend(text)
    assert (spec.kind, spec.model, spec.path, spec.name) == (kind, model, path, name)


@pytest.mark.parametrize(
    "text", ["", "openai", "openai:", "gpt-x", "local", "langchain:anthropic", "langchain::m", "scripted: "]
)
def test_an_unknown_or_incomplete_form_is_refused(text: str) -> None:
    """A form that names no model, provider or file is a configuration error that lists the known forms or the gap."""
    with pytest.raises(ConfigurationError, match=r"known are: local, openai:MODEL|needs PROVIDER:MODEL"):
        parse_backend(text)


def test_settings_that_are_none_keep_their_default() -> None:
    """`None` stands for "not given"."""
    spec = parse_backend("openai:m", attempts=None, attempt_timeout_s=4.0, seed=None)
    assert (spec.attempts, spec.attempt_timeout_s, spec.seed) == (3, 4.0, 0)


def test_a_bad_setting_is_named_without_its_value() -> None:
    """The error names the field and not what was in it, which may be a key."""
    with pytest.raises(ConfigurationError, match="attempts") as caught:
        parse_backend("openai:m", attempts=99, nonsense="sk-secret")
    assert "nonsense" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    """Printing a spec does not print its key."""
    assert "sk-secret" not in repr(parse_backend("openai:m", api_key=SecretStr("sk-secret")))
