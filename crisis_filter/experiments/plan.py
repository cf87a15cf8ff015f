"""The file of an experiment: prompts x providers x labelled messages, in the shape of promptfoo's, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from crisis_filter.datasets.records import Split
from crisis_filter.errors import InputError
from crisis_filter.schema import Record

__all__ = [
    "Acceptance",
    "Budget",
    "Options",
    "Plan",
    "Price",
    "PromptChoice",
    "ProviderChoice",
    "Tests",
    "load_plan",
    "rooted",
]

_FILE = "file://"
_LONGEST_LABEL = 80
_MOST_BYTES = 2**20


class _Part(Record):
    """Keys are those of the file; our own names are taken as well."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True, allow_inf_nan=False
    )


class Price(_Part):
    """What a provider asks, in any one currency, for a million tokens."""

    input: float = Field(ge=0.0)
    output: float = Field(ge=0.0)

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1_000_000

    @property
    def free(self) -> bool:
        """Whether nothing is asked for any token."""
        return self.input == self.output == 0.0


class PromptChoice(_Part):
    """One way to ask."""

    label: str = Field(min_length=1, max_length=_LONGEST_LABEL)
    screen: str
    """Name of a released prompt, or the path of a file."""
    categorise: str | None = None
    """`None` takes the policy's."""


class ProviderChoice(_Part):
    """Who is asked, and with which settings."""

    id: str
    """`openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted:FILE`, `recorded:FILE`, `local`, or `baseline:NAME`."""
    label: str = Field(min_length=1, max_length=_LONGEST_LABEL)
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable with the key; the file holds no secret."""
    temperature: float | None = None
    seed: int | None = None
    attempts: int | None = None
    attempt_timeout_s: float | None = None
    deadline_s: float | None = None
    """Seconds for one request, retries and waits included."""
    model_reported: str | None = None
    engine: str | None = None
    """For `local`."""
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    """For `local`: probability from which a message is a crisis; at most the one that the engine was released with."""
    model: str | None = None
    """For `baseline:NAME`: what its server calls it, where that is not the usual name."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """For `baseline:NAME`."""
    price: Price | None = None

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, address: str | None) -> str | None:
        try:
            parts = urlsplit(address or "")
        except ValueError:
            return address  # refused as no address where it is opened
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("may hold no user, password or query; name the variable of a key in api_key_env")
        return address

    @property
    def takes_prompts(self) -> bool:
        """Whether it is asked with prompts of ours; the embedded engine and other people's guardrails are not."""
        return self.id != "local" and not self.id.startswith("baseline:")


class Tests(_Part):
    """Which labelled messages."""

    data: str
    """Folder of a data set, or a JSON Lines file with `id`, `text`, `crisis` and `categories`."""
    split: Split
    """Which split of the folder; for a file, what it is used for."""
    limit: int | None = Field(default=None, ge=1)
    """Take so many, drawn at random: half of them crises, as far as there are."""
    seed: int = Field(default=0, ge=0)
    """Decides which, and the order in which messages are asked about."""
    labelled_by: str | None = None
    """Who gave the labels of a file; a data set says so itself."""


class Options(_Part):
    """How to go about it; changing these goes on with the same experiment."""

    repeat: int = Field(default=1, ge=1, le=20)
    """How often each message is asked about; part of the experiment."""
    max_concurrency: int = Field(default=4, ge=1, le=512, alias="maxConcurrency")
    """Cells in work at once, over all variants."""
    reuse: bool = True
    """Whether replies in folders beside it are taken for the same questions."""


class Budget(_Part):
    """Where a run stops by itself."""

    money: float | None = Field(default=None, gt=0.0)
    """In the currency of the prices, of which every provider that is asked then needs one."""
    requests: int | None = Field(default=None, ge=1)


class Acceptance(_Part):
    """Bounds that a prompt must keep to be promoted, declared before it is tried. At least one. Rates are 0 to 1.

    A margin is non-inferiority: the lower end of the interval of the difference to the incumbent must lie above minus the margin.
    """

    incumbent: str
    """Label of the prompt, or id of the variant, that the candidates are to replace."""
    sensitivity_at_least: float | None = Field(default=None, ge=0.0, le=1.0)
    """For the lower end of its interval; undetermined counts as missed."""
    specificity_at_least: float | None = Field(default=None, ge=0.0, le=1.0)
    sensitivity_margin: float | None = Field(default=None, gt=0.0, lt=1.0)
    specificity_margin: float | None = Field(default=None, gt=0.0, lt=1.0)
    category_margin: float | None = Field(default=None, gt=0.0, lt=1.0)
    """For the sensitivity among the messages of each category."""
    undetermined_at_most: float | None = Field(default=None, ge=0.0, le=1.0)
    """For the upper end of the interval of the share of undetermined messages."""
    flip_rate_at_most: float | None = Field(default=None, ge=0.0, le=1.0)
    """For the upper end of the interval of the chance that two repeats of one message differ; needs repeats."""
    money_per_1000_at_most: float | None = Field(default=None, gt=0.0)
    macro_f1_margin: float | None = Field(default=None, gt=0.0, lt=1.0)
    """For the mean F1 of the categories, end to end; the interval is that of a bootstrap over messages, or whole clusters."""
    unnamed_at_most: float | None = Field(default=None, ge=0.0, le=1.0)
    """For the upper end of the interval of the share of crisis answers that name no category but `unspecified`."""

    @model_validator(mode="after")
    def _binds(self) -> Self:
        if all(value is None for name, value in self if name != "incumbent"):
            raise ValueError("declares no bound; name at least one, such as sensitivity_margin: 0.01")
        return self


