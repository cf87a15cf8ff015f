"""The file of an experiment: short forms, and every wrong one named by its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.plan import Plan, load_plan, rooted
from crisis_filter.experiments.variants import columns

HEAD = "prompts: [screen/terse-v2]\nproviders: ['openai:m']\n"
TESTS = "tests: {data: d.jsonl, split: development}\n"


def read(folder: Path, text: str) -> Plan:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path)


def test_the_shape_of_promptfoo_is_taken(tmp_path: Path) -> None:
    """Prompts by name, path or address of a file; providers with id, label and config; evaluateOptions."""
    plan = read(
        tmp_path,
        """
description: what
tags: {git.sha: abc}
prompts:
  - screen/terse-v2
  - file://mine/other.md
  - {id: third, screen: screen/reasoned-v2, categorise: categorise/reasoned-v1}
providers:
  - openai:m
  - {id: 'openai:n', label: small, config: {base_url: 'http://127.0.0.1:1/v1', price: {input: 1, output: 2}}}
tests: {data: d.jsonl, split: development}
evaluateOptions: {repeat: 3, maxConcurrency: 2}
""",
    )
    assert [(p.label, p.screen) for p in plan.prompts] == [
        ("terse-v2", "screen/terse-v2"),
        ("other", "mine/other.md"),
        ("third", "screen/reasoned-v2"),
    ]
    assert [(p.id, p.label, p.base_url) for p in plan.providers] == [
        ("openai:m", "openai:m", None),
        ("openai:n", "small", "http://127.0.0.1:1/v1"),
    ]
    assert (plan.options.repeat, plan.options.max_concurrency) == (3, 2)
    whole = rooted(plan, tmp_path)
    assert whole.prompts[1].screen == str(tmp_path / "mine/other.md")
    assert whole.prompts[0].screen == "screen/terse-v2"
    assert whole.tests.data == str(tmp_path / "d.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(HEAD + TESTS + "promts: []\n", "promts: is not known here", id="unknown key"),
        pytest.param(
            HEAD + "tests: {data: d, split: development, splt: test}\n",
            "tests.splt: is not known here",
            id="unknown key within",
        ),
        pytest.param(HEAD, "tests: is missing", id="no tests"),
        pytest.param(
            "prompts: []\nproviders: ['openai:m']\n" + TESTS,
            "prompts: a language model is asked with one",
            id="no prompt",
        ),
        pytest.param(
            "prompts: [screen/a, screen/a]\nproviders: ['openai:m']\n" + TESTS,
            "two prompts have the same label",
            id="label twice",
        ),
        pytest.param(HEAD + HEAD + TESTS, "line 1: a key stands twice", id="key twice"),
        pytest.param(HEAD + "tests: {data: d, split: dev}\n", "tests.split", id="unknown split"),
        pytest.param(HEAD + TESTS + "budget: {money: 1}\n", "has no price; add price", id="money without a price"),
        pytest.param(HEAD + TESTS + "budget: {money: .inf}\n", "budget.money", id="no end"),
        pytest.param(HEAD + TESTS + "evaluateOptions: {repeat: 0}\n", "evaluateOptions.repeat", id="no repeat"),
        pytest.param(HEAD + TESTS + "acceptance: {incumbent: a}\n", "declares no bound", id="no bound"),
        pytest.param(
            HEAD + TESTS + "acceptance: {incumbent: a, sensitivity_margin: 0}\n",
            "acceptance.sensitivity_margin",
            id="no margin",
        ),
        pytest.param("a: &x [1]\nb: *x\n", "line 2: aliases are not taken", id="alias"),
        pytest.param("- a\n", "needs prompts, providers and tests", id="a list"),
        pytest.param("a: [", "is not valid YAML, line 1", id="broken"),
        pytest.param("a: !!python/object/apply:os.system ['x']\n", "is not valid YAML", id="code"),
        pytest.param(
            "providers: [{id: local, api_key: sk-secret}]\n" + TESTS,
            "providers.0.api_key: is not known here",
            id="a secret",
        ),
        *(
            pytest.param(
                f"providers: [{{id: 'openai:m', config: {{base_url: '{address}'}}}}]\n{TESTS}",
                "providers.0.base_url: may hold no user, password or query; name the variable of a key in api_key_env",
                id=f"a secret in an address, {what}",
            )
            for what, address in (
                ("user", "https://sk-secret@models.example/v1"),
                ("password", "https://u:sk-secret@models.example/v1"),
                ("query", "https://models.example/v1?key=sk-secret"),
                ("fragment", "https://models.example/v1#sk-secret"),
            )
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    """And never by what stands there."""
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, text)
    assert "sk-secret" not in str(caught.value)


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.dictionaries(st.sampled_from(["prompts", "providers", "tests", "id", "data", "config", "x"]), inner)
            | st.lists(inner, max_size=3)
        ),
        max_leaves=12,
    ).map(repr)
)
def test_any_other_text_is_refused_kindly(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds, it is a plan or an `InputError`."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        load_plan(path)
    except InputError as error:
        assert str(path) in str(error)


def test_a_prompt_that_lacks_a_variable_is_refused(tmp_path: Path) -> None:
    """By its id and the variable, before anything is asked."""
    (tmp_path / "p.md").write_text(
        "---\nid: screen/p-v1\nstage: screen\nanswer: screen_terse\nlabel_field: crisis\nnonce_bits: 24\nmax_output_tokens: 9\n"
        "variables: [taxonomy, examples]\n---\n{{ taxonomy.id }}\n=== message ===\n{{ nonce }} {{ message }}\n"
    )
    plan = rooted(
        read(
            tmp_path,
            "prompts: [./p.md]\nproviders: [{id: 'openai:m', config: {base_url: 'http://127.0.0.1:9'}}]\n" + TESTS,
        ),
        tmp_path,
    )
    with pytest.raises(ConfigurationError, match=r"screen/p-v1: variables used and declared differ: examples"):
        columns(plan)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (
            "{id: 'openai:m', config: {base_url: 'http://127.0.0.1:9', threshold: 0.3}}",
            "engine and threshold are for local",
        ),
        ("{id: local, config: {options: {a: 1}}}", "options are for a baseline"),
        ("{id: 'baseline:nothing', label: it}", "provider it: there is no baseline 'nothing'"),
        ("{id: 'openai:m', config: {base_url: 'http://127.0.0.1:9', temperature: 9}}", "temperature"),
        ("{id: 'openai:m', config: {base_url: 'http://127.0.0.1:9', api_key_env: NO_SUCH_KEY}}", "NO_SUCH_KEY"),
        ("'openai:m'\n- {id: 'openai:m', label: again}", "are the same but for their names"),
    ],
)
def test_providers_that_do_not_fit_are_refused(
    tmp_path: Path, provider: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the label, and what is wrong."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    plan = rooted(read(tmp_path, f"prompts: [screen/terse-v2]\nproviders:\n- {provider}\n{TESTS}"), tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        columns(plan)
