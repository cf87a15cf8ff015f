"""What gives somebody away, and the everyday numbers and words beside it that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.private import private_data
from tests.strategies import texts

# Numbers are of ranges that belong to nobody, or made up.
FOUND = [
    ("call +44 7700 900123", ["phone"]),
    ("07700900123", ["phone", "number"]),
    ("(555) 010-4477", ["phone"]),
    ("reach me on 555 010 4477", ["phone"]),
    ("555-0104 thats my cell", ["phone"]),
    ("my number is 555 0104", ["phone"]),
    ("text me, 555.0104", ["phone"]),
    ("ring 555-1000", ["phone"]),
    ("mail me: ann@example.org", ["email", "link"]),
    ("see www.example.org", ["link"]),
    ("account 123456789", ["number"]),
    ("im at 12 Oak Lane", ["address"]),
    ("This is Anna Smith", ["name"]),
    ("Dr. Anna Smith said so", ["name"]),
    ("my name is anna smith and i need a refill", ["name"]),
    ("My name is Anna", ["name"]),
    ("hi my names anna", ["name"]),
    ("my full name is anna b smith", ["name"]),
    ("im called anna smith", ["name"]),
    ("I\u2019m called Anna", ["name"]),
    ("i am called jos\u00e9", ["name"]),
    ("219-09-9999", ["social_security"]),
    ("its 219 09 9999", ["social_security"]),
    ("my ssn is 219099999", ["number", "social_security"]),
    ("social security number: 219.09.9999", ["social_security"]),
    ("943 476 5919", ["phone", "nhs_number"]),
    ("943-476-5919", ["phone", "nhs_number"]),
    ("9434765919", ["number", "nhs_number"]),
    ("nhs number 943 476 5918", ["phone", "nhs_number"]),
    ("NHS no: 9434765918", ["number", "nhs_number"]),
    ("dob 12/10/1987", ["birth_date"]),
    ("D.O.B: 1987-10-12", ["birth_date"]),
    ("date of birth is 12.10.87", ["birth_date"]),
    ("i was born on the 4th of march 1987", ["birth_date"]),
    ("born March 4, 1987", ["birth_date"]),
    ("born 4 mar", ["birth_date"]),
    ("my birthday is 3/4", ["birth_date"]),
]
PASSED = [
    "bp 120/80 at 10:30 on 12.11.2026, peak flow 410 410 430",
    "its a 2 hr drive each way",
    "i'm Anna",
    "",
    "500-1000 calories a day, or 800-1200, or 200-2000",
    "open 930-1130 and 700-1530",
    "call between 900-1700 pls",
    "metformin 500 1000 or 850 mg?",
    "took 100-2000 steps, ate 450-1350 calories, 220-1700 before",
    "from 2019-2024 i was fine",
    "room 214, bed 1024",
    "glucose 5.6, hba1c 48, weight 102.5",
    "my ref is 123-45",
    "666-12-3456",
    "100 20 2026 was a joke",
    "my name is spelled wrong, its Yaritza w a z",
    "my name is on the list, my name is not down, my name is wrong",
    "My name is written in two ways in your system",
    "the only person who knows my name is the barista",
    "my surname is wrong, my name's come off the paper",
    "im called fat. im called stupid and lazy every day",
    "i'm called in for a shift, i'm called names all day",
    "i called him a tightwad",
    "health visitor called me mum, i have a name",
    "my son was born 2009, i was born in 1948",
    "born at 38 weeks, born 9.5 lb, born 3 weeks early",
    "our son was born on Tuesday",
    "wrong DOB on my file, it's 1996, not 1969",
    "u have my dob wrong, its the 12th not the 21st",
    "stillborn in may, 2 years ago",
    "my birthday is wrong on the portal",
    "nhs number is wrong on my letter, 3 of 10 digits",
]


@pytest.mark.parametrize(("text", "kinds"), FOUND)
def test_private_data(text: str, kinds: list[str]) -> None:
    """Forms that give somebody away."""
    assert list(private_data(text)) == kinds


@pytest.mark.parametrize("text", PASSED)
def test_everyday_words_and_numbers(text: str) -> None:
    """A scan that warns of these would not be read."""
    assert list(private_data(text)) == []


@given(st.integers(0, 10**9 - 1))
def test_an_nhs_number_is_known_by_its_last_digit(number: int) -> None:
    """Of ten digits that differ in the last one alone at most one is such a number: the weighted sum, modulo 11."""
    first = f"{number:09}"
    weighted = sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), first, strict=True))
    last = (11 - weighted % 11) % 11
    found = [digit for digit in range(10) if "nhs_number" in private_data(f"{first}{digit}")]
    assert found == ([last] if last < 10 else [])


@given(texts)
def test_any_text_can_be_scanned(text: str) -> None:
    """Each kind once, without an exception."""
    kinds = list(private_data(text))
    assert len(kinds) == len(set(kinds))
