"""What an experiment was begun with: its state, the hash over it, and whether another is the same."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.items import Data
from crisis_filter.experiments.plan import Plan, ProviderChoice
from crisis_filter.experiments.records import State
from crisis_filter.experiments.variants import Columns

__all__ = ["STATE", "read_state", "same_experiment", "state_of", "state_sha256"]

STATE = "experiment.json"
"""Name of the file in the folder."""


def state_of(plan: Plan, columns: Columns, data: Data) -> State:
    """What a folder is begun with."""
    state = State(
        sha256="",
        plan=plan,
        variants=tuple(column.variant for column in columns.columns),
        prompts=columns.prompts,
        data=data.name,
        data_sha256=data.sha256,
        labelled_by=data.labelled_by,
        items=data.items,
        repeats=plan.options.repeat,
        version=assets.package_version(),
    )
    return state.model_copy(update={"sha256": state_sha256(state)})


def state_sha256(state: State) -> str:
    """Hash over everything that makes an experiment this one: who is asked with what, at which price, which messages with whose labels, and the bounds.

    Of the plan it leaves out pace, budget, words, keys and how long to wait, and what the variants' fingerprints hold.
    """
    dumped = state.model_dump(
        mode="json",
        include={"variants", "prompts", "data", "data_sha256", "labelled_by", "items", "repeats"},
        exclude_none=True,
    )
    bounds = state.plan.acceptance
    hashed = {
        **dumped,
        "split": state.plan.tests.split,
        "providers": [[one.label, _kind(one)] for one in state.plan.providers],
        # Without what is not declared, so that a bound that a later version knows changes no hash.
        "acceptance": bounds.model_dump(mode="json", exclude_none=True) if bounds is not None else None,
    }
    return assets.sha256(json.dumps(hashed, sort_keys=True).encode())


def _kind(provider: ProviderChoice) -> str:
    """Who is asked; a file is known by its content, wherever it lies."""
    kind = provider.id.partition(":")[0]
    return kind if kind in ("scripted", "recorded") else provider.id


def read_state(path: Path) -> State:
    """The state that lies in a folder.

    Raises:
        InputError: it is none, or its hash does not fit it.
    """
    try:
        found = State.model_validate_json((path / STATE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise InputError(
            f"{path / STATE}: is not the state of an experiment; restore it, or name a new folder"
        ) from None
    if state_sha256(found) != found.sha256:
        raise InputError(f"{path / STATE}: was changed after it began; restore it, or name a new folder")
    return found


def same_experiment(path: Path, found: State, wanted: State) -> None:
    """Refuse what is another experiment than that of a folder.

    Raises:
        ConfigurationError: says what differs first, with both hashes where there are two.
    """
    if found.sha256 == wanted.sha256 and found.version != wanted.version:
        raise ConfigurationError(
            f"{path}: was begun with version {found.version}, this is {wanted.version}; name a new folder beside it, and its replies are taken over"
        )
    if found.sha256 != wanted.sha256:
        raise ConfigurationError(
            f"{path}: was begun as another experiment: {_difference(found, wanted)}. Name a new folder beside it"
        )


def _difference(found: State, wanted: State) -> str:
    """What differs first, with both hashes where there are two."""
    texts = {text.id: text.sha256 for text in found.prompts}
    for text in wanted.prompts:
        if texts.get(text.id, text.sha256) != text.sha256:
            return f"prompt {text.id} had the hash {texts[text.id]} and has {text.sha256} now"
    if found.data_sha256 != wanted.data_sha256:
        return f"the data had the hash {', '.join(found.data_sha256)} and has {', '.join(wanted.data_sha256)} now"
    if found.plan.tests.split != wanted.plan.tests.split:
        return f"its messages were the split {found.plan.tests.split} and are {wanted.plan.tests.split} now"
    if (found.data, found.labelled_by) != (wanted.data, wanted.labelled_by):
        return "the data had another name, or labels by somebody else"
    if found.plan.acceptance != wanted.plan.acceptance:
        return "other acceptance bounds were declared before it began"
    return _between_variants(found, wanted)


def _between_variants(found: State, wanted: State) -> str:
    before, after = ({v.id: v for v in state.variants} for state in (found, wanted))
    if before.keys() != after.keys():
        return "it had other variants"
    for name, variant in after.items():
        if before[name].fingerprint != variant.fingerprint:
            return f"variant {name} had the hash {before[name].fingerprint} and has {variant.fingerprint} now"
        if before[name].price != variant.price:
            return f"variant {name} had another price"
    return f"it had the hash {found.sha256} and has {wanted.sha256} now"