class Plan(_Part):
    """The whole file."""

    description: str = ""
    tags: dict[str, str | int | float | bool] = Field(default_factory=dict)
    prompts: tuple[PromptChoice, ...] = ()
    providers: tuple[ProviderChoice, ...] = Field(min_length=1)
    tests: Tests
    options: Options = Field(default=Options(), alias="evaluateOptions")
    budget: Budget = Budget()
    acceptance: Acceptance | None = None
    policy: str | None = None
    """Policy pack whose thresholds, votes and languages hold; `None` takes the default one."""
    taxonomy: str | None = None

    @field_validator("prompts", mode="before")
    @classmethod
    def _short_prompts(cls, given: object) -> object:
        return [_short(one, "screen") for one in given] if isinstance(given, list) else given

    @field_validator("providers", mode="before")
    @classmethod
    def _short_providers(cls, given: object) -> object:
        return [_provider(one) for one in given] if isinstance(given, list) else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for what, labels in (
            ("prompts", [p.label for p in self.prompts]),
            ("providers", [p.label for p in self.providers]),
        ):
            if len(set(labels)) != len(labels):
                raise ValueError(f"two {what} have the same label; give each its own")
        if not self.prompts and any(p.takes_prompts for p in self.providers):
            raise ValueError(
                "prompts: a language model is asked with one; name at least one, such as screen/reasoned-v2"
            )
        if self.budget.money is not None and (
            free := [p.label for p in self.providers if p.price is None and p.id != "local"]
        ):
            raise ValueError(
                f"budget.money: {', '.join(free)} has no price; add price: {{input: ..., output: ...}} per million tokens"
            )
        return self


def load_plan(path: Path) -> Plan:
    """Read the file of an experiment, paths as they stand; see `rooted`.

    Raises:
        InputError: it cannot be read, is no YAML, has a key twice, or a key or value that is not known; names the place, never a value.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise InputError(f"{path}: is too long for the file of an experiment")
        given = yaml.load(content.decode("utf-8"), Loader=_Strict)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        why = f": {error.problem}" if isinstance(error, _Refused) else ""
        raise InputError(f"{path}: is not valid YAML{at}{why}") from None
    if not isinstance(given, dict):
        raise InputError(f"{path}: needs prompts, providers and tests")
    try:
        plan = Plan.model_validate(given)
    except ValidationError as error:
        problems = list(dict.fromkeys(_problem(dict(e)) for e in error.errors(include_input=False, include_url=False)))
        raise InputError(f"{path}: {'; '.join(problems[:6])}") from None
    return plan


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not taken; its problem is in words of ours."""


class _Strict(yaml.SafeLoader):
    """YAML in which a key stands once, and nothing stands for something else, which could be expanded without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _Refused(None, None, "aliases are not taken; write it out", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) != len(keys):
            raise _Refused(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _short(one: object, field: str) -> object:
    """A prompt in one word, or an object without a label."""
    if isinstance(one, str):
        name = one.removeprefix(_FILE)
        return {"label": _stem(name), field: name}
    if isinstance(one, dict):
        whole = {("label" if key == "id" else key): value for key, value in one.items()}
        if "label" not in whole and isinstance(whole.get(field), str):
            whole["label"] = _stem(whole[field])
        return {key: value.removeprefix(_FILE) if isinstance(value, str) else value for key, value in whole.items()}
    return one


def _provider(one: object) -> object:
    """A provider in one word, or promptfoo's `id`, `label` and `config`."""
    if isinstance(one, str):
        return {"id": one, "label": one[:_LONGEST_LABEL]}
    if isinstance(one, dict):
        config = one.get("config", {})
        if not isinstance(config, dict) or "id" in config or "label" in config:
            return one
        whole = {**{key: value for key, value in one.items() if key != "config"}, **config}
        return {"label": str(whole.get("id", ""))[:_LONGEST_LABEL], **whole} if config.keys().isdisjoint(one) else one
    return one


def _stem(name: str) -> str:
    return Path(name).name.removesuffix(".md")[:_LONGEST_LABEL]


def _problem(error: dict[str, Any]) -> str:
    place = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{place}: is not known here"
    if error["type"] == "missing":
        return f"{place}: is missing"
    if error["type"] == "value_error":
        return f"{place}: {error['ctx']['error']}".removeprefix(": ")
    return f"{place}: {error['msg']}"


def rooted(plan: Plan, folder: Path) -> Plan:
    """The plan with paths taken from a folder, as a rule that of its file."""

    def prompt(name: str | None) -> str | None:
        if name is None or not (name.endswith(".md") or name.startswith((".", "/", "~"))):
            return name
        return str((folder / Path(name).expanduser()).resolve())

    def provider(one: ProviderChoice) -> ProviderChoice:
        kind, _, rest = one.id.partition(":")
        if kind not in ("scripted", "recorded") or not rest:
            return one
        return one.model_copy(update={"id": f"{kind}:{(folder / Path(rest).expanduser()).resolve()}"})

    return plan.model_copy(
        update={
            "prompts": tuple(
                p.model_copy(update={"screen": prompt(p.screen), "categorise": prompt(p.categorise)})
                for p in plan.prompts
            ),
            "providers": tuple(map(provider, plan.providers)),
            "tests": plan.tests.model_copy(
                update={"data": str((folder / Path(plan.tests.data).expanduser()).resolve())}
            ),
        }
    )
