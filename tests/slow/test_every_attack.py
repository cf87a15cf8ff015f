"""Every attack of the gate, before, after and inside every crisis of the drill: tens of thousands of texts."""

from __future__ import annotations

import pytest

from crisis_filter.drill.messages import PLACES, Attack, load_messages
from crisis_filter.text import views
from crisis_filter.text.attack import attack_seen

pytestmark = pytest.mark.slow
MESSAGES = load_messages()


@pytest.mark.parametrize("attack", MESSAGES.attacks, ids=lambda attack: attack.id)
def test_no_neighbour_hides_an_attack(attack: Attack) -> None:
    """A sentence that is broken up by an attack must not make the attack look like part of it."""
    missed = [
        (crisis.id, place)
        for crisis in MESSAGES.crises
        for place, put in PLACES.items()
        if not any(attack_seen(view.text) for view in views(put(crisis.text, attack.text)))
    ]
    assert missed == []
