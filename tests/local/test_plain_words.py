"""The plainest words for each kind of crisis are found, and the plainest ordinary messages are left alone.

A list, and no measure: an engine that had met its figures on 2,700 messages missed two of these.
"""

from __future__ import annotations

import pytest

from crisis_filter.local.engine import LocalEngine

CRISES = """
I want to die
i want to kill myself
kill myself tonight
im suicidal
i am suicidal
my son is suicidal
I'm going to end it all
i dont want to live
I am having thoughts of suicide
no reason to live anymore
i cut myself
i cant stop hurting myself
i overdosed
my mum overdosed
I took all my pills
I relapsed
im drunk every day
i make myself throw up
i starve myself
im anorexic and getting worse
I hear voices telling me to hurt people
im hearing voices again
he hits me
my husband beats me
my boyfriend raped me
nobody feeds the kids
they leave grandma alone all day with no food
i want to kill him
im going to hurt someone
""".strip().splitlines()
ORDINARY = """
hello
thanks
ok
when is my appointment
refill please
what time do you open
can i get my lab results
my knee hurts after running
is the clinic open on sunday
i moved, new address attached
""".strip().splitlines()


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load()


@pytest.mark.parametrize("text", CRISES)
def test_a_crisis_said_plainly_is_found(engine: LocalEngine, text: str) -> None:
    """In two to nine words."""
    assert engine.score(text)[0] >= engine.thresholds[0]


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_message_is_left_alone(engine: LocalEngine, text: str) -> None:
    """However short."""
    assert engine.score(text)[0] < engine.thresholds[0]
