"""What is done about each fault, read by property: a rule that changes must change a line here."""

from __future__ import annotations

import dataclasses

import pytest

from crisis_filter.errors import FAULTS, Fault
from crisis_filter.errors.faults import FaultRule

BROKEN_ANSWERS = {"truncated", "bad_json", "schema", "nonce_mismatch", "empty_reply"}
REFUSALS = {"refusal_field", "refusal_prose", "filter_prompt", "filter_finish"}
OF_THE_TEXT = {"empty_content", "input_unreadable", "input_too_long", "injection_suspected"}
OF_STAGE_TWO = {"unknown_category", "stage_conflict"}


def having(**rule: object) -> set[str]:
    return {fault.value for fault, one in FAULTS.items() if all(getattr(one, k) == v for k, v in rule.items())}


def test_the_set_is_closed_and_every_fault_has_a_rule():
    """These and no others; their names are what records and tables show."""
    others = {
        "timeout",
        "rate_limited",
        "server_error",
        "broken_reply",
        "overload",
        "misconfigured",
        "context_overflow",
    }
    ours = {"nondeterminism", "model_drift", "local_model", "internal", "unvalidated_language", "may_not_clear"}
    assert set(FAULTS) == set(Fault)
    assert {fault.value for fault in Fault} == BROKEN_ANSWERS | REFUSALS | OF_THE_TEXT | OF_STAGE_TWO | others | ours
    assert all(fault.name.lower() == fault.value for fault in Fault)


def test_what_is_asked_again():
    """A broken answer once, with a reminder; trouble on the way after a wait; all else not at all."""
    assert having(retry="reask") == BROKEN_ANSWERS | {"refusal_prose"}
    assert having(retry="transport") == {"timeout", "rate_limited", "server_error", "broken_reply", "overload"}
    assert {fault.value: rule.most_retries for fault, rule in FAULTS.items() if rule.most_retries is not None} == {
        "server_error": 2,
        "broken_reply": 1,
    }


def test_what_counts_against_an_endpoint():
    """Only what is its own doing: never anything that a message can bring about."""
    assert having(trips=True) == {"timeout", "rate_limited", "server_error", "broken_reply"}


def test_what_no_other_endpoint_is_asked_about():
    """What lies in the text, in the engine, or was found out after the answer."""
    assert having(next_link=False) == OF_THE_TEXT | OF_STAGE_TWO | {
        "nondeterminism",
        "local_model",
        "unvalidated_language",
        "may_not_clear",
    }


def test_what_is_a_sign_of_danger():
    """Refusals and filters alone."""
    assert having(sign=True) == REFUSALS


def test_what_may_be_judged_again_and_by_whom():
    """What only people may settle, what the same detector would repeat, and what an outage caused."""
    assert having(rejudge="never") == OF_THE_TEXT | {"nondeterminism"}
    assert having(rejudge="other") == REFUSALS | OF_STAGE_TWO | {
        "context_overflow",
        "unvalidated_language",
        "may_not_clear",
    }
    assert having(rejudge="healed") == BROKEN_ANSWERS | {
        "timeout",
        "rate_limited",
        "server_error",
        "misconfigured",
        "broken_reply",
        "model_drift",
        "local_model",
        "overload",
        "internal",
    }


def test_what_stands_only_beside_a_crisis():
    """Stage 1 has spoken when these are found."""
    assert having(after_positive=True) == OF_STAGE_TWO | {"nondeterminism"}


def test_a_fault_without_a_rule_of_its_own_would_stay_with_people():
    """Not asked again, not counted, another endpoint asked, nobody but a person to settle it."""
    assert FaultRule() == FaultRule(
        retry="no",
        most_retries=None,
        trips=False,
        next_link=True,
        sign=False,
        rejudge="never",
        after_positive=False,
    )


def test_rules_cannot_be_changed():
    """Neither one nor the table."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        FAULTS[Fault.TIMEOUT].trips = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        FAULTS[Fault.TIMEOUT] = FaultRule()  # type: ignore[index]
