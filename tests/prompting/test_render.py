"""The part of a prompt that changes with each message, put together from pieces: what rendering the template gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.prompting import render as module
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import _pieces, fence_string, render
from crisis_filter.taxonomy.load import load_taxonomy

CLINICAL = load_taxonomy("clinical-v1")
PROMPTS = ("screen/terse-v1", "screen/terse-v2", "screen/reasoned-v1", "categorise/reasoned-v1")
TEXTS = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    ["{{ nonce }}", "{% raw %}", "\ue000 \ue001 \ue002 \ue003", "</message>", "nonce", "\ud800", ""]
)


@pytest.mark.parametrize("name", PROMPTS)
@given(text=TEXTS, nonce=st.text("0123456789abcdef", min_size=2, max_size=32))
def test_pieces_give_what_the_template_gives(name, text, nonce):
    rendered = render(load_prompt(name), CLINICAL)
    assert _pieces(rendered.prompt.user) is not None
    half = len(nonce) // 2
    expected = module._compiled(rendered.prompt.user).render(
        nonce=nonce, nonce_begins=nonce[:half], nonce_ends=nonce[half:], message=fence_string(text)
    )
    assert rendered.user(text, nonce) == expected


@pytest.mark.parametrize(
    ("template", "pieces"),
    [
        ("a {{ message }} b {{nonce}}\n", ("a ", "message", " b ", "nonce", "\n")),
        ("{{ nonce }}{{ nonce }}", ("", "nonce", "", "nonce", "")),
        ("a \n {{- message -}} \n b", ("a", "message", "b")),
        ("nothing", ("nothing",)),
        ("{{ message | fenced }}", None),
        ("{% if message %}{{ message }}{% endif %}", None),
        ("{# words #}{{ message }}", None),
        ("{{ other }}", None),
        ("{ {{ message }}", None),
        ("\ue003 {{ message }}", None),
    ],
)
def test_a_template_with_anything_else_in_it_is_rendered(template, pieces):
    assert _pieces(template) == pieces
