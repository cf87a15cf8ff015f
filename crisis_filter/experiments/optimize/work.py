"""From a plan and what was chosen to everything a search needs, before anything is opened."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from crisis_filter import assets
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.optimize.drafts import SeedFile
from crisis_filter.experiments.optimize.messages import Cases, development, refuse_overlap, training, training_tests
from crisis_filter.experiments.optimize.records import Start
from crisis_filter.experiments.optimize.reflecting import asking_sha256
from crisis_filter.experiments.optimize.sections import Template, cut
from crisis_filter.experiments.plan import Plan, Price, PromptChoice, ProviderChoice
from crisis_filter.experiments.variants import Column, columns
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.schema import Record
from crisis_filter.taxonomy.answers import answer_model
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy

__all__ = ["Choices", "Reflection", "Work", "load_work"]


class Reflection(Record):
    """Who proposes new texts."""

    spec: BackendSpec | None = None
    """`None` asks the model that judges."""
    temperature: float = Field(default=1.0, ge=0.0, le=2.0)
    tokens: int = Field(default=4000, ge=100)
    """Most of an answer."""
    timeout_s: float = Field(default=180.0, gt=0.0)
    """For one answer, retries included."""
    price: Price | None = None


class Choices(Record):
    """What the command line says beside the plan."""

    prompt: str | None = None
    """Label of the prompt to begin with; `None` where the plan has one."""
    provider: str | None = None
    """Label of who judges; `None` where the plan has one that takes prompts."""
    training: str | None = None
    """`DATA:SPLIT`; see `training_tests`."""
    training_limit: int = Field(default=100, ge=1)
    reflection: Reflection = Reflection()
    max_calls: int = Field(ge=1)
    minibatch: int = Field(default=6, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Work:
    """A search that may begin."""

    plan: Plan
    """With the one prompt and the one provider."""
    choices: Choices
    column: Column
    spec: FilterSpec
    seed: SeedFile
    template: Template
    taxonomy: Taxonomy
    policy: Policy
    learned: Cases = field(repr=False)
    deciding: Cases = field(repr=False)

    @property
    def reflection(self) -> BackendSpec:
        """Who is asked for proposals: with a temperature of its own, time for a long answer, and no seed, for the same question may come twice."""
        given = self.choices.reflection
        base = given.spec or self.spec.backend_spec()
        own = {
            "temperature": given.temperature,
            "attempt_timeout_s": given.timeout_s,
            "seed": None,
            "model_reported": None,
        }
        return base.model_copy(update=own)

    @property
    def reflection_price(self) -> Price | None:
        """What it asks; that of the judge where it is the judge."""
        given = self.choices.reflection
        return given.price or (self.column.provider.price if given.spec is None else None)

    def start(self) -> Start:
        """What a folder is begun with."""
        reflection = self.reflection
        whole: dict[str, Any] = {
            "judge": self.column.variant.fingerprint,
            "provider": self.column.variant.provider,
            "seed": self.seed.prompt.ref,
            "id": self.seed.id,
            "parts": tuple(self.template.parts),
            "development": self.deciding.data.items,
            "development_name": self.deciding.data.name,
            "development_sha256": self.deciding.data.sha256,
            "labelled_by": self.deciding.data.labelled_by,
            "training": self.learned.data.items,
            "training_name": self.learned.data.name,
            "training_sha256": self.learned.data.sha256,
            "reflection": reflection_hash(reflection, self.choices.reflection.tokens),
            "reflection_name": reflection.name,
            "minibatch": self.choices.minibatch,
            "rng_seed": self.choices.seed,
        }
        draft = Start(**whole, sha256="", version=assets.package_version())
        said = draft.model_dump(mode="json", exclude={"sha256", "version"})
        return draft.model_copy(update={"sha256": assets.sha256(json.dumps(said, sort_keys=True).encode())})


def reflection_hash(spec: BackendSpec, tokens: int) -> str:
    """Hash of what shapes proposals; not the key, nor how long is waited."""
    settings = spec.model_dump(mode="json", exclude={"api_key", "attempt_timeout_s", "path"})
    if spec.path is not None:
        settings["file"] = assets.file_sha256(assets.find("", spec.path))
    said = {**settings, "tokens": tokens, "asking": asking_sha256()}
    return assets.sha256(json.dumps(said, sort_keys=True).encode())


def load_work(plan: Plan, choices: Choices, *, keys: bool = True) -> Work:
    """Read everything that a plan and the choices name.

    Args:
        plan: with paths that need no folder.
        choices: beside it.
        keys: whether keys are looked for; a replay needs none.

    Raises:
        InputError: a label, a split or a message is wrong; see `messages`.
        ConfigurationError: a prompt, provider or key is missing or wrong, or the prompt has nothing that may be rewritten.
    """
    prompt, provider = _prompt(plan, choices.prompt), _provider(plan, choices.provider)
    one = plan.model_copy(update={"prompts": (prompt,), "providers": (provider,)})
    if one.budget.money is not None and choices.reflection.spec is not None and choices.reflection.price is None:
        raise InputError("budget.money: the reflection model has no price; add --reflection-price INPUT,OUTPUT")
    made = columns(one, keys=keys)
    column = made.columns[0]
    if not isinstance(column.spec, FilterSpec):
        raise ConfigurationError(f"provider {provider.label} takes no prompts")
    deciding = development(plan.tests, made.taxonomy.ids)
    tests = training_tests(choices.training, plan.tests, limit=choices.training_limit, seed=choices.seed)
    learned = training(tests, made.taxonomy.ids)
    refuse_overlap(learned, deciding)
    least = 2 * (len(deciding.cases) + choices.minibatch)
    if choices.max_calls < least:
        raise InputError(
            f"--max-calls: {choices.max_calls} are too few: the seed and one proposal need up to {least} "
            f"({len(deciding.cases)} development messages twice, {choices.minibatch} training messages twice)"
        )
    seed = SeedFile.read(prompt.screen)
    fields = tuple(answer_model(seed.prompt.answer, made.taxonomy).model_fields)
    return Work(
        plan=one,
        choices=choices,
        column=column,
        spec=column.spec,
        seed=seed,
        template=cut(seed.prompt.system, fields),
        taxonomy=made.taxonomy,
        policy=made.policy,
        learned=learned,
        deciding=deciding,
    )


def _prompt(plan: Plan, label: str | None) -> PromptChoice:
    found = [choice for choice in plan.prompts if label in (None, choice.label)]
    if len(found) != 1:
        raise InputError(
            f"--prompt: name the one to begin with: {', '.join(p.label for p in plan.prompts) or 'the plan has none'}"
        )
    return found[0]


def _provider(plan: Plan, label: str | None) -> ProviderChoice:
    able = [provider for provider in plan.providers if provider.takes_prompts]
    found = [provider for provider in able if label in (None, provider.label)]
    if len(found) != 1:
        raise InputError(
            f"--provider: name who judges, a language model: {', '.join(p.label for p in able) or 'the plan has none'}"
        )
    return found[0]
