"""When a webhook is sent again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.delivery.schedule import MOST_ATTEMPTS, WAITS_S, wait_ms


def test_the_schedule_is_that_of_standard_webhooks():
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, and then no more."""
    middle = [wait_ms(failed, None, lambda: 0.5) for failed in range(1, MOST_ATTEMPTS)]
    assert middle == [1000 * s for s in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)]
    assert wait_ms(MOST_ATTEMPTS, None, lambda: 0.5) is None
    assert wait_ms(MOST_ATTEMPTS, 5.0, lambda: 0.5) is None


@given(
    st.integers(1, MOST_ATTEMPTS - 1),
    st.one_of(st.none(), st.floats(0, 1e12, allow_nan=False)),
    st.floats(0, 1, exclude_max=True),
)
def test_a_wait_keeps_its_bounds_whatever_the_receiver_asks(failed, asked, drawn):
    wait = wait_ms(failed, asked, lambda: drawn)
    ours = 1000 * WAITS_S[failed - 1]
    assert wait is not None
    assert 0.9 * ours - 1 <= wait <= max(1.1 * ours, 36_000_000) + 1
    if asked is not None:
        assert wait >= min(1000 * asked, 36_000_000) - 1


def test_a_wait_that_is_asked_for_is_kept_and_a_shorter_one_is_not():
    assert wait_ms(1, 900.0, lambda: 0.5) == 900_000
    assert wait_ms(1, 1.0, lambda: 0.5) == 5_000
    assert wait_ms(1, 86_400.0, lambda: 0.5) == 36_000_000
