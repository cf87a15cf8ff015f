"""The frozen description from which a `CrisisFilter` is opened, in this process or in a worker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec, parse_backend
from crisis_filter.errors import ConfigurationError
from crisis_filter.local.artifact import ENGINES
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import Prompt, Stage, load_prompt
from crisis_filter.prompting.render import Rendered, render
from crisis_filter.schema import Record
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy, load_policy
from crisis_filter.triage.resources import load_resources

LOCAL = "local"
DEFAULT_ENGINE = "starter-v1"


class FilterSpec(Record):
    """Everything needed to open a filter; carries no open resource."""

    backend: str = LOCAL
    """`local`, `openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted:FILE` or `recorded:FILE`."""
    base_url: str | None = None
    """Root of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    api_key: SecretStr | None = None
    azure_endpoint: str | None = None
    azure_api_version: str | None = None
    policy: str = "default"
    """Name of a bundled policy pack, or a path."""
    taxonomy: str | None = None
    """Name or path; `None` takes the policy's."""
    screen_prompt: str | None = None
    """Name or path; `None` takes the policy's."""
    categorise_prompt: str | None = None
    """Name or path; `None` takes the policy's."""
    engine: str = DEFAULT_ENGINE
    """Name of a bundled engine, or the path of an engine folder."""
    engine_threads: int = Field(default=1, ge=1)
    deadline_s: float | None = Field(default=None, gt=0.0)
    """Total seconds for one message; `None` takes the policy's."""
    attempts: int | None = Field(default=None, ge=1, le=10)
    """Most requests for one call of a stage; `None` takes the backend's default."""

    def backend_spec(self) -> BackendSpec:
        """The language model's part of this description.

        Raises:
            ConfigurationError: the backend is unknown or incomplete.
        """
        return parse_backend(
            self.backend,
            base_url=self.base_url,
            api_key=self.api_key,
            azure_endpoint=self.azure_endpoint,
            azure_api_version=self.azure_api_version,
            attempts=self.attempts,
        )


def open_filter(spec: FilterSpec) -> CrisisFilter:
    """Open a filter: load the policy pack, taxonomy, prompts and engine, and connect nothing yet.

    Raises:
        ConfigurationError: the backend is unknown, a key or package is missing, or an asset is missing or malformed.
    """
    policy = load_policy(spec.policy)
    if spec.deadline_s is not None:
        limits = policy.limits.model_copy(update={"deadline_s": spec.deadline_s})
        policy = policy.model_copy(update={"limits": limits})
    taxonomy = load_taxonomy(spec.taxonomy or policy.stages.taxonomy)
    own = spec.taxonomy is None or load_taxonomy(policy.stages.taxonomy).id == taxonomy.id
    whole, policy = policy, policy.for_taxonomy(taxonomy, own=own)
    left_out = tuple(rule.id for rule in whole.rules if rule not in policy.rules)
    detector = _local(spec, policy, taxonomy) if spec.backend == LOCAL else _prompted(spec, policy, taxonomy)
    return CrisisFilter(detector, taxonomy, policy, load_resources(policy.resources.pack), rules_left_out=left_out)


def _local(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy) -> TwoStages:
    # The runtime takes longer to import than all the rest, and only this detector needs it.
    from crisis_filter.local.engine import LocalEngine
    from crisis_filter.stages.engine import EngineStages

    bundled = ENGINES / spec.engine
    engine = LocalEngine.load(
        bundled if bundled.is_dir() else Path(spec.engine).expanduser(), threads=spec.engine_threads
    )
    if engine.labels[1:] != taxonomy.ids:
        raise ConfigurationError(
            f"the engine {engine.id} was trained for other categories than those of {taxonomy.id}: "
            "use a language model for this taxonomy (--backend openai:MODEL), or leave --taxonomy out"
        )
    stages = EngineStages(engine, may_clear=True, threshold=policy.thresholds.engine_screen)
    return TwoStages(name=f"{LOCAL}:{engine.id}", screener=stages, categoriser=stages, sole=True)


def _prompted(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy) -> TwoStages:
    screen = _rendered("screen", spec.screen_prompt or policy.stages.screen, taxonomy)
    categorise = _rendered("categorise", spec.categorise_prompt or policy.stages.categorise, taxonomy)
    backend = open_backend(spec.backend_spec())
    return TwoStages(
        name=backend.name,
        screener=PromptedScreen(backend, screen, threshold=policy.thresholds.prompted_screen),
        categoriser=PromptedCategorise(backend, categorise, taxonomy.ids),
        aclose=backend.aclose,
    )


def _rendered(stage: Stage, name: str, taxonomy: Taxonomy) -> Rendered:
    prompt: Prompt = load_prompt(name)
    if prompt.stage != stage:
        raise ConfigurationError(f"prompt {prompt.id} is for the stage {prompt.stage!r}, not {stage!r}")
    return render(prompt, taxonomy)
