"""Hours of a policy: windows past midnight, weekdays, and summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crisis_filter.triage.hours import Wall, wall_time, window_of, zone

FRI, SAT, SUN = 4, 5, 6


@pytest.mark.parametrize(
    ("hours", "weekdays", "wall", "holds"),
    [
        ("09:00-17:00", (), (FRI, 9 * 60), True),
        ("09:00-17:00", (), (FRI, 17 * 60), False),
        ("09:00-17:00", (), (FRI, 8 * 60 + 59), False),
        ("22:00-06:00", (), (FRI, 22 * 60), True),
        ("22:00-06:00", (), (SAT, 0), True),
        ("22:00-06:00", (), (SAT, 6 * 60), False),
        ("22:00-06:00", ("fri",), (SAT, 5 * 60), True),
        ("22:00-06:00", ("fri",), (FRI, 5 * 60), False),
        ("22:00-06:00", ("fri",), (SAT, 23 * 60), False),
        ("22:00-06:00", ("sun",), (0, 60), True),
        ("00:00-24:00", (), (SUN, 1439), True),
        ("18:00-24:00", ("sat",), (SUN, 0), False),
        ("18:00-00:00", ("sat",), (SUN, 0), False),
        ("18:00-00:00", ("sat",), (SAT, 1439), True),
        (None, ("sat", "sun"), (SUN, 0), True),
        (None, ("sat", "sun"), (0, 0), False),
    ],
)
def test_a_window_holds_from_its_first_minute_to_before_its_last(hours, weekdays, wall, holds):
    """Past midnight it belongs to the day on which it began."""
    window = window_of(hours, weekdays)
    assert window is not None
    assert window.holds(Wall(*wall)) is holds


def test_no_hours_and_no_weekdays_are_no_window():
    """Then the hour does not matter."""
    assert window_of(None, ()) is None


@pytest.mark.parametrize(
    "hours", ["9:00-17:00", "09:00", "09:00-09:00", "24:00-06:00", "09:60-10:00", "09:00-25:00", "", "09:00-17:0٠"]
)
def test_what_is_no_hours_is_refused(hours):
    """In words."""
    with pytest.raises(ValueError, match=r"hours"):
        window_of(hours, ())


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "America", "\0"])
def test_an_unknown_zone_is_refused(name):
    """By name, and without looking outside the database."""
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("at", "weekday", "hour", "minute"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), SUN, 0, 59),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), SUN, 2, 0),  # 01:00 to 02:00 does not happen
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), SUN, 1, 30),  # 01:00 to 02:00 happens twice
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), SUN, 1, 30),
        (datetime(2026, 7, 31, 23, 30, tzinfo=UTC), SAT, 0, 30),
    ],
)
def test_the_clock_on_the_wall_follows_summer_time(at, weekday, hour, minute):
    """In London, where the clocks change at one in the morning."""
    assert wall_time(at, zone("Europe/London")) == Wall(weekday, hour * 60 + minute)


def test_a_night_window_is_an_hour_shorter_and_an_hour_longer_once_a_year():
    """It opens and closes by the clock on the wall, whatever the clock does between."""
    window, london = window_of("22:00-06:00", ()), zone("Europe/London")
    assert window is not None

    def minutes(noon: datetime) -> int:
        return sum(window.holds(wall_time(noon + timedelta(minutes=m), london)) for m in range(24 * 60))

    assert minutes(datetime(2026, 2, 1, 12, tzinfo=UTC)) == 8 * 60
    assert minutes(datetime(2026, 3, 28, 12, tzinfo=UTC)) == 7 * 60
    assert minutes(datetime(2026, 10, 24, 11, tzinfo=UTC)) == 9 * 60


def test_a_time_without_a_zone_has_no_place_on_the_wall():
    """It is refused, not taken for UTC."""
    with pytest.raises(ValueError, match="zone"):
        wall_time(datetime(2026, 1, 1), UTC)  # noqa: DTZ001  # that is the point
